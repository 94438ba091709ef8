// SPDX-License-Identifier: GPL-2.0

//! The stock kernel on our own hypervisor.

pub mod processors;
pub mod toolstack;

use anyhow::{Context, Result, ensure};

use crate::scenario::{Ctx, Scenario};
use crate::topology::Topology;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("hypervisor.stock_kernel_runs_as_dom0", runs_as_dom0).on(Topology::PARAVANE),
    Scenario::new("hypervisor.dom0_reads_its_disks", reads_disks).on(Topology::PARAVANE),
    Scenario::new("hypervisor.dom0s_clock_is_the_hosts", clock_is_the_hosts).on(Topology::PARAVANE),
];

fn runs_as_dom0(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    ensure!(dom0.sh("cat /sys/hypervisor/type")? == "xen");
    let is = dom0.sh("cat /sys/hypervisor/guest_type")?;
    ensure!(is == "PVH", "dom0 runs as {is}, not PVH");
    let cpus = dom0.sh("nproc")?;
    let wanted = ctx.host.topology().dom0_vcpus.to_string();
    ensure!(cpus == wanted, "dom0 has {cpus} processors, not {wanted}");
    // Both do work, and are told of events.
    dom0.sh("for cpu in 0 1; do taskset -c $cpu sh -c 'i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done'; done")?;
    let time = ctx.host.boot_time.as_secs_f32();
    ctx.note(format!("dom0 {} was up after {time:.1} s", ctx.host.kernel));
    Ok(())
}

fn reads_disks(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    // Past the page cache, twice: what a lost interrupt or a wrong frame leaves is a hang or a difference.
    let read = "dd if=/dev/vdb bs=1M count=64 iflag=direct 2>/dev/null | sha256sum";
    let (first, second) = (dom0.sh(read)?, dom0.sh(read)?);
    ensure!(
        first.len() >= 64 && first == second,
        "the disk reads as {first} and then as {second}"
    );
    let messages = dom0.sh("grep -c 'PCI-MSIX.*virtio' /proc/interrupts")?;
    ensure!(
        messages.parse::<u32>().unwrap_or(0) > 0,
        "no device of dom0's has MSI-X"
    );
    Ok(())
}

fn clock_is_the_hosts(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let uptime = || -> Result<f64> {
        let text = dom0.sh("cut -d' ' -f1 /proc/uptime")?;
        text.parse().with_context(|| format!("{text} is no uptime"))
    };
    let (started, before) = (std::time::Instant::now(), uptime()?);
    dom0.sh("sleep 3")?;
    let (after, took) = (uptime()?, started.elapsed().as_secs_f64());
    let passed = after - before;
    // Asking takes part of the host's time; a clock that runs wrong is off by more.
    ensure!(
        passed >= 3.0 && passed <= took + 0.05,
        "{passed:.2} s passed in dom0 and {took:.2} s outside"
    );
    Ok(())
}
