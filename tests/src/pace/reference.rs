// SPDX-License-Identifier: GPL-2.0

//! The reference machine: two otherwise idle processors on which dom0 under Xen answers 12 to 18 seconds after QEMU's start, as
//! in docs/results. All time limits of the tests are meant for it, with room to spare.

use std::time::Duration;

use crate::topology::{Dom0, Hypervisor, Kernel, Loader, Topology};

/// How much of its processors' time QEMU takes there from its start to dom0's answer, if the machine is one of those that
/// were measured.
pub fn start_of_dom0(topology: &Topology) -> Option<Duration> {
    let measured = topology.kernel == Kernel::Unpacked
        && topology.loader == Loader::Qemu
        && !topology.debugged
        && !topology.counted
        && topology.toolstack();
    let seconds = match (topology.hypervisor, topology.dom0) {
        _ if !measured => return None,
        (Hypervisor::Xen, Dom0::Pv) => 20,
        (Hypervisor::Xen, Dom0::Pvh) => 22,
        (Hypervisor::Paravane, _) => 11,
    };
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_measured_is_compared() {
        assert!(start_of_dom0(&Topology::PV).is_some());
        assert!(start_of_dom0(&Topology::PARAVANE).is_some());
        assert!(start_of_dom0(&Topology::PARAVANE_REAL).is_none());
        let packed = Topology {
            kernel: Kernel::Packed,
            ..Topology::PV
        };
        assert!(start_of_dom0(&packed).is_none());
    }
}
