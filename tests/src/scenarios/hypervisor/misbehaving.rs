// SPDX-License-Identifier: GPL-2.0

//! A guest that does all it can to hurt the hypervisor hurts only itself: see `hypervisor/guest`.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};

use crate::context::Machines;
use crate::host::Start;
use crate::machine::Machine;
use crate::scenario::Scenario;
use crate::topology::{Kernel, Topology};

/// A small machine, most of whose memory is not dom0's. The seed is always the same.
const MACHINE: Topology = Topology {
    memory: 1024,
    dom0_vcpus: 1,
    dom0_memory: 256,
    kernel: Kernel::Misbehaving,
    // What dom0 does wrong is logged without a limit, and here it does nothing else.
    xen_args: "loglvl=info guest_loglvl=none",
    dom0_args: "memory=1024 calls=20000 seed=1",
    ..Topology::PARAVANE
};

/// A machine whose guest misbehaves for a long time, with seeds that the test chooses.
const LONG: Topology = Topology {
    dom0_args: "memory=1024 calls=300000",
    ..MACHINE
};

/// A usual machine, on which such a guest runs beside dom0.
const BESIDE: Topology = Topology {
    misbehaving_guest: "memory=1024 calls=200000 seed=1 devices=0",
    ..Topology::PARAVANE
};

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::alone(
        "hypervisor.misbehaving_guest_hurts_only_itself",
        MACHINE,
        hurts_only_itself,
    )
    .core(),
    Scenario::alone(
        "hypervisor.misbehaving_guest_does_not_hurt_dom0",
        BESIDE,
        does_not_hurt_dom0,
    ),
    Scenario::alone(
        "hypervisor.misbehaving_guests_hurt_only_themselves",
        LONG,
        hurt_only_themselves,
    )
    .full(),
];

/// What the guest says at the end of each of its parts, when the hypervisor still answers as it should.
const PARTS: [&str; 9] = [
    "debugging",
    "hypercalls",
    "queues",
    "registers",
    "instructions",
    "ports",
    "port strings",
    "PCI",
    "memory",
];

fn hurts_only_itself(machines: &mut Machines<'_>) -> Result<()> {
    let topology = machines.topology;
    let machine = machines.start_alone(&topology)?;
    let said = watch(machine, Duration::from_secs(60))?;
    said.into_iter().for_each(|line| machines.note(line));
    Ok(())
}

fn hurt_only_themselves(machines: &mut Machines<'_>) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    for round in 0..u64::from(machines.rounds(1, 10)) {
        let seed = now + round;
        // Each time it ends in another way.
        let arguments = format!("{} seed={seed} end={round}", machines.topology.dom0_args);
        let topology = Topology {
            // A machine's description outlives it; there are few.
            dom0_args: String::leak(arguments),
            ..machines.topology
        };
        let machine = machines.start_alone(&topology)?;
        let said = watch(machine, Duration::from_secs(600))?;
        said.into_iter().for_each(|line| machines.note(line));
    }
    Ok(())
}

/// dom0 works on, and reads the same from its disk, while a guest beside it misbehaves, and when that has died. What the guest
/// does wrong does not fill the log, although all of it is to be logged.
fn does_not_hurt_dom0(machines: &mut Machines<'_>) -> Result<()> {
    let topology = machines.topology;
    let started = Instant::now();
    let host = machines.start(&topology, Start::Boot)?;
    let read = || {
        host.dom0()
            .sh("echo 3 > /proc/sys/vm/drop_caches; find /payload -type f | sort | xargs sha256sum | sha256sum")
    };
    let before = read()?;
    let mut rounds = 0;
    let console = host
        .pace()
        .wait("the guest to end", Duration::from_secs(120), || {
            rounds += 1;
            ensure!(read()? == before, "dom0 reads something else from its disk");
            host.health().check()?;
            let console = host.console();
            let ended = console.contains("(guest) FAILED") || console.contains("d1 shuts down");
            Ok(ended.then_some(console))
        })?;
    if let Some((_, why)) = console.split_once("(guest) FAILED: ") {
        bail!("the guest says: {}", why.lines().next().unwrap_or_default());
    }
    for part in PARTS {
        let alive = format!("(d1) (guest) alive after {part}");
        ensure!(
            console.contains(&alive),
            "the guest did not come to {part:?}"
        );
    }
    ensure!(
        console.contains("d1v0: triple fault"),
        "the guest did not end as it means to"
    );
    ensure!(read()? == before, "dom0 reads something else from its disk");
    let reports = console.matches("(PVN) d1v0: ").count() as u64;
    // Seven kinds, and one message more of each in five seconds.
    let most = 7 * (11 + started.elapsed().as_secs() / 5);
    ensure!(
        (1..=most).contains(&reports),
        "{reports} messages tell what the guest does wrong, at most {most} were expected"
    );
    machines.note(format!(
        "dom0 has read {rounds} times the same while the guest ran; {reports} messages tell what that did wrong"
    ));
    host.power_off()
}

/// Watches the guest until it has died as it means to; returns what it said about what it did.
fn watch(mut machine: Machine, limit: Duration) -> Result<Vec<String>> {
    let console = machine.wait_for("the guest to end", limit, |machine| {
        let running = machine.check().is_ok();
        let console = machine.console();
        // A hypervisor that was told to end dom0 may halt the machine.
        let ended = console.contains("(guest) FAILED") || console.contains("shuts down");
        Ok((!running || ended).then_some(console))
    });
    let console =
        console.with_context(|| format!("last, it said {:?}", last(&machine.console())))?;
    if let Some((_, why)) = console.split_once("(guest) FAILED: ") {
        bail!("the guest says: {}", why.lines().next().unwrap_or_default());
    }
    for part in PARTS {
        let alive = format!("(guest) alive after {part}");
        ensure!(
            console.lines().any(|line| line.trim() == alive),
            "the hypervisor was not seen alive after {part}; last, the guest said {:?}, then {}",
            last(&console),
            report(&console).unwrap_or("nothing")
        );
    }
    // The guest's own end is dom0's, and dom0's the machine's: nothing else is one.
    let report = report(&console).unwrap_or("");
    let announced = console.contains("(guest) all done");
    let triple = console.contains("the end is TripleFault");
    ensure!(
        announced
            && report.starts_with("Hardware Dom0 crashed: ")
            && (!triple || report == "Hardware Dom0 crashed: triple fault"),
        "the machine ended otherwise than by the guest's own end: {report:?}"
    );
    let said = console
        .lines()
        .filter_map(|line| line.split_once("(guest) "));
    Ok(said
        .map(|(_, text)| text.trim().to_owned())
        .filter(|text| !text.starts_with("alive"))
        .collect())
}

fn last(console: &str) -> &str {
    let mut lines = console.lines().filter(|line| line.contains("(guest)"));
    lines.next_back().unwrap_or_default().trim()
}

/// What the hypervisor stopped for.
fn report(console: &str) -> Option<&str> {
    let mut lines = console.lines().filter_map(|line| line.split_once("*** "));
    lines.next().map(|(_, why)| why.trim())
}
