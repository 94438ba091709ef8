// SPDX-License-Identifier: GPL-2.0

//! dom0's processors on our own hypervisor: they interrupt each other, and share those of the machine.

use anyhow::{Result, ensure};

use crate::context::Ctx;
use crate::scenario::Scenario;
use crate::topology::Topology;

/// Twice as many vCPUs as processors.
const CROWDED: Topology = Topology {
    dom0_vcpus: 4,
    ..Topology::PARAVANE
};

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "hypervisor.sysrq_reaches_all_processors",
        sysrq_reaches_all_processors,
    )
    .on(Topology::PARAVANE),
    Scenario::new("hypervisor.vcpus_share_processors", vcpus_share_processors)
        .on(CROWDED)
        .full(),
];

fn sysrq_reaches_all_processors(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    // Each processor tells where it is when a non-maskable interrupt comes, twice: the first has to have ended.
    for round in 1..=2 {
        let told = dom0.sh(
            "dmesg -C; dmesg -n 1; echo l > /proc/sysrq-trigger; sleep $PACE; dmesg -n 5; \
             dmesg | grep -o 'NMI backtrace for cpu [0-9]*' | sort -u | wc -l",
        )?;
        ensure!(
            told == ctx.host.topology().dom0_vcpus.to_string(),
            "{told} processors told where they are in round {round}"
        );
    }
    Ok(())
}

fn vcpus_share_processors(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let (vcpus, cpus) = (ctx.host.topology().dom0_vcpus, ctx.host.topology().cpus);
    ensure!(dom0.sh("nproc")? == vcpus.to_string());
    // As many programs as vCPUs that add up fractions at the same time: registers of one that another gets back make
    // another sum.
    let sum =
        "awk 'BEGIN { for (i = 1; i < 400000; i++) s += sqrt(i) / 7; printf \"%.6f\\n\", s }'";
    let alone = dom0.sh(sum)?;
    let together = dom0.sh(&format!(
        "for cpu in $(seq 0 {}); do taskset -c $cpu {sum} > /tmp/sum.$cpu & done; wait; sort -u /tmp/sum.*; rm /tmp/sum.*",
        vcpus - 1
    ))?;
    ensure!(
        together == alone,
        "one at a time {alone}, together {together}"
    );
    // They all ran. How long each did says nothing of their shares, since each had the same to do.
    let spent = dom0.sh("xl vcpu-list 0 | awk 'NR > 1 { print $6 }'")?;
    let spent = spent
        .lines()
        .map(str::parse)
        .collect::<Result<Vec<f32>, _>>()?;
    ensure!(
        spent.len() == vcpus as usize && spent.iter().all(|time| *time > 0.0),
        "the vCPUs ran for {spent:?} s"
    );
    ctx.note(format!(
        "{vcpus} vCPUs on {cpus} processors ran for {spent:?} s"
    ));
    Ok(())
}
