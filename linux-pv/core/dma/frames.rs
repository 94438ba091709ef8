// SPDX-License-Identifier: GPL-2.0

//! Whether a piece of the domain's memory is contiguous, and aligned, in the machine's.

use crate::{order_of, Bus, Phys, PAGE_SHIFT, PAGE_SIZE};

/// The machine frame of a frame that has none, as one that was given back to the hypervisor.
pub const NO_FRAME: u64 = u64::MAX;

/// Which machine frame is behind each of the domain's frames: its physical-to-machine table.
pub trait Frames {
    /// The machine frame behind a frame, [`NO_FRAME`] if there is none. Frames without memory of their own, as those of
    /// devices, stand for themselves.
    fn machine(&self, pfn: u64) -> u64;

    /// The machine address of a byte, [`Bus::NONE`] if there is nothing behind it.
    #[inline]
    fn bus(&self, at: Phys) -> Bus {
        match self.machine(at.pfn()) {
            NO_FRAME => Bus::NONE,
            frame => Bus(frame << PAGE_SHIFT | at.offset()),
        }
    }
}

/// Whether the machine's memory behind `size` bytes at `at` is not contiguous. Takes a step for each page.
#[inline]
pub fn straddles(frames: &impl Frames, at: Phys, size: u64) -> bool {
    let in_pages = at.offset().saturating_add(size);
    // Most buffers are in one page; they ask no table.
    if in_pages <= PAGE_SIZE {
        return false;
    }
    let count = (in_pages - 1) >> PAGE_SHIFT;
    let first = at.pfn();
    let machine = frames.machine(first);
    (1..=count).any(|page| frames.machine(first.wrapping_add(page)) != machine.wrapping_add(page))
}

/// Whether memory that is aligned to its size (up to the next power of two of pages) in the domain is not so in the
/// machine. Coherent memory is promised to be aligned like that.
#[inline]
pub fn loses_alignment(frames: &impl Frames, at: Phys, size: u64) -> bool {
    let mask = (PAGE_SIZE << order_of(size)).wrapping_sub(1);
    let machine = frames.machine(at.pfn()) << PAGE_SHIFT;
    at.0 & mask == 0 && machine & mask != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// A table; frames beyond it are devices'.
    struct Table(Vec<u64>);

    impl Frames for Table {
        fn machine(&self, pfn: u64) -> u64 {
            let known = usize::try_from(pfn).ok().and_then(|pfn| self.0.get(pfn));
            known.copied().unwrap_or(pfn)
        }
    }

    #[test]
    fn a_buffer_within_a_page_never_straddles() {
        let table = Table([9, 3, 4].into());
        assert!(!straddles(&table, Phys(100), 3996));
        assert!(straddles(&table, Phys(100), 3997));
        assert!(!straddles(&table, Phys(0), 0));
    }

    #[test]
    fn neighbours_in_the_machine_are_contiguous() {
        let table = Table([9, 3, 4, 5, 7].into());
        assert!(!straddles(&table, Phys(4096), 3 * 4096));
        assert!(straddles(&table, Phys(4096), 3 * 4096 + 1));
        assert!(straddles(&table, Phys(0), 4097));
    }

    #[test]
    fn alignment_is_asked_for_where_the_domain_sees_it() {
        let table = Table([8, 9, 5, 6].into());
        assert!(!loses_alignment(&table, Phys(0), 8192));
        // Frame 2 is aligned for two pages, its machine frame 5 is not.
        assert!(loses_alignment(&table, Phys(2 * 4096), 8192));
        // Frame 3 is not aligned in the domain either.
        assert!(!loses_alignment(&table, Phys(3 * 4096), 8192));
        assert!(!loses_alignment(&table, Phys(2 * 4096), 4096));
    }

    #[test]
    fn sizes_at_the_end_of_numbers_do_no_harm() {
        let table = Table([1, 7].into());
        assert!(straddles(&table, Phys(4095), u64::MAX));
        assert_eq!(table.bus(Phys(4096 + 5)), Bus(7 * 4096 + 5));
        assert_eq!(Table([NO_FRAME].into()).bus(Phys(5)), Bus::NONE);
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
            let start = table.bus(Phys(at)).0;
            let together = (0..size).step_by(64).chain([size - 1])
                .all(|byte| table.bus(Phys(at + byte)).0 == start + byte);
            // A step of 64 finds every page.
            prop_assert_eq!(straddles(&table, Phys(at), size), !together);
        }
    }
}
