// SPDX-License-Identifier: GPL-2.0

//! A boot of one of the kernels, and what is measured in it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kbuild::Images;

use super::matrix::{Cell, Load};
use super::programs;
use crate::bench::turns::{self, Measured};
use crate::bench::{priority, report};
use crate::devices::{self, DISKS, RealDisk, SLOW};
use crate::host::Host;
use crate::mapping::{self, Cost};
use crate::overlay;
use crate::remote::Place;
use crate::topology::Topology;

/// What is to be measured in each boot.
pub struct Plan {
    /// The cells, in their order.
    pub cells: Vec<Cell>,
    /// How long dd and fio run for a cell.
    pub slice: Duration,
}

/// What was found in a boot.
pub struct Boot {
    /// Units a second of the plan's cells, in their order.
    pub rates: Vec<(Cell, f64)>,
    /// Dom0's kernel.
    pub kernel: String,
    /// When it was, by dom0's clock.
    pub date: String,
    /// Whether this process could be made more urgent.
    pub priority: &'static str,
}

/// Boots a kernel, which has our objects or those of C, and measures. The boot's logs go to `dir`.
pub fn measure(
    images: &Images,
    topology: &Topology,
    dir: &Path,
    ours: bool,
    plan: &Plan,
) -> Result<Measured<Boot>> {
    turns::in_machine(images, topology, dir, |host| {
        let boot = look(host, ours, plan)?;
        // Every figure is kept with the logs, so that the summary can be checked.
        let rates = boot.rates.iter();
        let lines: Vec<_> = rates
            .map(|(cell, rate)| format!("{cell}={rate:.1}"))
            .collect();
        report::write(&(lines.join("\n") + "\n"), &dir.join("bench.log"))?;
        Ok(Measured {
            boot,
            up: host.boot_time.as_secs_f64(),
        })
    })
}

fn look(host: &Host, ours: bool, plan: &Plan) -> Result<Boot> {
    let dom0 = host.dom0();
    ensure!(overlay::is_ours(host) == ours, "{} was booted", host.kernel);
    overlay::check_objects(dom0, &host.kernel)?;
    let date = dom0.sh("date -u '+%Y-%m-%d %H:%M UTC'")?;
    let priority = priority::raise();
    let mut rates = Vec::new();
    let is_map = |cell: &&Cell| matches!(cell, Cell::Map { .. });
    if plan.cells.iter().any(|cell| is_map(&cell)) {
        // First, while memory is in large pieces.
        let costs = mapping::costs(dom0)?;
        for cell in plan.cells.iter().filter(is_map) {
            rates.push((*cell, map_rate(cell, &costs)?));
        }
    }
    for disk in DISKS {
        rates.extend(disk_rates(dom0, &disk, plan)?);
    }
    Ok(Boot {
        rates,
        kernel: host.kernel.clone(),
        date,
        priority,
    })
}

/// MiB of a disk that are used. The slow one is not to take all the time.
fn area(disk: &RealDisk) -> u32 {
    if disk.module == SLOW { 16 } else { 64 }
}

/// Mappings a second.
fn map_rate(cell: &Cell, costs: &[Cost]) -> Result<f64> {
    let cost = costs.iter().find(|cost| {
        let Cost { memory, pages, .. } = **cost;
        *cell == Cell::Map { memory, pages }
    });
    let cost = cost.with_context(|| format!("{cell} was not measured"))?;
    Ok(1e9 / cost.ns as f64)
}

/// Bytes or requests a second of the plan's cells that are a disk's.
fn disk_rates(dom0: &Place, disk: &RealDisk, plan: &Plan) -> Result<Vec<(Cell, f64)>> {
    let (mib, slice) = (area(disk), plan.slice);
    // A script keeps the disk busy for a slice, or for as long as its area takes.
    let limit = Duration::from_secs(60 + 2 * u64::from(mib)) + slice * 4;
    let run = |script: &str| -> Result<String> { Ok(dom0.run_for(limit, script)?.ok()?.stdout) };
    let cells = plan.cells.iter().filter_map(|cell| match *cell {
        Cell::Disk {
            disk: module,
            direction,
            load,
        } if module == disk.module => Some((*cell, direction, load)),
        _ => None,
    });
    let cells: Vec<_> = cells.collect();
    if cells.is_empty() {
        return Ok(vec![]);
    }
    let node = disk.start(dom0)?;
    // What was never written is not in the disk's image either, and costs less to read.
    run(&programs::fill(&node, mib))?;
    let mut rates = Vec::new();
    for (cell, direction, load) in cells {
        let rate = match load {
            Load::Dd => run(&programs::dd(&node, direction, mib, slice))
                .and_then(|output| programs::dd_rate(&output)),
            Load::Fio { depth } => run(&programs::fio(&node, direction, depth, mib, slice))
                .and_then(|output| programs::fio_rate(&output, direction)),
        };
        rates.push((cell, rate.with_context(|| cell.to_string())?));
    }
    if disk.module == SLOW {
        devices::bounced(dom0)?;
    }
    Ok(rates)
}
