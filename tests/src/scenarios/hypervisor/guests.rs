// SPDX-License-Identifier: GPL-2.0

//! Guests that Debian's `xl` creates on our own hypervisor.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::context::Ctx;
use crate::guest::Guest;
use crate::remote::Place;
use crate::scenario::Scenario;
use crate::topology::Topology;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[Scenario::new(
    "hypervisor.xl_creates_and_destroys_a_guest",
    creates_a_guest,
)
.on(Topology::PARAVANE)
.core()];

/// Says how much memory is free, in MiB.
const FREE_MEMORY: &str = "xl info | awk '/^free_memory/ { print $3 }'";

/// Free memory in MiB.
fn free_memory(dom0: &Place) -> Result<u32> {
    let text = dom0.sh(FREE_MEMORY)?;
    text.trim()
        .parse()
        .with_context(|| format!("`xl info` says {text} is free"))
}

fn creates_a_guest(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let before = free_memory(dom0)?;
    // The second one gets memory that the first one had.
    for vcpus in [1, 2] {
        let guest = ctx.host.create(Guest::pvh("g1").vcpus(vcpus).memory(256))?;
        let is = guest.sh("cat /sys/hypervisor/guest_type")?;
        ensure!(is == "PVH", "the guest runs as {is}");
        let cpus = guest.sh("nproc")?;
        ensure!(cpus == vcpus.to_string(), "it has {cpus} processors");
        let with_guest = free_memory(dom0)?;
        ensure!(
            before - with_guest >= 256 && before - with_guest < 272,
            "of {before} MiB {with_guest} are left"
        );
        let up = guest.sh("cut -d ' ' -f 1 /proc/uptime")?;
        ctx.notes
            .push(format!("{vcpus} vCPUs: answers after {up} s"));
        guest.destroy()?;
        // xenstored and xenconsoled unmap its pages when they are told that it is gone.
        let whole = |text: &str| text.trim() == before.to_string();
        dom0.wait_for("its memory", Duration::from_secs(20), FREE_MEMORY, whole)?;
        let left = dom0.sh("xl list | tail -n +3")?;
        ensure!(left.is_empty(), "of the guest there is left: {left}");
    }
    Ok(())
}
