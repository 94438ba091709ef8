// SPDX-License-Identifier: GPL-2.0

//! Backends of disks and interfaces that break every rule, as crate `hostile` has them: a program in dom0 makes a device of the
//! guest's, does what a seed says, and takes the device away again.
//!
//! After each seed the guest is alive, its kernel has complained about nothing, the device is gone, and so is all that the
//! drivers had for it. From time to time the toolstack attaches an honest device of the same name, whose content is checked.
//!
//! `PARAVANE_SEEDS=17..18` runs that one seed alone, and tells all about it; `PARAVANE_SEEDS=3h` goes on for three hours with new
//! ones.

mod advisories;
mod devices;
mod harm;
mod memory;
mod seeds;

use crate::scenario::Scenario;

pub(super) use devices::{Class, Expected, Victim, field};
pub(super) use harm::{guest_for, load_driver, works};

/// The scenarios of this group.
pub fn scenarios() -> Vec<Scenario> {
    [harm::SCENARIOS, memory::SCENARIOS, advisories::SCENARIOS].concat()
}
