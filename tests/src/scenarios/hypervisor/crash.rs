// SPDX-License-Identifier: GPL-2.0

//! What the hypervisor says when it crashes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::remote::scaled;
use crate::scenario::{Machines, Scenario};
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
    let machine = machines.start(&topology)?;
    let end = Instant::now() + scaled(Duration::from_secs(30));
    while !machine.console().contains("the machine is halted") {
        ensure!(Instant::now() < end, "the hypervisor does not crash");
        std::thread::sleep(Duration::from_millis(100));
    }
    let console = machine.console();
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
