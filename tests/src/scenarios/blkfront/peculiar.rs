// SPDX-License-Identifier: GPL-2.0

//! Backends that do nothing wrong, but have nodes and answers that Linux's own never has: the program `agent hostile honest`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{await_disk, start};
use crate::context::Ctx;
use crate::guest::{Domain, Driver, Guest};
use crate::remote::Job;
use crate::scenario::Scenario;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "blkfront.nodes_of_other_toolstacks_are_understood",
        other_toolstacks,
    )
    .crosswise(),
    Scenario::new("blkfront.refused_barrier_ends_fua", refused_barrier).crosswise(),
];

/// How long a backend serves, in seconds.
const SERVES: u32 = 6;

/// Starts a backend of the disk with this number, 202 << 8 being `xvda` (xen-vbd-interface(7)).
fn backend(guest: &Domain, number: u32, words: &str) -> Result<Job> {
    let domid = guest.domid();
    guest.dom0.spawn(&format!(
        "exec /payload/bin/agent hostile honest {domid} {number} {SERVES} {words}"
    ))
}

/// It ends as it should, and the disk with it.
fn await_end(guest: &Domain, backend: Job, disk: &str) -> Result<()> {
    backend
        .wait_for(Duration::from_secs(60))?
        .ok()
        .context("the backend failed")?;
    guest.wait_for(
        "the disk to go",
        Duration::from_secs(20),
        "ls /sys/block",
        |disks| !disks.contains(disk),
    )?;
    Ok(())
}

fn other_toolstacks(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = start(ctx, Guest::pvh("g1"), "")?;
    let xvdb = 51728;
    for number in ["0xca10", "0145020", "51728"] {
        let backend = backend(&guest, xvdb, &format!("front:virtual-device={number}"))?;
        await_disk(&guest, "xvdb").with_context(|| format!("virtual-device {number}"))?;
        guest.sh("dd if=/dev/xvdb of=/dev/null bs=64k count=16 iflag=direct")?;
        await_end(&guest, backend, "xvdb")?;
    }
    if ctx.driver == Driver::C {
        ctx.note("the C driver leaves CD-ROMs to an emulated drive that PVH guests do not have: not tried");
        return guest.shutdown();
    }
    let words = "front:device-type=cdrom back:info=5 back:mode=r";
    let backend = backend(&guest, xvdb, words)?;
    await_disk(&guest, "xvdb").context("a CD-ROM")?;
    ensure!(guest.sh("cat /sys/block/xvdb/ro")? == "1");
    await_end(&guest, backend, "xvdb")?;
    guest.shutdown()
}

/// The backend says that it knows barriers, and then that it does not. The data are written all the same, and nobody is told any
/// longer that writes can make themselves durable.
fn refused_barrier(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = start(ctx, Guest::pvh("g1"), "")?;
    let words = "refuses-barriers back:feature-barrier=1 back:feature-flush-cache=0 back:feature-persistent=0";
    let backend = backend(&guest, 51712, words)?;
    await_disk(&guest, "xvda")?;
    let shown = "cd /sys/block/xvda/queue && echo $(cat fua write_cache)";
    ensure!(guest.sh(shown)? == "1 write back");
    guest.sh("agent hostile use durably /dev/xvda")?;
    let after = guest.sh(shown)?;
    ensure!(
        ctx.driver == Driver::C || after == "0 write through",
        "after a barrier was refused the disk still says {after:?}"
    );
    await_end(&guest, backend, "xvda")?;
    guest.shutdown()
}
