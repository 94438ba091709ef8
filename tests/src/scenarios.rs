// SPDX-License-Identifier: GPL-2.0

//! All scenarios, one file a subject.

mod blkfront;
mod dom0;
mod harness;
mod hypervisor;
mod netfront;
mod nodes;
mod overlay;
mod pcifront;
mod resources;
mod swiotlb;

use crate::scenario::Scenario;

/// Every scenario, in the order of this list within a topology.
pub fn all() -> Vec<Scenario> {
    let (block, net) = (blkfront::scenarios(), netfront::scenarios());
    let pci = pcifront::scenarios();
    [
        dom0::SCENARIOS,
        harness::SCENARIOS,
        &block,
        &net,
        &pci,
        nodes::SCENARIOS,
        overlay::SCENARIOS,
        swiotlb::SCENARIOS,
        hypervisor::SCENARIOS,
        hypervisor::processors::SCENARIOS,
        hypervisor::toolstack::SCENARIOS,
    ]
    .concat()
}
