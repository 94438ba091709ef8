// SPDX-License-Identifier: GPL-2.0

//! The information structure of version 2 (Multiboot2 Specification 2.0, 3.4 to 3.6): a list of tags, which holds
//! everything but the modules themselves.

use alloc::vec::Vec;
use core::ops::Range;

use super::{Memory, RawModule, module_range, number, word};
use crate::acpi::checksum;

/// Largest structure that is accepted, in bytes. Real ones have some ten KiB, with the image's sections and firmware
/// tables.
const MAX_SIZE: u32 = 1 << 20;
/// Bytes before the first tag, and of a tag's header.
const HEADER: u64 = 8;
/// Least bytes of a memory map's entry: address, length, type, and four reserved bytes.
const REGION: u64 = 24;

/// Bytes of the RSDP of ACPI 1.0, and of later ones (ACPI 6.5, 5.2.5.3).
const RSDP_OLD: usize = 20;
const RSDP_NEW: usize = 36;

/// Types of tags.
mod tag {
    pub const END: u32 = 0;
    pub const COMMAND_LINE: u32 = 1;
    pub const LOADER_NAME: u32 = 2;
    pub const MODULE: u32 = 3;
    pub const MEMORY_MAP: u32 = 6;
    pub const ACPI_OLD: u32 = 14;
    pub const ACPI_NEW: u32 = 15;
}

/// The structure's address.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    at: u64,
    end: u64,
}

impl Info {
    pub fn read(memory: &impl Memory, at: u64) -> Option<Self> {
        let size = word(memory, at).filter(|&size| size <= MAX_SIZE)?;
        let end = at.checked_add(u64::from(size))?;
        (end >= at + HEADER).then_some(Self { at, end })
    }

    pub fn range(&self) -> Range<u64> {
        self.at..self.end
    }

    /// Calls `each` with the type of each tag and the range of its content, which lies in the structure.
    fn each_tag(&self, memory: &impl Memory, each: &mut dyn FnMut(u32, Range<u64>)) {
        let mut at = self.at + HEADER;
        while at + HEADER <= self.end {
            let (Some(kind), Some(size)) = (word(memory, at), word(memory, at + 4)) else {
                return;
            };
            let (size, left) = (u64::from(size), self.end - at);
            if kind == tag::END || !(HEADER..=left).contains(&size) {
                return;
            }
            each(kind, at + HEADER..at + size);
            at += size.next_multiple_of(8);
        }
    }

    /// The content of the last tag of a type; empty if there is none.
    fn find(&self, memory: &impl Memory, wanted: u32) -> Range<u64> {
        let mut found = 0..0;
        self.each_tag(memory, &mut |kind, content| {
            if kind == wanted {
                found = content;
            }
        });
        found
    }

    pub fn regions(&self, memory: &impl Memory, each: &mut dyn FnMut(u64, u64, u32)) {
        let content = self.find(memory, tag::MEMORY_MAP);
        if content.end - content.start < 8 {
            return;
        }
        let Some(step) = word(memory, content.start) else {
            return;
        };
        // A later version of the specification may have longer entries.
        let step = u64::from(step).max(REGION);
        let mut at = content.start + 8;
        while at + step <= content.end {
            let entry = || {
                Some((
                    number::<8>(memory, at)?,
                    number::<8>(memory, at + 8)?,
                    word(memory, at + 16)?,
                ))
            };
            let Some((start, len, kind)) = entry() else {
                return;
            };
            each(start, len, kind);
            at += step;
        }
    }

    pub fn modules(&self, memory: &impl Memory, each: &mut dyn FnMut(RawModule)) {
        let mut left = super::MAX_MODULES;
        self.each_tag(memory, &mut |kind, content| {
            if kind != tag::MODULE || content.end - content.start < 8 || left == 0 {
                return;
            }
            left -= 1;
            if let (Some(start), Some(end)) =
                (word(memory, content.start), word(memory, content.start + 4))
            {
                each(RawModule {
                    range: module_range(start, end),
                    text: content.start + 8..content.end,
                });
            }
        });
    }

    pub fn command_line(&self, memory: &impl Memory) -> Range<u64> {
        self.find(memory, tag::COMMAND_LINE)
    }

    pub fn loader(&self, memory: &impl Memory) -> Range<u64> {
        self.find(memory, tag::LOADER_NAME)
    }

    /// A copy of the RSDP: that of ACPI 2.0 or later if there is one, and only with right checksums.
    pub fn rsdp(&self, memory: &impl Memory) -> Option<Vec<u8>> {
        let copy = |kind, size| {
            let content = self.find(memory, kind);
            let mut bytes = alloc::vec![0; size];
            let whole = content.end - content.start >= size as u64
                && memory.read(content.start, &mut bytes)
                && bytes.starts_with(b"RSD PTR ");
            // The first checksum is over what the first revision has, the second over all.
            let sums = [RSDP_OLD, size].map(|len| checksum(&bytes[..len]));
            (whole && sums == [0, 0]).then_some(bytes)
        };
        copy(tag::ACPI_NEW, RSDP_NEW).or_else(|| copy(tag::ACPI_OLD, RSDP_OLD))
    }
}
