// SPDX-License-Identifier: GPL-2.0

//! A PV dom0 drives disks and networks by DMA, on an overlay kernel: once with the Rust object and once with the C object in
//! its place. Most of dom0's memory is beyond 4 GiB, so that devices with 32 bits of address cannot do without bouncing.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::context::Ctx;
use crate::devices::{self, DISKS, NETS, RealDisk, SLOW};
use crate::guest::Mode;
use crate::mapping;
use crate::matrix::Kernels;
use crate::overlay::is_ours;
use crate::scenario::Scenario;
use crate::topology::Topology;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    on_both_kernels("swiotlb.disks_keep_data", disks_keep_data).by_default(),
    on_both_kernels("swiotlb.networks_keep_data", networks_keep_data),
    on_both_kernels(
        "swiotlb.devices_see_what_is_meant",
        devices_see_what_is_meant,
    )
    .by_default(),
    on_both_kernels(
        "swiotlb.guests_pages_reach_the_disks",
        guests_pages_reach_the_disks,
    ),
    on_both_kernels("swiotlb.users_are_listed", users_are_listed).by_default(),
    on_both_kernels("swiotlb.costs_are_told", costs_are_told),
    on_both_kernels(
        "swiotlb.disks_keep_data_with_iommu",
        disks_keep_data_with_iommu,
    )
    .on(Topology::PV_REAL_IOMMU)
    .full(),
    on_both_kernels("swiotlb.pvh_dom0_keeps_data", disks_keep_data_with_iommu)
        .on(Topology::PVH_REAL)
        .full(),
];

/// A scenario that passes on both kernels: with our objects and with the kernel's own.
const fn on_both_kernels(name: &'static str, run: fn(&mut Ctx<'_>) -> Result<()>) -> Scenario {
    Scenario::new(name, run)
        .on(Topology::PV_REAL)
        .only_on(Kernels::OURS_AND_C)
}

fn disks_keep_data(ctx: &mut Ctx<'_>) -> Result<()> {
    keep_data(ctx, DISKS.iter())?;
    note_pool(ctx)
}

/// All disks but the slow one: QEMU's LSI 53C895A behind its AMD IOMMU makes Xen report page faults of that device without
/// end and finds no disk in a PV dom0, with the C objects as with ours, and loses commands in a PVH one.
fn disks_keep_data_with_iommu(ctx: &mut Ctx<'_>) -> Result<()> {
    keep_data(ctx, DISKS.iter().filter(|disk| disk.module != SLOW))
}

/// Writes to disks, reads again and compares; notes which kind of interrupt each has.
fn keep_data<'a>(ctx: &mut Ctx<'_>, disks: impl Iterator<Item = &'a RealDisk>) -> Result<()> {
    let mib = ctx.rounds(48, 1024);
    for disk in disks {
        // The slow one is the one that bounces.
        let mib = if disk.module == SLOW { mib / 4 } else { mib };
        disk.check(ctx.host.dom0(), mib)?;
        let found = disk.interrupts(ctx.host.dom0())?;
        let controllers: Vec<_> = found.controllers.into_iter().collect();
        ctx.note(format!(
            "{}: {:?} by {}",
            disk.module,
            found.kind,
            controllers.join(", ")
        ));
    }
    Ok(())
}

fn networks_keep_data(ctx: &mut Ctx<'_>) -> Result<()> {
    let mib = ctx.rounds(8, 128);
    let [e1000e, e1000, virtio] = NETS;
    for (from, to) in [(e1000e, e1000), (e1000, virtio), (virtio, e1000e)] {
        devices::check_wire(ctx.host.dom0(), from, to, mib)?;
    }
    note_pool(ctx)
}

fn note_pool(ctx: &mut Ctx<'_>) -> Result<()> {
    let most = devices::bounced(ctx.host.dom0())?;
    ctx.note(format!(
        "at most {most} slots of the pool were used at a time"
    ));
    Ok(())
}

/// The kernel module that plays the device: streaming in both directions, lists, coherent memory of every order, a pool driven
/// to its end, and mappings larger than any buffer of the pool, which only ours can do.
fn devices_see_what_is_meant(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let log = dom0
        .run_for(
            Duration::from_secs(300),
            "modprobe xen_dma_test && dmesg | grep -o 'xen_dma_test: .*'; rmmod xen_dma_test",
        )?
        .ok()?
        .stdout;
    ensure!(
        log.contains("xen_dma_test: done"),
        "the test module did not end:\n{log}"
    );
    let failed: Vec<_> = log
        .lines()
        .filter(|line| line.contains(": FAILED "))
        .collect();
    let (large, others): (Vec<&str>, Vec<&str>) = failed.into_iter().partition(|line| {
        let size = line
            .split_whitespace()
            .nth(3)
            .and_then(|size| size.parse().ok());
        line.contains(" streaming ") && size.is_some_and(|size: u64| size > 256 << 10)
    });
    ensure!(others.is_empty(), "DMA went wrong:\n{}", others.join("\n"));
    let passed = log.lines().filter(|line| line.contains(": ok ")).count();
    ctx.note(format!(
        "{passed} cases passed, {} large mappings failed",
        large.len()
    ));
    if is_ours(ctx.host) {
        ensure!(
            large.is_empty(),
            "large mappings fail:\n{}",
            large.join("\n")
        );
    } else {
        // What the C object cannot do says that the test can fail.
        ensure!(
            large.len() == 3,
            "the C object has learned to map large buffers:\n{log}"
        );
    }
    Ok(())
}

/// A guest's disk is a disk of dom0's machine: its pages, mapped by grants, go to the devices themselves, to those that reach
/// them and to one that does not.
fn guests_pages_reach_the_disks(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let [reaches, .., slow] = DISKS;
    let nodes = [reaches.start(dom0)?, slow.start(dom0)?];
    let mib = ctx.rounds(8, 64);
    for mode in [Mode::Pv, Mode::Pvh] {
        let disks = [(&*nodes[0], "xvdb"), (&*nodes[1], "xvdc")];
        devices::check_guest_disks(ctx.host, ctx.driver, mode, &disks, mib)?;
    }
    note_pool(ctx)
}

/// What mapping and unmapping takes, for the report: to compare, run it on an idle machine with both kernels.
fn costs_are_told(ctx: &mut Ctx<'_>) -> Result<()> {
    for cost in mapping::costs(ctx.host.dom0())? {
        ctx.note(cost.to_string());
    }
    Ok(())
}

/// The view in debugfs names the device that cannot reach all memory, and counts back to nothing.
fn users_are_listed(ctx: &mut Ctx<'_>) -> Result<()> {
    let [.., slow] = DISKS;
    slow.check(ctx.host.dom0(), 4)?;
    let dom0 = ctx.host.dom0();
    let path = "/sys/kernel/debug/xen/swiotlb";
    if !is_ours(ctx.host) {
        ensure!(
            dom0.run(&format!("cat {path}"))?.fails().is_ok(),
            "the C object has {path}"
        );
        return Ok(());
    }
    let table = dom0.sh(&format!("cat {path}"))?;
    let device = dom0.sh("for d in /sys/bus/pci/drivers/sym53c8xx/0*; do basename $d; done")?;
    let mut lines = table.lines();
    let columns: Vec<_> = lines
        .next()
        .context("no table")?
        .split_whitespace()
        .collect();
    let row: Vec<_> = lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|row| row.first() == Some(&device.trim()))
        .with_context(|| format!("no line for {device}:\n{table}"))?;
    let value = |name: &str| -> Result<i64> {
        let column = columns.iter().position(|column| *column == name);
        let value = column.and_then(|column| row.get(column));
        Ok(value
            .with_context(|| format!("no column {name}:\n{table}"))?
            .parse()?)
    };
    ensure!(
        value("pool-maps")? > 0 && value("out-of-reach")? > 0,
        "nothing was bounced:\n{table}"
    );
    ensure!(
        value("pool-bytes")? == 0,
        "buffers were not given back:\n{table}"
    );
    ensure!(value("failed")? == 0, "mappings failed:\n{table}");
    ensure!(value("coherent-bytes")? > 0, "no coherent memory:\n{table}");
    Ok(())
}
