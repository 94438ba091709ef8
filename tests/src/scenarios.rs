// SPDX-License-Identifier: GPL-2.0

//! All scenarios, one file a subject.

mod blkfront;
mod dom0;
mod fresh;
mod guide;
mod harness;
mod hypervisor;
mod netfront;
mod nodes;
mod overlay;
mod pcifront;
mod plumbing;
mod resources;
mod swiotlb;

use crate::scenario::Scenario;

/// Every scenario, in the order of this list within a topology.
pub fn all() -> Vec<Scenario> {
    let (block, net) = (blkfront::scenarios(), netfront::scenarios());
    let (pci, hypervisor) = (pcifront::scenarios(), hypervisor::scenarios());
    [
        fresh::SCENARIOS,
        dom0::SCENARIOS,
        harness::SCENARIOS,
        &block,
        &net,
        &pci,
        nodes::SCENARIOS,
        overlay::SCENARIOS,
        plumbing::SCENARIOS,
        swiotlb::SCENARIOS,
        guide::SCENARIOS,
        &hypervisor,
    ]
    .concat()
}
