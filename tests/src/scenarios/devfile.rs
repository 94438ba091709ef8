// SPDX-License-Identifier: GPL-2.0

//! The toolstack on our drivers: the nodes in dom0's `/dev/xen` are ours, and the kernel's own are not loaded.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::disk::Disk;
use crate::guest::{Domain, Driver, Guest, Mode};
use crate::scenario::{Ctx, Scenario};
use crate::topology::Topology;

const PV: Topology = Topology::PV.with_our_nodes();
/// All on one processor: the emulator loses a PVH dom0 that has two, or that is at work while a guest is on another (see
/// [`Topology::placement`]).
const PVH: Topology = Topology {
    cpus: 1,
    dom0_vcpus: 1,
    ..Topology::PVH.with_our_nodes()
};
const PV_C_XENSTORED: Topology = Topology::PV.with_our_nodes_and_c_xenstored();

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("nodes.are_ours_pv", are_ours).on(PV).core(),
    Scenario::new("nodes.are_ours_pvh", are_ours).on(PVH).full(),
    Scenario::new("nodes.xens_own_tests_pass_pv", xens_own_tests_pass).on(PV),
    Scenario::new("nodes.xens_own_tests_pass_pvh", xens_own_tests_pass)
        .on(PVH)
        .full(),
    Scenario::new("nodes.kernels_own_answer_as_expected_pv", answers),
    Scenario::new("nodes.ours_answer_as_the_kernels_own_pv", answers)
        .on(PV)
        .core(),
    Scenario::new("nodes.kernels_own_answer_as_expected_pvh", answers)
        .on(Topology::PVH)
        .full(),
    Scenario::new("nodes.ours_answer_as_the_kernels_own_pvh", answers).on(PVH),
    Scenario::new("nodes.survive_senseless_calls_pv", senseless_calls).on(PV),
    Scenario::new("nodes.survive_senseless_calls_pvh", senseless_calls)
        .on(PVH)
        .full(),
    Scenario::new("nodes.eventfds_reach_the_guest_pv", eventfds)
        .on(PV)
        .full(),
    Scenario::new("nodes.eventfds_reach_the_guest_pvh", eventfds)
        .on(PVH)
        .full(),
    Scenario::new("nodes.dmabufs_are_the_guests_pages_pvh", dmabufs)
        .on(PVH)
        .full(),
    Scenario::new("nodes.guests_come_and_go_pv", guests_come_and_go).on(PV),
    Scenario::new("nodes.guests_come_and_go_pvh", guests_come_and_go)
        .on(PVH)
        .full(),
    Scenario::new("nodes.domains_are_destroyed_early_pv", destroyed_early)
        .on(PV)
        .full(),
    Scenario::new("nodes.domains_are_destroyed_early_pvh", destroyed_early)
        .on(PVH)
        .full(),
    Scenario::new(
        "nodes.guests_come_and_go_with_c_xenstored",
        guests_come_and_go,
    )
    .on(PV_C_XENSTORED)
    .full(),
    Scenario::new("nodes.hvm_guest_has_its_device_model_pv", hvm_guest)
        .on(PV)
        .full(),
    Scenario::new("nodes.hvm_guest_has_its_device_model_pvh", hvm_guest)
        .on(PVH)
        .full(),
    Scenario::new("nodes.qemu_serves_a_disk_pv", qemu_serves_a_disk)
        .on(PV)
        .full(),
    Scenario::new("nodes.qemu_serves_a_disk_pvh", qemu_serves_a_disk)
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
        ("xen_privcmd_rs/parameters/max_eventfds", "1024"),
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
        left(ctx, &before)?;
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
    // Pages that the kernel has in use are unmapped a little later, and then what was lent is tried again every second.
    left(ctx, &before)?;
    ensure!(dom0.sh("xl list | awk 'NR == 2 { print $1 }'")? == "Domain-0");
    Ok(())
}

/// A guest's doorbells signal eventfds (where dom0's kernel sees the requests: not in PV), and an eventfd powers the guest
/// off. Nothing is left behind.
fn eventfds(ctx: &mut Ctx<'_>) -> Result<()> {
    leaves_nothing(ctx, 1, |ctx, _| {
        let guest = ctx.host.create(Guest::pvh("g1"))?;
        let dom0 = ctx.host.dom0();
        let said = dom0.run(&format!("/payload/bin/node-eventfds {}", guest.domid()))?;
        ensure!(said.succeeded(), "{}{}", said.stdout, said.stderr);
        dom0.wait_for(
            "the domain to go",
            Duration::from_secs(20),
            "xl domid g1 >/dev/null 2>&1 || echo gone",
            |text| text == "gone",
        )?;
        drop(guest);
        ctx.host.clean()
    })
}

/// Grants that were made dma-bufs are the guest's pages.
fn dmabufs(ctx: &mut Ctx<'_>) -> Result<()> {
    leaves_nothing(ctx, 1, |ctx, _| {
        let guest = ctx.host.create(Guest::pvh("g1"))?;
        let dom0 = ctx.host.dom0();
        dom0.sh("xl pause g1")?;
        let said = dom0.run(&format!("/payload/bin/node-dmabufs {}", guest.domid()))?;
        ensure!(said.succeeded(), "{}{}", said.stdout, said.stderr);
        guest.destroy()?;
        ctx.host.clean()
    })
}

/// What our drivers have in use in dom0, as they say themselves.
fn in_use(ctx: &Ctx<'_>) -> Result<String> {
    ctx.host.dom0().sh(
        "cd /sys/kernel/debug/xen_rs && for f in event_channels eventfds foreign_pages mapped_pages buffer_pages \
         grant_refs lent_buffers; do echo $f $(cat $f); done; for n in evtchn gntalloc gntdev privcmd; do \
         echo $n $(grep -c '\\[' ../xen_${n}_rs/files); done",
    )
}

fn guests_come_and_go(ctx: &mut Ctx<'_>) -> Result<()> {
    let rounds = ctx.rounds(1, 20);
    leaves_nothing(ctx, rounds, |ctx, round| {
        let disk = Disk::file("n.img", "xvda").mib(16);
        let guest = ctx
            .host
            .create(Guest::new("g1", in_turn(round)).disk(disk))?;
        ensure!(guest.sh("uname -r")? == ctx.host.kernel);
        let dom0 = ctx.host.dom0();
        dom0.sh("xl pause g1 && xl unpause g1 && xl list g1 > /dev/null")?;
        guest.shutdown()?;
        ctx.host.clean()
    })
}

/// Domains that are destroyed while they boot leave nothing behind, in our drivers and in the hypervisor.
fn destroyed_early(ctx: &mut Ctx<'_>) -> Result<()> {
    let rounds = ctx.rounds(4, 200);
    let mut free: Vec<u32> = vec![];
    leaves_nothing(ctx, rounds, |ctx, round| {
        let disk = Disk::file("d.img", "xvda").mib(16);
        let guest = Guest::new("g1", in_turn(round)).disk(disk);
        ctx.host.create_only(&guest)?.destroy()?;
        ctx.host.clean()?;
        let mib = ctx.host.dom0().sh("xl info free_memory")?;
        free.push(mib.parse().context("xl prints a strange number")?);
        Ok(())
    })?;
    // The hypervisor gives a domain's memory back a little after the domain went.
    let most = |few: &[u32]| few.iter().copied().max().unwrap_or(0);
    let (before, after) = (most(&free[..3]), most(&free[free.len() - 3..]));
    ensure!(
        after >= before,
        "Xen has less and less free memory: {free:?} MiB"
    );
    ctx.note(format!(
        "free memory of Xen: {before} MiB, {after} MiB {rounds} domains later"
    ));
    Ok(())
}

/// What QEMU does for a guest goes through our nodes: ioreq server and guest memory (`privcmd`), events (`evtchn`).
fn hvm_guest(ctx: &mut Ctx<'_>) -> Result<()> {
    leaves_nothing(ctx, 1, |ctx, _| {
        let disk = Disk::file("h.img", "xvda").mib(64);
        let guest = ctx.host.create(Guest::hvm("g1").memory(512).disk(disk))?;
        has_open(ctx, "qemu", "privcmd")?;
        same_content(ctx, &guest, "/disks/h.img")?;
        guest.shutdown()?;
        ctx.host.clean()
    })
}

/// QEMU's block back end maps the guest's grants with gntdev.
fn qemu_serves_a_disk(ctx: &mut Ctx<'_>) -> Result<()> {
    leaves_nothing(ctx, 2, |ctx, round| {
        let disk = Disk::file("q.img", "xvda")
            .mib(64)
            .option("backendtype=qdisk");
        let guest = ctx
            .host
            .create(Guest::new("g1", in_turn(round)).disk(disk))?;
        has_open(ctx, "qemu", "gntdev")?;
        same_content(ctx, &guest, "/disks/q.img")?;
        guest.shutdown()?;
        ctx.host.clean()
    })
}

/// PV and PVH by turns.
fn in_turn(round: u32) -> Mode {
    if round % 2 == 0 { Mode::Pv } else { Mode::Pvh }
}

/// Does something once, for the daemons open what they keep then, and so often again; nothing more is in use
/// afterwards.
fn leaves_nothing(
    ctx: &mut Ctx<'_>,
    rounds: u32,
    mut once: impl FnMut(&Ctx<'_>, u32) -> Result<()>,
) -> Result<()> {
    once(ctx, 1)?;
    let before = in_use(ctx)?;
    for round in 0..rounds {
        once(ctx, round)?;
    }
    ctx.note(before.replace('\n', ", "));
    left(ctx, &before)
}

/// A program of dom0, by a part of its name, has one of our nodes open.
fn has_open(ctx: &Ctx<'_>, program: &str, node: &str) -> Result<()> {
    ctx.host
        .dom0()
        .sh(&format!(
            "grep -q {program} /sys/kernel/debug/xen_{node}_rs/files"
        ))
        .with_context(|| format!("{program} does not have {node} open"))
        .map(drop)
}

/// Random data that the guest writes, with our frontend, is in its disk and in the file behind it.
fn same_content(ctx: &Ctx<'_>, guest: &Domain, file: &str) -> Result<()> {
    guest.load_blkfront(Driver::Rust, "")?;
    guest
        .sh("dd if=/dev/urandom of=/dev/xvda bs=1M count=32 oflag=direct conv=fsync 2>/dev/null")?;
    let sum = "head -c 33554432";
    let [there, here] = [
        guest.sh(&format!("{sum} /dev/xvda | sha256sum"))?,
        ctx.host.dom0().sh(&format!("{sum} {file} | sha256sum"))?,
    ];
    ensure!(there == here, "{there} in the guest, {here} in {file}");
    Ok(())
}

/// Nothing is in use that was not before; what processes that are ending hold may take a moment.
fn left(ctx: &Ctx<'_>, before: &str) -> Result<()> {
    let limit = ctx.host.pace().limit(Duration::from_secs(5));
    loop {
        let over = limit.is_over();
        let after = in_use(ctx)?;
        if after == before {
            return Ok(());
        }
        ensure!(
            !over,
            "after it was waited {}, before: {before}\nafter: {after}",
            limit.spent()
        );
        std::thread::sleep(Duration::from_millis(250));
    }
}

fn saved_and_restored(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = ctx.host.create(Guest::pvh("g1"))?;
    guest.sh("echo kept > /tmp/kept; echo heard > /dev/hvc0")?;
    let console = "sleep $((2 * PACE)) | timeout $((5 * PACE)) xl console g1 | grep -q heard";
    ctx.host.dom0().sh(console).context("xl console")?;
    guest.save("/disks/g1.save")?;
    guest.restore("/disks/g1.save")?;
    ensure!(guest.sh("cat /tmp/kept")? == "kept");
    guest.migrate()?;
    ensure!(guest.sh("cat /tmp/kept")? == "kept");
    guest.shutdown()
}
