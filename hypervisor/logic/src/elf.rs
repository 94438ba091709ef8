// SPDX-License-Identifier: GPL-2.0

//! A kernel as an ELF file with the note that names its PVH entry (`XEN_ELFNOTE_PHYS32_ENTRY`). The file may be of 64
//! or of 32 bits, whatever code is in it: the entry is in 32-bit mode anyway, and loaders like small files.

use crate::bzimage::File;
use core::ops::Range;

/// `XEN_ELFNOTE_PHYS32_ENTRY`.
const PHYS32_ENTRY: u64 = 18;
/// "\x7fELF".
const MAGIC: u64 = 0x464c_457f;
/// `ELFCLASS32` and `ELFCLASS64`, each with `ELFDATA2LSB` in the next byte.
const CLASS_32: u64 = 0x101;
const CLASS_64: u64 = 0x102;
/// `EM_386` and `EM_X86_64`.
const MACHINES: [u64; 2] = [3, 62];
const LOAD: u64 = 1;
const NOTE: u64 = 4;

const DAMAGED: &str = "the dom0 kernel's ELF file is damaged";

/// Offsets and sizes of the fields that are needed, in one of the two classes (System V ABI, chapters 4 and 5).
struct FieldOffsets {
    /// Bytes of an address or offset.
    word: u64,
    /// In the file's header: of the program headers, of their size and of their number.
    headers: u64,
    header_size: u64,
    header_count: u64,
    /// In a program header: offset in the file, physical address, sizes in the file and in memory.
    offset: u64,
    physical: u64,
    in_file: u64,
    in_memory: u64,
}

const OFFSETS_32: FieldOffsets = FieldOffsets {
    word: 4,
    headers: 28,
    header_size: 42,
    header_count: 44,
    offset: 4,
    physical: 12,
    in_file: 16,
    in_memory: 20,
};

const OFFSETS_64: FieldOffsets = FieldOffsets {
    word: 8,
    headers: 32,
    header_size: 54,
    header_count: 56,
    offset: 8,
    physical: 24,
    in_file: 32,
    in_memory: 40,
};

/// A little-endian number of up to 8 bytes; `None` beyond the file's end.
fn number(file: &impl File, at: u64, size: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    if at.checked_add(size)? > file.len() {
        return None;
    }
    file.read(at, bytes.get_mut(..size as usize)?);
    Some(u64::from_le_bytes(bytes))
}

/// Calls `place` for each loadable segment with its physical address, its range in the file and its size in memory.
/// Returns the PVH entry.
///
/// # Errors
///
/// A message about what is wrong with the file, or the error of `place`.
pub fn load(
    file: &impl File,
    mut place: impl FnMut(u64, Range<u64>, u64) -> Result<(), &'static str>,
) -> Result<u32, &'static str> {
    if number(file, 0, 4) != Some(MAGIC) {
        return Err("the dom0 kernel is no ELF file and no bzImage");
    }
    let fields = match number(file, 4, 2) {
        Some(CLASS_32) => OFFSETS_32,
        Some(CLASS_64) => OFFSETS_64,
        _ => {
            return Err(
                "the dom0 kernel's ELF file is neither of 32 nor of 64 bits, little-endian",
            );
        }
    };
    if !number(file, 18, 2).is_some_and(|machine| MACHINES.contains(&machine)) {
        return Err("the dom0 kernel is not for x86");
    }
    let of_file = |at, size| number(file, at, size).ok_or(DAMAGED);
    let headers = of_file(fields.headers, fields.word)?;
    let (size, count) = (
        of_file(fields.header_size, 2)?,
        of_file(fields.header_count, 2)?,
    );
    let mut entry = None;
    for index in 0..count {
        let at = headers.checked_add(index * size).ok_or(DAMAGED)?;
        let field = |offset, size| {
            let at = at.checked_add(offset);
            at.and_then(|at| number(file, at, size)).ok_or(DAMAGED)
        };
        let header_type = field(0, 4)?;
        let offset = field(fields.offset, fields.word)?;
        let physical = field(fields.physical, fields.word)?;
        let in_file = field(fields.in_file, fields.word)?;
        let in_memory = field(fields.in_memory, fields.word)?;
        let part = offset..offset.checked_add(in_file).ok_or(DAMAGED)?;
        if part.end > file.len() || (header_type == LOAD && in_file > in_memory) {
            return Err(DAMAGED);
        }
        match header_type {
            LOAD if in_memory > 0 => place(physical, part, in_memory)?,
            NOTE => entry = entry.or(find_entry(file, part)),
            _ => {}
        }
    }
    entry.ok_or("the dom0 kernel has no PVH entry: it needs CONFIG_XEN_PVH or CONFIG_PVH")
}

/// Searches a segment of notes (System V ABI, chapter 5).
fn find_entry(file: &impl File, notes: Range<u64>) -> Option<u32> {
    let mut at = notes.start;
    while at.checked_add(12)? <= notes.end {
        let name = number(file, at, 4)?;
        let description = number(file, at + 4, 4)?;
        let note_type = number(file, at + 8, 4)?;
        let value = (at + 12).checked_add(name.next_multiple_of(4))?;
        let is_xen =
            name == 4 && number(file, at + 12, 4)? == u64::from(u32::from_le_bytes(*b"Xen\0"));
        if is_xen && note_type == PHYS32_ENTRY && description >= 4 {
            return number(file, value, 4).map(|entry| entry as u32);
        }
        at = value.checked_add(description.next_multiple_of(4))?;
    }
    None
}

#[cfg(test)]
mod tests;
