// SPDX-License-Identifier: GPL-2.0

//! The toolstack on our drivers: the device files in dom0's `/dev/xen` are ours, and the kernel's own modules are not loaded.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::context::Ctx;
use crate::disk::Disk;
use crate::guest::{Domain, Driver, Guest, Mode};
use crate::matrix::Cell;
use crate::scenario::Scenario;
use crate::topology::{Dom0, Hypervisor, Topology};

/// A PV dom0 with our drivers.
const PV: Topology = Topology::PV.with_our_device_files();

/// A PVH dom0 with our drivers, all on one processor: the emulator loses a PVH dom0 that has two, or that is at work while a
/// guest is on another (see [`Topology::placement`]).
const PVH: Topology = Topology {
    cpus: 1,
    dom0_vcpus: 1,
    ..Topology::PVH.with_our_device_files()
};

/// A PV dom0 whose xenstored is the one that is written in C.
const PV_C_XENSTORED: Topology = Topology::PV.with_our_device_files_and_c_xenstored();

/// Both kinds of dom0.
const BOTH: &[Cell] = &[Cell::on(PV), Cell::on(PVH)];

/// Both, PVH with `--full` only.
const MOSTLY_PV: &[Cell] = &[Cell::on(PV), Cell::on(PVH).full()];

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("devfile.are_ours_{dom0}", are_ours)
        .crosswise()
        .on_each(&[Cell::on(PV).core(), Cell::on(PVH).full()]),
    Scenario::new("devfile.xens_own_tests_pass_{dom0}", xens_own_tests_pass)
        .crosswise()
        .on_each(MOSTLY_PV),
    Scenario::new("devfile.kernels_own_answer_as_expected_{dom0}", answers)
        .crosswise()
        .on_each(&[Cell::on(Topology::PV), Cell::on(Topology::PVH).full()]),
    Scenario::new("devfile.ours_answer_as_the_kernels_own_{dom0}", answers)
        .crosswise()
        .on_each(&[Cell::on(PV).core(), Cell::on(PVH)]),
    Scenario::new("devfile.survive_senseless_calls_{dom0}", senseless_calls)
        .crosswise()
        .on_each(MOSTLY_PV),
    Scenario::new(
        "devfile.xsa_482_processes_of_a_guest_make_no_hypercalls",
        guests_hypercalls,
    )
    .on(PV)
    .full(),
    // Not on our hypervisor, which has no device models.
    Scenario::new("devfile.eventfds_reach_the_guest_{dom0}", eventfds)
        .on_each(BOTH)
        .full(),
    Scenario::new("devfile.dmabufs_are_the_guests_pages_{dom0}", dmabufs)
        .crosswise()
        .on(PVH)
        .full(),
    Scenario::new("devfile.guests_come_and_go_{dom0}", guests_come_and_go)
        .crosswise()
        .on_each(MOSTLY_PV),
    Scenario::new(
        "devfile.domains_are_destroyed_early_{dom0}",
        destroyed_early,
    )
    .crosswise()
    .on_each(BOTH)
    .full(),
    Scenario::new(
        "devfile.guests_come_and_go_with_c_xenstored",
        guests_come_and_go,
    )
    .crosswise()
    .on(PV_C_XENSTORED)
    .full(),
    Scenario::new("devfile.hvm_guest_has_its_device_model_{dom0}", hvm_guest)
        .on_each(BOTH)
        .full(),
    Scenario::new("devfile.qemu_serves_a_disk_{dom0}", qemu_serves_a_disk)
        .on_each(BOTH)
        .full(),
    Scenario::new(
        "devfile.guest_is_saved_and_restored_{dom0}",
        saved_and_restored,
    )
    .crosswise()
    .on_each(BOTH)
    .full(),
];

/// The device files of the toolstack, by whose names the modules are called.
const DEVICE_FILES: [&str; 4] = ["evtchn", "gntalloc", "gntdev", "privcmd"];

fn are_ours(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let loaded = dom0.sh("lsmod | awk 'NR > 1 { print $1 }'")?;
    let is_loaded = |module: &str| loaded.lines().any(|line| line == module);
    for file in DEVICE_FILES {
        ensure!(is_loaded(&format!("xen_{file}_rs")), "{loaded}");
        ensure!(!is_loaded(&format!("xen_{file}")), "{loaded}");
        let mode = dom0.sh(&format!("stat -c '%F %a' /dev/xen/{file}"))?;
        ensure!(mode == "character special file 600", "{file}: {mode}");
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
            .with_context(|| format!("{test} fails on our device files"))?;
    }
    Ok(())
}

/// Good and bad calls on every device file get the answers that the C drivers give, and nothing is left behind.
fn answers(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let ours = dom0.sh("lsmod")?.contains("xen_privcmd_rs");
    let before = if ours { in_use(ctx)? } else { String::new() };
    let said = dom0.run("/payload/bin/devfile-calls")?;
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
    // A PV kernel changes page table entries itself when a program calls mprotect(), as for any memory. Of another domain's pages
    // the hypervisor refuses that, and the kernel warns, in C or in ours. Nothing was changed then.
    if ctx.host.topology().dom0 == Dom0::Pv {
        ctx.expect_complaint("arch/x86/xen/multicalls.c");
        ctx.expect_complaint("core/calls/report.rs");
    }
    let before = in_use(ctx)?;
    let dom0 = ctx.host.dom0();
    for seed in 1..=ctx.rounds(1, 20) {
        let limit = Duration::from_secs(120);
        let ran = dom0.run_for(limit, &format!("/payload/bin/devfile-fuzz 15 {seed}"))?;
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
        let said = dom0.run(&format!("/payload/bin/devfile-eventfds {}", guest.domid()))?;
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
        let said = dom0.run(&format!("/payload/bin/devfile-dmabufs {}", guest.domid()))?;
        ensure!(said.succeeded(), "{}{}", said.stdout, said.stderr);
        guest.destroy()?;
        ctx.host.clean()
    })
}

/// A guest's processes make no hypercalls, unless its administrator allows it. The kernel's own driver does the same.
fn guests_hypercalls(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = ctx.host.create(Guest::pvh("g1"))?;
    let dom0 = ctx.host.dom0();
    let module = dom0.sh("modinfo -n xen_privcmd_rs")?;
    guest.put("/tmp/xen_privcmd_rs.ko", 0o600, &dom0.get(&module)?)?;
    let program = "/payload/bin/devfile-hypercalls";
    guest.put("/tmp/hypercalls", 0o700, &dom0.get(program)?)?;
    guest.sh("modprobe xen_rs")?;
    let blocked = "hypercall -1\ndm_op -1";
    let ours = guest.sh("insmod /tmp/xen_privcmd_rs.ko && /tmp/hypercalls")?;
    ensure!(ours == blocked, "ours: {ours}");
    let allowed = guest.sh(
        "rmmod xen_privcmd_rs && insmod /tmp/xen_privcmd_rs.ko unrestricted=1 && /tmp/hypercalls",
    )?;
    // The version is no error; dom0's device model is not the guest's.
    ensure!(!allowed.starts_with("hypercall -"), "allowed: {allowed}");
    let kernels_own =
        guest.sh("rmmod xen_privcmd_rs && modprobe xen-privcmd && /tmp/hypercalls")?;
    ensure!(kernels_own == blocked, "the kernel's own: {kernels_own}");
    guest.shutdown()
}

/// What our drivers have in use in dom0, as they say themselves.
fn in_use(ctx: &Ctx<'_>) -> Result<String> {
    ctx.host.dom0().sh(
        "cd /sys/kernel/debug/xen/objects && for f in event_channels eventfds foreign_pages mapped_pages buffer_pages \
         grant_refs lent_buffers; do echo $f $(cat $f); done; for n in evtchn gntalloc gntdev privcmd; do \
         echo $n $(grep -c '\\[' ../${n}/files); done",
    )
}

fn guests_come_and_go(ctx: &mut Ctx<'_>) -> Result<()> {
    let rounds = ctx.rounds(1, 20);
    leaves_nothing(ctx, rounds, |ctx, round| {
        let disk = Disk::file("n.img", "xvda").mib(16);
        let guest = ctx
            .host
            .create(Guest::new("g1", in_turn(ctx, round)).disk(disk))?;
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
        let guest = Guest::new("g1", in_turn(ctx, round)).disk(disk);
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

/// What QEMU does for a guest goes through our device files: ioreq server and guest memory (`privcmd`), events (`evtchn`).
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
            .create(Guest::new("g1", in_turn(ctx, round)).disk(disk))?;
        has_open(ctx, "qemu", "gntdev")?;
        same_content(ctx, &guest, "/disks/q.img")?;
        guest.shutdown()?;
        ctx.host.clean()
    })
}

/// PV and PVH by turns, where there are PV guests.
fn in_turn(ctx: &Ctx<'_>, round: u32) -> Mode {
    match ctx.host.topology().hypervisor {
        Hypervisor::Xen if round % 2 == 0 => Mode::Pv,
        _ => Mode::Pvh,
    }
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

/// A process of dom0, by a part of its program's name, has one of our device files open.
fn has_open(ctx: &Ctx<'_>, program: &str, file: &str) -> Result<()> {
    ctx.host
        .dom0()
        .sh(&format!(
            "grep -q {program} /sys/kernel/debug/xen/{file}/files"
        ))
        .with_context(|| format!("{program} does not have {file} open"))
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
