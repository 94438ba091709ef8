// SPDX-License-Identifier: GPL-2.0

//! Passed devices and the module come and go, and leave nothing behind.

use anyhow::{Result, ensure};

use super::data::{card_brings_content, disk_keeps_content};
use super::start;
use crate::context::Ctx;
use crate::guest::{Driver, Guest};
use crate::passed::{CARD, DISK};
use crate::scenario::Scenario;
use crate::scenarios::resources::{Resources, leave_nothing};
use crate::topology::Topology;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("pcifront.hotplug_leaks_nothing", leaks_nothing)
        .on(Topology::PASSED)
        .full(),
    Scenario::new("pcifront.unload_leaves_nothing", unload)
        .on(Topology::PASSED)
        .full(),
];

/// What may come and go in the caches of a guest's allocators over a whole run, in KiB.
const NOISE_KIB: i64 = 2048;

/// A disk comes and goes beside a network card that works all the time.
fn leaks_nothing(ctx: &mut Ctx<'_>) -> Result<()> {
    let rounds = ctx.rounds(2, 50);
    let guest = start(ctx, Guest::pv("g1").vcpus(2), &[CARD])?;
    guest.start_card(2)?;
    guest.sh("modprobe nvme")?;
    let mut seed = 0;
    let mut used = || {
        seed += 1;
        disk_keeps_content(ctx, &guest, seed % 64)
    };
    // Once with its content, before the rounds.
    guest.attach_passed(DISK)?;
    guest.await_passed(2)?;
    guest.start_disk()?;
    used()?;
    guest.detach_passed(DISK)?;
    guest.await_passed(1)?;
    leave_nothing(ctx, &guest, rounds, NOISE_KIB, || {
        guest.attach_passed(DISK)?;
        guest.await_passed(2)?;
        guest.start_disk()?;
        guest.sh("dd if=/dev/nvme0n1 of=/dev/null bs=64k count=16 iflag=direct 2>/dev/null")?;
        guest.detach_passed(DISK)?;
        guest.await_passed(1)
    })?;
    card_brings_content(&guest)?;
    guest.shutdown()
}

/// The module goes while a device is in use, and nothing is left of it. (Linux's back end cannot begin again, so there is
/// nothing to be seen of loading it again.)
fn unload(ctx: &mut Ctx<'_>) -> Result<()> {
    let module = ctx.driver.pci_module();
    let guest = start(ctx, Guest::pv("g1").vcpus(2), &[CARD])?;
    guest.start_card(2)?;
    card_brings_content(&guest)?;
    // Xenbus holds on to a module that drives a device.
    guest.sh(&format!(
        "echo pci-0 > /sys/bus/xen/drivers/pcifront/unbind && rmmod {module}"
    ))?;
    guest.await_passed(0)?;
    guest.stop_card()?;
    let now = Resources::of(ctx.host, &guest)?;
    ensure!(
        guest.passed_interrupts()?.is_empty(),
        "interrupts of devices that are gone"
    );
    if ctx.driver == Driver::Rust {
        let alive: i64 = now.owned.iter().map(|(_, count)| count).sum();
        ensure!(alive == 0, "our modules still own {:?}", now.owned);
    }
    guest.shutdown()
}
