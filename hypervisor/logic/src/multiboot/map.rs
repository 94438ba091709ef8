// SPDX-License-Identifier: GPL-2.0

//! A memory map without a heap: what firmware tells may overlap and come in any order, what comes out does not.

/// Kinds of memory, in the numbering of ACPI's E820 (ACPI 6.5, 15.1).
pub mod kind {
    /// Usable.
    pub const RAM: u32 = 1;
    /// Not usable, and the kind of what has none.
    pub const RESERVED: u32 = 2;
}

/// A piece of the machine's memory map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// First byte's physical address.
    pub start: u64,
    /// First byte's address behind it.
    pub end: u64,
    /// 1: usable memory; 2: reserved; 3: ACPI tables; 4: ACPI NVS; 5: bad.
    pub kind: u32,
}

/// As many entries as a map may have; more are left out. A BIOS has some ten, UEFI some hundred, which loaders join.
pub const ENTRIES: usize = 256;

/// A memory map.
#[derive(Clone, Debug)]
pub struct Map {
    entries: [Region; ENTRIES],
    count: usize,
}

impl Default for Map {
    fn default() -> Self {
        Self {
            entries: [Region::default(); ENTRIES],
            count: 0,
        }
    }
}

impl Map {
    /// Adds an entry as the firmware gave it. What has no bytes is none, and what goes beyond the end of all addresses ends
    /// there.
    pub fn add(&mut self, start: u64, len: u64, kind: u32) {
        let end = start.saturating_add(len);
        if end <= start {
            return;
        }
        if let Some(entry) = self.entries.get_mut(self.count) {
            let kind = if kind == 0 { kind::RESERVED } else { kind };
            *entry = Region { start, end, kind };
            self.count += 1;
        }
    }

    /// The map in order, without overlaps: memory of which one entry says that it cannot be used is not used. Of two other
    /// kinds the higher one counts.
    pub fn regions(&self) -> impl Iterator<Item = Region> + '_ {
        let mut at = self.next_start(0);
        core::iter::from_fn(move || {
            let start = at?;
            let kind = self.kind_at(start)?;
            let mut end = self.next_change(start);
            // What goes on in the same way is one region.
            while self.kind_at(end) == Some(kind) && end != u64::MAX {
                end = self.next_change(end);
            }
            at = self.next_start(end);
            Some(Region { start, end, kind })
        })
    }

    fn entries(&self) -> impl Iterator<Item = &Region> {
        self.entries.iter().take(self.count)
    }

    /// The first address from `at` on that some entry has.
    fn next_start(&self, at: u64) -> Option<u64> {
        let beyond = self.entries().filter(|entry| entry.end > at);
        beyond.map(|entry| entry.start.max(at)).min()
    }

    /// The first address behind `at` where an entry begins or ends.
    fn next_change(&self, at: u64) -> u64 {
        let edges = self.entries().flat_map(|entry| [entry.start, entry.end]);
        edges.filter(|&edge| edge > at).min().unwrap_or(u64::MAX)
    }

    fn kind_at(&self, at: u64) -> Option<u32> {
        let here = self
            .entries()
            .filter(|entry| entry.start <= at && at < entry.end);
        // RAM is the lowest number there is.
        here.map(|entry| entry.kind).max()
    }
}
