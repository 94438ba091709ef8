// SPDX-License-Identifier: GPL-2.0

//! The boot information of a multiboot loader: command line, modules, memory map and ACPI root pointer, of version 1
//! (QEMU's `-kernel`, GRUB's `multiboot`) and version 2 (GRUB's `multiboot2`).
//!
//! It decides which memory is free, and a loader may be broken: every address and length is checked before it is used,
//! counts are bounded, and invalid entries are left out. [`BootInfo::check`] checks the result as a whole.

mod map;
#[cfg(test)]
mod tests;
mod version1;
mod version2;

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

pub use map::{MAX_ENTRIES, Map, Region, kind};

/// EAX at entry from a loader of version 1 (Multiboot Specification 0.6.96, 3.2).
pub const MAGIC1: u32 = 0x2bad_b002;
/// EAX at entry from a loader of version 2 (Multiboot2 Specification 2.0, 3.5).
pub const MAGIC2: u32 = 0x36d7_6289;

/// Most bytes of a string that are read.
const MAX_TEXT: u64 = 4096;
/// Most modules that are read.
const MAX_MODULES: u64 = 64;
/// Most bytes of the loader's name that are read.
const MAX_NAME: u64 = 64;

/// The physical memory that the loader wrote to, as far as it can be read.
pub trait Memory {
    /// Copies bytes. False if not all of them can be read; `to` is undefined then.
    fn read(&self, address: u64, to: &mut [u8]) -> bool;
}

/// A file that the loader has put into memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Physical addresses of its bytes.
    pub range: Range<u64>,
    /// Its arguments from the loader's configuration, without its name.
    pub arguments: String,
}

/// A copy of the boot information.
#[derive(Clone, Debug, Default)]
pub struct BootInfo {
    /// The loader's name, which may be empty.
    pub loader: String,
    /// The command line without the image's name.
    pub command_line: String,
    /// The modules in the loader's order.
    pub modules: Vec<Module>,
    /// The memory map, sorted and without overlaps.
    pub memory: Vec<Region>,
    /// A copy of the RSDP, if the loader passed one (version 2): 20 bytes, or 36 of a later revision. Its checksums are
    /// right.
    pub rsdp: Option<Vec<u8>>,
    /// Physical addresses of the loader's structures, in any order; they may share frames.
    structures: Vec<Range<u64>>,
}

impl BootInfo {
    /// Checks that there is RAM, and that all modules lie in RAM, each in frames of its own and none in the frames of
    /// `image`.
    ///
    /// # Errors
    ///
    /// A message for the log.
    pub fn check(&self, image: Range<u64>) -> Result<(), &'static str> {
        if !self.memory.iter().any(|region| region.kind == kind::RAM) {
            return Err("the boot loader tells of no memory");
        }
        let mut taken = alloc::vec![frames(&image)];
        for module in &self.modules {
            let range = frames(&module.range);
            if range.is_empty() {
                continue;
            }
            if !self.is_ram(&range) {
                return Err("the boot loader put a module where there is no memory");
            }
            let overlaps = |other: &Range<u64>| other.start < range.end && range.start < other.end;
            if taken.iter().any(overlaps) {
                return Err(
                    "the boot loader put two modules, or one and the hypervisor, in one place",
                );
            }
            taken.push(range);
        }
        Ok(())
    }

    /// The memory that only held the loader's structures, which are copied now: whole frames of RAM above the first
    /// MiB, each once, without those of `image` and of modules.
    pub fn left_over(&self, image: Range<u64>) -> Vec<Range<u64>> {
        let mut map = Map::default();
        let mut add = |range: &Range<u64>, kind| {
            let range = frames(range);
            map.add(range.start, range.end - range.start, kind);
        };
        // As in a memory map, the higher kind wins where ranges overlap.
        add(&(0..1 << 20), kind::RESERVED);
        add(&image, kind::RESERVED);
        let modules = self.modules.iter().map(|module| &module.range);
        modules.for_each(|range| add(range, kind::RESERVED));
        self.structures
            .iter()
            .for_each(|range| add(range, kind::RAM));
        map.regions()
            .filter(|region| region.kind == kind::RAM)
            .map(|region| region.start..region.end)
            .filter(|range| self.is_ram(range))
            .collect()
    }

    /// Whether all of a range lies in one piece of RAM.
    fn is_ram(&self, range: &Range<u64>) -> bool {
        self.memory.iter().any(|region| {
            region.kind == kind::RAM && region.start <= range.start && range.end <= region.end
        })
    }
}

/// A range extended to whole frames.
fn frames(range: &Range<u64>) -> Range<u64> {
    if range.is_empty() {
        return 0..0;
    }
    let frame = crate::mem::PAGE_SIZE;
    range.start / frame * frame
        ..range
            .end
            .checked_next_multiple_of(frame)
            .unwrap_or(u64::MAX)
}

/// A module in the loader's structures.
struct RawModule {
    range: Range<u64>,
    /// Its string, up to the longest possible end.
    text: Range<u64>,
}

/// The loader's structures in memory. Only [`Loader::copy`] needs a heap.
#[derive(Clone, Copy, Debug)]
pub struct Loader<M> {
    memory: M,
    version: Version,
}

#[derive(Clone, Copy, Debug)]
enum Version {
    One(version1::Info),
    Two(version2::Info),
}

impl<M: Memory> Loader<M> {
    /// The structures of a loader that passed this magic number in EAX and this address in EBX. `None` if they cannot
    /// be read.
    pub fn new(memory: M, magic: u32, info: u64) -> Option<Self> {
        let version = match magic {
            MAGIC1 => Version::One(version1::Info::read(&memory, info)?),
            MAGIC2 => Version::Two(version2::Info::read(&memory, info)?),
            _ => return None,
        };
        Some(Self { memory, version })
    }

    /// The memory map.
    pub fn map(&self) -> Map {
        let mut map = Map::default();
        let mut add = |start: u64, len: u64, kind: u32| map.add(start, len, kind);
        match &self.version {
            Version::One(info) => info.regions(&self.memory, &mut add),
            Version::Two(info) => info.regions(&self.memory, &mut add),
        }
        map
    }

    /// Calls `each` with the physical memory of the modules and the loader's structures, which must not be overwritten
    /// before it is copied.
    pub fn in_use(&self, each: &mut dyn FnMut(Range<u64>)) {
        self.each_module(&mut |module| each(module.range));
        self.structures(each);
    }

    /// Calls `each` with the physical memory of the loader's structures.
    fn structures(&self, each: &mut dyn FnMut(Range<u64>)) {
        match &self.version {
            Version::One(info) => info.in_use(&self.memory, each),
            Version::Two(info) => each(info.range()),
        }
    }

    /// Copies the boot information.
    pub fn copy(&self) -> BootInfo {
        let mut boot = BootInfo {
            memory: self.map().regions().collect(),
            ..BootInfo::default()
        };
        self.structures(&mut |range| boot.structures.push(range));
        let (loader, line) = match &self.version {
            Version::One(info) => (info.loader(), info.command_line()),
            Version::Two(info) => {
                boot.rsdp = info.rsdp(&self.memory);
                (info.loader(&self.memory), info.command_line(&self.memory))
            }
        };
        boot.loader = text(&self.memory, loader, MAX_NAME);
        // GRUB 2 passes arguments without the file's name, in both versions of the protocol. Other loaders of version 1
        // put it in front.
        let named = matches!(self.version, Version::One(_)) && !is_grub2(&boot.loader);
        let arguments = |range: Range<u64>| {
            let text = text(&self.memory, range, MAX_TEXT);
            if named { without_name(&text) } else { text }
        };
        boot.command_line = arguments(line);
        self.each_module(&mut |module| {
            boot.modules.push(Module {
                range: module.range,
                arguments: arguments(module.text),
            });
        });
        boot
    }

    fn each_module(&self, each: &mut dyn FnMut(RawModule)) {
        match &self.version {
            Version::One(info) => info.modules(&self.memory, each),
            Version::Two(info) => info.modules(&self.memory, each),
        }
    }
}

/// The addresses of a module; empty if it ends before it starts.
fn module_range(start: u32, end: u32) -> Range<u64> {
    u64::from(start)..u64::from(end.max(start))
}

/// "GRUB 2.12" and "GRUB 1.99", not "GRUB 0.97".
fn is_grub2(loader: &str) -> bool {
    let version = loader.strip_prefix("GRUB ").unwrap_or("0");
    !version.starts_with('0')
}

fn without_name(text: &str) -> String {
    let rest = text.trim_start().split_once(' ');
    rest.map_or("", |(_, rest)| rest).trim().into()
}

/// Reads a string up to its NUL, the range's end, or the limit.
fn text(memory: &impl Memory, range: Range<u64>, limit: u64) -> String {
    let mut bytes = Vec::new();
    let end = range.end.min(range.start.saturating_add(limit));
    for at in range.start..end {
        match number::<1>(memory, at) {
            Some(0) | None => break,
            Some(byte) => bytes.push(byte as u8),
        }
    }
    String::from_utf8_lossy(&bytes).trim().into()
}

/// Reads a little-endian number of `N` bytes, 8 at most.
fn number<const N: usize>(memory: &impl Memory, at: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    at.checked_add(N as u64)?;
    memory
        .read(at, &mut bytes[..N])
        .then(|| u64::from_le_bytes(bytes))
}

/// Reads a little-endian number of four bytes.
fn word(memory: &impl Memory, at: u64) -> Option<u32> {
    number::<4>(memory, at).map(|word| word as u32)
}
