// SPDX-License-Identifier: GPL-2.0

//! MSI and MSI-X: mapping them to pirqs, with a fallback for hypervisors without PCI segments.

use core::sync::atomic::{
    AtomicBool,
    Ordering::Relaxed, //
};

use xen_abi::{
    command::physdev as command,
    physdev::{
        map_type,
        MapPirq, //
    }, //
};

use crate::{
    function::Sbdf,
    Physdev,
    EINVAL,
    SELF, //
};

/// A mapping that a driver requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MsiRequest {
    /// One MSI.
    Single,
    /// So many MSIs, with consecutive pirqs.
    Multiple(u32),
    /// An entry of an MSI-X table.
    MsiX {
        /// Index of the entry.
        index: u16,
        /// Machine address of the BAR that the table is in.
        table: u64,
    },
}

impl MsiRequest {
    /// The mapping for `count` vectors of MSI.
    pub const fn msi(count: u32) -> Self {
        match count {
            0 | 1 => Self::Single,
            more => Self::Multiple(more),
        }
    }
}

/// Why a mapping failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MsiError {
    /// Several MSIs are not available. The driver may try with one.
    TryOne,
    /// Refused with this negative error number.
    Refused(i32),
}

/// Maps MSIs, and learns which type of mapping the hypervisor supports: `MAP_PIRQ_TYPE_MSI_SEG`,
/// which is tried first, or only `MAP_PIRQ_TYPE_MSI`.
pub struct MsiMapper {
    /// A mapping with a segment was made, so a refusal does not mean that these are unsupported.
    segments_work: AtomicBool,
    /// A mapping without a segment was made after one with a segment was refused.
    segments_fail: AtomicBool,
}

impl MsiMapper {
    /// Support is not known yet.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self {
            segments_work: AtomicBool::new(false),
            segments_fail: AtomicBool::new(false),
        }
    }

    /// Maps an MSI of a device that belongs to domain `owner`, or to this domain; returns the
    /// (first) pirq.
    pub fn map(
        &self,
        hypervisor: &impl Physdev,
        sbdf: Sbdf,
        owner: Option<u16>,
        request: MsiRequest,
    ) -> Result<u32, MsiError> {
        let Ok(segment) = u16::try_from(sbdf.segment) else {
            return Err(MsiError::Refused(-EINVAL));
        };
        let (map_type, entry_nr, table_base) = match request {
            MsiRequest::Single => (map_type::MSI_SEG, 0, 0),
            MsiRequest::Multiple(count) => (map_type::MULTI_MSI, count as i32, 0),
            MsiRequest::MsiX { index, table } => (map_type::MSI_SEG, i32::from(index), table),
        };
        let requested = MapPirq {
            domid: owner.unwrap_or(SELF),
            map_type,
            index: -1,
            pirq: -1,
            // The segment is the upper half; the sign has no meaning.
            bus: (u32::from(segment) << 16 | u32::from(sbdf.bus)) as i32,
            devfn: i32::from(sbdf.devfn),
            entry_nr,
            table_base,
            ..MapPirq::default()
        };
        let mut result = -EINVAL;
        let mut argument = requested;
        if !self.segments_fail.load(Relaxed) {
            result = hypervisor.call::<command::MapPirq>(&mut argument);
            if result == 0 {
                self.segments_work.store(true, Relaxed);
            }
        }
        if result != 0 && matches!(request, MsiRequest::Multiple(_)) {
            return Err(MsiError::TryOne);
        }
        if result == -EINVAL && segment == 0 && !self.segments_work.load(Relaxed) {
            argument = MapPirq {
                map_type: map_type::MSI,
                ..requested
            };
            result = hypervisor.call::<command::MapPirq>(&mut argument);
            if result != -EINVAL {
                self.segments_fail.store(true, Relaxed);
            }
        }
        match result {
            0 => u32::try_from(argument.pirq).map_err(|_| MsiError::Refused(argument.pirq)),
            error => Err(MsiError::Refused(error)),
        }
    }
}

/// The MSI message by which an HVM domain selects a pirq instead of a vector: address (high and low
/// half) and data. The vector is 0, and the pirq is in the destination field: its low eight bits in
/// bits 12 to 19 of the address, the rest in the extended destination.
pub const fn pirq_message(pirq: u32) -> (u32, u32, u32) {
    /// `X86_MSI_BASE_ADDRESS_LOW`: bits 20 to 31 of the address.
    const BASE: u32 = 0xfee0_0000;
    /// Delivery mode "ExtINT", bits 8 to 10 of the data.
    const EXTINT: u32 = 7 << 8;
    (pirq & !0xff, BASE | (pirq & 0xff) << 12, EXTINT)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::Script;

    const HERE: Sbdf = Sbdf {
        segment: 0,
        bus: 5,
        devfn: 0x18,
    };
    const THERE: Sbdf = Sbdf {
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
        for (request, kind, entry_nr, table) in [
            (MsiRequest::msi(1), map_type::MSI_SEG, 0, 0),
            (MsiRequest::msi(8), map_type::MULTI_MSI, 8, 0),
            (
                MsiRequest::MsiX {
                    index: 17,
                    table: 0xfebf_0000,
                },
                map_type::MSI_SEG,
                17,
                0xfebf_0000,
            ),
        ] {
            let script = granting(55);
            assert_eq!(MsiMapper::new().map(&script, THERE, None, request), Ok(55));
            let [(_, asked)] = script.calls::<MapPirq>().try_into().unwrap();
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
            MsiMapper::new().map(&script, HERE, Some(3), MsiRequest::Single),
            Ok(60)
        );
        assert_eq!(script.calls::<MapPirq>()[0].1.domid, 3);
    }

    #[test]
    fn who_cannot_have_several_may_try_one() {
        for error in [-EINVAL, -crate::ENOSYS, -28] {
            let script = Script::new(move |_, _: &mut MapPirq| error);
            let result = MsiMapper::new().map(&script, HERE, None, MsiRequest::msi(4));
            assert_eq!(result, Err(MsiError::TryOne));
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
        let mapper = MsiMapper::new();
        assert_eq!(mapper.map(&script, HERE, None, MsiRequest::Single), Ok(50));
        assert_eq!(mapper.map(&script, HERE, None, MsiRequest::Single), Ok(50));
        assert_eq!(
            mapper.map(&script, HERE, None, MsiRequest::msi(2)),
            Err(MsiError::TryOne)
        );
        assert_eq!(
            mapper.map(&script, THERE, None, MsiRequest::Single),
            Err(MsiError::Refused(-EINVAL))
        );
        let kinds: std::vec::Vec<_> = script
            .calls::<MapPirq>()
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
        let mapper = MsiMapper::new();
        assert_eq!(mapper.map(&script, HERE, None, MsiRequest::Single), Ok(50));
        let other = Sbdf {
            devfn: 0x20,
            ..HERE
        };
        assert_eq!(
            mapper.map(&script, other, None, MsiRequest::Single),
            Err(MsiError::Refused(-EINVAL))
        );
        assert_eq!(script.commands().len(), 2);
    }

    #[test]
    fn a_refusal_of_both_kinds_says_nothing_of_what_is_known() {
        let script = Script::new(|_, _: &mut MapPirq| -EINVAL);
        let mapper = MsiMapper::new();
        for _ in 0..2 {
            let refused = mapper.map(&script, HERE, None, MsiRequest::Single);
            assert_eq!(refused, Err(MsiError::Refused(-EINVAL)));
        }
        let asked = script.calls::<MapPirq>();
        let kinds: std::vec::Vec<_> = asked.iter().map(|(_, m)| m.map_type).collect();
        let [newer, older] = [map_type::MSI_SEG, map_type::MSI];
        assert_eq!(kinds, [newer, older, newer, older]);
    }

    #[test]
    fn segments_that_have_no_number_are_not_asked_for() {
        let script = granting(50);
        let far = Sbdf {
            segment: 0x1_0000,
            ..HERE
        };
        let refused = MsiMapper::new().map(&script, far, None, MsiRequest::Single);
        assert_eq!(refused, Err(MsiError::Refused(-EINVAL)));
        assert!(script.commands().is_empty());
    }

    #[test]
    fn a_pirq_that_is_none_is_refused() {
        let result = MsiMapper::new().map(&granting(-7), HERE, None, MsiRequest::Single);
        assert_eq!(result, Err(MsiError::Refused(-7)));
    }

    proptest! {
        #[test]
        fn a_message_carries_its_pirq(pirq in 0u32..0x10_0000) {
            let (high, low, data) = pirq_message(pirq);
            // struct arch_msi_msg_addr_lo and _hi of asm/msi.h.
            prop_assert_eq!(low >> 20, 0xfee);
            prop_assert_eq!((low >> 12 & 0xff) | (high >> 8) << 8, pirq);
            prop_assert_eq!(data & 0xff, 0);
            prop_assert_eq!(data >> 8 & 7, 7);
        }
    }
}
