// SPDX-License-Identifier: GPL-2.0

//! Messages (MSI and MSI-X): which mapping a device's wish becomes, and what is tried when it is refused.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use xen_abi::physdev::{map_type, op, MapPirq};

use crate::function::Place;
use crate::{Physdev, EINVAL, SELF};

/// One mapping that a driver wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// One MSI.
    One,
    /// So many MSIs, whose pirqs follow each other.
    Several(u32),
    /// An entry of the MSI-X table whose BAR is at a machine address.
    Entry {
        /// Which.
        index: u16,
        /// Where the BAR begins.
        table: u64,
    },
}

impl Wish {
    /// What a driver wants that asks for `count` vectors of MSI.
    pub const fn msi(count: u32) -> Self {
        match count {
            0 | 1 => Self::One,
            more => Self::Several(more),
        }
    }
}

/// Why there is no mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Several cannot be had, one may be: the driver may try again.
    TryOne,
    /// The hypervisor's negative error number.
    Refused(i32),
}

/// Which of the two kinds of mapping a hypervisor knows. The newer one is tried first.
pub struct Mappings {
    /// One with a segment was made, so its refusals are not for want of knowledge.
    segments_work: AtomicBool,
    /// One without a segment was made, where one with a segment was refused.
    segments_fail: AtomicBool,
}

impl Mappings {
    /// Nothing is known.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self {
            segments_work: AtomicBool::new(false),
            segments_fail: AtomicBool::new(false),
        }
    }

    /// Maps a message of a device that belongs to the domain `owner`, or to this one; returns the (first) pirq.
    pub fn map(
        &self,
        hypervisor: &impl Physdev,
        place: Place,
        owner: Option<u16>,
        wish: Wish,
    ) -> Result<u32, Failure> {
        let Ok(segment) = u16::try_from(place.segment) else {
            return Err(Failure::Refused(-EINVAL));
        };
        let (kind, entry_nr, table_base) = match wish {
            Wish::One => (map_type::MSI_SEG, 0, 0),
            Wish::Several(count) => (map_type::MULTI_MSI, count as i32, 0),
            Wish::Entry { index, table } => (map_type::MSI_SEG, i32::from(index), table),
        };
        let requested = MapPirq {
            domid: owner.unwrap_or(SELF),
            map_type: kind,
            index: -1,
            pirq: -1,
            // The segment is the upper half, whatever sign that gives.
            bus: (u32::from(segment) << 16 | u32::from(place.bus)) as i32,
            devfn: i32::from(place.devfn),
            entry_nr,
            table_base,
            ..MapPirq::default()
        };
        let mut result = -EINVAL;
        let mut argument = requested;
        if !self.segments_fail.load(Relaxed) {
            result = hypervisor.call(op::MAP_PIRQ, &mut argument);
            if result == 0 {
                self.segments_work.store(true, Relaxed);
            }
        }
        if result != 0 && matches!(wish, Wish::Several(_)) {
            return Err(Failure::TryOne);
        }
        if result == -EINVAL && segment == 0 && !self.segments_work.load(Relaxed) {
            argument = MapPirq {
                map_type: map_type::MSI,
                ..requested
            };
            result = hypervisor.call(op::MAP_PIRQ, &mut argument);
            if result != -EINVAL {
                self.segments_fail.store(true, Relaxed);
            }
        }
        match result {
            0 => u32::try_from(argument.pirq).map_err(|_| Failure::Refused(argument.pirq)),
            error => Err(Failure::Refused(error)),
        }
    }
}

/// The message by which an HVM domain asks for a pirq instead of a vector: address (high and low half) and data. The vector is
/// 0, and the pirq is where the destination is: its low eight bits in bits 12 to 19 of the address, the rest where extended
/// destinations are.
pub const fn message(pirq: u32) -> (u32, u32, u32) {
    /// `X86_MSI_BASE_ADDRESS_LOW`, which is bits 20 to 31 of it.
    const BASE: u32 = 0xfee0_0000;
    /// Delivery mode "ExtINT", bits 8 to 10 of the data.
    const EXTINT: u32 = 7 << 8;
    (pirq & !0xff, BASE | (pirq & 0xff) << 12, EXTINT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Script;
    use proptest::prelude::*;

    const HERE: Place = Place {
        segment: 0,
        bus: 5,
        devfn: 0x18,
    };
    const THERE: Place = Place {
        segment: 0x8001,
        ..HERE
    };

    fn granting(pirq: i32) -> Script<'static> {
        Script::new(move |_, asked: &mut MapPirq| {
            asked.pirq = pirq;
            0
        })
    }

    #[test]
    fn each_wish_is_one_mapping() {
        for (wish, kind, entry_nr, table) in [
            (Wish::msi(1), map_type::MSI_SEG, 0, 0),
            (Wish::msi(8), map_type::MULTI_MSI, 8, 0),
            (
                Wish::Entry {
                    index: 17,
                    table: 0xfebf_0000,
                },
                map_type::MSI_SEG,
                17,
                0xfebf_0000,
            ),
        ] {
            let script = granting(55);
            assert_eq!(Mappings::new().map(&script, THERE, None, wish), Ok(55));
            let [(_, asked)] = script.asked::<MapPirq>().try_into().unwrap();
            assert_eq!(
                (asked.map_type, asked.entry_nr, asked.table_base),
                (kind, entry_nr, table)
            );
            assert_eq!((asked.domid, asked.index, asked.pirq), (SELF, -1, -1));
            assert_eq!((asked.bus as u32, asked.devfn), (0x8001_0005, 0x18));
        }
    }

    #[test]
    fn a_message_is_mapped_for_the_devices_owner() {
        let script = granting(60);
        assert_eq!(
            Mappings::new().map(&script, HERE, Some(3), Wish::One),
            Ok(60)
        );
        assert_eq!(script.asked::<MapPirq>()[0].1.domid, 3);
    }

    #[test]
    fn who_cannot_have_several_may_try_one() {
        for error in [-EINVAL, -crate::ENOSYS, -28] {
            let script = Script::new(move |_, _: &mut MapPirq| error);
            let result = Mappings::new().map(&script, HERE, None, Wish::msi(4));
            assert_eq!(result, Err(Failure::TryOne));
            assert_eq!(script.commands().len(), 1);
        }
    }

    #[test]
    fn an_old_hypervisor_is_not_asked_for_segments_again() {
        let script = Script::new(|_, asked: &mut MapPirq| {
            assert_eq!(asked.bus, 5);
            asked.pirq = 50;
            if asked.map_type == map_type::MSI {
                0
            } else {
                -EINVAL
            }
        });
        let mappings = Mappings::new();
        assert_eq!(mappings.map(&script, HERE, None, Wish::One), Ok(50));
        assert_eq!(mappings.map(&script, HERE, None, Wish::One), Ok(50));
        assert_eq!(
            mappings.map(&script, HERE, None, Wish::msi(2)),
            Err(Failure::TryOne)
        );
        assert_eq!(
            mappings.map(&script, THERE, None, Wish::One),
            Err(Failure::Refused(-EINVAL))
        );
        let kinds: std::vec::Vec<_> = script
            .asked::<MapPirq>()
            .iter()
            .map(|(_, m)| m.map_type)
            .collect();
        assert_eq!(kinds, [map_type::MSI_SEG, map_type::MSI, map_type::MSI]);
    }

    #[test]
    fn a_refusal_of_a_hypervisor_that_knows_segments_is_final() {
        let script = Script::new(|_, asked: &mut MapPirq| {
            asked.pirq = 50;
            if asked.devfn == 0x18 {
                0
            } else {
                -EINVAL
            }
        });
        let mappings = Mappings::new();
        assert_eq!(mappings.map(&script, HERE, None, Wish::One), Ok(50));
        let other = Place {
            devfn: 0x20,
            ..HERE
        };
        assert_eq!(
            mappings.map(&script, other, None, Wish::One),
            Err(Failure::Refused(-EINVAL))
        );
        assert_eq!(script.commands().len(), 2);
    }

    #[test]
    fn a_refusal_of_both_kinds_says_nothing_of_what_is_known() {
        let script = Script::new(|_, _: &mut MapPirq| -EINVAL);
        let mappings = Mappings::new();
        for _ in 0..2 {
            let refused = mappings.map(&script, HERE, None, Wish::One);
            assert_eq!(refused, Err(Failure::Refused(-EINVAL)));
        }
        let asked = script.asked::<MapPirq>();
        let kinds: std::vec::Vec<_> = asked.iter().map(|(_, m)| m.map_type).collect();
        let [newer, older] = [map_type::MSI_SEG, map_type::MSI];
        assert_eq!(kinds, [newer, older, newer, older]);
    }

    #[test]
    fn segments_that_have_no_number_are_not_asked_for() {
        let script = granting(50);
        let far = Place {
            segment: 0x1_0000,
            ..HERE
        };
        let refused = Mappings::new().map(&script, far, None, Wish::One);
        assert_eq!(refused, Err(Failure::Refused(-EINVAL)));
        assert!(script.commands().is_empty());
    }

    #[test]
    fn a_pirq_that_is_none_is_refused() {
        let result = Mappings::new().map(&granting(-7), HERE, None, Wish::One);
        assert_eq!(result, Err(Failure::Refused(-7)));
    }

    proptest! {
        #[test]
        fn a_message_carries_its_pirq(pirq in 0u32..0x10_0000) {
            let (high, low, data) = message(pirq);
            // struct arch_msi_msg_addr_lo and _hi of asm/msi.h.
            prop_assert_eq!(low >> 20, 0xfee);
            prop_assert_eq!((low >> 12 & 0xff) | (high >> 8) << 8, pirq);
            prop_assert_eq!(data & 0xff, 0);
            prop_assert_eq!(data >> 8 & 7, 7);
        }
    }
}
