// SPDX-License-Identifier: GPL-2.0

//! The information structure of version 1 (Multiboot Specification 0.6.96, 3.3): a fixed one that points at the rest.

use core::ops::Range;

use super::{MAX_MODULES, MAX_NAME, MAX_TEXT, Memory, Told, module_range, word};

/// Bytes of the structure, up to what is read.
const SIZE: u64 = 68;
/// Bytes of a module's entry.
const MODULE: u64 = 16;
/// The least a memory map's entry has behind its size field: address, length, kind.
const REGION: u64 = 20;
/// The most bytes of a memory map that are looked at.
const MAX_MAP: u64 = 64 << 10;

/// Bits of the first field: which of the others are there.
mod flag {
    pub const COMMAND_LINE: u32 = 1 << 2;
    pub const MODULES: u32 = 1 << 3;
    pub const MEMORY_MAP: u32 = 1 << 6;
    pub const LOADER_NAME: u32 = 1 << 9;
}

/// The structure's fields that are used; a count or an address is 0 if it is not there.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    at: u64,
    command_line: u64,
    modules: u64,
    module_count: u64,
    map: Range32,
    loader: u64,
}

/// A start and a length.
#[derive(Clone, Copy, Debug)]
struct Range32(u64, u64);

impl Info {
    pub fn read(memory: &impl Memory, at: u64) -> Option<Self> {
        at.checked_add(SIZE)?;
        let flags = word(memory, at)?;
        let field = |offset, wanted: u32| {
            if flags & wanted == 0 {
                return Some(0);
            }
            word(memory, at + offset).map(u64::from)
        };
        Some(Self {
            at,
            command_line: field(16, flag::COMMAND_LINE)?,
            module_count: field(20, flag::MODULES)?.min(MAX_MODULES),
            modules: field(24, flag::MODULES)?,
            map: Range32(
                field(48, flag::MEMORY_MAP)?,
                field(44, flag::MEMORY_MAP)?.min(MAX_MAP),
            ),
            loader: field(64, flag::LOADER_NAME)?,
        })
    }

    pub fn regions(&self, memory: &impl Memory, each: &mut dyn FnMut(u64, u64, u32)) {
        let (mut at, end) = (self.map.0, self.map.0 + self.map.1);
        while at + 4 + REGION <= end {
            let entry = || {
                let wide = |offset| super::number::<8>(memory, at + offset);
                Some((
                    word(memory, at)?,
                    wide(4)?,
                    wide(12)?,
                    word(memory, at + 20)?,
                ))
            };
            let Some((size, start, len, kind)) = entry() else {
                return;
            };
            each(start, len, kind);
            // The size field does not count itself.
            at += u64::from(size).max(REGION) + 4;
        }
    }

    pub fn modules(&self, memory: &impl Memory, each: &mut dyn FnMut(Told)) {
        for index in 0..self.module_count {
            let at = self.modules + index * MODULE;
            let entry = || {
                Some((
                    word(memory, at)?,
                    word(memory, at + 4)?,
                    word(memory, at + 8)?,
                ))
            };
            let Some((start, end, text)) = entry() else {
                return;
            };
            each(Told {
                range: module_range(start, end),
                text: text_range(u64::from(text), MAX_TEXT),
            });
        }
    }

    pub fn command_line(&self) -> Range<u64> {
        text_range(self.command_line, MAX_TEXT)
    }

    pub fn loader(&self) -> Range<u64> {
        text_range(self.loader, MAX_NAME)
    }

    /// What the structure points at, besides the modules.
    pub fn in_use(&self, memory: &impl Memory, each: &mut dyn FnMut(Range<u64>)) {
        each(self.at..self.at + SIZE);
        each(self.modules..self.modules + self.module_count * MODULE);
        each(self.map.0..self.map.0 + self.map.1);
        each(self.command_line());
        each(self.loader());
        self.modules(memory, &mut |module| each(module.text));
    }
}

/// A text that ends with its NUL. Where that is is not known before it is read: as much as is read of it. Address 0 is none.
fn text_range(at: u64, limit: u64) -> Range<u64> {
    at..if at == 0 { 0 } else { at + limit }
}
