// SPDX-License-Identifier: GPL-2.0

//! Whether memory of the domain is contiguous, and aligned, in the machine.

use crate::{
    order_of,
    BusAddr,
    PhysAddr,
    PAGE_SHIFT,
    PAGE_SIZE, //
};

/// The mfn of a frame without memory, such as one that was ballooned out (`INVALID_P2M_ENTRY`).
pub const INVALID_MFN: u64 = u64::MAX;

/// The domain's table from pfn to mfn.
pub trait PhysToMachine {
    /// The mfn of a frame, [`INVALID_MFN`] if it has no memory. Frames of devices are mapped one to
    /// one.
    fn mfn(&self, pfn: u64) -> u64;

    /// The machine address of a byte, [`BusAddr::NONE`] if there is no memory.
    #[inline]
    fn bus(&self, at: PhysAddr) -> BusAddr {
        match self.mfn(at.pfn()) {
            INVALID_MFN => BusAddr::NONE,
            frame => BusAddr(frame << PAGE_SHIFT | at.offset()),
        }
    }
}

/// Whether `size` bytes at `at` are not contiguous in the machine
/// (`range_straddles_page_boundary`). Looks up each page.
#[inline]
pub fn straddles(p2m: &impl PhysToMachine, at: PhysAddr, size: u64) -> bool {
    let in_pages = at.offset().saturating_add(size);
    // Most buffers are in one page, and need no lookup.
    if in_pages <= PAGE_SIZE {
        return false;
    }
    let count = (in_pages - 1) >> PAGE_SHIFT;
    let first = at.pfn();
    let machine = p2m.mfn(first);
    (1..=count).any(|page| p2m.mfn(first.wrapping_add(page)) != machine.wrapping_add(page))
}

/// Whether memory that is aligned to its size (rounded up to a power of two of pages) in the domain
/// is not so in the machine (`range_requires_alignment`). Coherent memory must be aligned like
/// that.
#[inline]
pub fn loses_alignment(p2m: &impl PhysToMachine, at: PhysAddr, size: u64) -> bool {
    let mask = (PAGE_SIZE << order_of(size)).wrapping_sub(1);
    let machine = p2m.mfn(at.pfn()) << PAGE_SHIFT;
    at.0 & mask == 0 && machine & mask != 0
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// A table; frames beyond it are devices'.
    struct Table(Vec<u64>);

    impl PhysToMachine for Table {
        fn mfn(&self, pfn: u64) -> u64 {
            let known = usize::try_from(pfn).ok().and_then(|pfn| self.0.get(pfn));
            known.copied().unwrap_or(pfn)
        }
    }

    #[test]
    fn a_buffer_within_a_page_never_straddles() {
        let table = Table([9, 3, 4].into());
        assert!(!straddles(&table, PhysAddr(100), 3996));
        assert!(straddles(&table, PhysAddr(100), 3997));
        assert!(!straddles(&table, PhysAddr(0), 0));
    }

    #[test]
    fn neighbours_in_the_machine_are_contiguous() {
        let table = Table([9, 3, 4, 5, 7].into());
        assert!(!straddles(&table, PhysAddr(4096), 3 * 4096));
        assert!(straddles(&table, PhysAddr(4096), 3 * 4096 + 1));
        assert!(straddles(&table, PhysAddr(0), 4097));
    }

    #[test]
    fn alignment_is_asked_for_where_the_domain_sees_it() {
        let table = Table([8, 9, 5, 6].into());
        assert!(!loses_alignment(&table, PhysAddr(0), 8192));
        // Frame 2 is aligned for two pages, its machine frame 5 is not.
        assert!(loses_alignment(&table, PhysAddr(2 * 4096), 8192));
        // Frame 3 is not aligned in the domain either.
        assert!(!loses_alignment(&table, PhysAddr(3 * 4096), 8192));
        assert!(!loses_alignment(&table, PhysAddr(2 * 4096), 4096));
    }

    #[test]
    fn sizes_at_the_end_of_numbers_do_no_harm() {
        let table = Table([1, 7].into());
        assert!(straddles(&table, PhysAddr(4095), u64::MAX));
        assert_eq!(table.bus(PhysAddr(4096 + 5)), BusAddr(7 * 4096 + 5));
        assert_eq!(Table([INVALID_MFN].into()).bus(PhysAddr(5)), BusAddr::NONE);
    }

    proptest! {
        /// Byte by byte: what is said to be contiguous is, what is said to straddle is not.
        #[test]
        fn every_byte_is_where_the_device_looks(
            table in prop::collection::vec(0u64..12, 1..8),
            at in 0u64..20_000,
            size in 1u64..20_000,
        ) {
            let table = Table(table);
            let start = table.bus(PhysAddr(at)).0;
            let together = (0..size).step_by(64).chain([size - 1])
                .all(|byte| table.bus(PhysAddr(at + byte)).0 == start + byte);
            // A step of 64 finds every page.
            prop_assert_eq!(straddles(&table, PhysAddr(at), size), !together);
        }
    }
}
