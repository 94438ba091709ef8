// SPDX-License-Identifier: GPL-2.0

//! Guests that run short of what a device takes: grant references, event channels, memory.
//!
//! Their backends are the honest ones of `tests/hostile`, which come and go in a second. A device does without what is optional,
//! or its frontend refuses it; in either case all that was taken is given back, and a device that comes later works.

mod memory;
mod numbers;

use anyhow::Result;

use super::hostile::{Class, Expected, Victim, works};
use crate::guest::Domain;
use crate::scenario::Scenario;

/// The scenarios of this group.
pub fn scenarios() -> Vec<Scenario> {
    [numbers::SCENARIOS, memory::SCENARIOS].concat()
}

/// An honest device works, and nothing is left behind.
fn is_as_before(
    guest: &Domain,
    class: Class,
    victim: &Victim<'_>,
    expected: Expected,
) -> Result<()> {
    works(guest, class)?;
    victim.is_well(expected)?;
    victim.has_all_grants()
}
