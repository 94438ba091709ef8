// SPDX-License-Identifier: GPL-2.0

//! What goes through passed devices is what arrives, whatever kind of interrupt they have.

use anyhow::{Result, ensure};

use super::{counter, start};
use crate::context::Ctx;
use crate::error::skip;
use crate::guest::{Domain, Driver, Guest};
use crate::passed::{self, CARD, DISK, FILE, GATEWAY};
use crate::scenario::Scenario;
use crate::topology::Topology;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("pcifront.content_with_msi_x", with_msi_x)
        .on(Topology::PASSED)
        .core(),
    Scenario::new("pcifront.content_with_msi", with_msi)
        .on(Topology::PASSED)
        .full(),
    Scenario::new("pcifront.content_with_intx", with_intx)
        .on(Topology::PASSED)
        .full(),
];

fn with_msi_x(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = start(ctx, Guest::pv("g1").vcpus(2), &[CARD, DISK])?;
    guest.start_disk()?;
    disk_keeps_content(ctx, &guest, 1)?;
    // The second time the driver finds MSI-X as the first one left it.
    for _ in 0..ctx.rounds(1, 2) {
        guest.start_card(2)?;
        card_brings_content(&guest)?;
        has_interrupts(ctx, &guest, "eth0", Some("msi-x"))?;
        guest.stop_card()?;
    }
    has_interrupts(ctx, &guest, "nvme", Some("msi-x"))?;
    let said = guest.sh("dmesg | grep 'default/read/poll queues'")?;
    ensure!(said.contains("2/0/0"), "not a queue a processor: {said}");
    if ctx.driver == Driver::Rust {
        let text = guest.sh("cat /sys/kernel/debug/xen/pcifront/pci-0/accesses")?;
        ctx.note(text.split_whitespace().collect::<Vec<_>>().join(" "));
        for name in ["bad_answers", "timeouts", "gone", "bad_reports"] {
            ensure!(counter(&guest, name)? == 0, "{name} in {text}");
        }
    }
    guest.shutdown()
}

fn with_msi(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = start(ctx, Guest::pv("g1").vcpus(2), &[CARD])?;
    guest.start_card(1)?;
    card_brings_content(&guest)?;
    // Seen with the kernel's own front end too: the emulated card's MSI does not arrive when its driver tries it.
    if !guest
        .sh("dmesg | grep 'MSI interrupt test failed' || true")?
        .is_empty()
    {
        guest.shutdown()?;
        return skip("the card's driver finds that its MSI does not arrive, and takes INTx");
    }
    has_interrupts(ctx, &guest, "eth0", Some("msi"))?;
    guest.shutdown()
}

fn with_intx(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = start(
        ctx,
        Guest::pv("g1").vcpus(2).args("pci=nomsi"),
        &[CARD, DISK],
    )?;
    guest.start_disk()?;
    guest.start_card(0)?;
    disk_keeps_content(ctx, &guest, 2)?;
    card_brings_content(&guest)?;
    for device in ["nvme", "eth0"] {
        has_interrupts(ctx, &guest, device, None)?;
    }
    guest.shutdown()
}

/// A device has interrupted, and by no other means than this: MSI, MSI-X, or INTx for none of both.
pub fn has_interrupts(
    ctx: &mut Ctx<'_>,
    guest: &Domain,
    device: &str,
    kind: Option<&str>,
) -> Result<()> {
    let mut of_device = guest.passed_interrupts()?;
    of_device.retain(|(name, _)| name.contains(device));
    ctx.note(format!("{of_device:?}"));
    let word = |name: &str| match name.split_once("msi") {
        Some((_, rest)) if rest.starts_with("-x") => Some("msi-x"),
        Some(_) => Some("msi"),
        None => None,
    };
    ensure!(
        of_device.iter().all(|(name, _)| word(name) == kind),
        "not only {kind:?}: {of_device:?}"
    );
    let count: u64 = of_device.iter().map(|(_, count)| count).sum();
    ensure!(count > 10, "{count} interrupts: {of_device:?}");
    Ok(())
}

/// What the guest writes to the disk is in the host's file, and what the guest reads is that again.
pub fn disk_keeps_content(ctx: &Ctx<'_>, guest: &Domain, seed: u32) -> Result<()> {
    // All of it goes through the guest's console first.
    let len = (ctx.rounds(1, 4) as usize) << 20;
    let content = passed::content(len, seed);
    guest.put("/tmp/content", 0o600, &content)?;
    let blocks = len >> 16;
    guest.sh(&format!(
        "dd if=/tmp/content of=/dev/nvme0n1 bs=64k seek={seed} oflag=direct conv=fsync 2>/dev/null && \
         dd if=/dev/nvme0n1 of=/tmp/again bs=64k skip={seed} count={blocks} iflag=direct 2>/dev/null && \
         cmp /tmp/content /tmp/again && rm /tmp/content /tmp/again"
    ))?;
    let there = passed::on_disk(ctx.host, u64::from(seed) << 16, len)?;
    ensure!(there == content, "the disk holds something else");
    Ok(())
}

/// What comes through the network card is what the other end has.
pub fn card_brings_content(guest: &Domain) -> Result<()> {
    guest.sh(&format!("ping -c 3 -W 10 {GATEWAY} >/dev/null"))?;
    guest.sh(&format!(
        "cd /tmp && rm -f {FILE} && busybox tftp -b 1468 -g -r {FILE} {GATEWAY}"
    ))?;
    let came = guest.get(&format!("/tmp/{FILE}"))?;
    ensure!(
        came == passed::served(),
        "{} bytes came, and not those that were sent",
        came.len()
    );
    Ok(())
}
