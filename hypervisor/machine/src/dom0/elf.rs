// SPDX-License-Identifier: GPL-2.0

//! A kernel as an ELF file with the note that names its PVH entry (`XEN_ELFNOTE_PHYS32_ENTRY`).

use core::ops::Range;

use crate::arch::ram::Bytes;

/// `XEN_ELFNOTE_PHYS32_ENTRY`.
const PHYS32_ENTRY: u64 = 18;
/// "\x7fELF", 64 bits, little-endian.
const MAGIC: u64 = 0x0102_464c_457f;
const LOAD: u64 = 1;
const NOTE: u64 = 4;

/// Calls `place` for each loadable segment with its physical address, its range in the file and its size in memory.
/// Returns the PVH entry.
///
/// # Errors
///
/// A message about what is wrong with the file, or the error of `place`.
pub fn load(
    file: Bytes,
    mut place: impl FnMut(u64, Range<u64>, u64) -> Result<(), &'static str>,
) -> Result<u32, &'static str> {
    const DAMAGED: &str = "the dom0 kernel's ELF file is damaged";
    if file.number(0, 6) != Some(MAGIC) {
        return Err("the dom0 kernel is no 64-bit ELF file");
    }
    let headers = file.number(32, 8).ok_or(DAMAGED)?;
    let (size, count) = (
        file.number(54, 2).ok_or(DAMAGED)?,
        file.number(56, 2).ok_or(DAMAGED)?,
    );
    let mut entry = None;
    for index in 0..count {
        let at = headers.checked_add(index * size).ok_or(DAMAGED)?;
        let field = |offset, size| file.number(at.checked_add(offset)?, size).ok_or(()).ok();
        let kind = field(0, 4).ok_or(DAMAGED)?;
        let (offset, physical) = (field(8, 8).ok_or(DAMAGED)?, field(24, 8).ok_or(DAMAGED)?);
        let (in_file, in_memory) = (field(32, 8).ok_or(DAMAGED)?, field(40, 8).ok_or(DAMAGED)?);
        let part = offset..offset.checked_add(in_file).ok_or(DAMAGED)?;
        if !file.contains(&part) || (kind == LOAD && in_file > in_memory) {
            return Err(DAMAGED);
        }
        match kind {
            LOAD if in_memory > 0 => place(physical, part, in_memory)?,
            NOTE => entry = entry.or(find_entry(&file, part)),
            _ => {}
        }
    }
    entry.ok_or("the dom0 kernel has no PVH entry: it needs CONFIG_XEN_PVH or CONFIG_PVH")
}

/// Searches a segment of notes (System V ABI, chapter 5).
fn find_entry(file: &Bytes, notes: Range<u64>) -> Option<u32> {
    let mut at = notes.start;
    while at + 12 <= notes.end {
        let (name, description, kind) = (
            file.number(at, 4)?,
            file.number(at + 4, 4)?,
            file.number(at + 8, 4)?,
        );
        let value = at + 12 + name.next_multiple_of(4);
        let is_xen =
            name == 4 && file.number(at + 12, 4)? == u64::from(u32::from_le_bytes(*b"Xen\0"));
        if is_xen && kind == PHYS32_ENTRY && description >= 4 {
            return file.number(value, 4).map(|entry| entry as u32);
        }
        at = value + description.next_multiple_of(4);
    }
    None
}
