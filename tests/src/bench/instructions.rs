// SPDX-License-Identifier: GPL-2.0

//! `bench --count`: instructions instead of seconds. The emulator counts what every processor executes while a cell runs
//! (crate `counter`), which noise of the machine does not change: only what a batch holds depends on timing.
//!
//! [`record`] reads what the emulator wrote, [`owner`] says who executed it, with the [`modules`] that each kernel has
//! loaded, and [`document`] makes the tables.

pub mod budget;
mod document;
mod modules;
mod owner;
mod profile;
mod record;
mod symbols;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kbuild::{Images, Session};

use super::drive::Rig;
use super::subject::{Setup, Subject};
use super::{Options, boots, insist, report};
use crate::guest::{Driver, Mode};
use crate::host::{Host, Start};
use crate::machine::COUNTS;
use crate::remote::Place;
use crate::topology::Topology;
use budget::Budget;
use document::Line;
use modules::Modules;
use owner::{Executed, Layout};
use profile::Profile;
pub use record::Record;
use symbols::{Fixed, Names};

/// How often each driver runs each cell.
pub const ROUNDS: u32 = 3;

/// Has the emulator begin another epoch: dom0's kernel and modules belong to the first.
const EPOCH: &str = "/payload/bin/agent mark epoch";

/// What a cell cost in a round.
#[derive(Clone, Debug)]
pub struct Cost {
    /// Units, such as requests.
    units: u64,
    /// What was executed for all of them.
    executed: Executed,
}

/// Counts it all; returns the summary, and whether ours executes no more than the kernel's driver in any cell.
pub fn run<S: Subject>(
    session: &Session,
    images: &Images,
    subject: &S,
    options: &Options,
) -> Result<(String, bool)> {
    let dir = session.logs().join("bench");
    let mut lines: Vec<Line<S::Cell>> = Vec::new();
    let mut kernel = String::new();
    for (topology, modes) in boots::<S>(&options.modes) {
        let topology = Topology {
            counted: true,
            ..topology
        };
        let name = format!("{}-dom0-counted", topology.dom0.name().to_lowercase());
        let step = session.ui.step(format!("Booting {topology}"));
        let host = Host::start(images, &topology, &dir.join(name), Start::Boot)?;
        step.done(&format!("dom0 runs {}", host.kernel));
        kernel = host.kernel.clone();
        let symbols = options.profile.then(|| Fixed::read(host.dom0()));
        let symbols = symbols.transpose()?;
        host.dom0().sh(EPOCH)?;
        let mut counted = Counted {
            host: &host,
            record: Record::open(&host.dir().join(COUNTS)),
            symbols,
        };
        for mode in modes {
            lines.extend(count(session, &mut counted, *mode, subject, options)?);
        }
        let complaints = host.health().take_complaints();
        ensure!(
            complaints.is_empty(),
            "a kernel complained: {}",
            complaints.join("; ")
        );
        host.shutdown()?;
    }
    if options.update {
        let budgets: Vec<_> = lines
            .iter()
            .filter_map(|line| line.budget(&kernel))
            .collect();
        budget::update(session.workspace(), S::COMMAND, &budgets)?;
    }
    let names = [Driver::C, options.subject].map(S::name);
    let facts = document::Facts {
        command: S::COMMAND,
        title: S::TITLE,
        domain: S::DOMAIN,
        drivers: names,
        kernel: &kernel,
        xen: &images.userland.xen_version,
        rounds: options.rounds,
    };
    let document = document::document(&facts, &lines);
    let path = report::keep(
        &document,
        &format!("{}-instructions", S::COMMAND),
        &dir,
        options.output.as_deref(),
        Ok(()),
    )?;
    let (verdict, good) = document::verdict(&lines);
    Ok((
        format!("{verdict}\nThe tables are in {}.\n", path.display()),
        good,
    ))
}

/// A machine that counts.
struct Counted<'h> {
    host: &'h Host,
    record: Record,
    /// The names of functions, for a profile.
    symbols: Option<Fixed>,
}

/// Counts in one kind of domain.
fn count<S: Subject>(
    session: &Session,
    counted: &mut Counted<'_>,
    mode: Mode,
    subject: &S,
    options: &Options,
) -> Result<Vec<Line<S::Cell>>> {
    let name = format!("{} {}", mode.name().to_uppercase(), S::DOMAIN);
    let step = session.ui.step(format!("Counting in the {name}"));
    let Counted {
        host,
        record,
        symbols,
    } = counted;
    let mut rig = Rig::new(host, mode, subject)?;
    let cells = S::LANES.into_iter().flat_map(|l| options.cells::<S>(l));
    let mut lines: Vec<_> = cells.map(|cell| Line::new(mode, cell)).collect();
    let drivers = [Driver::C, options.subject];
    for round in 0..options.rounds {
        for (side, lanes) in super::order(round, S::LANES) {
            let cells = options.cells::<S>(lanes);
            if cells.is_empty() {
                continue;
            }
            let setup = Setup {
                side,
                driver: drivers[side],
                lanes,
            };
            let counted = insist(&mut rig, |rig| {
                rig.executed(setup, &cells, options.slice, |place, is_guest| {
                    let interval = record.last()?;
                    let layout = Layout::read::<S>(host, setup.driver, place, is_guest)?;
                    let executed = owner::attribute(&interval, &layout);
                    let names = symbols.as_ref();
                    let names = names.map(|fixed| Names::read(fixed, host.dom0(), place));
                    let profiled = names.transpose()?.map(|names| (interval, layout, names));
                    Ok((executed, profiled))
                })
            })?;
            for (cell, units, (executed, profiled)) in counted {
                if let Some((interval, layout, names)) = profiled {
                    let who = S::name(setup.driver).replace(' ', "-");
                    let title = format!("{} {cell} {who}", mode.name());
                    let profile = Profile::new(&interval, &layout, &names, units);
                    let blocks = profile::blocks(&interval, &layout, &names, units);
                    let graph = profile.graph(&title, <S::Cell as report::Workload>::UNIT)?;
                    let name = title.replace([' ', ':'], "-");
                    for (extension, text) in [
                        ("folded", profile.folded()),
                        ("svg", graph),
                        ("blocks", blocks),
                    ] {
                        report::write(&text, &host.dir().join(format!("{name}.{extension}")))?;
                    }
                }
                let line = lines.iter_mut().find(|line| line.cell == cell);
                let line = line.context("an unknown cell")?;
                line.sides.0[side].push(Cost { units, executed });
            }
        }
        step.note(&format!("round {} of {}", round + 1, options.rounds));
    }
    step.done(&format!("{} rounds", options.rounds));
    rig.finish()?;
    Ok(lines)
}

/// What our driver costs in cells, one count each, in a new guest of a machine that is counted.
///
/// # Errors
///
/// If something fails, or the emulator loses the guest.
pub fn costs<S: Subject>(
    host: &Host,
    mode: Mode,
    subject: &S,
    cells: &[S::Cell],
    slice: Duration,
) -> Result<Vec<(S::Cell, Budget)>> {
    host.dom0().sh(EPOCH)?;
    let mut record = Record::open(&host.dir().join(COUNTS));
    let mut rig = Rig::new(host, mode, subject)?;
    let setup = Setup {
        side: 1,
        driver: Driver::Rust,
        lanes: 1,
    };
    let counted = rig.executed(setup, cells, slice, |place, is_guest| {
        let interval = record.last()?;
        let layout = Layout::read::<S>(host, setup.driver, place, is_guest)?;
        Ok(owner::attribute(&interval, &layout))
    })?;
    rig.finish()?;
    let costs = counted.into_iter().map(|(cell, units, executed)| {
        let cost = Budget::of(&executed, units, &host.kernel);
        (cell, cost)
    });
    Ok(costs.collect())
}

impl Layout {
    fn read<S: Subject>(
        host: &Host,
        driver: Driver,
        place: &Place,
        is_guest: bool,
    ) -> Result<Self> {
        Ok(Self {
            driver: with_abstractions::<S>(driver),
            dom0: Modules::read(host.dom0())?,
            guest: is_guest.then(|| Modules::read(place)).transpose()?,
        })
    }
}

/// The driver's modules; for ours with the crate that all of them share.
fn with_abstractions<S: Subject>(driver: Driver) -> Vec<&'static str> {
    let mut modules = S::modules(driver);
    if driver == Driver::Rust {
        modules.push("xen_rs");
    }
    modules
}
