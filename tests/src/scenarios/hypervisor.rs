// SPDX-License-Identifier: GPL-2.0

//! The stock kernel on our own hypervisor. What a machine shows to any dom0 is tested on Xen too, with `--full`: a test that
//! fails there is wrong.

mod clock;
mod coming_and_going;
mod crash;
mod devices;
mod ends;
mod grub;
mod guest_by_grub;
mod guests;
mod lock;
mod misbehaving;
mod processors;
mod resizing;
mod saving;
mod scheduling;
mod solo;
mod toolstack;
mod tracing;

use anyhow::{Result, ensure};

use crate::context::Ctx;
use crate::scenario::Scenario;
use crate::topology::{Kernel, Topology};

/// The scenarios of this group.
pub fn scenarios() -> Vec<Scenario> {
    [
        clock::SCENARIOS,
        devices::SCENARIOS,
        ends::SCENARIOS,
        grub::SCENARIOS,
        guest_by_grub::SCENARIOS,
        guests::SCENARIOS,
        lock::SCENARIOS,
        coming_and_going::SCENARIOS,
        crash::SCENARIOS,
        misbehaving::SCENARIOS,
        processors::SCENARIOS,
        saving::SCENARIOS,
        scheduling::SCENARIOS,
        resizing::SCENARIOS,
        solo::SCENARIOS,
        toolstack::SCENARIOS,
        tracing::SCENARIOS,
        OWN,
    ]
    .concat()
}

const OWN: &[Scenario] = &[
    Scenario::new("hypervisor.stock_kernel_runs_as_dom0", runs_as_dom0)
        .on(Topology::PARAVANE_REAL)
        .core(),
    Scenario::new("hypervisor.packaged_kernel_runs_as_dom0", runs_as_dom0)
        .on(PACKAGED)
        .full(),
];

/// The machine with the kernel as its package has it, which costs some seconds.
const PACKAGED: Topology = Topology {
    kernel: Kernel::Packed,
    ..Topology::PARAVANE
};

fn runs_as_dom0(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    ensure!(dom0.sh("cat /sys/hypervisor/type")? == "xen");
    let is = dom0.sh("cat /sys/hypervisor/guest_type")?;
    ensure!(is == "PVH", "dom0 runs as {is}, not PVH");
    let cpus = dom0.sh("nproc")?;
    let wanted = ctx.host.topology().dom0_vcpus.to_string();
    ensure!(cpus == wanted, "dom0 has {cpus} processors, not {wanted}");
    // Both processors do work and get events.
    dom0.sh("for cpu in 0 1; do taskset -c $cpu sh -c 'i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done'; done")?;
    let time = ctx.host.boot_time.as_secs_f32();
    ctx.note(format!("dom0 {} was up after {time:.1} s", ctx.host.kernel));
    Ok(())
}
