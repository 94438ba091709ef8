// SPDX-License-Identifier: GPL-2.0

//! The hypervisor's half of the 2-level ABI.

use super::{PortBit, SharedInfoWords};
use crate::Raised;
use xen_shared::SharedWord;

/// Sets the bit of the port's word in a vCPU's selector. Returns whether it was clear.
fn select(selector: Option<impl SharedWord<Value = u64>>, port: PortBit) -> bool {
    let was = selector.map(|selector| selector.fetch_or(port.selector()));
    was.is_some_and(|was| was & port.selector() == 0)
}

/// Sets a port pending. `selector` is that of the vCPU that the port notifies; `None` if the vCPU
/// has no `vcpu_info`, so that it is not notified.
pub fn set_pending(
    info: &impl SharedInfoWords,
    selector: Option<impl SharedWord<Value = u64>>,
    port: u32,
) -> Raised {
    let Some(port) = PortBit::of(port) else {
        return Raised::default();
    };
    if info.pending(port.word).fetch_or(port.bit) & port.bit != 0 {
        return Raised::default();
    }
    Raised {
        newly_pending: true,
        notify: !port.is_masked(info) && select(selector, port),
    }
}

/// Unmasks a port, and delivers it if it was masked and is pending (`EVTCHNOP_unmask`).
pub fn unmask(
    info: &impl SharedInfoWords,
    selector: Option<impl SharedWord<Value = u64>>,
    port: u32,
) -> Raised {
    let Some(port) = PortBit::of(port) else {
        return Raised::default();
    };
    let was_masked = info.mask(port.word).fetch_clear(port.bit) & port.bit != 0;
    Raised {
        newly_pending: false,
        notify: was_masked && port.is_pending(info) && select(selector, port),
    }
}
