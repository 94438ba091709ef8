// SPDX-License-Identifier: GPL-2.0

//! The stock kernel on our own hypervisor. What a machine shows to any dom0 is described once and runs on Xen too, with
//! `--full` and under a name of its own: a test that fails there is wrong.

mod clock;
mod crash;
mod devices;
mod ends;
mod misbehaving;

use anyhow::{Context, Result, ensure};

use crate::scenario::{Ctx, Machines, Scenario};
use crate::topology::{Kernel, Topology};

/// The scenarios of this group.
pub fn scenarios() -> Vec<Scenario> {
    [
        clock::SCENARIOS,
        devices::SCENARIOS,
        ends::SCENARIOS,
        crash::SCENARIOS,
        misbehaving::SCENARIOS,
        OWN,
    ]
    .concat()
}

/// Twice as many vCPUs as processors.
const CROWDED: Topology = Topology {
    dom0_vcpus: 4,
    ..Topology::PARAVANE
};

const OWN: &[Scenario] = &[
    Scenario::new("hypervisor.stock_kernel_runs_as_dom0", runs_as_dom0).on(Topology::PARAVANE_REAL),
    Scenario::new("hypervisor.packaged_kernel_runs_as_dom0", runs_as_dom0)
        .on(PACKAGED)
        .full(),
    Scenario::new(
        "hypervisor.sysrq_reaches_all_processors",
        sysrq_reaches_all_processors,
    )
    .on(Topology::PARAVANE_REAL),
    Scenario::new("hypervisor.vcpus_share_processors", vcpus_share_processors)
        .on(CROWDED)
        .full(),
    Scenario::new("hypervisor.toolstack_answers", toolstack_answers).on(Topology::PARAVANE),
    Scenario::new(
        "hypervisor.toolstack_answers_on_our_nodes",
        toolstack_answers,
    )
    .on(Topology::PARAVANE.with_our_nodes()),
];

/// The machine with the kernel as its package has it, which costs some seconds.
const PACKAGED: Topology = Topology {
    kernel: Kernel::Packed,
    ..Topology::PARAVANE
};

/// A scenario on our hypervisor, and the same on Xen under its second name.
const fn on_both(
    names: [&'static str; 2],
    topology: Topology,
    run: fn(&mut Ctx<'_>) -> Result<()>,
) -> [Scenario; 2] {
    [
        Scenario::new(names[0], run).on(topology),
        Scenario::new(names[1], run).on(topology.on_xen()).full(),
    ]
}

/// The same for one that boots machines itself; only by `--full`.
const fn alone_on_both(
    names: [&'static str; 2],
    topology: Topology,
    run: fn(&mut Machines<'_>) -> Result<()>,
) -> [Scenario; 2] {
    [
        Scenario::alone(names[0], topology, run).full(),
        Scenario::alone(names[1], topology.on_xen(), run).full(),
    ]
}

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

fn sysrq_reaches_all_processors(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    // Each processor tells where it is when a non-maskable interrupt comes, twice: the first has to have ended.
    for round in 1..=2 {
        let told = dom0.sh(
            "dmesg -C; dmesg -n 1; echo l > /proc/sysrq-trigger; sleep 1; dmesg -n 5; \
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
    // They all ran, and none of them for much longer than its share.
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

fn toolstack_answers(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let topology = *ctx.host.topology();
    // A name and what follows it, one of `xl info`'s lines.
    let info = dom0.sh("xl info")?;
    let says = |name: &str| {
        let lines = info.lines().filter_map(|line| line.split_once(':'));
        let mut of_name = lines.filter(|(key, _)| key.trim() == name);
        let value = of_name.next().map(|(_, value)| value.trim().to_owned());
        value.with_context(|| format!("`xl info` says no {name}"))
    };
    ensure!(says("nr_cpus")? == topology.cpus.to_string(), "{info}");
    ensure!(says("xen_version")?.ends_with("paravane"), "{info}");
    ensure!(says("virt_caps")?.contains("hvm"), "{info}");
    let (total, free): (u32, u32) = (
        says("total_memory")?.parse()?,
        says("free_memory")?.parse()?,
    );
    ensure!(
        total <= topology.memory && total + 64 > topology.memory,
        "{total} MiB in a machine of {}",
        topology.memory
    );
    ensure!(
        free < total - topology.dom0_memory && free + 64 > total - topology.dom0_memory,
        "{free} MiB are free of {total}, of which dom0 has {}",
        topology.dom0_memory
    );

    let list = dom0.sh("xl list | awk 'NR > 1 { print $1, $2, $3, $4, $5 }'")?;
    let memory: u32 = list
        .split(' ')
        .nth(2)
        .context("no memory in the list")?
        .parse()?;
    let (mib, vcpus) = (topology.dom0_memory, topology.dom0_vcpus);
    ensure!(
        list == format!("Domain-0 0 {memory} {vcpus} r-----") && memory.abs_diff(mib) < 8,
        "xl list says {list}"
    );
    let vcpus = dom0.sh("xl vcpu-list 0 | awk 'NR > 1 { print $1, $2, $3 }'")?;
    ensure!(
        vcpus.lines().count() == topology.dom0_vcpus as usize && vcpus.starts_with("Domain-0 0 0"),
        "xl vcpu-list says {vcpus}"
    );
    // Time runs for each of them.
    let spent = "xl vcpu-list 0 | awk 'NR > 1 { sum += $6 } END { print sum }'";
    let before: f32 = dom0.sh(spent)?.parse()?;
    dom0.sh("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")?;
    let after: f32 = dom0.sh(spent)?.parse()?;
    ensure!(after > before, "{before} s were spent, then {after} s");

    // The hypervisor's own first words, and what is said to its console by dom0.
    let said = dom0.sh("xl dmesg")?;
    ensure!(
        said.contains("(PV) Paravane ") && said.contains("vCPUs"),
        "{said}"
    );
    dom0.sh("echo '<4>paravane: heard' > /dev/kmsg; n=0; until xl dmesg | grep -q 'paravane: heard' || [ $n -gt 50 ]; do sleep 0.1; n=$((n+1)); done; [ $n -le 50 ]")?;

    // xenstored and its clients have event channels and a page in common through our nodes.
    dom0.sh("/usr/lib/xen-4*/bin/test-xenstore")?;
    ensure!(dom0.sh("xenstore-read domid")? == "0");
    ctx.note(format!(
        "xl {} by {free} of {total} MiB free",
        says("xen_version")?
    ));
    Ok(())
}
