// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask bench`: our frontends against the kernel's own, in one boot, on the same back end.
//!
//! What lives here: the order of the runs, and the verdict. What is measured is a [`subject::Subject`]: [`blk`] and
//! [`net`], each with its workloads. [`drive`] runs them in a guest and exchanges the drivers, [`counts`] counts what
//! they ask of the hypervisor, [`stats`] compares, [`report`] tells. The load generators are the crates `blkload` and
//! `netload`, which the guests have inside their agent.

pub mod blk;
mod counts;
mod drive;
pub mod net;
mod priority;
mod report;
mod stats;
pub mod subject;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kbuild::{Images, Session};

use crate::guest::{Driver, Guest, Mode};
use crate::host::Host;
use crate::topology::Topology;
use drive::{Rig, Setup};
use report::{Facts, Rounds, Row};
use subject::Subject;

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Kinds of guests to run in.
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
    /// Where the document goes; nowhere if `None`.
    pub output: Option<PathBuf>,
}

impl Options {
    /// The workloads for a number of queues.
    fn cells<S: Subject>(&self, queues: u32) -> Vec<S::Cell> {
        let wanted = |cell: &S::Cell| {
            let cell = cell.to_string();
            self.only.is_empty() || self.only.iter().any(|words| cell.contains(words))
        };
        let mut cells = S::cells(queues, self.quick);
        cells.retain(wanted);
        cells
    }
}

/// Processors of a guest: as many as queues are wanted at most.
const VCPUS: u32 = 4;

/// Numbers of queues; a queue has a processor of its own.
const QUEUES: [u32; 2] = [1, VCPUS];

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
    ensure!(
        QUEUES
            .iter()
            .any(|queues| !options.cells::<S>(*queues).is_empty()),
        "no cell's words contain {}; there are {}",
        options.only.join(" or "),
        QUEUES
            .iter()
            .flat_map(|queues| S::cells(*queues, options.quick))
            .map(|cell| cell.to_string())
            .collect::<Vec<_>>()
            .join(", ")
    );
    let module = S::module(options.subject);
    ensure!(
        options.subject == Driver::C || images.payload.modules.iter().any(|name| name == module),
        "the work tree built no module {module} (it built: {})",
        images.payload.modules.join(", ")
    );
    let load = load_average();
    let dir = session.logs().join("bench");
    let topology = Topology {
        dom0_vcpus: 1,
        ..Topology::PV
    };
    let step = session.ui.step(format!("Booting Xen ({topology})"));
    let host = Host::boot(images, &topology, &dir)?;
    step.done(&format!("dom0 runs {}", host.kernel));

    let priority = priority::raise();
    let started = Instant::now();
    let mut facts = facts(images, &host, &topology, subject, options)?;
    let (mut rows, mut losses, mut failure) = (Vec::new(), 0, None);
    for mode in &options.modes {
        match measure(session, &host, *mode, subject, options) {
            Ok((measured, lost)) => {
                rows.extend(measured);
                losses += lost;
            }
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }

    facts.machine.push((
        "load average of the machine before and after",
        format!("{load} and {}", load_average()),
    ));
    facts
        .machine
        .push(("priority on the machine", priority.to_owned()));
    facts.machine.push((
        "guests lost to the emulator and replaced",
        losses.to_string(),
    ));
    facts
        .machine
        .push(("time", format!("{} s", started.elapsed().as_secs())));
    let complaints = host.health().take_complaints();
    if !complaints.is_empty() {
        let all = complaints.join("; ");
        facts.machine.push(("kernels complained", all));
    }
    // Half a table is worth keeping, but not in the place of a whole one.
    let kept = dir.join(format!("{}.md", S::COMMAND));
    let path = match (&failure, &options.output) {
        (None, Some(path)) => path,
        _ => &kept,
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(path, report::document(&facts, &rows))
        .with_context(|| format!("cannot write {}", path.display()))?;
    if let Some(error) = failure {
        if host.health().check().is_ok() {
            // The error is what counts; a log that cannot be had adds nothing.
            let _ = host.collect_logs();
        }
        return Err(error.context(format!(
            "not all was measured; what was, and the logs, are in {}",
            dir.display()
        )));
    }
    host.shutdown()?;
    let mut text = report::verdict(&rows);
    if !complaints.is_empty() {
        text += "\nA kernel complained meanwhile.\n";
    }
    text += &format!("\nThe tables are in {}.\n", path.display());
    let good = complaints.is_empty() && !rows.iter().any(Row::falls_short);
    Ok((text, good))
}

/// All cells in one kind of guest.
fn measure<S: Subject>(
    session: &Session,
    host: &Host,
    mode: Mode,
    subject: &S,
    options: &Options,
) -> Result<(Vec<Row<S::Cell>>, u32)> {
    let name = mode.name().to_uppercase();
    let step = session.ui.step(format!("Creating the {name} guest"));
    let mut rig = Rig::new(host, mode, subject)?;
    step.done("");
    let drivers = [Driver::C, options.subject];
    let mut rows: Vec<Row<S::Cell>> = QUEUES
        .iter()
        .flat_map(|queues| options.cells::<S>(*queues))
        .map(|cell| Row {
            mode,
            cell,
            base: Rounds::default(),
            ours: Rounds::default(),
            counts: None,
        })
        .collect();

    let step = session.ui.step(format!("Measuring in the {name} guest"));
    for round in 0..options.rounds {
        for (side, queues) in order(round) {
            let setup = Setup {
                side,
                driver: drivers[side],
                queues,
            };
            let cells = options.cells::<S>(queues);
            if cells.is_empty() {
                continue;
            }
            let samples = insist(&mut rig, |rig| rig.measure(setup, &cells, options.slice))?;
            for sample in samples {
                let row = rows
                    .iter_mut()
                    .find(|row| row.cell == sample.cell)
                    .context("an unknown cell")?;
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

    let step = session.ui.step(format!("Counting in the {name} guest"));
    let mut counted = [vec![], vec![]];
    for queues in QUEUES {
        for side in [0, 1] {
            let setup = Setup {
                side,
                driver: drivers[side],
                queues,
            };
            let cells = options.cells::<S>(queues);
            if cells.is_empty() {
                continue;
            }
            counted[side].extend(insist(&mut rig, |rig| {
                rig.count(setup, &cells, COUNT_TIME)
            })?);
        }
    }
    let [base, ours] = counted;
    for ((cell, units, counts), (_, our_units, our_counts)) in base.into_iter().zip(ours) {
        let row = rows
            .iter_mut()
            .find(|row| row.cell == cell)
            .context("an unknown cell")?;
        row.counts = Some([(units, counts), (our_units, our_counts)]);
    }
    step.done("");
    let losses = rig.losses;
    rig.finish()?;
    Ok((rows, losses))
}

/// A guest that is not yet created, and dom0 where it should be.
fn guest(host: &Host, mode: Mode, queues: u32) -> Result<Guest> {
    // Left to Xen and dom0's kernel, the two ends of the device, and the back end's interrupt and its thread, sometimes
    // share a processor and sometimes not, which makes a factor of two where one request is in flight.
    host.dom0().sh("xl vcpu-pin Domain-0 all 0")?;
    let guest = Guest::new(&format!("bench-{}", mode.name()), mode);
    let guest = match mode {
        Mode::Pv => guest.line(&host.topology().on_last_cpu()),
        // It is there anyway.
        Mode::Pvh | Mode::Hvm => guest,
    };
    // Xen's clock makes leaps where four virtual processors share one that is emulated, and then stands still until time
    // has caught up. The counter it is made from does not: the emulator takes it from the machine.
    Ok(guest
        .vcpus(queues)
        .memory(512)
        .args("tsc=reliable clocksource=tsc"))
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

/// The order within a round, as pairs of a side (0 is the baseline) and a number of queues: ABBA, and BAAB in the
/// next round, so that neither a steady drift of the machine nor the place in the round favours a side. The two
/// sides of a pair always run one right after the other.
fn order(round: u32) -> [(usize, u32); 4] {
    let [few, many] = QUEUES;
    let (first, second) = if round % 2 == 0 { (0, 1) } else { (1, 0) };
    [(first, few), (second, few), (second, many), (first, many)]
}

fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

fn facts<S: Subject>(
    images: &Images,
    host: &Host,
    topology: &Topology,
    subject: &S,
    options: &Options,
) -> Result<Facts> {
    let dom0 = host.dom0();
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or(": unknown");
    let qemu = images
        .qemu
        .package_version("qemu-system-x86")
        .unwrap_or_default();
    let base = S::module(Driver::C);
    let ours = match options.subject {
        Driver::Rust => S::module(Driver::Rust).to_owned(),
        // With the same name twice the tables could not be read.
        Driver::C => format!("{base} again"),
    };
    let machine = vec![
        ("date", dom0.sh("date -u '+%Y-%m-%d %H:%M UTC'")?),
        (
            "machine",
            format!(
                "{} × {}, QEMU {qemu} without KVM (every instruction is emulated)",
                std::thread::available_parallelism()?,
                model.trim_start_matches([' ', '\t', ':'])
            ),
        ),
        (
            "Xen",
            format!("{}, {topology}", images.userland.xen_version),
        ),
        ("kernel, in dom0 and in the guests", host.kernel.clone()),
        (
            "guests",
            format!(
                "{VCPUS} virtual processors, 512 MiB, the processor's time-stamp counter as clock"
            ),
        ),
        ("back end", subject.back_end()),
        (
            "rounds",
            format!(
                "{} of {} ms a cell",
                options.rounds,
                options.slice.as_millis()
            ),
        ),
    ];
    Ok(Facts {
        command: S::COMMAND,
        title: S::TITLE,
        drivers: [base.to_owned(), ours],
        machine,
        method: method::<S>(),
    })
}

fn method<S: Subject>() -> Vec<String> {
    let exchange = "Both drivers run in the same guest of the same boot, one after the other, on the same back end: the module \
         in use is unbound and unloaded, the connection is brought back to its first state, the other module is \
         loaded. A round is one turn of each driver at each number of queues, in the order ABBA and BAAB by turns. \
         A ratio is taken within a round, between neighbours in time, so what slows the machine for longer than a \
         few seconds slows both.";
    let place = "Dom0 has one processor, on one of the machine's, and the guest runs on another, so that it is no matter of chance \
         whether the two ends of the device share one. The interrupts of an only queue go to the processor that the load \
         runs on; those of several queues go where the driver puts them.";
    let counts = "Notifications, interrupts and grant operations come from kprobes and /proc/interrupts in the guest, in \
         passes that are not timed.";
    let emulation = "Under emulation a notification, an interrupt or a hypercall costs far more than on real hardware, and so \
         do copies with vector instructions. The ratios therefore say which driver does less work; they do not \
         predict numbers on real hardware.";
    [exchange]
        .into_iter()
        .chain(S::METHOD.iter().copied())
        .chain([place, counts, emulation])
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_side_has_the_better_place() {
        let rounds: Vec<_> = (0..2).flat_map(order).collect();
        for side in [0, 1] {
            let places = rounds
                .iter()
                .enumerate()
                .filter(|(_, (who, _))| *who == side);
            assert_eq!(places.map(|(place, _)| place % 4).sum::<usize>(), 6);
        }
        for round in 0..2 {
            // Neighbours have the same number of queues and different drivers.
            for pair in order(round).chunks(2) {
                assert!(pair[0].1 == pair[1].1 && pair[0].0 != pair[1].0);
            }
        }
    }
}
