// SPDX-License-Identifier: GPL-2.0

//! Memory that backends have and do not give back.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::devices::{Class, Expected, Victim};
use crate::context::Ctx;
use crate::error::skip;
use crate::guest::{Driver, Guest};
use crate::scenario::Scenario;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "hostile.xsa_396_memory_that_a_backend_can_write_is_not_given_back",
        not_given_back,
    )
    .crosswise()
    .full(),
    Scenario::new(
        "hostile.xsa_396_memory_of_a_disk_that_is_removed_is_not_given_back",
        not_given_back_after_removal,
    )
    .crosswise()
    .full(),
    Scenario::new(
        "hostile.xsa_396_packets_are_not_freed_while_they_are_mapped",
        not_freed,
    )
    .full(),
];

/// A backend that was closed while it had a read writes to the memory later. Whoever wanted the read must not have got that
/// memory back.
fn not_given_back(ctx: &mut Ctx<'_>) -> Result<()> {
    if ctx.driver == Driver::C {
        return skip("the C driver never answers such a request, and the reader waits for ever");
    }
    let guest = ctx.host.create(Guest::pvh("g1").vcpus(2))?;
    guest.load_blkfront(ctx.driver, "")?;
    let reader = guest.spawn("exec agent hostile use memory")?;
    let domid = guest.domid();
    let backend = ctx.host.dom0().sh(&format!(
        "/payload/bin/agent hostile hold {domid} {}",
        Class::Disk.number()
    ))?;
    ctx.note(backend);
    let said = reader.wait_for(Duration::from_secs(60))?;
    let said = said.ok()?.stdout;
    ensure!(
        said.trim() == "kept",
        "the reader has its memory again, and its content is not what the reader wrote: {said}"
    );
    guest.shutdown()
}

/// The same when the disk is taken away meanwhile. It goes at once, and what it was reading waits for the backend.
fn not_given_back_after_removal(ctx: &mut Ctx<'_>) -> Result<()> {
    if ctx.driver == Driver::C {
        return skip("the C driver waits for such a request when the disk is removed");
    }
    let guest = ctx.host.create(Guest::pvh("g1").vcpus(2))?;
    guest.load_blkfront(ctx.driver, "")?;
    let reader = guest.spawn("exec agent hostile use memory")?;
    let (domid, number) = (guest.domid(), Class::Disk.number());
    let backend = ctx.host.dom0().spawn(&format!(
        "exec /payload/bin/agent hostile hold {domid} {number} removed"
    ))?;
    let limit = Duration::from_secs(60);
    let retired = "cat /sys/kernel/debug/xen/objects/retired";
    guest.wait_for("a request to wait", limit, retired, |waits| waits == "1")?;
    guest.wait_for("the disk to go", limit, "ls /sys/block", |disks| {
        !disks.contains("xvda")
    })?;
    let waits = guest.sh(retired)?;
    ensure!(
        waits == "1",
        "{waits} requests wait for the backend, not one"
    );
    ctx.note(backend.wait_for(limit)?.ok()?.stdout.trim());
    guest.wait_for("the request to end", limit, retired, |waits| waits == "0")?;
    let said = reader.wait_for(limit)?.ok()?.stdout;
    ensure!(said.trim() == "kept", "the reader says: {said}");
    guest.sh("rmmod xen_blkfront_rs")?;
    guest.shutdown()
}

/// A backend answers for packets that were sent and keeps their pages mapped. The heads of packets are slab memory, which the
/// kernel cannot keep for one who still has it mapped.
fn not_freed(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = Guest::pv("g1")
        .vcpus(2)
        .initramfs("/payload/boot/guest-net.cpio");
    let guest = ctx.host.create(guest)?;
    guest.load_netfront(ctx.driver, "")?;
    let _load = guest.spawn(Class::Interface.load())?;
    let victim = Victim::new(&guest, Class::Interface)?;
    let (domid, number) = (guest.domid(), Class::Interface.number());
    let said = ctx
        .host
        .dom0()
        .sh(&format!("/payload/bin/agent hostile keep {domid} {number}"))?;
    ctx.note(said);
    victim.is_well(Expected::StillInUse)?;
    guest.shutdown()
}
