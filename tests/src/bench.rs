// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask bench blk`: our block frontend against the kernel's own, in one boot, on the same back end.
//!
//! What lives here: the order of the runs, and the verdict. [`matrix`] has the workloads, [`drive`] runs them in
//! a guest, [`counts`] counts what they ask of the hypervisor, [`stats`] compares, [`report`] tells. The load
//! generator is crate `blkload`, which the guests have inside their agent.

mod counts;
mod drive;
mod matrix;
mod priority;
mod report;
mod stats;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kbuild::{Images, Session};

use crate::guest::{Driver, Mode};
use crate::host::Host;
use crate::topology::Topology;
use drive::{Rig, Setup};
use report::{Facts, Row};

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Kinds of guests to run in.
    pub modes: Vec<Mode>,
    /// Only the cells that tell most.
    pub quick: bool,
    /// How often each driver runs each cell.
    pub rounds: u32,
    /// How long a cell runs each time.
    pub slice: Duration,
    /// Whether the back end offers persistent grants, as it does by default.
    pub persistent: bool,
    /// What is compared with the kernel's driver; the kernel's driver itself shows how exact the method is.
    pub subject: Driver,
    /// Where the document goes; nowhere if `None`.
    pub output: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            modes: vec![Mode::Pv, Mode::Pvh],
            quick: false,
            rounds: 10,
            slice: Duration::from_millis(300),
            persistent: true,
            subject: Driver::Rust,
            output: None,
        }
    }
}

/// Processors of a guest: as many as queues are wanted at most.
const VCPUS: u32 = 4;

/// How long a cell runs while its costs are counted.
const COUNT_TIME: Duration = Duration::from_millis(200);

/// Runs it all and returns the summary, and whether ours was good enough everywhere.
pub fn blk(session: &Session, images: &Images, options: &Options) -> Result<(String, bool)> {
    ensure!(
        options.rounds > 0 && !options.modes.is_empty(),
        "there is nothing to measure"
    );
    let module = options.subject.module();
    if options.subject == Driver::Rust && !images.payload.modules.iter().any(|name| name == module)
    {
        bail!(
            "the work tree built no module {module} (it built: {})",
            images.payload.modules.join(", ")
        );
    }
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
    let mut facts = facts(images, &host, &topology, options)?;
    let (mut rows, mut losses, mut failure) = (Vec::new(), 0, None);
    for mode in &options.modes {
        match measure(session, &host, *mode, options) {
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
    let kept = dir.join("blk.md");
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
fn measure(
    session: &Session,
    host: &Host,
    mode: Mode,
    options: &Options,
) -> Result<(Vec<Row>, u32)> {
    let name = mode.name().to_uppercase();
    let step = session.ui.step(format!("Creating the {name} guest"));
    let mut rig = Rig::new(host, mode, VCPUS, options.persistent)?;
    step.done("");
    let drivers = [Driver::C, options.subject];
    let choose = if options.quick {
        matrix::quick
    } else {
        matrix::cells
    };
    let mut rows: Vec<Row> = matrix::QUEUES
        .iter()
        .flat_map(|queues| choose(*queues))
        .map(|cell| Row {
            mode,
            cell,
            base: vec![],
            ours: vec![],
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
            let cells = choose(queues);
            let samples = insist(&mut rig, |rig| rig.measure(setup, &cells, options.slice))?;
            for sample in samples {
                let row = rows
                    .iter_mut()
                    .find(|row| row.cell == sample.cell)
                    .context("an unknown cell")?;
                let rates = if side == 0 {
                    &mut row.base
                } else {
                    &mut row.ours
                };
                rates.push(sample.rate);
            }
        }
        step.note(&format!("round {} of {}", round + 1, options.rounds));
    }
    step.done(&format!("{} rounds", options.rounds));

    let step = session.ui.step(format!("Counting in the {name} guest"));
    let mut counted = [vec![], vec![]];
    for queues in matrix::QUEUES {
        for side in [0, 1] {
            let setup = Setup {
                side,
                driver: drivers[side],
                queues,
            };
            let cells = choose(queues);
            counted[side].extend(insist(&mut rig, |rig| {
                rig.count(setup, &cells, COUNT_TIME)
            })?);
        }
    }
    let [base, ours] = counted;
    for ((cell, requests, counts), (_, our_requests, our_counts)) in base.into_iter().zip(ours) {
        let row = rows
            .iter_mut()
            .find(|row| row.cell == cell)
            .context("an unknown cell")?;
        row.counts = Some([(requests, counts), (our_requests, our_counts)]);
    }
    step.done("");
    let losses = rig.losses;
    rig.finish()?;
    Ok((rows, losses))
}

/// Repeats what the emulator spoilt.
fn insist<T>(rig: &mut Rig<'_>, mut what: impl FnMut(&mut Rig<'_>) -> Result<T>) -> Result<T> {
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
    let [few, many] = matrix::QUEUES;
    let (first, second) = if round % 2 == 0 { (0, 1) } else { (1, 0) };
    [(first, few), (second, few), (second, many), (first, many)]
}

fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

fn facts(images: &Images, host: &Host, topology: &Topology, options: &Options) -> Result<Facts> {
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
    let subject = match options.subject {
        Driver::Rust => Driver::Rust.module().to_owned(),
        // With the same name twice the tables could not be read.
        Driver::C => format!("{} again", Driver::C.module()),
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
        ("guests", format!("{VCPUS} virtual processors, 512 MiB")),
        (
            "back end",
            format!(
                "xen-blkback on null_blk (no memory, completion in the submitter's context), persistent grants {}",
                if options.persistent {
                    "offered"
                } else {
                    "not offered"
                }
            ),
        ),
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
        drivers: [Driver::C.module().to_owned(), subject],
        machine,
        method: method(),
    })
}

fn method() -> Vec<String> {
    [
        "Both drivers run in the same guest of the same boot, one after the other, on the same back end: the module \
         in use is unbound and unloaded, the connection is brought back to its first state, the other module is \
         loaded. A round is one turn of each driver at each number of queues, in the order ABBA and BAAB by turns. \
         A ratio is taken within a round, between neighbours in time, so what slows the machine for longer than a \
         few seconds slows both.",
        "The load is our own generator on io_uring: registered buffers and files, direct I/O, one thread with a \
         processor and a queue of its own for each queue of the device, with its share of the \
         requests in flight. Offsets are spread so that nothing can be merged; the I/O scheduler is `none`.",
        "Dom0 has one processor, on one of the machine's, and the guest runs on another, so that it is no matter of chance whether \
         the two ends of the disk share one. The interrupt of an only queue goes to the processor that the load runs \
         on; those of several queues go where the driver puts them.",
        "Notifications, interrupts and grant operations come from kprobes and /proc/interrupts in the guest, in \
         passes that are not timed. A request larger than the driver's limit is several requests on the ring and \
         counts as one here.",
        "Under emulation a notification, an interrupt or a hypercall costs far more than on real hardware, and so \
         do copies with vector instructions. The ratios therefore say which driver does less work; they do not \
         predict numbers on real hardware.",
    ]
    .map(str::to_owned)
    .to_vec()
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
