// SPDX-License-Identifier: GPL-2.0

//! What to do with a buffer that a device is to access.

use crate::frames::{straddles, Frames};
use crate::reach::Reach;
use crate::{Bus, Phys};

/// Why a buffer cannot be used where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The device does not reach it.
    Reach,
    /// It is not contiguous in the machine.
    Straddles,
    /// The administrator wants everything bounced (`swiotlb=force`).
    Forced,
}

impl Why {
    /// All of them, in the order of [`Why::index`].
    pub const ALL: [Self; 3] = [Self::Reach, Self::Straddles, Self::Forced];

    /// A small number.
    pub const fn index(self) -> usize {
        match self {
            Self::Reach => 0,
            Self::Straddles => 1,
            Self::Forced => 2,
        }
    }

    /// A word for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reach => "out of reach",
            Self::Straddles => "not contiguous",
            Self::Forced => "forced",
        }
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// The device uses the buffer where it is.
    Direct(Bus),
    /// The data goes through the pool of bounce buffers.
    Pool(Why),
    /// The data goes through a buffer made for it, since the pool has none of that size.
    Large(Why),
    /// Nothing: there is no memory behind the buffer that could be read or written.
    Refuse,
}

/// What is known about a mapping before it is made.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Where the buffer is.
    pub at: Phys,
    /// Its size in bytes.
    pub size: u64,
    /// What the device reaches.
    pub reach: Reach,
    /// Whether everything is to be bounced.
    pub forced: bool,
}

/// Decides. `bus` is where the device would see the first byte; `pool_most` is asked for the size of the largest buffer
/// the pool may have, in bytes, and only if it matters.
#[inline]
pub fn decide(
    frames: &impl Frames,
    wish: &Wish,
    bus: Bus,
    pool_most: impl FnOnce() -> u64,
) -> Plan {
    if bus == Bus::NONE {
        return Plan::Refuse;
    }
    let why = if !wish.reach.covers(bus, wish.size) {
        Why::Reach
    } else if straddles(frames, wish.at, wish.size) {
        Why::Straddles
    } else if wish.forced {
        Why::Forced
    } else {
        return Plan::Direct(bus);
    };
    if wish.size > pool_most() {
        Plan::Large(why)
    } else {
        Plan::Pool(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every frame has the one below it in the machine, but frame 16 begins anew, high up.
    struct Split;

    impl Frames for Split {
        fn machine(&self, pfn: u64) -> u64 {
            match pfn {
                0..16 => pfn + 1,
                _ => pfn + 0x20_0000,
            }
        }
    }

    fn plan(at: u64, size: u64, mask: u64, forced: bool) -> Plan {
        let wish = Wish {
            at: Phys(at),
            size,
            reach: Reach::new(mask, 0),
            forced,
        };
        decide(&Split, &wish, Split.bus(wish.at), || 256 << 10)
    }

    #[test]
    fn what_the_device_can_use_it_uses() {
        assert_eq!(
            plan(0x1000, 0x2000, u64::MAX, false),
            Plan::Direct(Bus(0x2000))
        );
        assert_eq!(
            plan(0x10_000, 8, u64::MAX, false),
            Plan::Direct(Bus(0x2_0001_0000))
        );
    }

    #[test]
    fn every_reason_is_named() {
        assert_eq!(
            plan(0x10_000, 8, 0xffff_ffff, false),
            Plan::Pool(Why::Reach)
        );
        assert_eq!(
            plan(0xf000, 0x2000, u64::MAX, false),
            Plan::Pool(Why::Straddles)
        );
        assert_eq!(plan(0x1000, 8, u64::MAX, true), Plan::Pool(Why::Forced));
        for (index, why) in Why::ALL.iter().enumerate() {
            assert_eq!(why.index(), index);
        }
        let words = ["out of reach", "not contiguous", "forced"];
        assert_eq!(Why::ALL.map(Why::name), words);
    }

    #[test]
    fn nothing_is_done_with_what_is_not_there() {
        let wish = Wish {
            at: Phys(0),
            size: 1,
            reach: Reach::new(u64::MAX, 0),
            forced: true,
        };
        assert_eq!(decide(&Split, &wish, Bus::NONE, || 0), Plan::Refuse);
    }

    #[test]
    fn what_the_pool_cannot_hold_gets_a_buffer_of_its_own() {
        let size = (256 << 10) + 1;
        assert_eq!(
            plan(0xf000, size, u64::MAX, false),
            Plan::Large(Why::Straddles)
        );
        assert_eq!(
            plan(0xf000, size - 1, u64::MAX, false),
            Plan::Pool(Why::Straddles)
        );
    }
}
