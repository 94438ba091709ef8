// SPDX-License-Identifier: GPL-2.0

//! Guests that run short of what a device takes: grant references, event channels, memory.
//!
//! Their backends are the honest ones of `tests/hostile`, which come and go in a second. A device does without what is optional,
//! or its frontend refuses it; in either case all that was taken is given back, and a device that comes later works.

mod memory;
mod numbers;

use crate::scenario::Scenario;

/// The scenarios of this group.
pub fn scenarios() -> Vec<Scenario> {
    [numbers::SCENARIOS, memory::SCENARIOS].concat()
}
