// SPDX-License-Identifier: GPL-2.0

//! Guests that Debian's `xl` creates on our own hypervisor.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::context::Ctx;
use crate::guest::Guest;
use crate::hypervisor_memory::HypervisorMemory;
use crate::scenario::Scenario;
use crate::topology::Topology;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[Scenario::new(
    "hypervisor.xl_creates_and_destroys_a_guest",
    creates_a_guest,
)
.on(Topology::PARAVANE)
.core()];

/// KiB that the hypervisor may keep for later, such as room of its heap. A guest's smallest part that could be forgotten as a
/// whole, its p2m, is larger.
const KEPT: u64 = 256;

fn creates_a_guest(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let before = HypervisorMemory::settled(ctx.host)?.free;
    // The second one gets memory that the first one had.
    for vcpus in [1, 2] {
        let guest = ctx.host.create(Guest::pvh("g1").vcpus(vcpus).memory(256))?;
        let is = guest.sh("cat /sys/hypervisor/guest_type")?;
        ensure!(is == "PVH", "the guest runs as {is}");
        let cpus = guest.sh("nproc")?;
        ensure!(cpus == vcpus.to_string(), "it has {cpus} processors");
        let taken = before.saturating_sub(HypervisorMemory::ask(ctx.host)?.free);
        ensure!(
            (256 << 10..272 << 10).contains(&taken),
            "a guest of 256 MiB takes {taken} KiB"
        );
        let up = guest.sh("cut -d ' ' -f 1 /proc/uptime")?;
        ctx.notes
            .push(format!("{vcpus} vCPUs: answers after {up} s"));
        guest.destroy()?;
        // xenstored and xenconsoled unmap its pages when they are told that it is gone.
        let mut free = 0;
        let pace = ctx.host.pace();
        pace.wait("its memory", Duration::from_secs(20), || {
            free = HypervisorMemory::ask(ctx.host)?.free;
            Ok((free + KEPT >= before).then_some(()))
        })
        .with_context(|| format!("{free} of {before} KiB are free"))?;
        ctx.notes.push(format!(
            "{} KiB less are free when it is gone",
            before.saturating_sub(free)
        ));
        let left = dom0.sh("xl list | tail -n +3")?;
        ensure!(left.is_empty(), "of the guest there is left: {left}");
    }
    Ok(())
}
