// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask bench dma`: what stands between a PV dom0's memory and its devices, our objects against those of C.
//!
//! They are built into the kernel, so two kernels are booted by turns that differ in nothing else, with the same processor,
//! memory, disks and command line. [`matrix`] has the loads, [`boots`] makes a boot and measures there, by means of
//! [`programs`] and [`crate::mapping`]. Here the boots are paired and become a document.

mod boots;
mod matrix;
mod programs;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kbuild::{Images, Session};

use super::report::{self, Facts, Rounds, Row};
use super::{EMULATION, machine, none_wanted, turns, wanted};
use crate::guest::Mode;
use crate::overlay::{IN_C, OURS};
use crate::topology::Topology;
use boots::{Boot, Plan};
use matrix::Cell;

pub use super::turns::ROUNDS;

/// How long dd and fio run for a cell unless told otherwise.
pub const SLICE: Duration = Duration::from_secs(2);

/// The kernels, as profiles of kernels.toml; the first is what ours is compared with.
pub const SIDES: [&str; 2] = [IN_C, OURS];

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only the cells that tell most.
    pub quick: bool,
    /// Only cells whose words, such as fio-read:nvme:32, contain one of these; all if there are none.
    pub only: Vec<String>,
    /// How often each kernel is booted and measured.
    pub rounds: u32,
    /// How long dd and fio run for a cell.
    pub slice: Duration,
    /// Where the document goes; among the logs if `None`.
    pub output: Option<PathBuf>,
}

/// What the two are booted on. With one processor it is no matter of chance where an interrupt arrives and where the load
/// runs, and the emulator has another one of the machine's for what its devices do.
const TOPOLOGY: Topology = Topology::PV_REAL.dom0_vcpus(1);

/// Boots and measures, `images` in the order of [`SIDES`]; returns the text to print, and whether ours was as fast
/// everywhere.
pub fn run(session: &Session, images: &[Images; 2], options: &Options) -> Result<(String, bool)> {
    ensure!(options.rounds > 0, "there is nothing to measure");
    let plan = Plan {
        cells: wanted(matrix::cells(options.quick), &options.only),
        slice: options.slice,
    };
    ensure!(
        !plan.cells.is_empty(),
        none_wanted(matrix::cells(options.quick), &options.only)
    );
    let dir = session.logs().join("bench");
    let (load, started) = (machine::load_average(), Instant::now());
    let mut all = [vec![], vec![]];
    let measured = turns::by_turns(session, SIDES, options.rounds, &mut all, |side, name| {
        let ours = SIDES[side] == OURS;
        boots::measure(&images[side], &TOPOLOGY, &dir.join(name), ours, &plan)
    });
    let measured = match measured {
        Err(error) if all.iter().any(Vec::is_empty) => return Err(error),
        measured => measured,
    };
    let rows = rows(&plan.cells, &all)?;
    let loads = [load, machine::load_average()];
    let facts = facts(&images[1], options, &all, &loads, started.elapsed())?;
    let document = report::document(&facts, &rows);
    let path = report::keep(
        &document,
        facts.command,
        &dir,
        options.output.as_deref(),
        measured,
    )?;
    let mut text = report::verdict(&rows);
    text += &format!("\nThe tables are in {}.\n", path.display());
    Ok((text, !rows.iter().any(Row::falls_short)))
}

/// The cells with what the boots found, those of C first, of the same turn side by side. A boot without its neighbour is left
/// out.
fn rows(cells: &[Cell], all: &[Vec<Boot>; 2]) -> Result<Vec<Row<Cell>>> {
    let turns = whole_turns(all);
    let rounds = |boots: &[Boot], cell: &Cell| -> Result<Rounds> {
        let rates = boots.iter().take(turns).map(|boot| {
            let mut rates = boot.rates.iter();
            let found = rates.find(|(measured, _)| measured == cell);
            Ok(found.with_context(|| format!("{cell} was not measured"))?.1)
        });
        Ok(Rounds {
            rates: rates.collect::<Result<_>>()?,
            processor: vec![],
        })
    };
    let row = |cell: &Cell| {
        Ok(Row {
            mode: Mode::Pv,
            cell: *cell,
            base: rounds(&all[0], cell)?,
            ours: rounds(&all[1], cell)?,
            counts: None,
        })
    };
    cells.iter().map(row).collect()
}

/// How often both were booted and measured.
fn whole_turns(all: &[Vec<Boot>; 2]) -> usize {
    let [c, ours] = all;
    c.len().min(ours.len())
}

fn facts(
    images: &Images,
    options: &Options,
    all: &[Vec<Boot>; 2],
    loads: &[String; 2],
    time: Duration,
) -> Result<Facts> {
    let kernel = |side: usize| -> Result<String> {
        let boot = all[side].first();
        Ok(boot.context("nothing was booted")?.kernel.clone())
    };
    let mut priorities: Vec<_> = all.iter().flatten().map(|boot| boot.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    let first = all[0].first().context("nothing was booted")?;
    Ok(Facts {
        command: "dma",
        title: "Benchmark of the DMA layer",
        domain: "dom0",
        drivers: SIDES.map(str::to_owned),
        machine: vec![
            ("date", first.date.clone()),
            ("machine", machine::described(images)?),
            (
                "Xen",
                format!("{}, {TOPOLOGY}", images.userland.xen_version),
            ),
            ("dom0's memory", format!("{} MiB", TOPOLOGY.dom0_memory)),
            ("kernels", format!("{} and {}", kernel(0)?, kernel(1)?)),
            ("command lines", machine::command_lines()),
            (
                "rounds",
                format!(
                    "{} boots of each by turns, {} ms a cell of dd and fio",
                    whole_turns(all),
                    options.slice.as_millis()
                ),
            ),
            (
                "load average of the machine before and after",
                loads.join(" and "),
            ),
            ("priority on the machine", priorities.join("; ")),
            ("time", format!("{} s", time.as_secs())),
        ],
        method: method(),
    })
}

fn method() -> Vec<String> {
    [
        "The two kernels are built from the same source and configuration. One has Xen-SWIOTLB and the PCI and ACPI plumbing in \
         Rust, the other as the C objects; each boot shows by the kernel's symbols that it has the ones and not the others. A \
         round is a boot of each, one right after the other, and by turns first. A ratio is taken within a round. The interval has \
         all ratios where there are too few rounds for 95 %.",
        "Mapping: a module in C, `linux-pv/dmatest`, maps and unmaps memory for a device that does not exist, before anything \
         else is done in that boot, and tells the best of seven times.",
        "Disks: `ahci`, `nvme` and `virtio_blk` (with an IOMMU platform, so that it goes through the DMA layer) reach all memory; \
         `sym53c8xx` drives an LSI 53C895A that reaches the first 4 GiB. Most of dom0's memory is beyond, so that what it reads \
         and writes is bounced. Their images are in the machine's page cache. dd and fio use direct I/O on the first 64 MiB (16 \
         on the last disk), which are written once before. dd reads or writes them again and again; its rate is by its own \
         clock, without its start. fio has one thread with libaio and begins to count after 300 ms.",
        EMULATION,
    ]
    .map(str::to_owned)
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Devices, Dom0};

    /// A boot in which each cell has a rate of its own.
    fn boot(factor: f64) -> Boot {
        let cells = matrix::cells(false).into_iter().zip(1..);
        Boot {
            rates: cells
                .map(|(cell, rate)| (cell, factor * f64::from(rate)))
                .collect(),
            kernel: "7.2.12-overlay".into(),
            date: "2026-11-21".into(),
            priority: "raised",
        }
    }

    #[test]
    fn boots_of_a_turn_are_compared() {
        let cells = matrix::cells(false);
        let all = [vec![boot(1.0), boot(10.0)], vec![boot(1.5), boot(15.0)]];
        let rows = rows(&cells, &all).unwrap();
        assert_eq!(rows.len(), cells.len());
        assert_eq!(rows[2].base.rates, [3.0, 30.0]);
        assert_eq!(rows[2].ours.rates, [4.5, 45.0]);
        for row in &rows {
            let found = row.comparison().unwrap();
            assert!((found.ratio - 1.5).abs() < 1e-9 && !row.falls_short());
        }
    }

    #[test]
    fn a_boot_without_its_neighbour_is_left_out() {
        let all = [vec![boot(1.0), boot(10.0)], vec![boot(1.5)]];
        let rows = rows(&matrix::cells(true), &all).unwrap();
        assert!(rows.iter().all(|row| row.base.rates.len() == 1));
        assert!(rows.iter().all(|row| row.comparison().is_some()));
    }

    #[test]
    fn a_cell_that_a_boot_lacks_is_an_error() {
        let mut short = boot(1.0);
        short.rates.remove(3);
        assert!(rows(&matrix::cells(false), &[vec![boot(1.0)], vec![short]]).is_err());
    }

    #[test]
    fn the_document_has_a_table_for_each_kind_of_load() {
        let all = [vec![boot(1.0)], vec![boot(1.25)]];
        let rows = rows(&matrix::cells(false), &all).unwrap();
        let facts = Facts {
            drivers: SIDES.map(str::to_owned),
            domain: "dom0",
            ..Facts::default()
        };
        let text = report::document(&facts, &rows);
        let headings: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("## PV"))
            .collect();
        assert_eq!(
            headings,
            [
                "## PV dom0: mapping and unmapping",
                "## PV dom0: dd",
                "## PV dom0: fio"
            ]
        );
        assert!(
            text.contains("Ours is at least as fast in 31 of 31 cells"),
            "{text}"
        );
        let line = "| nvme | 4 KiB random read, 32 in flight | ";
        assert_eq!(text.matches(line).count(), 1, "{text}");
    }

    #[test]
    fn dom0_has_disks_and_one_processor() {
        assert_eq!((TOPOLOGY.dom0, TOPOLOGY.cpus), (Dom0::Pv, 1));
        assert_eq!(TOPOLOGY.devices, Devices::Real);
    }
}
