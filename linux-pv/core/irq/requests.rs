// SPDX-License-Identifier: GPL-2.0

//! What was requested for each GSI, with the hypervisor's answer: for the debugfs file.

use core::sync::atomic::{
    AtomicU64,
    Ordering::Relaxed, //
};

use crate::{
    gsi::GsiSetup,
    irq_type::IrqType, //
};

/// Where the trigger and polarity of a request are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The MADT: an interrupt source override, or the default without one.
    Madt,
    /// `_PRT`, for a PCI device: an entry, or the link device that it names.
    Prt,
    /// Other ACPI objects: a device's `_CRS`, the FADT.
    Acpi,
}

impl Source {
    /// Name in the debugfs file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Madt => "MADT",
            Self::Prt => "_PRT",
            Self::Acpi => "ACPI",
        }
    }
}

/// A request for a GSI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The requested trigger and polarity.
    pub irq_type: IrqType,
    /// Where these are from.
    pub source: Source,
}

/// The requests for a GSI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GsiState {
    /// The first request.
    pub first: Request,
    /// The last request.
    pub last: Request,
    /// The hypervisor's answer to the first request: for later ones the GSI is set up already.
    pub setup: GsiSetup,
}

impl GsiState {
    /// Whether requests for the GSI contradict each other.
    pub fn is_disputed(&self) -> bool {
        self.first.irq_type != self.last.irq_type
    }
}

/// Set if a word of [`GsiRequests`] is in use. The other bits are those of a [`GsiState`]: two
/// times 4 for a request, 2 for the setup, 12 for an error number.
const USED: u64 = 1 << 63;

fn pack_request(request: Request) -> u64 {
    let source = match request.source {
        Source::Madt => 0,
        Source::Prt => 1,
        Source::Acpi => 2,
    };
    u64::from(request.irq_type.is_level()) | u64::from(request.irq_type.is_low()) << 1 | source << 2
}

fn unpack_request(bits: u64) -> Request {
    Request {
        irq_type: IrqType::new(bits & 1 != 0, bits & 2 != 0),
        source: match bits >> 2 & 3 {
            0 => Source::Madt,
            1 => Source::Prt,
            _ => Source::Acpi,
        },
    }
}

fn pack(state: &GsiState) -> u64 {
    let (setup, error) = match state.setup {
        GsiSetup::None => (0, 0),
        GsiSetup::Done => (1, 0),
        GsiSetup::Existed => (2, 0),
        // Error numbers are below 4096 (MAX_ERRNO).
        GsiSetup::Refused(error) => (3, u64::from(error.unsigned_abs() & 0xfff)),
    };
    USED | pack_request(state.first) | pack_request(state.last) << 4 | setup << 8 | error << 10
}

fn unpack(bits: u64) -> Option<GsiState> {
    (bits & USED != 0).then(|| GsiState {
        first: unpack_request(bits),
        last: unpack_request(bits >> 4),
        setup: match bits >> 8 & 3 {
            0 => GsiSetup::None,
            1 => GsiSetup::Done,
            2 => GsiSetup::Existed,
            _ => GsiSetup::Refused(-((bits >> 10 & 0xfff) as i32)),
        },
    })
}

/// The requests for the GSIs below `N`. Requests for higher ones are not recorded.
pub struct GsiRequests<const N: usize>([AtomicU64; N]);

impl<const N: usize> GsiRequests<N> {
    /// Without a request.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; N])
    }

    /// The requests for a GSI.
    pub fn get(&self, gsi: u32) -> Option<GsiState> {
        unpack(self.0.get(gsi as usize)?.load(Relaxed))
    }

    /// Records a request, and the hypervisor's answer to it. It replaces what the MADT says, which
    /// is recorded at boot without a device.
    pub fn record(&self, gsi: u32, request: Request, setup: GsiSetup) {
        let Some(word) = self.0.get(gsi as usize) else {
            return;
        };
        let change = |bits| {
            let state = match unpack(bits) {
                Some(old) if old.first.source != Source::Madt => GsiState {
                    first: old.first,
                    last: request,
                    // The second request finds the GSI set up by the first.
                    setup: match (old.setup, setup) {
                        (GsiSetup::Done, GsiSetup::Existed) => GsiSetup::Done,
                        _ => setup,
                    },
                },
                _ => GsiState {
                    first: request,
                    last: request,
                    setup,
                },
            };
            Some(pack(&state))
        };
        let _ = word.fetch_update(Relaxed, Relaxed, change);
    }

    /// The GSIs with requests.
    pub fn iter(&self) -> impl Iterator<Item = (u32, GsiState)> + '_ {
        (0..N as u32).filter_map(|gsi| Some((gsi, self.get(gsi)?)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn requested(irq_type: IrqType, source: Source) -> Request {
        Request { irq_type, source }
    }

    const EDGE: IrqType = IrqType::new(false, false);

    #[test]
    fn who_knows_the_device_is_believed() {
        let requests = GsiRequests::<24>::new();
        assert_eq!(requests.get(9), None);
        requests.record(9, requested(EDGE, Source::Madt), GsiSetup::None);
        requests.record(9, requested(IrqType::PCI, Source::Acpi), GsiSetup::Done);
        let state = requests.get(9).unwrap();
        assert_eq!(
            (state.first, state.last),
            (
                requested(IrqType::PCI, Source::Acpi),
                requested(IrqType::PCI, Source::Acpi)
            )
        );
        assert!(!state.is_disputed());
        assert_eq!(
            requests
                .iter()
                .map(|(gsi, _)| gsi)
                .collect::<std::vec::Vec<_>>(),
            [9]
        );
    }

    #[test]
    fn two_who_disagree_are_both_remembered() {
        let requests = GsiRequests::<24>::new();
        requests.record(21, requested(EDGE, Source::Acpi), GsiSetup::Done);
        requests.record(21, requested(IrqType::PCI, Source::Prt), GsiSetup::Existed);
        let state = requests.get(21).unwrap();
        assert!(state.is_disputed());
        assert_eq!(
            (state.first.irq_type, state.last.irq_type, state.setup),
            (EDGE, IrqType::PCI, GsiSetup::Done)
        );
        requests.record(21, requested(EDGE, Source::Prt), GsiSetup::Refused(-22));
        assert_eq!(requests.get(21).unwrap().setup, GsiSetup::Refused(-22));
    }

    #[test]
    fn gsis_beyond_the_table_are_not_recorded() {
        let requests = GsiRequests::<24>::new();
        requests.record(24, requested(EDGE, Source::Prt), GsiSetup::Done);
        requests.record(u32::MAX, requested(EDGE, Source::Prt), GsiSetup::Done);
        assert_eq!((requests.get(24), requests.iter().count()), (None, 0));
    }

    fn any_requested() -> impl Strategy<Value = Request> {
        const SOURCES: [Source; 3] = [Source::Madt, Source::Prt, Source::Acpi];
        let parts = (
            any::<bool>(),
            any::<bool>(),
            proptest::sample::select(&SOURCES[..]),
        );
        parts.prop_map(|(level, low, source)| requested(IrqType::new(level, low), source))
    }

    proptest! {
        // Not by what was unpacked: a mistake there would be made twice.
        #[test]
        fn what_is_written_is_read(
            first in any_requested(),
            last in any_requested(),
            setup in 0u8..4,
            error in 1i32..4096,
        ) {
            let setup = match setup {
                0 => GsiSetup::None,
                1 => GsiSetup::Done,
                2 => GsiSetup::Existed,
                _ => GsiSetup::Refused(-error),
            };
            let state = GsiState { first, last, setup };
            prop_assert_eq!(unpack(pack(&state)), Some(state));
        }
    }
}
