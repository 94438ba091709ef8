// SPDX-License-Identifier: GPL-2.0

//! How to map a buffer for a device.

use crate::{
    mask::DmaMask,
    p2m::{
        straddles,
        PhysToMachine, //
    },
    BusAddr,
    PhysAddr, //
};

/// Why a buffer must be bounced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BounceReason {
    /// The device cannot address it.
    OutOfReach,
    /// It is not contiguous in the machine.
    NotContiguous,
    /// All buffers are bounced (`swiotlb=force`).
    Forced,
}

impl BounceReason {
    /// All reasons, in the order of [`BounceReason::index`].
    pub const ALL: [Self; 3] = [Self::OutOfReach, Self::NotContiguous, Self::Forced];

    /// Index in an array of as many elements as there are reasons.
    pub const fn index(self) -> usize {
        match self {
            Self::OutOfReach => 0,
            Self::NotContiguous => 1,
            Self::Forced => 2,
        }
    }

    /// Text for the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OutOfReach => "out of reach",
            Self::NotContiguous => "not contiguous",
            Self::Forced => "forced",
        }
    }
}

/// How to map a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// The device accesses the buffer itself.
    Direct(BusAddr),
    /// Bounce through a buffer of the pool.
    Pool(BounceReason),
    /// Bounce through a buffer that is allocated for the mapping, since the pool's are too small.
    Large(BounceReason),
    /// Fail: there is no memory at the address.
    Refuse,
}

/// A mapping to be made.
#[derive(Clone, Copy, Debug)]
pub struct MapRequest {
    /// Address of the buffer.
    pub at: PhysAddr,
    /// Its size in bytes.
    pub size: u64,
    /// The addresses that the device can access.
    pub mask: DmaMask,
    /// Whether all buffers are bounced.
    pub forced: bool,
}

/// Decides how to map a buffer. `bus` is the device's address of its first byte. `max_pool_size`
/// returns the size of the pool's largest buffer in bytes; it is only called if the buffer must be
/// bounced.
#[inline]
pub fn decide(
    p2m: &impl PhysToMachine,
    request: &MapRequest,
    bus: BusAddr,
    max_pool_size: impl FnOnce() -> u64,
) -> Plan {
    if bus == BusAddr::NONE {
        return Plan::Refuse;
    }
    let reason = if !request.mask.covers(bus, request.size) {
        BounceReason::OutOfReach
    } else if straddles(p2m, request.at, request.size) {
        BounceReason::NotContiguous
    } else if request.forced {
        BounceReason::Forced
    } else {
        return Plan::Direct(bus);
    };
    if request.size > max_pool_size() {
        Plan::Large(reason)
    } else {
        Plan::Pool(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every frame has the one below it in the machine, but frame 16 begins anew, high up.
    struct Split;

    impl PhysToMachine for Split {
        fn mfn(&self, pfn: u64) -> u64 {
            match pfn {
                0..16 => pfn + 1,
                _ => pfn + 0x20_0000,
            }
        }
    }

    fn plan(at: u64, size: u64, mask: u64, forced: bool) -> Plan {
        let request = MapRequest {
            at: PhysAddr(at),
            size,
            mask: DmaMask::new(mask, 0),
            forced,
        };
        decide(&Split, &request, Split.bus(request.at), || 256 << 10)
    }

    #[test]
    fn what_the_device_can_use_it_uses() {
        assert_eq!(
            plan(0x1000, 0x2000, u64::MAX, false),
            Plan::Direct(BusAddr(0x2000))
        );
        assert_eq!(
            plan(0x10_000, 8, u64::MAX, false),
            Plan::Direct(BusAddr(0x2_0001_0000))
        );
    }

    #[test]
    fn every_reason_is_named() {
        assert_eq!(
            plan(0x10_000, 8, 0xffff_ffff, false),
            Plan::Pool(BounceReason::OutOfReach)
        );
        assert_eq!(
            plan(0xf000, 0x2000, u64::MAX, false),
            Plan::Pool(BounceReason::NotContiguous)
        );
        assert_eq!(
            plan(0x1000, 8, u64::MAX, true),
            Plan::Pool(BounceReason::Forced)
        );
        for (index, reason) in BounceReason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), index);
        }
        let words = ["out of reach", "not contiguous", "forced"];
        assert_eq!(BounceReason::ALL.map(BounceReason::name), words);
    }

    #[test]
    fn nothing_is_done_with_what_is_not_there() {
        let request = MapRequest {
            at: PhysAddr(0),
            size: 1,
            mask: DmaMask::new(u64::MAX, 0),
            forced: true,
        };
        assert_eq!(decide(&Split, &request, BusAddr::NONE, || 0), Plan::Refuse);
    }

    #[test]
    fn what_the_pool_cannot_hold_gets_a_buffer_of_its_own() {
        let size = (256 << 10) + 1;
        assert_eq!(
            plan(0xf000, size, u64::MAX, false),
            Plan::Large(BounceReason::NotContiguous)
        );
        assert_eq!(
            plan(0xf000, size - 1, u64::MAX, false),
            Plan::Pool(BounceReason::NotContiguous)
        );
    }
}
