// SPDX-License-Identifier: GPL-2.0

//! What the hypervisor says when it crashes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::context::Machines;
use crate::scenario::Scenario;
use crate::topology::Topology;

/// A hypervisor that crashes before it builds dom0, and stays.
const CRASHING: Topology = Topology {
    xen_args: "crash-test noreboot",
    ..Topology::PARAVANE
};

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[Scenario::alone(
    "hypervisor.crashes_are_reported_readably",
    CRASHING,
    reported_readably,
)];

fn reported_readably(machines: &mut Machines<'_>) -> Result<()> {
    let topology = machines.topology;
    let mut machine = machines.start_alone(&topology)?;
    let limit = Duration::from_secs(30);
    let console = machine.wait_for("the hypervisor to crash", limit, |machine| {
        let console = machine.console();
        let halted = console.contains("the machine is halted");
        Ok(halted.then_some(console))
    })?;
    let report = console
        .split_once("*** Paravane stops: ")
        .context("there is no report")?
        .1;
    // What happened and where, the registers, and who called.
    let first = report.lines().next().unwrap_or_default();
    ensure!(
        first.starts_with("page fault (vector 14, error 0x3) at 0xffffffff80")
            && first.contains(" hypervisor::arch::crash::test+0x"),
        "the report begins with {first:?}"
    );
    let fault = report.lines().find(|line| line.contains("cr2 "));
    let fault = fault.context("the report has no registers")?;
    ensure!(
        fault.contains("cr2 ffffffff80"),
        "the report says {fault:?}"
    );
    let callers: Vec<_> = report
        .lines()
        .skip_while(|line| !line.contains("called from"))
        .skip(1)
        .take_while(|line| line.contains(" 0xffffffff80"))
        .collect();
    ensure!(
        callers
            .iter()
            .any(|line| line.contains(" hypervisor::main+0x"))
            && !callers.iter().any(|line| line.ends_with('?')),
        "the report says who called as {callers:?}"
    );
    Ok(())
}
