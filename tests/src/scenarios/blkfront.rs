// SPDX-License-Identifier: GPL-2.0

//! The block front end under a real back end: the stock kernel's `xen-blkback` over loop devices in dom0.
//!
//! What each file shows:
//!
//! - [`data`]: file systems and raw blocks come back as they were written, seen from both sides;
//! - [`requests`]: discards, flushes, large requests, write-zeroes and grants as the back end counts them;
//! - [`transport`]: queues, ring pages, bounce buffers and persistent grants as they were asked for;
//! - [`kinds`]: read-only disks, CD-ROMs, names, partitions, block sizes, resizing;
//! - [`hotplug`]: attaching and detaching without leaks, unloading and reloading the module;
//! - [`migration`]: saving and restoring in the middle of I/O;
//! - [`loss`]: back ends that die, come back, or never do;
//! - [`peculiar`]: back ends with nodes and answers that Linux's own never has.
//!
//! [`vbd`] and [`resources`](super::resources) are the instruments: what the back end says about a disk, and what a
//! guest and dom0 have in use. The driver under test is [`crate::Driver::Rust`] unless `--driver c` asks for the
//! kernel's own, which is how the scenarios themselves are tested.

mod data;
mod hotplug;
mod kinds;
mod loss;
mod migration;
mod peculiar;
mod requests;
mod transport;
mod vbd;

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::context::Ctx;
use crate::guest::{Domain, Guest};
use crate::scenario::Scenario;

/// The scenarios of the block front end.
pub fn scenarios() -> Vec<Scenario> {
    [
        data::SCENARIOS,
        requests::SCENARIOS,
        transport::SCENARIOS,
        kinds::SCENARIOS,
        hotplug::SCENARIOS,
        migration::SCENARIOS,
        loss::SCENARIOS,
        peculiar::SCENARIOS,
    ]
    .concat()
}

/// Creates a guest whose disks are driven by the driver under test, and checks that they are.
fn start(ctx: &Ctx<'_>, guest: Guest, parameters: &str) -> Result<Domain> {
    let guest = ctx.host.create(guest)?;
    guest.load_blkfront(ctx.driver, parameters)?;
    for name in guest.sh("ls /sys/block | grep ^xvd || true")?.lines() {
        let module = guest.driver_of(name)?;
        ensure!(
            module == ctx.driver.block_module(),
            "{name} is driven by {module}"
        );
    }
    Ok(guest)
}

/// Waits until a disk that was attached is there, with its size.
fn await_disk(guest: &Domain, name: &str) -> Result<()> {
    let script = format!("cat /sys/block/{name}/size 2>/dev/null || echo 0");
    guest
        .wait_for(name, Duration::from_secs(20), &script, |size| size != "0")
        .map(drop)
}

/// A shell script that prints checksums of all files below the current folder, and whatever else a file
/// system keeps, in the same words in dom0 and in a guest.
const MANIFEST: &str = "find=\"busybox find\"; export LC_ALL=C; \
     $find . -type f | sort | busybox xargs sha256sum; \
     $find . -type l | sort | while read -r l; do echo \"$l -> $(readlink \"$l\")\"; done; \
     $find . | sort | busybox xargs busybox stat -c '%n %a %u %g %h'";
