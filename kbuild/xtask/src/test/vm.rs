// SPDX-License-Identifier: GPL-2.0

//! The scenarios: those that need no virtual machine, and those in virtual machines, on one kernel after the other, on several
//! machines at a time, as far as there is time.

use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::Result;
use kbuild::host::Memory;
use kbuild::{Images, Session};
use vmtest::attempts::Verdict;
use vmtest::runner::{self, Runner};
use vmtest::topology::Devices;
use vmtest::{Driver, Hypervisor, Loader, Variant};

use super::batch::{Batch, selection};
use super::estimate::Estimate;
use super::ordered::Ordered;
use super::queue::Queue;
use super::times::Clock;
use crate::cli::Test;
use crate::prepare::prepare;
use crate::report::{Case, Outcome, Report};

/// Memory that the largest machine takes, with its emulator's own, in bytes.
const MACHINE: u64 = 6656 << 20;

/// All that is to be run, and how far it is.
pub struct Run<'s> {
    session: &'s Session,
    args: &'s Test,
    batches: &'s [Batch],
    jobs: usize,
    estimate: Mutex<Estimate<'s>>,
}

impl<'s> Run<'s> {
    /// Nothing has been run yet.
    pub fn new(session: &'s Session, args: &'s Test, clock: Clock, batches: &'s [Batch]) -> Self {
        let jobs = args.jobs.unwrap_or_else(|| {
            let memory = Memory::read(Path::new("/")).available;
            jobs_for(session.jobs(), memory)
        });
        Self {
            session,
            args,
            batches,
            jobs,
            estimate: Mutex::new(Estimate::new(session, batches, clock, jobs)),
        }
    }

    /// Runs everything. Returns the names of those that were left out.
    pub fn all(self, report: &mut Report<'_>) -> Vec<String> {
        for batch in self.batches {
            match batch.on_host {
                true => self.on_host(batch, report),
                false => self.batch(batch, report),
            }
        }
        // Long rounds, and C in the place of our drivers, tell nothing of the default run.
        if !self.args.full && selection(self.args).driver == Driver::Rust {
            self.estimate().save();
        }
        let estimate = self.estimate.into_inner();
        estimate.unwrap_or_else(PoisonError::into_inner).left_out()
    }

    fn estimate(&self) -> MutexGuard<'_, Estimate<'s>> {
        self.estimate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on_host(&self, batch: &Batch, report: &mut Report<'_>) {
        for group in &batch.groups {
            report.begin(&group.name, group.scenarios.len());
            for scenario in &group.scenarios {
                let name = batch.name(scenario);
                let taken = self.estimate().take(batch, scenario, |_| false);
                if let Err(why) = taken {
                    report.add(named(&name, Outcome::Skipped(why)));
                    continue;
                }
                let result = runner::on_host(self.session, scenario, &selection(self.args));
                if result.verdict == Verdict::Passed {
                    self.estimate().took(batch, scenario, result.took);
                }
                report.add(case(&name, result));
            }
            report.end();
        }
    }

    fn batch(&self, batch: &Batch, report: &mut Report<'_>) {
        let setup = |outcome| {
            let suite = format!("{}setup", batch.prefix);
            Case::new(suite, "everything_needed_is_there", outcome)
        };
        let begun = self.estimate().begin(batch);
        if let Err(why) = begun {
            report.add(setup(Outcome::Skipped(why)));
            return skip(batch, report, |scenario| {
                self.estimate().leave_out(batch, scenario, &|_| false)
            });
        }
        let preparation = self.estimate().preparation(batch);
        let started = Instant::now();
        let images = self.prepare(batch);
        let took = started.elapsed();
        let time = Some(took);
        let images = match images {
            Ok(images) => images,
            Err(error) => {
                report.add(Case {
                    time,
                    log: Some(self.session.logs().to_owned()),
                    ..setup(Outcome::Failed(format!("{error:#}")))
                });
                // Other kernels still have their turn.
                self.estimate().give_up(batch);
                let why = "what it needs could not be made: see setup";
                return skip(batch, report, |_| why.to_owned());
            }
        };
        self.estimate().prepared(batch, &preparation, took);
        report.add(Case {
            time,
            ..setup(Outcome::Passed)
        });
        self.machines(batch, &images, report);
    }

    /// Runs scenarios on several machines at a time.
    fn machines(&self, batch: &Batch, images: &Images, report: &mut Report<'_>) {
        let groups = batch.groups.iter();
        let queue = Mutex::new(Queue::new(groups.map(|group| {
            let shared = group.scenarios.iter().any(|scenario| !scenario.is_alone());
            (group.scenarios.len(), shared)
        })));
        let (results, arriving) = channel();
        let mut ordered = Ordered::new(report, &batch.groups);
        let queue = &queue;
        thread::scope(|scope| {
            for worker in 1..=self.jobs.min(batch.scenarios().count()) {
                let results = results.clone();
                scope.spawn(move || self.work(worker, batch, images, queue, &results));
            }
            drop(results);
            for (group, case) in arriving {
                ordered.add(group, case);
            }
        });
    }

    /// Runs one scenario after the other until the queue has no more for this worker.
    fn work(
        &self,
        worker: usize,
        batch: &Batch,
        images: &Images,
        queue: &Mutex<Queue>,
        results: &Sender<(usize, Case)>,
    ) {
        let selection = selection(self.args);
        let prefix = match worker {
            1 => batch.prefix.clone(),
            _ => format!("{}{worker}.", batch.prefix),
        };
        let mut runner = Runner::new(self.session, images, &selection, &prefix);
        let mut last = None;
        loop {
            let mut waiting = queue.lock().unwrap_or_else(PoisonError::into_inner);
            let Some((group, place)) = waiting.next(last) else {
                return;
            };
            drop(waiting);
            last = Some(group);
            let case = self.one(&mut runner, batch, &batch.groups[group].scenarios[place]);
            // The other end goes last.
            let _ = results.send((group, case));
        }
    }

    fn one(&self, runner: &mut Runner<'_>, batch: &Batch, scenario: &Variant) -> Case {
        let name = batch.name(scenario);
        let taken = self
            .estimate()
            .take(batch, scenario, |topology| runner.is_up(topology));
        if let Err(why) = taken {
            return named(&name, Outcome::Skipped(why));
        }
        let result = runner.run(scenario);
        let mut estimate = self.estimate();
        for (topology, time) in runner.take_boots() {
            estimate.booted(&topology, time);
        }
        if result.verdict == Verdict::Passed && result.runs == 1 {
            estimate.took(batch, scenario, result.took);
        }
        case(&name, result)
    }

    fn prepare(&self, batch: &Batch) -> Result<Images> {
        let (session, args) = (self.session, self.args);
        let ours = selection(args).driver == Driver::Rust;
        let mut images = prepare(
            session,
            batch.profile.as_deref(),
            args.versions.xen.as_deref(),
            ours,
        )?;
        if batch.needs(|scenario| scenario.topology.hypervisor == Hypervisor::Paravane) {
            images = images.with_paravane(session)?;
        }
        if batch.needs(|scenario| scenario.topology.counted) {
            images = images.with_counter(session)?;
        }
        if batch.needs(|scenario| scenario.topology.loader != Loader::Qemu) {
            images = images.with_grub(session)?;
        }
        if batch.needs(|scenario| scenario.topology.devices == Devices::Debian) {
            images = images.with_debian(session)?;
        }
        if batch.needs(|scenario| scenario.topology.devices == Devices::GuestKernel) {
            images = images.with_own_kernel_as_guest(session, &vmtest::run::ROOT_MODULES)?;
        }
        Ok(images)
    }
}

/// How many machines run at the same time if the user does not say: as many as the free memory has room for, with two
/// processors each. A machine has two, and its emulator keeps them busy: two machines on two processors take longer than one
/// after the other.
fn jobs_for(processors: usize, available: u64) -> usize {
    let room = usize::try_from(available / MACHINE).unwrap_or(usize::MAX);
    (processors / 2).min(room).max(1)
}

/// Reports scenarios of a kernel that are not run.
fn skip(batch: &Batch, report: &mut Report<'_>, why: impl Fn(&Variant) -> String) {
    for group in &batch.groups {
        report.begin(&group.name, group.scenarios.len());
        for scenario in &group.scenarios {
            let outcome = Outcome::Skipped(why(scenario));
            report.add(named(&batch.name(scenario), outcome));
        }
        report.end();
    }
}

/// A test by its whole name: the last part is what the group calls it.
fn named(name: &str, outcome: Outcome) -> Case {
    let (suite, name) = name.rsplit_once('.').unwrap_or(("vm", name));
    Case::new(suite, name, outcome)
}

fn case(name: &str, result: runner::ScenarioResult) -> Case {
    Case {
        time: Some(result.took),
        log: result.logs,
        notes: result.notes,
        runs: result.runs,
        repeats: result.repeats,
        ..named(
            name,
            match result.verdict {
                Verdict::Passed => Outcome::Passed,
                Verdict::Skipped(why) => Outcome::Skipped(why),
                Verdict::Failed(why) => Outcome::Failed(why),
                Verdict::TimedOut(why) => Outcome::TimedOut(why),
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_fit_into_memory_and_one_always_runs() {
        assert_eq!(jobs_for(8, 4 * MACHINE), 4);
        assert_eq!(jobs_for(8, 4 * MACHINE - 1), 3);
        assert_eq!(jobs_for(8, 1 << 30), 1);
        assert_eq!(jobs_for(2, u64::MAX), 1);
        assert_eq!(jobs_for(1, u64::MAX), 1);
    }
}
