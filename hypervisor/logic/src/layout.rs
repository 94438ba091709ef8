// SPDX-License-Identifier: GPL-2.0

//! Where a domain builder puts what a domain starts with: kernel, initrd, ACPI tables, start information. Each gets a
//! range of the domain's memory that nothing else has.

use alloc::vec::Vec;
use core::ops::Range;

/// A domain's memory, and the parts of it that are in use. All addresses are guest-physical, in bytes.
#[derive(Clone, Debug)]
pub struct Layout {
    memory: Vec<Range<u64>>,
    used: Vec<Range<u64>>,
}

impl Layout {
    /// Of memory of which nothing is in use. The ranges do not overlap.
    pub fn new(memory: Vec<Range<u64>>) -> Self {
        Self {
            memory,
            used: Vec::new(),
        }
    }

    /// The memory, used or not.
    pub fn memory(&self) -> &[Range<u64>] {
        &self.memory
    }

    /// Marks a range as used, as a kernel's segment that has an address of its own. Returns whether all of it is memory,
    /// in one piece. A kernel's segments may overlap each other.
    pub fn reserve(&mut self, range: &Range<u64>) -> bool {
        let inside = |own: &Range<u64>| own.start <= range.start && range.end <= own.end;
        let found = range.start <= range.end && self.memory.iter().any(inside);
        if found {
            self.used.push(range.clone());
        }
        found
    }

    /// Reserves the lowest `size` unused bytes within `within`, aligned to pages.
    pub fn place_lowest(&mut self, size: u64, within: Range<u64>) -> Option<Range<u64>> {
        self.place(size, within, |free| {
            free.start.checked_next_multiple_of(4096)
        })
        .into_iter()
        .min_by_key(|range| range.start)
        .inspect(|range| self.used.push(range.clone()))
    }

    /// Reserves the highest `size` unused bytes within `within`, aligned to pages.
    pub fn place_highest(&mut self, size: u64, within: Range<u64>) -> Option<Range<u64>> {
        self.place(size, within, |free| {
            Some(free.end.checked_sub(size)? & !0xfff)
        })
        .into_iter()
        .max_by_key(|range| range.start)
        .inspect(|range| self.used.push(range.clone()))
    }

    /// The places of `size` bytes that `start` finds in the unused ranges.
    fn place(
        &self,
        size: u64,
        within: Range<u64>,
        start: impl Fn(&Range<u64>) -> Option<u64>,
    ) -> Vec<Range<u64>> {
        let mut free = self.memory.clone();
        for used in self.used.iter().filter(|used| !used.is_empty()) {
            let cut = |range: Range<u64>| {
                [
                    range.start..range.end.min(used.start),
                    range.start.max(used.end)..range.end,
                ]
            };
            free = free.into_iter().flat_map(cut).collect();
        }
        let mut places = Vec::new();
        for range in free {
            let range = range.start.max(within.start)..range.end.min(within.end);
            let Some(start) = start(&range).filter(|start| *start >= range.start) else {
                continue;
            };
            if let Some(end) = start.checked_add(size).filter(|end| *end <= range.end) {
                places.push(start..end);
            }
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_kernel_at_one_mib_keeps_its_place() {
        let mut layout = Layout::new(vec![0..0x9_f000, MIB..64 * MIB]);
        assert!(layout.reserve(&(MIB..MIB + 0x1234)));
        let info = layout.place_lowest(4000, MIB..1 << 30);
        assert_eq!(info, Some(MIB + 0x2000..MIB + 0x2000 + 4000));
        let tables = layout.place_highest(0x1_0000, 0..1 << 32);
        assert_eq!(tables, Some(64 * MIB - 0x1_0000..64 * MIB));
        assert!(!layout.reserve(&(63 * MIB..65 * MIB)), "beyond its end");
        assert!(!layout.reserve(&(0x9_0000..MIB + 1)), "across a hole");
    }

    #[test]
    fn what_does_not_fit_is_placed_nowhere() {
        let mut layout = Layout::new(core::iter::once(MIB..2 * MIB).collect());
        assert_eq!(layout.place_highest(MIB + 1, 0..u64::MAX), None);
        assert_eq!(layout.place_lowest(u64::MAX, 0..u64::MAX), None);
        assert_eq!(layout.place_lowest(1, 0..MIB), None);
        assert_eq!(layout.place_highest(MIB, 0..u64::MAX), Some(MIB..2 * MIB));
        assert_eq!(layout.place_lowest(1, 0..u64::MAX), None);
    }

    proptest! {
        #[test]
        fn no_two_things_overlap(
            sizes in prop::collection::vec((any::<bool>(), 1u64..0x8000), 1..20),
            kernel in 0u64..0x4_0000, length in 0u64..0x8000,
        ) {
            let memory = vec![0x1000..0x2_0000, 0x2_8000..0x3_0000];
            let mut layout = Layout::new(memory.clone());
            let mut placed = Vec::new();
            if layout.reserve(&(kernel..kernel + length)) {
                placed.push(kernel..kernel + length);
            }
            for (low, size) in sizes {
                let range = if low {
                    layout.place_lowest(size, 0x2000..0x3_0000)
                } else {
                    layout.place_highest(size, 0x2000..0x3_0000)
                };
                let Some(range) = range else { continue };
                prop_assert_eq!(range.end - range.start, size);
                prop_assert!(range.start % 4096 == 0 && range.start >= 0x2000);
                prop_assert!(memory.iter().any(|m| m.start <= range.start && range.end <= m.end));
                for other in &placed {
                    prop_assert!(other.is_empty() || other.end <= range.start || range.end <= other.start);
                }
                placed.push(range);
            }
        }
    }
}
