// SPDX-License-Identifier: GPL-2.0

//! The addresses that a device can access.

use crate::BusAddr;

/// A device's DMA mask, with the limit of its bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaMask {
    /// The highest address.
    limit: u64,
}

impl DmaMask {
    /// From the device's mask and the limit of its bus, which is 0 if there is none.
    #[inline]
    pub const fn new(mask: u64, bus_limit: u64) -> Self {
        let limit = if mask == 0 || bus_limit != 0 && bus_limit < mask {
            bus_limit
        } else {
            mask
        };
        Self { limit }
    }

    /// Whether the device can access all of `size` bytes at `at`. False if they wrap around.
    #[inline]
    pub fn covers(self, at: BusAddr, size: u64) -> bool {
        let end = at.0.checked_add(size.saturating_sub(1));
        at != BusAddr::NONE && end.is_some_and(|end| end <= self.limit)
    }

    /// The highest address.
    #[inline]
    pub const fn limit(self) -> u64 {
        self.limit
    }

    /// The width in bits of addresses that the device can all access: 32 for a mask of 32 bits. The
    /// hypervisor takes it as the limit of exchanged memory.
    #[inline]
    pub const fn bits(self) -> u32 {
        match self.limit.checked_add(1) {
            None => u64::BITS,
            // A mask with holes is rounded down: lower memory is accessible as well.
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
        let mask = DmaMask::new(FOUR_GIB - 1, 0);
        assert!(mask.covers(BusAddr(FOUR_GIB - 4096), 4096));
        assert!(!mask.covers(BusAddr(FOUR_GIB - 4096), 4097));
        assert!(!mask.covers(BusAddr(FOUR_GIB), 1));
        assert!(mask.covers(BusAddr(0), 0));
    }

    #[test]
    fn the_bus_may_be_narrower_than_the_device() {
        assert_eq!(DmaMask::new(u64::MAX, FOUR_GIB - 1).limit(), FOUR_GIB - 1);
        assert_eq!(DmaMask::new(0xff_ffff, FOUR_GIB - 1).limit(), 0xff_ffff);
        assert_eq!(DmaMask::new(FOUR_GIB - 1, 0).limit(), FOUR_GIB - 1);
        assert_eq!(DmaMask::new(0, 0).limit(), 0);
    }

    #[test]
    fn no_address_wraps_into_reach() {
        let all = DmaMask::new(u64::MAX, 0);
        assert!(!all.covers(BusAddr(u64::MAX - 4095), 8192));
        assert!(!all.covers(BusAddr::NONE, 1));
        assert!(all.covers(BusAddr(u64::MAX - 4096), 4096));
    }

    #[test]
    fn bits_are_those_that_surely_reach() {
        assert_eq!(DmaMask::new(FOUR_GIB - 1, 0).bits(), 32);
        assert_eq!(DmaMask::new(0xff_ffff, 0).bits(), 24);
        assert_eq!(DmaMask::new(u64::MAX, 0).bits(), 64);
        assert_eq!(DmaMask::new(FOUR_GIB, 0).bits(), 32);
        assert_eq!(DmaMask::new(FOUR_GIB - 2, 0).bits(), 31);
        assert_eq!(DmaMask::new(0, 0).bits(), 0);
    }
}
