// SPDX-License-Identifier: GPL-2.0

//! A memory map without a heap. The firmware's entries may overlap and come in any order; the regions that come out do
//! not.

/// Kinds of memory, in the numbering of ACPI's E820 (ACPI 6.5, 15.1).
pub mod kind {
    /// Usable memory.
    pub const RAM: u32 = 1;
    /// Memory that is not usable. Entries of type 0 count as this.
    pub const RESERVED: u32 = 2;
}

/// A region of the machine's memory map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// Physical address of the first byte.
    pub start: u64,
    /// Physical address behind the last byte.
    pub end: u64,
    /// 1: usable memory; 2: reserved; 3: ACPI tables; 4: ACPI NVS; 5: bad.
    pub kind: u32,
}

/// Most entries of a map; more are left out. A BIOS has some ten; UEFI has some hundred, which loaders merge.
pub const MAX_ENTRIES: usize = 256;

/// A memory map.
#[derive(Clone, Debug)]
pub struct Map {
    entries: [Region; MAX_ENTRIES],
    count: usize,
}

impl Default for Map {
    fn default() -> Self {
        Self {
            entries: [Region::default(); MAX_ENTRIES],
            count: 0,
        }
    }
}

impl Map {
    /// Adds an entry of the firmware. An empty one is ignored; one that exceeds 2^64 ends there.
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

    /// The map, sorted and without overlaps. Where entries overlap the highest type wins, so that memory which one
    /// entry calls unusable is not used.
    pub fn regions(&self) -> impl Iterator<Item = Region> + '_ {
        let mut at = self.next_start(0);
        core::iter::from_fn(move || {
            let start = at?;
            let kind = self.kind_at(start)?;
            let mut end = self.next_change(start);
            // Adjacent ranges of one type are one region.
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

    /// The first address from `at` on that is in an entry.
    fn next_start(&self, at: u64) -> Option<u64> {
        let beyond = self.entries().filter(|entry| entry.end > at);
        beyond.map(|entry| entry.start.max(at)).min()
    }

    /// The first address after `at` where an entry starts or ends.
    fn next_change(&self, at: u64) -> u64 {
        let edges = self.entries().flat_map(|entry| [entry.start, entry.end]);
        edges.filter(|&edge| edge > at).min().unwrap_or(u64::MAX)
    }

    fn kind_at(&self, at: u64) -> Option<u32> {
        let here = self
            .entries()
            .filter(|entry| entry.start <= at && at < entry.end);
        // RAM has the lowest number.
        here.map(|entry| entry.kind).max()
    }
}
