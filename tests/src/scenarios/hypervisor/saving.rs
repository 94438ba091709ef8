// SPDX-License-Identifier: GPL-2.0

//! Guests on our own hypervisor that are saved, restored, and migrated while they run.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::context::Ctx;
use crate::disk::Disk;
use crate::guest::{Domain, Driver, Guest};
use crate::scenario::Scenario;
use crate::topology::Topology;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[Scenario::new(
    "hypervisor.guests_are_saved_restored_and_migrated",
    saved_and_migrated,
)
.on(Topology::PARAVANE)
.full()];

/// The sums of files in the guest's memory, whose contents must not change.
const SUMS: &str = "md5sum /m/a /m/b | md5sum";
/// Writes memory all the time, and compares what it has written with what it reads.
const WRITER: &str = "i=0; while :; do dd if=/m/a of=/m/c bs=1M 2>/dev/null; cmp /m/a /m/c || { echo bad > /m/bad; exit 1; }; \
     i=$((i+1)); echo $i > /m/rounds; done";

/// Whether the guest has all that it had: memory, vCPUs, time, and programs that run on.
fn is_whole(ctx: &Ctx<'_>, guest: &Domain, sums: &str, after: &str) -> Result<()> {
    ensure!(
        guest.sh(SUMS)? == sums,
        "its memory has changed after {after}"
    );
    ensure!(guest.sh("nproc")? == "2", "a vCPU is missing after {after}");
    let rounds = || guest.sh("cat /m/rounds");
    let before = rounds()?;
    guest.wait_for(
        "its writer",
        Duration::from_secs(30),
        "cat /m/rounds",
        |now| now != before,
    )?;
    ensure!(
        guest.sh("ls /m")?.lines().all(|name| name != "bad"),
        "it reads what it has not written after {after}"
    );
    // Both of its clocks go on.
    let clocks = "date +%s; cut -d . -f 1 /proc/uptime";
    let earlier = guest.sh(clocks)?;
    let goes_on = |now: &str| {
        let mut pairs = now.lines().zip(earlier.lines());
        pairs.all(|(now, then)| now.parse::<u64>().ok() > then.parse::<u64>().ok())
    };
    guest.wait_for("its clocks", Duration::from_secs(30), clocks, goes_on)?;
    let host = ctx.host.dom0().sh("date +%s")?.parse::<u64>()?;
    let own = guest.sh("date +%s")?.parse::<u64>()?;
    ensure!(
        host.abs_diff(own) <= 5,
        "its clock says {own}, dom0's {host} after {after}"
    );
    Ok(())
}

/// Where the vCPUs of a guest are that does not answer.
const REGISTERS: &str = "xl debug-keys q; for i in 1 2; do /usr/lib/xen-4*/bin/xen-hvmctx $(xl domid g1); sleep 2; done";

fn saved_and_migrated(ctx: &mut Ctx<'_>) -> Result<()> {
    let result = goes_through_all(ctx);
    if result.is_err() {
        let registers = ctx.host.dom0().run(REGISTERS)?;
        ctx.note(format!("{registers:?}"));
    }
    result
}

fn goes_through_all(ctx: &mut Ctx<'_>) -> Result<()> {
    let rounds = ctx.rounds(1, 10);
    let dom0 = ctx.host.dom0();
    let guest = Guest::pvh("g1").vcpus(2).memory(192);
    let disk = Disk::file("ledger.img", "xvda").mib(16);
    let guest = ctx.host.create(guest.disk(disk))?;
    guest.load_blkfront(Driver::Rust, "")?;
    guest.sh("mkdir -p /m; mount -t tmpfs -o size=64m none /m; for f in a b; do dd if=/dev/urandom of=/m/$f bs=1M count=6 2>/dev/null; done; echo 0 > /m/rounds")?;
    let sums = guest.sh(SUMS)?;
    let seconds = guest.lengthened(30 + 40 * rounds);
    let ledger = guest.spawn(&format!(
        "agent probe ledger write /dev/xvda {seconds} /tmp/books"
    ))?;
    let _writer = guest.spawn(WRITER)?;
    for round in 0..rounds {
        guest.save("/disks/saved")?;
        guest.restore("/disks/saved")?;
        is_whole(ctx, &guest, &sums, "a restore")?;
        ctx.note(format!(
            "round {round}: restored as domain {}",
            guest.domid()
        ));
        // A checkpoint: the same domain runs on.
        let before = dom0.sh("xl domid g1")?;
        dom0.run_for(
            Duration::from_secs(120),
            "xl save -c g1 /disks/saved && rm /disks/saved",
        )?
        .ok()?;
        ensure!(dom0.sh("xl domid g1")? == before);
        is_whole(ctx, &guest, &sums, "a checkpoint")?;
        guest.migrate()?;
        is_whole(ctx, &guest, &sums, "a migration")?;
        ctx.note(format!(
            "round {round}: migrated to domain {}",
            guest.domid()
        ));
    }
    let limit = Duration::from_secs(u64::from(seconds) + 90);
    let books = ledger.wait_for(limit)?.ok()?.stdout;
    ctx.note(books.replace('\n', " "));
    for name in ["failed", "lost", "torn", "unreadable"] {
        let is_zero = |line: &str| line == format!("{name} 0");
        ensure!(books.lines().any(is_zero), "{name} in: {books}");
    }
    guest.shutdown()
}
