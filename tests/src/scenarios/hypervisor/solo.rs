// SPDX-License-Identifier: GPL-2.0

//! A guest that the hypervisor starts itself, without dom0.

use anyhow::{Context, Result, ensure};

use crate::context::Machines;
use crate::scenario::Scenario;
use crate::solo::{SoloEnding, SoloGuest, SoloKernel, StartedBy};
use crate::topology::Topology;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::alone(
        "hypervisor.solo_guest_boots_and_ends",
        Topology::PARAVANE,
        boots_and_ends,
    ),
    Scenario::alone(
        "hypervisor.solo_guest_ends_have_statuses",
        Topology::PARAVANE,
        ends_have_statuses,
    )
    .full(),
];

/// The stock kernel comes up to its init with two processors and powers off; the same without a hypervisor, for the report.
fn boots_and_ends(machines: &mut Machines<'_>) -> Result<()> {
    let mut guest = SoloGuest::new(StartedBy::Paravane, SoloKernel::Stock);
    guest.vcpus = 2;
    guest.args = "earlyprintk=xen".into();
    let report = machines.run_solo(&guest)?;
    ensure!(report.ending == SoloEnding::PoweredOff, "{}", report.ending);
    let line = init_line(&report.console)?;
    ensure!(
        line.ends_with("2 processors, PVH"),
        "init says {line:?} of its machine"
    );
    ensure!(
        report.console.contains("bootconsole [xenboot0] enabled"),
        "there was no early output by port 0xe9"
    );
    let alone = SoloGuest::new(StartedBy::Qemu, SoloKernel::Stock);
    let single = SoloGuest::new(StartedBy::Paravane, SoloKernel::Stock);
    for (guest, what) in [
        (single, "on the hypervisor"),
        (alone, "without a hypervisor"),
    ] {
        let report = machines.run_solo(&guest)?;
        let init = report.init.context("init did not run")?;
        machines.note(format!(
            "{what}, one processor: init {:.2} s after QEMU's start, the end after {:.2} s",
            init.as_secs_f32(),
            report.took.as_secs_f32()
        ));
    }
    Ok(())
}

fn ends_have_statuses(machines: &mut Machines<'_>) -> Result<()> {
    for (end, wanted) in [
        ("poweroff", SoloEnding::PoweredOff),
        ("reboot", SoloEnding::Rebooted),
        ("panic", SoloEnding::Crashed),
    ] {
        let mut guest = SoloGuest::new(StartedBy::Paravane, SoloKernel::Stock);
        guest.args = format!("paravane.end={end}");
        let report = machines.run_solo(&guest)?;
        ensure!(report.ending == wanted, "{end}: {}", report.ending);
    }
    Ok(())
}

/// The line that init writes.
fn init_line(console: &str) -> Result<&str> {
    let line = console
        .lines()
        .find(|line| line.contains("paravane: init after "));
    line.map(str::trim).context("init did not run")
}
