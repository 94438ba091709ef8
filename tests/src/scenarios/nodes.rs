// SPDX-License-Identifier: GPL-2.0

//! The toolstack on our drivers: the nodes in dom0's `/dev/xen` are ours, and the kernel's own are not loaded.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::disk::Disk;
use crate::guest::{Guest, Mode};
use crate::scenario::{Ctx, Scenario};
use crate::topology::Topology;

const PV: Topology = Topology::PV.with_our_nodes();
const PVH: Topology = Topology::PVH.with_our_nodes();

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("nodes.are_ours_pv", are_ours).on(PV),
    Scenario::new("nodes.are_ours_pvh", are_ours).on(PVH).full(),
    Scenario::new("nodes.xens_own_tests_pass_pv", xens_own_tests_pass).on(PV),
    Scenario::new("nodes.xens_own_tests_pass_pvh", xens_own_tests_pass)
        .on(PVH)
        .full(),
    Scenario::new("nodes.kernels_own_answer_as_expected_pv", answers),
    Scenario::new("nodes.ours_answer_as_the_kernels_own_pv", answers).on(PV),
    Scenario::new("nodes.kernels_own_answer_as_expected_pvh", answers)
        .on(Topology::PVH)
        .full(),
    Scenario::new("nodes.ours_answer_as_the_kernels_own_pvh", answers)
        .on(PVH)
        .full(),
    Scenario::new("nodes.survive_senseless_calls_pv", senseless_calls).on(PV),
    Scenario::new("nodes.survive_senseless_calls_pvh", senseless_calls)
        .on(PVH)
        .full(),
    Scenario::new("nodes.guests_come_and_go_pv", guests_come_and_go).on(PV),
    Scenario::new("nodes.guests_come_and_go_pvh", guests_come_and_go)
        .on(PVH)
        .full(),
    Scenario::new("nodes.guest_is_saved_and_restored_pv", saved_and_restored)
        .on(PV)
        .full(),
    Scenario::new("nodes.guest_is_saved_and_restored_pvh", saved_and_restored)
        .on(PVH)
        .full(),
];

/// Modules and nodes of the toolstack.
const NODES: [&str; 4] = ["evtchn", "gntalloc", "gntdev", "privcmd"];

fn are_ours(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let loaded = dom0.sh("lsmod | awk 'NR > 1 { print $1 }'")?;
    let is_loaded = |module: &str| loaded.lines().any(|line| line == module);
    for node in NODES {
        ensure!(is_loaded(&format!("xen_{node}_rs")), "{loaded}");
        ensure!(!is_loaded(&format!("xen_{node}")), "{loaded}");
        let mode = dom0.sh(&format!("stat -c '%F %a' /dev/xen/{node}"))?;
        ensure!(mode == "character special file 600", "{node}: {mode}");
    }
    let mode = dom0.sh("stat -c '%F %a' /dev/xen/hypercall")?;
    ensure!(mode == "character special file 600", "hypercall: {mode}");
    // xenfs has found our table of callbacks under the C driver's name.
    dom0.sh("[ -e /proc/xen/privcmd ] && grep -q control_d /proc/xen/capabilities")?;
    for (parameter, value) in [
        ("xen_gntalloc_rs/parameters/limit", "1024"),
        ("xen_gntdev_rs/parameters/limit", "65536"),
        ("xen_privcmd_rs/parameters/dm_op_max_nr_bufs", "16"),
        ("xen_privcmd_rs/parameters/dm_op_buf_max_size", "4096"),
    ] {
        let found = dom0.sh(&format!("cat /sys/module/{parameter}"))?;
        ensure!(found == value, "{parameter} is {found}");
    }
    // Nothing that is in use can be unloaded.
    let refused = dom0.run("rmmod xen_evtchn_rs")?.fails()?;
    ensure!(refused.stderr.contains("in use"), "{}", refused.stderr);
    Ok(())
}

fn xens_own_tests_pass(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    for test in [
        "test-xenstore",
        "test-resource",
        "test-paging-mempool",
        "test-cpu-policy",
    ] {
        dom0.sh(&format!("/usr/lib/xen-4*/bin/{test}"))
            .with_context(|| format!("{test} fails on our nodes"))?;
    }
    Ok(())
}

/// Good and bad calls on every node get the answers that the C drivers give, and nothing is left behind.
fn answers(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let ours = dom0.sh("lsmod")?.contains("xen_privcmd_rs");
    let before = if ours { in_use(ctx)? } else { String::new() };
    let said = dom0.run("/payload/bin/node-calls")?;
    ensure!(said.succeeded(), "{}{}", said.stdout, said.stderr);
    ctx.note(said.stdout.trim().to_owned());
    if ours {
        let after = in_use(ctx)?;
        ensure!(before == after, "before: {before}\nafter: {after}");
    }
    Ok(())
}

/// Random calls from many threads leave the kernel sound (its log is watched all the time), the toolstack at work and
/// nothing behind.
fn senseless_calls(ctx: &mut Ctx<'_>) -> Result<()> {
    let before = in_use(ctx)?;
    let dom0 = ctx.host.dom0();
    for seed in 1..=ctx.rounds(1, 20) {
        let limit = Duration::from_secs(120);
        let ran = dom0.run_for(limit, &format!("/payload/bin/node-fuzz 15 {seed}"))?;
        ensure!(
            ran.succeeded(),
            "seed {seed}: {:?}, {}{}",
            ran.exit,
            ran.stdout,
            ran.stderr
        );
        ctx.note(format!(
            "seed {seed}: {}",
            ran.stdout.trim().replace('\n', ", ")
        ));
    }
    // Pages that the kernel has in use are unmapped a little later.
    dom0.sh("sleep 2")?;
    let after = in_use(ctx)?;
    ensure!(before == after, "before: {before}\nafter: {after}");
    ensure!(dom0.sh("xl list | awk 'NR == 2 { print $1 }'")? == "Domain-0");
    Ok(())
}

/// What our drivers have in use in dom0, as they say themselves.
fn in_use(ctx: &Ctx<'_>) -> Result<String> {
    ctx.host.dom0().sh(
        "cd /sys/kernel/debug/xen_rs && for f in event_channels foreign_pages mapped_pages buffer_pages grant_refs; do \
         echo $f $(cat $f); done; for n in evtchn gntalloc gntdev privcmd; do \
         echo $n $(grep -c '\\[' ../xen_${n}_rs/files); done",
    )
}

fn guests_come_and_go(ctx: &mut Ctx<'_>) -> Result<()> {
    let rounds = ctx.rounds(2, 200);
    let once = |ctx: &Ctx<'_>, mode| -> Result<()> {
        let disk = Disk::file("n.img", "xvda").mib(16);
        let guest = ctx.host.create(Guest::new("g1", mode).disk(disk))?;
        ensure!(guest.sh("uname -r")? == ctx.host.kernel);
        let dom0 = ctx.host.dom0();
        dom0.sh("xl pause g1 && xl unpause g1 && xl list g1 > /dev/null")?;
        guest.shutdown()?;
        ctx.host.clean()
    };
    // The first guest makes the daemons open what they keep.
    once(ctx, Mode::Pvh)?;
    let before = in_use(ctx)?;
    for round in 0..rounds {
        let mode = if round % 2 == 0 { Mode::Pv } else { Mode::Pvh };
        once(ctx, mode)?;
    }
    let after = in_use(ctx)?;
    ensure!(before == after, "before: {before}\nafter: {after}");
    ctx.note(after.replace('\n', ", "));
    Ok(())
}

fn saved_and_restored(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = ctx.host.create(Guest::pvh("g1"))?;
    guest.sh("echo kept > /tmp/kept")?;
    guest.save("/disks/g1.save")?;
    guest.restore("/disks/g1.save")?;
    ensure!(guest.sh("cat /tmp/kept")? == "kept");
    guest.migrate()?;
    ensure!(guest.sh("cat /tmp/kept")? == "kept");
    guest.shutdown()
}
