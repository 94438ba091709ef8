// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask bench`: our drivers against the kernel's own, in one boot, under the same load.
//!
//! What lives here: the order of the runs, and the verdict. What is measured is a [`subject::Subject`]: [`blk`] and
//! [`net`], which are frontends of a [`device`] in a guest, and [`devfile`], drivers in dom0. [`drive`] exchanges the
//! drivers, [`counts`] counts what they ask of the hypervisor, [`stats`] compares, [`report`] tells. The load generators
//! are the crates `blkload` and `netload`, which the guests have inside their agent, and the program `devfile-load`.
//!
//! What cannot be exchanged in one boot is booted by [`turns`]: [`hypervisors`], and the kernel's DMA layer ([`dma`]).
//! [`growth`] draws what more queues, vCPUs and guests cost.

pub mod blk;
mod counts;
pub mod devfile;
pub mod device;
pub mod dma;
mod drive;
pub mod growth;
pub mod hypervisors;
pub mod instructions;
mod machine;
pub mod net;
mod priority;
mod report;
mod stats;
pub mod subject;
mod turns;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kbuild::{Images, Session};

use crate::guest::{Driver, Mode};
use crate::host::{Host, Start};
use crate::topology::Topology;
use drive::Rig;
use report::{Facts, Rounds, Row};
use subject::{Setup, Subject, Workload};

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Kinds of domains to measure in.
    pub modes: Vec<Mode>,
    /// Only the cells that tell most.
    pub quick: bool,
    /// Only cells whose words, such as tcp-out:4:4, contain one of these; all if there are none.
    pub only: Vec<String>,
    /// How often each driver runs each cell.
    pub rounds: u32,
    /// How long a cell runs each time.
    pub slice: Duration,
    /// What is compared with the kernel's driver; the kernel's driver itself shows how exact the method is.
    pub subject: Driver,
    /// Whether the functions that were executed are written to the logs, if instructions are counted.
    pub profile: bool,
    /// Whether what ours executes becomes its budget, if instructions are counted.
    pub update: bool,
    /// Where the document goes; nowhere if `None`.
    pub output: Option<PathBuf>,
}

impl Options {
    /// The subject's cells that are wanted.
    fn cells<S: Subject>(&self, lanes: u32) -> Vec<S::Cell> {
        wanted(S::cells(lanes, self.quick), &self.only)
    }
}

/// Those cells whose words contain one of these; all if there are none.
fn wanted<C: Display>(mut cells: Vec<C>, only: &[String]) -> Vec<C> {
    if !only.is_empty() {
        cells.retain(|cell| {
            let name = cell.to_string();
            only.iter().any(|words| name.contains(words))
        });
    }
    cells
}

/// The error if no cell is wanted.
fn none_wanted<C: Display>(cells: impl IntoIterator<Item = C>, only: &[String]) -> String {
    let cells: Vec<_> = cells.into_iter().map(|cell| cell.to_string()).collect();
    format!(
        "no cell's words contain {}; there are {}",
        only.join(" or "),
        cells.join(", ")
    )
}

/// How long a cell runs while its costs are counted.
const COUNT_TIME: Duration = Duration::from_millis(200);

/// Runs it all and returns the summary, and whether ours was good enough everywhere.
pub fn run<S: Subject>(
    session: &Session,
    images: &Images,
    subject: &S,
    options: &Options,
) -> Result<(String, bool)> {
    ensure!(
        options.rounds > 0 && !options.modes.is_empty(),
        "there is nothing to measure"
    );
    let mut lanes = S::LANES.into_iter();
    ensure!(
        lanes.any(|lanes| !options.cells::<S>(lanes).is_empty()),
        none_wanted(
            S::LANES
                .into_iter()
                .flat_map(|lanes| S::cells(lanes, options.quick)),
            &options.only
        )
    );
    let built = &images.payload.modules;
    for module in S::modules(options.subject) {
        ensure!(
            options.subject == Driver::C || built.iter().any(|name| name == module),
            "the work tree built no module {module} (it built: {})",
            built.join(", ")
        );
    }
    let dir = session.logs().join("bench");
    let mut bench = Bench {
        session,
        images,
        subject,
        options,
        rows: vec![],
        boots: vec![],
        losses: 0,
    };
    let load = machine::load_average();
    let started = Instant::now();
    let measured = boots::<S>(&options.modes)
        .into_iter()
        .try_for_each(|(topology, modes)| bench.boot(&dir, &topology, modes));
    let measured = match measured {
        Err(error) if bench.boots.is_empty() => return Err(error),
        measured => measured,
    };
    let facts = bench.facts(&load, started.elapsed())?;
    let document = report::document(&facts, &bench.rows);
    let path = report::keep(
        &document,
        S::COMMAND,
        &dir,
        options.output.as_deref(),
        measured,
    )?;
    let complained = bench.boots.iter().any(|boot| !boot.complaints.is_empty());
    let mut text = report::verdict(&bench.rows);
    if complained {
        text += "\nA kernel complained meanwhile.\n";
    }
    text += &format!("\nThe tables are in {}.\n", path.display());
    let good = !complained && !bench.rows.iter().any(Row::falls_short);
    Ok((text, good))
}

/// A comparison that is being made.
struct Bench<'b, S: Subject> {
    session: &'b Session,
    images: &'b Images,
    subject: &'b S,
    options: &'b Options,
    rows: Vec<Row<S::Cell>>,
    boots: Vec<Boot>,
    /// Domains that the emulator lost.
    losses: u32,
}

/// What is to be told of a boot.
struct Boot {
    topology: Topology,
    kernel: String,
    date: String,
    priority: &'static str,
    complaints: Vec<String>,
}

/// The machines to boot, with the kinds of domains that are measured on each.
fn boots<S: Subject>(modes: &[Mode]) -> Vec<(Topology, &[Mode])> {
    let boots = modes.chunk_by(|one, next| S::topology(*one) == S::topology(*next));
    boots.map(|modes| (S::topology(modes[0]), modes)).collect()
}

impl<S: Subject> Bench<'_, S> {
    /// Boots a machine and measures there. Its logs go to a folder in `dir`.
    fn boot(&mut self, dir: &Path, topology: &Topology, modes: &[Mode]) -> Result<()> {
        let dir = dir.join(format!("{}-dom0", topology.dom0.name().to_lowercase()));
        let step = self.session.ui.step(format!("Booting {topology}"));
        let host = Host::start(self.images, topology, &dir, Start::Boot)?;
        step.done(&format!("dom0 runs {}", host.kernel));
        let date = host.dom0().sh("date -u '+%Y-%m-%d %H:%M UTC'")?;
        let priority = priority::raise();
        let measured = modes.iter().try_for_each(|mode| self.measure(&host, *mode));
        self.boots.push(Boot {
            topology: *topology,
            kernel: host.kernel.clone(),
            date,
            priority,
            complaints: host.health().take_complaints(),
        });
        if measured.is_ok() {
            return host.shutdown();
        }
        host.keep_logs();
        measured
    }

    /// All cells in one kind of domain.
    fn measure(&mut self, host: &Host, mode: Mode) -> Result<()> {
        let (session, options) = (self.session, self.options);
        let name = format!("{} {}", mode.name().to_uppercase(), S::DOMAIN);
        let step = session.ui.step(format!("Preparing the {name}"));
        let mut rig = Rig::new(host, mode, self.subject)?;
        step.done("");
        let drivers = [Driver::C, options.subject];
        let row = |cell| Row {
            mode,
            cell,
            base: Rounds::default(),
            ours: Rounds::default(),
            counts: None,
        };
        let cells = S::LANES.into_iter().flat_map(|l| options.cells::<S>(l));
        let mut rows: Vec<Row<S::Cell>> = cells.map(row).collect();
        let step = session.ui.step(format!("Measuring in the {name}"));
        for round in 0..options.rounds {
            for (side, lanes) in order(round, S::LANES) {
                let driver = drivers[side];
                let setup = Setup {
                    side,
                    driver,
                    lanes,
                };
                let cells = options.cells::<S>(lanes);
                if cells.is_empty() {
                    continue;
                }
                let samples = insist(&mut rig, |rig| rig.measure(setup, &cells, options.slice))?;
                for sample in samples {
                    let row = find(&mut rows, &sample.cell)?;
                    let rounds = if side == 0 {
                        &mut row.base
                    } else {
                        &mut row.ours
                    };
                    rounds.rates.push(sample.rate);
                    rounds.processor.extend(sample.processor);
                }
            }
            step.note(&format!("round {} of {}", round + 1, options.rounds));
        }
        step.done(&format!("{} rounds", options.rounds));

        let step = session.ui.step(format!("Counting in the {name}"));
        let mut counted = [vec![], vec![]];
        for lanes in S::LANES {
            let cells = options.cells::<S>(lanes);
            if cells.is_empty() {
                continue;
            }
            for side in [0, 1] {
                let driver = drivers[side];
                let setup = Setup {
                    side,
                    driver,
                    lanes,
                };
                counted[side].extend(insist(&mut rig, |rig| {
                    rig.count(setup, &cells, COUNT_TIME)
                })?);
            }
        }
        let [base, ours] = counted;
        for ((cell, units, counts), (_, our_units, our_counts)) in base.into_iter().zip(ours) {
            let row = find(&mut rows, &cell)?;
            row.counts = Some([(units, counts), (our_units, our_counts)]);
        }
        step.done("");
        self.rows.extend(rows);
        self.losses += rig.losses;
        rig.finish()
    }

    fn facts(&self, load: &str, time: Duration) -> Result<Facts> {
        let boot = self.boots.first().context("nothing was booted")?;
        let all = |what: &dyn Fn(&Boot) -> String| {
            let mut all: Vec<_> = self.boots.iter().map(what).collect();
            all.dedup();
            all.join("; ")
        };
        let mut machine = vec![
            ("date", boot.date.clone()),
            ("machine", machine::described(self.images)?),
            (
                "Xen",
                format!(
                    "{}, {}",
                    self.images.userland.xen_version,
                    all(&|boot| boot.topology.to_string())
                ),
            ),
            ("kernel, in dom0 and in the guests", boot.kernel.clone()),
            ("command lines", machine::command_lines()),
        ];
        machine.extend(self.subject.facts());
        let slice = self.options.slice.as_millis();
        machine.extend([
            (
                "rounds",
                format!("{} of {slice} ms a cell", self.options.rounds),
            ),
            (
                "load average of the machine before and after",
                format!("{load} and {}", machine::load_average()),
            ),
            (
                "priority on the machine",
                all(&|boot| boot.priority.to_owned()),
            ),
            (
                "guests lost to the emulator and replaced",
                self.losses.to_string(),
            ),
            ("time", format!("{} s", time.as_secs())),
        ]);
        let complaints: Vec<_> = self.boots.iter().flat_map(|b| &b.complaints).collect();
        if !complaints.is_empty() {
            let all: Vec<_> = complaints.into_iter().map(String::as_str).collect();
            machine.push(("kernels complained", all.join("; ")));
        }
        let base = S::name(Driver::C);
        let ours = match self.options.subject {
            Driver::Rust => S::name(Driver::Rust).to_owned(),
            // With the same name twice the tables could not be read.
            Driver::C => format!("{base} again"),
        };
        Ok(Facts {
            command: S::COMMAND,
            title: S::TITLE,
            domain: S::DOMAIN,
            drivers: [base.to_owned(), ours],
            machine,
            method: method::<S>(),
        })
    }
}

fn find<'r, C: Workload>(rows: &'r mut [Row<C>], cell: &C) -> Result<&'r mut Row<C>> {
    rows.iter_mut()
        .find(|row| row.cell == *cell)
        .context("an unknown cell")
}

/// Repeats what the emulator spoilt.
fn insist<'h, S: Subject, T>(
    rig: &mut Rig<'h, S>,
    mut what: impl FnMut(&mut Rig<'h, S>) -> Result<T>,
) -> Result<T> {
    loop {
        match what(rig) {
            Err(error) if !rig.recover().unwrap_or(false) => return Err(error),
            Err(_) => {}
            Ok(value) => return Ok(value),
        }
    }
}

/// The order within a round, as pairs of a side (0 is the baseline) and a number of queues or threads: ABBA, and BAAB
/// in the next round, so that neither a steady drift of the machine nor the place in the round favours a side. The two
/// sides of a pair always run one right after the other.
fn order(round: u32, [few, many]: [u32; 2]) -> [(usize, u32); 4] {
    let (first, second) = if round % 2 == 0 { (0, 1) } else { (1, 0) };
    [(first, few), (second, few), (second, many), (first, many)]
}

/// What a document says of the emulator.
const EMULATION: &str = "Under emulation a notification, an interrupt or a hypercall costs far more than on real hardware, and so \
     do copies with vector instructions. The ratios therefore say which driver does less work; they do not \
     predict numbers on real hardware.";

fn method<S: Subject>() -> Vec<String> {
    let rounds = "A round is one turn of each driver at each number of queues or threads, in the order ABBA and BAAB by turns. \
         A ratio is taken within a round, between neighbours in time, so what slows the machine for longer than a few \
         seconds slows both.";
    S::method()
        .into_iter()
        .chain([rounds, EMULATION])
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Dom0;

    #[test]
    fn neither_side_has_the_better_place() {
        let rounds: Vec<_> = (0..2).flat_map(|round| order(round, [1, 4])).collect();
        for side in [0, 1] {
            let places = rounds
                .iter()
                .enumerate()
                .filter(|(_, (who, _))| *who == side);
            assert_eq!(places.map(|(place, _)| place % 4).sum::<usize>(), 6);
        }
        for round in 0..2 {
            // Neighbours have the same number of queues and different drivers.
            for pair in order(round, [1, 4]).chunks(2) {
                assert!(pair[0].1 == pair[1].1 && pair[0].0 != pair[1].0);
            }
        }
    }

    #[test]
    fn a_machine_is_booted_for_each_kind_of_dom0_and_one_for_all_guests() {
        let modes = [Mode::Pv, Mode::Pvh];
        let all = boots::<devfile::Devfile>(&modes);
        let kinds: Vec<_> = all.iter().map(|(topology, _)| topology.dom0).collect();
        assert_eq!(kinds, [Dom0::Pv, Dom0::Pvh]);
        assert!(all.iter().all(|(_, modes)| modes.len() == 1));
        let all = boots::<blk::Blk>(&modes);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].1, modes);
    }
}
