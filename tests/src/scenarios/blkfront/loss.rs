// SPDX-License-Identifier: GPL-2.0

//! Back ends that are lost in the middle of I/O. A request then waits for the back end to return, or fails
//! when it is clear that it will not. Nothing waits for ever, and nothing acknowledged is lost.
//!
//! Dom0's back end "dies" by being unbound from its driver: it answers nothing more, and the xenstore goes on
//! saying that it is connected, as after a crash.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::start;
use super::vbd::Vbd;
use crate::context::Ctx;
use crate::disk::Disk;
use crate::guest::{Domain, Driver, Guest};
use crate::matrix::Cell;
use crate::remote::{Job, Place};
use crate::scenario::Scenario;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("blkfront.backend_dies_and_returns_{guest}", returns)
        .crosswise()
        .on_each(&[Cell::PVH.full(), Cell::PV]),
    Scenario::new("blkfront.backend_never_returns", never_returns)
        .crosswise()
        .full(),
    Scenario::new("blkfront.disk_is_detached_in_mid_io", detached)
        .crosswise()
        .full(),
    Scenario::new("blkfront.backend_vanishes_from_the_xenstore", vanishes)
        .crosswise()
        .full(),
];

/// Checks numbers that a probe printed.
pub fn expect(text: &str, expected: &[(&str, u64)]) -> Result<()> {
    for (name, value) in expected {
        let found = number(text, name)?;
        ensure!(
            found == *value,
            "{name} is {found}, not {value}, in: {}",
            text.replace('\n', " ")
        );
    }
    Ok(())
}

fn number(text: &str, name: &str) -> Result<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.with_context(|| format!("no {name} in {text}"))?
        .parse()
        .map_err(Into::into)
}

/// Starts the ledger and gives it time to fill the rings.
fn write_for(guest: &Domain, disk: &str, seconds: u32) -> Result<Job> {
    let seconds = guest.lengthened(seconds);
    let script = format!("agent probe ledger write /dev/{disk} {seconds} /tmp/books-{disk}");
    let job = guest.spawn(&script)?;
    guest.pace().sleep(Duration::from_secs(2));
    Ok(job)
}

/// Dom0 finds in the file behind a disk all that the guest was told is there.
fn nothing_acknowledged_is_lost(
    dom0: &Place,
    guest: &Domain,
    disk: &str,
    file: &str,
) -> Result<()> {
    dom0.put(
        "/disks/books",
        0o600,
        &guest.get(&format!("/tmp/books-{disk}"))?,
    )?;
    let books = dom0.sh(&format!(
        "/payload/bin/agent probe ledger check /disks/{file} /disks/books"
    ))?;
    expect(&books, &[("lost", 0), ("torn", 0), ("unreadable", 0)])
}

fn returns(ctx: &mut Ctx<'_>) -> Result<()> {
    let rounds = ctx.rounds(1, 10);
    let disk = Disk::file("a.img", "xvda").mib(16);
    let guest = start(ctx, Guest::new("g1", ctx.mode()).vcpus(2).disk(disk), "")?;
    let vbd = Vbd::of(ctx.host, &guest, "xvda")?;
    let ledger = write_for(&guest, "xvda", 8 * rounds)?;
    for _ in 0..rounds {
        vbd.unbind()?;
        ctx.host.pace().sleep(Duration::from_secs(3));
        let waiting = guest.sh("cat /sys/block/xvda/inflight")?;
        ensure!(
            waiting.split_whitespace().any(|count| count != "0"),
            "nothing was in flight when the back end died: {waiting}"
        );
        vbd.bind()?;
        ctx.host.pace().sleep(Duration::from_secs(2));
    }
    let books = ledger
        .wait_for(Duration::from_secs(u64::from(8 * rounds) + 60))?
        .ok()?
        .stdout;
    expect(
        &books,
        &[("failed", 0), ("lost", 0), ("torn", 0), ("unreadable", 0)],
    )?;
    ensure!(
        number(&books, "longest_ms")? >= 2000,
        "nothing waited for the back end: {books}"
    );
    ctx.note(books.replace('\n', " "));
    nothing_acknowledged_is_lost(ctx.host.dom0(), &guest, "xvda", "a.img")?;
    guest.shutdown()
}

/// The back end is gone for good. The toolstack says so, and everything that waits fails.
fn never_returns(ctx: &mut Ctx<'_>) -> Result<()> {
    let disk = Disk::file("a.img", "xvda").mib(16);
    let guest = start(ctx, Guest::pvh("g1").vcpus(2).disk(disk), "")?;
    let vbd = Vbd::of(ctx.host, &guest, "xvda")?;
    let ledger = write_for(&guest, "xvda", 20)?;
    vbd.unbind()?;
    ctx.host.pace().sleep(Duration::from_secs(1));
    // It waits ten seconds for the dead back end's consent, complains, and takes the device away.
    guest.detach("xvda", "--force")?;
    let books = ledger
        .wait_for(Duration::from_secs(60))
        .context("I/O waits for a back end that is gone")?;
    let books = books.ok()?.stdout;
    ensure!(
        number(&books, "failed")? > 0,
        "writes to a disk that is gone succeeded: {books}"
    );
    ctx.note(books.replace('\n', " "));
    nothing_acknowledged_is_lost(ctx.host.dom0(), &guest, "xvda", "a.img")?;
    guest.wait_for(
        "the disk to go",
        Duration::from_secs(20),
        "ls /sys/block",
        |disks| !disks.contains("xvda"),
    )?;

    // The guest is well: it can have another disk.
    guest.attach(&Disk::file("b.img", "xvdb").mib(16))?;
    super::await_disk(&guest, "xvdb")?;
    let books = guest.sh("agent probe ledger write /dev/xvdb 2 /tmp/books")?;
    expect(
        &books,
        &[("failed", 0), ("lost", 0), ("torn", 0), ("unreadable", 0)],
    )?;
    guest.shutdown()
}

/// The disk is taken away in an orderly manner, but while it is in use.
fn detached(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = start(ctx, Guest::pvh("g1").vcpus(2), "")?;
    for round in 0..ctx.rounds(2, 20) {
        let file = format!("{round}.img");
        guest.attach(&Disk::file(&file, "xvda").mib(16))?;
        super::await_disk(&guest, "xvda")?;
        let ledger = write_for(&guest, "xvda", 10)?;
        guest.detach("xvda", "")?;
        let books = ledger
            .wait_for(Duration::from_secs(60))
            .context("I/O to a detached disk hangs")?;
        let books = books.ok()?.stdout;
        ensure!(
            number(&books, "failed")? > 0,
            "writes to a detached disk succeeded: {books}"
        );
        nothing_acknowledged_is_lost(ctx.host.dom0(), &guest, "xvda", &file)?;
        // The process that had it open has ended, so the device goes too, if it has not yet.
        guest.detach("xvda", "--force")?;
        guest.wait_for(
            "the disk to go",
            Duration::from_secs(20),
            "ls /sys/block",
            |disks| !disks.contains("xvda"),
        )?;
    }
    guest.shutdown()
}

/// A driver domain that was destroyed does not close its devices: its folder disappears, and that is all.
fn vanishes(ctx: &mut Ctx<'_>) -> Result<()> {
    if ctx.driver == Driver::C {
        return crate::error::skip(
            "the C driver waits for ever for a back end whose folder has vanished",
        );
    }
    let disk = Disk::file("a.img", "xvda").mib(16);
    let guest = start(ctx, Guest::pvh("g1").vcpus(2).disk(disk), "")?;
    let vbd = Vbd::of(ctx.host, &guest, "xvda")?;
    let ledger = write_for(&guest, "xvda", 8)?;
    vbd.unbind()?;
    ctx.host.pace().sleep(Duration::from_secs(1));
    ctx.host
        .dom0()
        .sh(&format!("xenstore-rm {}", vbd.back_path()))?;
    let books = ledger
        .wait_for(Duration::from_secs(60))
        .context("I/O waits for a back end that is gone")?;
    ensure!(number(&books.ok()?.stdout, "failed")? > 0);
    nothing_acknowledged_is_lost(ctx.host.dom0(), &guest, "xvda", "a.img")?;
    guest.shutdown()
}
