// SPDX-License-Identifier: GPL-2.0

//! How processor time is shared out, by `xl sched-credit`.

use anyhow::{Context, Result, ensure};

use crate::context::Ctx;
use crate::guest::{Domain, Guest};
use crate::scenario::Scenario;
use crate::topology::Topology;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] =
    &[Scenario::new("hypervisor.cap_limits_a_guest", cap_limits_a_guest).on(Topology::PARAVANE)];

/// A guest that computes on two vCPUs gets what its cap says, and everything again without one.
fn cap_limits_a_guest(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = ctx.host.create(Guest::pvh("g1").vcpus(2).memory(256))?;
    let _busy = guest.spawn("while :; do :; done")?;
    let _too = guest.spawn("while :; do :; done")?;
    let mut said = vec![];
    // The cap in hundredths of a processor, and what it may use. On a machine that does other things as well, the emulator
    // tells of timers late, so it uses less than it might.
    for (cap, least, most) in [
        (0, 0.6, 2.1),
        (40, 0.2, 0.5),
        (120, 0.6, 1.3),
        (0, 0.6, 2.1),
    ] {
        let dom0 = ctx.host.dom0();
        dom0.sh(&format!("xl sched-credit -d g1 -c {cap}"))?;
        let told = dom0.sh("xl sched-credit -d g1 | awk '$1 == \"g1\" { print $4 }'")?;
        ensure!(told == cap.to_string(), "its cap is {told}, not {cap}");
        let used = used(ctx, &guest)?;
        ensure!(
            (least..most).contains(&used),
            "with a cap of {cap} it uses {used:.2} processors"
        );
        said.push(format!("{used:.2} with a cap of {cap}"));
    }
    ctx.note(format!("processors used: {}", said.join(", ")));
    guest.destroy()
}

/// How many processors a guest uses, over some seconds of the hypervisor's time.
fn used(ctx: &Ctx<'_>, guest: &Domain) -> Result<f64> {
    let name = guest.name();
    let text = ctx.host.dom0().sh(&format!(
        "now() {{ echo $(date +%s%N) $(xl list {name} | awk 'END {{ print $6 }}'); }}; now; sleep 6; now"
    ))?;
    let lines: Option<Vec<(f64, f64)>> = text
        .lines()
        .map(|line| {
            let (clock, seconds) = line.split_once(' ')?;
            Some((clock.parse().ok()?, seconds.parse().ok()?))
        })
        .collect();
    let lines = lines.with_context(|| format!("{text:?} are no times"))?;
    let [(began, before), (ended, after)] = lines[..] else {
        anyhow::bail!("{text:?} are no two times");
    };
    Ok((after - before) * 1e9 / (ended - began))
}
