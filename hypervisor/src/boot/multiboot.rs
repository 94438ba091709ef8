// SPDX-License-Identifier: GPL-2.0

//! What a multiboot loader leaves in memory: command line, modules and memory map, of version 1 (QEMU's
//! `-kernel`) and version 2 (GRUB). Everything is copied out at once; nothing refers to it later.

use alloc::string::String;
use alloc::vec::Vec;

use crate::arch::phys::{read_bytes, read_u32, read_u64};

/// What a multiboot 1 loader leaves in EAX.
pub const MAGIC1: u32 = 0x2bad_b002;
/// What a multiboot 2 loader leaves in EAX.
pub const MAGIC2: u32 = 0x36d7_6289;

/// The longest command line that is read, in bytes.
const MAX_TEXT: u64 = 4096;

/// A file the loader put into memory.
#[derive(Clone, Debug)]
pub struct Module {
    /// Physical addresses of its bytes.
    pub range: core::ops::Range<u64>,
    /// What stands behind its name in the loader's configuration.
    pub arguments: String,
}

/// A piece of the machine's memory map, in the numbering of ACPI and E820.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    /// First byte's physical address.
    pub start: u64,
    /// First byte's address behind it.
    pub end: u64,
    /// 1: usable memory; 2: reserved; 3: ACPI tables; 4: ACPI NVS; 5: bad.
    pub kind: u32,
}

/// All a loader tells.
#[derive(Clone, Debug, Default)]
pub struct BootInfo {
    /// The command line without the image's name.
    pub command_line: String,
    /// The modules in the loader's order.
    pub modules: Vec<Module>,
    /// The memory map as the firmware gave it.
    pub memory: Vec<Region>,
    /// A copy of the RSDP, if the loader gave one (multiboot 2).
    pub rsdp: Option<[u8; 36]>,
}

impl BootInfo {
    /// Only the memory map, into a fixed array: for use before there is a heap. Returns how many regions there are.
    pub fn early_memory(magic: u32, info: u64, out: &mut [Region]) -> usize {
        let mut count = 0;
        each_region(magic, info, |region| {
            if let Some(slot) = out.get_mut(count) {
                *slot = region;
                count += 1;
            }
        });
        count
    }

    /// The physical memory the loader's modules occupy, for use before there is a heap.
    pub fn early_modules(magic: u32, info: u64, mut each: impl FnMut(core::ops::Range<u64>)) {
        each_module(magic, info, |start, end, _| each(start..end));
    }

    /// Copies everything.
    pub fn read(magic: u32, info: u64) -> Self {
        let mut boot = Self::default();
        each_region(magic, info, |region| boot.memory.push(region));
        each_module(magic, info, |start, end, text| {
            boot.modules.push(Module {
                range: start..end,
                arguments: without_name(&text_at(text, MAX_TEXT)),
            });
        });
        if magic == MAGIC1 {
            if read_u32(info) & (1 << 2) != 0 {
                boot.command_line =
                    without_name(&text_at(u64::from(read_u32(info + 16)), MAX_TEXT));
            }
        } else {
            each_tag(info, |kind, at, size| match kind {
                1 => boot.command_line = text_at(at + 8, u64::from(size).saturating_sub(8)),
                14 | 15 => {
                    let mut rsdp = [0; 36];
                    let length = rsdp.len().min(size.saturating_sub(8) as usize);
                    read_bytes(at + 8, &mut rsdp[..length]);
                    boot.rsdp = Some(rsdp);
                }
                _ => {}
            });
        }
        boot
    }
}

fn each_region(magic: u32, info: u64, mut each: impl FnMut(Region)) {
    let mut entry = |at: u64| {
        let start = read_u64(at);
        let end = start.saturating_add(read_u64(at + 8));
        each(Region {
            start,
            end,
            kind: read_u32(at + 16),
        });
    };
    if magic == MAGIC1 {
        if read_u32(info) & (1 << 6) == 0 {
            return;
        }
        let (length, start) = (
            u64::from(read_u32(info + 44)),
            u64::from(read_u32(info + 48)),
        );
        let mut at = start;
        while at + 24 <= start + length {
            // The size field does not count itself.
            entry(at + 4);
            at += u64::from(read_u32(at)).max(20) + 4;
        }
    } else {
        each_tag(info, |kind, at, size| {
            if kind == 6 {
                let step = u64::from(read_u32(at + 8)).max(24);
                let mut position = at + 16;
                while position + step <= at + u64::from(size) {
                    entry(position);
                    position += step;
                }
            }
        });
    }
}

/// Calls `each` with a module's first and last address and the address of its text.
fn each_module(magic: u32, info: u64, mut each: impl FnMut(u64, u64, u64)) {
    if magic == MAGIC1 {
        if read_u32(info) & (1 << 3) == 0 {
            return;
        }
        let (count, start) = (read_u32(info + 20), u64::from(read_u32(info + 24)));
        for index in 0..u64::from(count) {
            let at = start + index * 16;
            each(
                u64::from(read_u32(at)),
                u64::from(read_u32(at + 4)),
                u64::from(read_u32(at + 8)),
            );
        }
    } else {
        each_tag(info, |kind, at, _| {
            if kind == 3 {
                each(
                    u64::from(read_u32(at + 8)),
                    u64::from(read_u32(at + 12)),
                    at + 16,
                );
            }
        });
    }
}

/// Calls `each` with the kind, address and size in bytes of each tag of a multiboot 2 information structure.
fn each_tag(info: u64, mut each: impl FnMut(u32, u64, u32)) {
    let end = info + u64::from(read_u32(info));
    let mut at = info + 8;
    while at + 8 <= end {
        let (kind, size) = (read_u32(at), read_u32(at + 4));
        if kind == 0 || size < 8 {
            return;
        }
        each(kind, at, size);
        at += u64::from(size).next_multiple_of(8);
    }
}

fn text_at(address: u64, limit: u64) -> String {
    let mut bytes = Vec::new();
    for offset in 0..limit {
        let mut byte = [0];
        read_bytes(address + offset, &mut byte);
        if byte[0] == 0 {
            break;
        }
        bytes.push(byte[0]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A multiboot 1 loader puts the file's name before the arguments.
fn without_name(text: &str) -> String {
    text.trim_start()
        .split_once(' ')
        .map_or("", |(_, rest)| rest)
        .trim()
        .into()
}
