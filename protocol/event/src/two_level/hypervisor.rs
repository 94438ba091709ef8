// SPDX-License-Identifier: GPL-2.0

//! The hypervisor's half of the 2-level ABI.

use super::{PortBit, SharedInfoWords};
use crate::Raised;
use core::ops::BitAnd;
use xen_shared::SharedWord;

/// The value of a vCPU's selector, as wide as the guest's words.
pub trait Selector: Copy + Eq + BitAnd<Output = Self> {
    /// No bit.
    const NONE: Self;

    /// The bit of a port's word; none for a port that such a guest does not have.
    fn bit(port: u32) -> Self;
}

macro_rules! selectors {
    ($($value:ty),*) => {
        $(impl Selector for $value {
            const NONE: Self = 0;

            fn bit(port: u32) -> Self {
                <$value>::checked_shl(1, port / <$value>::BITS).unwrap_or(0)
            }
        })*
    };
}

selectors!(u32, u64);

/// Sets the bit of the port's word in a vCPU's selector. Returns whether it was clear.
fn select<S: SharedWord<Value: Selector>>(selector: Option<S>, port: u32) -> bool {
    let bit = S::Value::bit(port);
    let was = selector.map(|selector| selector.fetch_or(bit));
    bit != S::Value::NONE && was.is_some_and(|was| was & bit == S::Value::NONE)
}

/// Sets a port pending. `selector` is that of the vCPU that the port notifies; `None` if the vCPU
/// has no `vcpu_info`, so that it is not notified.
pub fn set_pending(
    info: &impl SharedInfoWords,
    selector: Option<impl SharedWord<Value: Selector>>,
    port: u32,
) -> Raised {
    let Some(at) = PortBit::of(port) else {
        return Raised::default();
    };
    if info.pending(at.word).fetch_or(at.bit) & at.bit != 0 {
        return Raised::default();
    }
    Raised {
        newly_pending: true,
        notify: !at.is_masked(info) && select(selector, port),
    }
}

/// Unmasks a port, and delivers it if it was masked and is pending (`EVTCHNOP_unmask`).
pub fn unmask(
    info: &impl SharedInfoWords,
    selector: Option<impl SharedWord<Value: Selector>>,
    port: u32,
) -> Raised {
    let Some(at) = PortBit::of(port) else {
        return Raised::default();
    };
    let was_masked = info.mask(at.word).fetch_clear(at.bit) & at.bit != 0;
    Raised {
        newly_pending: false,
        notify: was_masked && at.is_pending(info) && select(selector, port),
    }
}
