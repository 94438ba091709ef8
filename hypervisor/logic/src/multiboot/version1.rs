// SPDX-License-Identifier: GPL-2.0

//! The information structure of version 1 (Multiboot Specification 0.6.96, 3.3): a fixed structure with pointers to the
//! rest.

use core::ops::Range;

use super::{MAX_MODULES, MAX_NAME, MAX_TEXT, Memory, RawModule, module_range, word};

/// Bytes of the structure that are read.
const SIZE: u64 = 68;
/// Bytes of a module's entry.
const MODULE: u64 = 16;
/// Least bytes of a memory map's entry behind its size field: address, length, type.
const REGION: u64 = 20;
/// Most bytes of a memory map that are read.
const MAX_MAP: u64 = 64 << 10;

/// Bits of the flags field: which of the other fields are valid.
mod flag {
    pub const COMMAND_LINE: u32 = 1 << 2;
    pub const MODULES: u32 = 1 << 3;
    pub const MEMORY_MAP: u32 = 1 << 6;
    pub const LOADER_NAME: u32 = 1 << 9;
}

/// The fields that are used; 0 for those that are not valid.
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

    pub fn modules(&self, memory: &impl Memory, each: &mut dyn FnMut(RawModule)) {
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
            each(RawModule {
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

    /// Calls `each` with the memory of the structure and of what it points to, except the modules.
    pub fn in_use(&self, memory: &impl Memory, each: &mut dyn FnMut(Range<u64>)) {
        each(self.at..self.at + SIZE);
        each(self.modules..self.modules + self.module_count * MODULE);
        each(self.map.0..self.map.0 + self.map.1);
        each(self.command_line());
        each(self.loader());
        self.modules(memory, &mut |module| each(module.text));
    }
}

/// The range of a string at an address: its NUL is not known before it is read, so up to the limit. Empty for address
/// 0.
fn text_range(at: u64, limit: u64) -> Range<u64> {
    at..if at == 0 { 0 } else { at + limit }
}
