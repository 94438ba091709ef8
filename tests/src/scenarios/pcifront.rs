// SPDX-License-Identifier: GPL-2.0

//! The PCI front end under a real back end: the stock kernel's `xen-pciback`, which passes a network card and a disk
//! that QEMU emulates behind an IOMMU.
//!
//! What each file shows:
//!
//! - [`data`]: what goes through the devices is what arrives, with MSI-X, MSI and INTx;
//! - [`errors`]: an error that a device reports reaches its driver in the guest, which recovers;
//! - [`hotplug`]: attaching and detaching without leaks, unloading the module while a device is in use;
//! - [`loss`]: the back end goes away under accesses to configuration space;
//! - [`hostile`]: a program in dom0 plays a back end that is slow, lies, floods, and dies.
//!
//! [`crate::passed`] has the devices. The driver under test is [`crate::Driver::Rust`] unless `--driver c` asks for the
//! kernel's own, which is how the scenarios themselves are tested.

mod data;
mod errors;
mod hostile;
mod hotplug;
mod loss;

use anyhow::Result;

pub(super) use data::disk_keeps_content;

use crate::context::Ctx;
use crate::guest::{Domain, Guest};
use crate::passed;
use crate::scenario::Scenario;

/// The scenarios of the PCI front end.
pub fn scenarios() -> Vec<Scenario> {
    [
        data::SCENARIOS,
        errors::SCENARIOS,
        hotplug::SCENARIOS,
        loss::SCENARIOS,
        hostile::SCENARIOS,
    ]
    .concat()
}

/// Creates a guest that is passed some devices, and loads the driver under test.
fn start(ctx: &Ctx<'_>, guest: Guest, devices: &[&str]) -> Result<Domain> {
    passed::assign(ctx.host)?;
    let guest = ctx.host.create(guest.passed(devices))?;
    guest.load_pcifront(ctx.driver, devices.len())?;
    Ok(guest)
}

/// A number that our driver counts, as its file in debugfs has it.
fn counter(guest: &Domain, name: &str) -> Result<u64> {
    let text = guest.sh(&format!(
        "awk '$1 == \"{name}\" {{ print $2; found = 1 }} END {{ exit !found }}' \
         /sys/kernel/debug/xen/pcifront/pci-0/accesses"
    ))?;
    Ok(text.parse()?)
}
