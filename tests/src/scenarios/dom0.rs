// SPDX-License-Identifier: GPL-2.0

//! The stock kernel comes up as dom0 on Xen, as PV and as PVH domain.

use anyhow::{Result, ensure};

use crate::context::Ctx;
use crate::matrix::Cell;
use crate::scenario::Scenario;
use crate::topology::Topology;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("dom0.{dom0}_boots", boots)
        .on_each(&[
            Cell::on(Topology::PV).core(),
            Cell::on(Topology::PVH).full(),
        ])
        .boots(),
    Scenario::new("dom0.toolstack_answers", toolstack_answers).core(),
];

fn boots(ctx: &mut Ctx<'_>) -> Result<()> {
    let expected = ctx.host.topology().dom0.name();
    let dom0 = ctx.host.dom0();
    ensure!(dom0.sh("cat /sys/hypervisor/type")? == "xen");
    let is = dom0.sh("cat /sys/hypervisor/guest_type")?;
    ensure!(is == expected, "dom0 runs as {is}, not {expected}");
    ensure!(dom0.sh("cat /proc/xen/capabilities")?.contains("control_d"));
    let cpus = dom0.sh("nproc")?;
    ensure!(
        cpus == ctx.host.topology().dom0_vcpus.to_string(),
        "dom0 has {cpus} processors"
    );
    let time = ctx.host.boot_time.as_secs_f32();
    ctx.note(format!("dom0 {} was up after {time:.1} s", ctx.host.kernel));
    Ok(())
}

fn toolstack_answers(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    ensure!(dom0.sh("xl list | awk 'NR == 2 { print $1 }'")? == "Domain-0");
    // Xen's own test program: transactions, watches and permissions of xenstored, through the kernel's device.
    dom0.sh("/usr/lib/xen-4*/bin/test-xenstore")?;
    ensure!(dom0.sh("xenstore-read domid")? == "0");
    Ok(())
}
