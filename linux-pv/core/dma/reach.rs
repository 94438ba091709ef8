// SPDX-License-Identifier: GPL-2.0

//! What addresses a device reaches.

use crate::Bus;

/// The addresses a device, on its bus, can put out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The highest address.
    last: u64,
}

impl Reach {
    /// From the device's mask, and the last address its bus lets through, if there is such a limit (0: there is none).
    #[inline]
    pub const fn new(mask: u64, bus_limit: u64) -> Self {
        let last = if mask == 0 || bus_limit != 0 && bus_limit < mask {
            bus_limit
        } else {
            mask
        };
        Self { last }
    }

    /// Whether it reaches all of `size` bytes at `at`. Bytes beyond the last address there is are never reached.
    #[inline]
    pub fn covers(self, at: Bus, size: u64) -> bool {
        let end = at.0.checked_add(size.saturating_sub(1));
        at != Bus::NONE && end.is_some_and(|end| end <= self.last)
    }

    /// The highest address.
    #[inline]
    pub const fn last(self) -> u64 {
        self.last
    }

    /// How many low bits of an address may be set so that every such address is reached: 32 for a mask of 32 bits.
    /// What the hypervisor is asked for memory below.
    #[inline]
    pub const fn bits(self) -> u32 {
        match self.last.checked_add(1) {
            None => u64::BITS,
            // A mask with holes or an odd limit is rounded down: memory that is too low serves as well.
            Some(count) => match count {
                0 => 0,
                count => u64::BITS - 1 - count.leading_zeros(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUR_GIB: u64 = 1 << 32;

    #[test]
    fn the_last_byte_counts() {
        let reach = Reach::new(FOUR_GIB - 1, 0);
        assert!(reach.covers(Bus(FOUR_GIB - 4096), 4096));
        assert!(!reach.covers(Bus(FOUR_GIB - 4096), 4097));
        assert!(!reach.covers(Bus(FOUR_GIB), 1));
        assert!(reach.covers(Bus(0), 0));
    }

    #[test]
    fn the_bus_may_be_narrower_than_the_device() {
        assert_eq!(Reach::new(u64::MAX, FOUR_GIB - 1).last(), FOUR_GIB - 1);
        assert_eq!(Reach::new(0xff_ffff, FOUR_GIB - 1).last(), 0xff_ffff);
        assert_eq!(Reach::new(FOUR_GIB - 1, 0).last(), FOUR_GIB - 1);
        assert_eq!(Reach::new(0, 0).last(), 0);
    }

    #[test]
    fn no_address_wraps_into_reach() {
        let all = Reach::new(u64::MAX, 0);
        assert!(!all.covers(Bus(u64::MAX - 4095), 8192));
        assert!(!all.covers(Bus::NONE, 1));
        assert!(all.covers(Bus(u64::MAX - 4096), 4096));
    }

    #[test]
    fn bits_are_those_that_surely_reach() {
        assert_eq!(Reach::new(FOUR_GIB - 1, 0).bits(), 32);
        assert_eq!(Reach::new(0xff_ffff, 0).bits(), 24);
        assert_eq!(Reach::new(u64::MAX, 0).bits(), 64);
        assert_eq!(Reach::new(FOUR_GIB, 0).bits(), 32);
        assert_eq!(Reach::new(FOUR_GIB - 2, 0).bits(), 31);
        assert_eq!(Reach::new(0, 0).bits(), 0);
    }
}
