// SPDX-License-Identifier: GPL-2.0

//! One seed after the other.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::devices::{Class, Expected, Victim, field};
use super::seeds::{Seeds, seeds_are_named};
use crate::Job;
use crate::context::Ctx;
use crate::disk::Disk;
use crate::error::skip;
use crate::guest::{Domain, Driver, Guest, Mode};
use crate::matrix::Cell;
use crate::nic::{Nic, ipv4};
use crate::scenario::Scenario;
use crate::traffic::{Server, both_ways};

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("hostile.block_backend_does_no_harm_{guest}", disks)
        .crosswise()
        .on_each(&[Cell::PVH, Cell::PV.full()]),
    Scenario::new("hostile.network_backend_does_no_harm_{guest}", interfaces)
        .crosswise()
        .on_each(&[Cell::PV, Cell::PVH.full()]),
    Scenario::new("hostile.disk_goes_while_it_is_offered_{guest}", |ctx| {
        goes_early(ctx, Class::Disk)
    })
    .crosswise()
    .on_each(&[Cell::PVH.full(), Cell::PV.full()]),
    Scenario::new(
        "hostile.interface_goes_while_it_is_offered_{guest}",
        |ctx| goes_early(ctx, Class::Interface),
    )
    .crosswise()
    .on_each(&[Cell::PVH.full(), Cell::PV.full()]),
    Scenario::new("hostile.block_backends_for_long_{guest}", disks_for_long)
        .on_each(&[Cell::PVH.full(), Cell::PV.full()]),
    Scenario::new(
        "hostile.network_backends_for_long_{guest}",
        interfaces_for_long,
    )
    .on_each(&[Cell::PV.full(), Cell::PVH.full()]),
];

/// The same seeds each time, for which there is time in each run.
const FEW: Range<u64> = 1..4;

/// How long other seeds are run, where nobody asks for another time.
const LONG: Duration = Duration::from_secs(600);

/// Seeds from one honest device to the next.
const BETWEEN: usize = 25;

/// The guest's number on its bridge; dom0 is number 1.
const GUEST: u32 = 2;

fn disks(ctx: &mut Ctx<'_>) -> Result<()> {
    does_no_harm(ctx, Class::Disk, Seeds::Range(FEW))
}

fn interfaces(ctx: &mut Ctx<'_>) -> Result<()> {
    does_no_harm(ctx, Class::Interface, Seeds::Range(FEW))
}

fn disks_for_long(ctx: &mut Ctx<'_>) -> Result<()> {
    does_no_harm(ctx, Class::Disk, Seeds::For(LONG))
}

fn interfaces_for_long(ctx: &mut Ctx<'_>) -> Result<()> {
    does_no_harm(ctx, Class::Interface, Seeds::For(LONG))
}

/// Devices that are taken away at each moment of a frontend's first steps.
fn goes_early(ctx: &mut Ctx<'_>, class: Class) -> Result<()> {
    /// From one device's time to the next one's, and the longest.
    const MS: [usize; 2] = [20, 800];
    let guest = guest_for(ctx, ctx.mode())?;
    load_driver(ctx, &guest, class)?;
    works(&guest, class)?;
    let victim = Victim::new(&guest, class)?;
    let (mut count, mut connected) = (0_u64, 0);
    for ms in (0..MS[1] as u64).step_by(MS[0]) {
        let line = victim.run_shortly(ctx, ms)?;
        victim
            .is_well(Expected::Nothing)
            .with_context(|| format!("taken away after {ms} ms: {}", line.trim()))?;
        count += 1;
        connected += field(&line, "connected")?;
    }
    works(&guest, class)?;
    victim.has_all_grants()?;
    ctx.note(format!("{count} devices, {connected} of them connected"));
    ensure!(connected < count, "none was taken away early");
    guest.shutdown()
}

fn does_no_harm(ctx: &mut Ctx<'_>, class: Class, seeds: Seeds) -> Result<()> {
    if ctx.driver == Driver::C {
        return skip("the C drivers wait for ever for some of these backends");
    }
    let (guest, _load) = under_load(ctx, ctx.mode(), class)?;
    let victim = Victim::new(&guest, class)?;
    let (first, seeds) = seeds.or_asked_for()?.run()?;
    let started = Instant::now();
    let (mut count, mut connected, mut answered) = (0_u64, 0, 0);
    for (done, seed) in seeds.enumerate() {
        let line = victim.run(ctx, seed)?;
        count += 1;
        connected += field(&line, "connected")?;
        answered += field(&line, "answered")?;
        if seeds_are_named() {
            ctx.note(line.trim());
        }
        if done % BETWEEN == BETWEEN - 1 {
            works(&guest, class).with_context(|| format!("seeds up to {seed}"))?;
        }
    }
    works(&guest, class).context("after all seeds")?;
    victim.is_well(Expected::Nothing)?;
    victim.has_all_grants()?;
    let rate = count as f64 / started.elapsed().as_secs_f64();
    ctx.note(format!(
        "{count} seeds from {first} on, {connected} of them connected, {answered} responses, {rate:.2} seeds a second"
    ));
    ensure!(
        count > 0 && connected * 3 >= count,
        "frontends connected to {connected} of {count} backends only"
    );
    guest.shutdown()
}

/// A guest with two processors and what network needs.
pub fn guest_for(ctx: &Ctx<'_>, mode: Mode) -> Result<Domain> {
    let guest = Guest::new("g1", mode)
        .vcpus(2)
        .initramfs("/payload/boot/guest-net.cpio");
    ctx.host.create(guest)
}

/// Loads the frontend of devices of that class.
pub fn load_driver(ctx: &Ctx<'_>, guest: &Domain, class: Class) -> Result<()> {
    match class {
        Class::Disk => guest.load_blkfront(ctx.driver, ""),
        Class::Interface => guest.load_netfront(ctx.driver, ""),
    }
}

/// A guest with our frontends, and what uses a device of that class in it as soon as there is one. An honest device was there: its
/// memory, and what the first device leaves in caches, are not taken for a leak.
pub fn under_load(ctx: &Ctx<'_>, mode: Mode, class: Class) -> Result<(Domain, Job)> {
    let guest = guest_for(ctx, mode)?;
    load_driver(ctx, &guest, class)?;
    let load = guest.spawn(class.load())?;
    works(&guest, class)?;
    Ok((guest, load))
}

/// The toolstack's own device of that name works, and goes again.
pub fn works(guest: &Domain, class: Class) -> Result<()> {
    match class {
        Class::Disk => disk_works(guest),
        Class::Interface => interface_works(guest),
    }
}

fn disk_works(guest: &Domain) -> Result<()> {
    guest.attach(&Disk::file("honest.img", "xvda").mib(16))?;
    guest.wait_for(
        "xvda",
        Duration::from_secs(20),
        "cat /sys/block/xvda/size 2>/dev/null || echo 0",
        |size| size != "0",
    )?;
    // The load uses the first two MiB, and the page cache of all of it is dropped by direct reading.
    guest.sh(
        "dd if=/dev/urandom of=/tmp/data bs=1M count=2 2>/dev/null && \
         dd if=/tmp/data of=/dev/xvda bs=64k seek=128 oflag=direct 2>/dev/null && \
         dd if=/dev/xvda bs=64k skip=128 count=32 iflag=direct 2>/dev/null | cmp - /tmp/data && rm /tmp/data",
    )?;
    guest.detach("xvda", "--force")?.ok().map(drop)
}

fn interface_works(guest: &Domain) -> Result<()> {
    guest.attach_nic(&Nic::new())?;
    guest.wait_for(
        "eth0",
        Duration::from_secs(20),
        "ls /sys/class/net",
        |names| names.lines().any(|name| name == "eth0"),
    )?;
    guest.bring_up("eth0", 0, GUEST)?;
    let dom0 = Server::start(&guest.dom0)?;
    both_ways(guest, &ipv4(0, 1), 1, 300)?;
    drop(dom0);
    guest.detach_nic(0)
}
