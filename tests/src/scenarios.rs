// SPDX-License-Identifier: GPL-2.0

//! All scenarios, one file a subject.

mod dom0;
mod harness;

use crate::scenario::Scenario;

/// Every scenario, in the order of this list within a topology.
pub fn all() -> Vec<Scenario> {
    [dom0::SCENARIOS, harness::SCENARIOS].concat()
}
