// SPDX-License-Identifier: GPL-2.0

//! Booting and ending: magic keys, power-off, reboot, many boots in a row.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::context::{Ctx, Machines};
use crate::host::Start;
use crate::matrix::Cell;
use crate::scenario::Scenario;
use crate::topology::{Hypervisor, Topology};

/// What dom0's kernel writes when it has booted, at this log level.
const BOOTED: &str = "Run /init as init process";

/// A machine that starts again when it is reset, and tells of it.
const TELLING: Topology = Topology {
    restarts: true,
    ..Topology::PARAVANE.dom0_args("paravane.toolstack=none loglevel=7")
};

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("hypervisor.sysrq_answers{on_xen}", sysrq_answers)
        .on_each(&Cell::on_both_hypervisors(Topology::PARAVANE_REAL)),
    Scenario::alone(
        "hypervisor.dom0_reboots_and_powers_off{on_xen}",
        TELLING,
        reboots_and_powers_off,
    )
    .on_each(&[Cell::on(TELLING), Cell::on(TELLING.on_xen())])
    .full(),
    Scenario::alone(
        "hypervisor.boots_in_a_row{on_xen}",
        Topology::PARAVANE,
        boots_in_a_row,
    )
    .on_each(&[
        Cell::on(Topology::PARAVANE),
        Cell::on(Topology::PARAVANE.on_xen()),
    ])
    .full(),
];

/// Keys that print: the kernel's answer is in its log.
fn sysrq_answers(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let answers = [
        ("m", "Mem-Info"),
        ("p", "Show Regs"),
        ("w", "Show Blocked State"),
        ("s", "Emergency Sync"),
    ];
    for (key, answer) in answers {
        dom0.sh(&format!(
            "dmesg -C; echo {key} > /proc/sysrq-trigger; n=0; \
             until dmesg | grep -q '{answer}'; do sleep 0.1; n=$((n+1)); [ $n -lt $((50 * PACE)) ]; done"
        ))
        .with_context(|| format!("sysrq {key} does not say {answer:?}"))?;
    }
    Ok(())
}

fn reboots_and_powers_off(machines: &mut Machines<'_>) -> Result<()> {
    let topology = machines.topology;
    let host = machines.start(&topology, Start::Boot)?;
    host.reboot(BOOTED)?;
    drop(host);
    let topology = Topology {
        restarts: false,
        ..topology
    };
    machines.start(&topology, Start::Boot)?.power_off()
}

/// With two and with four vCPUs in turn, each boot to its orderly end. On Xen with one: QEMU's emulated SVM loses a PVH dom0
/// with more now and then, and in so many boots surely.
fn boots_in_a_row(machines: &mut Machines<'_>) -> Result<()> {
    let (mut times, rounds) = ([0.0, 0.0], machines.rounds(2, 100));
    let counts = match machines.topology.hypervisor {
        Hypervisor::Xen => [1, 1],
        Hypervisor::Paravane => [2, 4],
    };
    for round in 0..rounds {
        let vcpus = counts[round as usize % 2];
        let topology = with_vcpus(machines.topology, vcpus);
        let mut boot = || -> Result<Duration> {
            let host = machines.start(&topology, Start::Boot)?;
            let seen = host.dom0().sh("nproc")?;
            ensure!(seen == vcpus.to_string(), "dom0 has {seen} processors");
            let time = host.boot_time;
            host.power_off()?;
            Ok(time)
        };
        let time = boot().with_context(|| format!("boot {} of {rounds}", round + 1))?;
        times[round as usize % 2] += time.as_secs_f32();
    }
    let halves = [rounds.div_ceil(2), rounds / 2];
    machines.note(format!(
        "{rounds} boots, on average {:.1} s with {} vCPUs and {:.1} s with {}",
        times[0] / halves[0] as f32,
        counts[0],
        times[1] / halves[1].max(1) as f32,
        counts[1]
    ));
    Ok(())
}

/// A machine with so many vCPUs for dom0, and what its hypervisor wants besides.
fn with_vcpus(topology: Topology, count: u32) -> Topology {
    let spare = topology.cpus - topology.dom0_vcpus;
    Topology {
        cpus: count + spare,
        ..topology.dom0_vcpus(count)
    }
}
