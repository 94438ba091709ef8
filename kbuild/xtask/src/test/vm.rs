// SPDX-License-Identifier: GPL-2.0

//! The scenarios: those that need no virtual machine, and those in virtual machines, on one kernel after the other, on one
//! machine after the other, as far as there is time.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use kbuild::{Images, Session};
use vmtest::attempts::Verdict;
use vmtest::runner::{self, Runner};
use vmtest::topology::Devices;
use vmtest::{Driver, Hypervisor, Loader, Variant};

use super::batch::{Batch, selection};
use super::plan::{self, Candidate, Need};
use super::times::{self, Clock, Times};
use crate::cli::Test;
use crate::prepare::prepare;
use crate::report::summary::span;
use crate::report::{Case, Outcome, Report};

/// Seconds that a scenario takes where it was never run, on the machine that the figures in docs/results come from.
const SHARED: f64 = 15.0;
/// Seconds that one takes which starts machines itself and was never run.
const ALONE: f64 = 40.0;
/// Seconds that one takes which needs no machine and was never run.
const ON_HOST: f64 = 20.0;
/// Seconds until Xen and dom0 are up there.
const XEN: f64 = 15.0;
/// Seconds until our hypervisor and dom0 are up there.
const PARAVANE: f64 = 8.0;
/// Seconds that it takes to bring a kernel up to date, with all that is made for it.
const AGAIN: f64 = 90.0;
/// Seconds that it takes to build one for the first time.
const ANEW: f64 = 900.0;

/// All that is to be run, and how far it is.
pub struct Run<'s> {
    session: &'s Session,
    args: &'s Test,
    clock: Clock,
    times: Times,
    /// Decides which scenarios are left out.
    turn: String,
    batches: &'s [Batch],
    /// Names of those that were not left out or run so far.
    pending: BTreeSet<String>,
    /// Kernels that are ready.
    ready: BTreeSet<String>,
    /// Names of those that were left out.
    pub left_out: Vec<String>,
}

impl<'s> Run<'s> {
    /// Nothing has been run yet.
    pub fn new(session: &'s Session, args: &'s Test, clock: Clock, batches: &'s [Batch]) -> Self {
        let names = batches
            .iter()
            .flat_map(|batch| batch.scenarios().map(|scenario| batch.name(scenario)));
        Self {
            session,
            args,
            clock,
            times: Times::read(session),
            turn: times::turn(session.workspace()),
            batches,
            pending: names.collect(),
            ready: BTreeSet::new(),
            left_out: Vec::new(),
        }
    }

    /// Runs everything.
    pub fn all(&mut self, report: &mut Report<'_>) {
        for batch in self.batches {
            match batch.on_host {
                true => self.on_host(batch, report),
                false => self.batch(batch, report),
            }
        }
        // Long rounds, and C in the place of our drivers, tell nothing of the default run.
        if !self.args.full && selection(self.args).driver == Driver::Rust {
            if let Err(error) = self.times.save(self.session) {
                let text = format!("note: how long scenarios took is not kept: {error:#}");
                self.session.ui.line(&text);
            }
        }
    }

    fn on_host(&mut self, batch: &Batch, report: &mut Report<'_>) {
        for group in &batch.groups {
            report.begin(&group.name, group.scenarios.len());
            for scenario in &group.scenarios {
                let name = batch.name(scenario);
                if !self.chosen(None).contains(&name) {
                    self.leave_out(batch, scenario, None, report);
                    continue;
                }
                self.pending.remove(&name);
                let result = runner::on_host(self.session, scenario, &selection(self.args));
                if result.verdict == Verdict::Passed {
                    self.times.took(&name, seconds(scenario), result.took);
                }
                report.add(case(&name, result));
            }
            report.end();
        }
    }

    fn batch(&mut self, batch: &Batch, report: &mut Report<'_>) {
        let setup = |outcome| {
            let suite = format!("{}setup", batch.prefix);
            Case::new(suite, "everything_needed_is_there", outcome)
        };
        let chosen = self.chosen(None);
        if !batch.scenarios().any(|s| chosen.contains(&batch.name(s))) {
            let (what, built_in) = self.preparation(batch);
            let why = self.no_time(self.times.expect(&what, built_in));
            report.add(setup(Outcome::Skipped(why)));
            for group in &batch.groups {
                report.begin(&group.name, group.scenarios.len());
                for scenario in &group.scenarios {
                    self.leave_out(batch, scenario, None, report);
                }
                report.end();
            }
            return;
        }
        let (key, built_in) = self.preparation(batch);
        let started = Instant::now();
        let images = self.prepare(batch);
        let time = started.elapsed();
        let images = match images {
            Ok(images) => images,
            Err(error) => {
                report.add(Case {
                    time: Some(time),
                    log: Some(self.session.logs().to_owned()),
                    ..setup(Outcome::Failed(format!("{error:#}")))
                });
                // Other kernels still have their turn.
                return self.give_up(batch, report);
            }
        };
        self.times.took(&key, built_in, time);
        self.ready.insert(batch.prefix.clone());
        report.add(Case {
            time: Some(time),
            ..setup(Outcome::Passed)
        });
        let selection = selection(self.args);
        let mut runner = Runner::new(self.session, &images, &selection, &batch.prefix);
        for group in &batch.groups {
            report.begin(&group.name, group.scenarios.len());
            for scenario in &group.scenarios {
                if self.chosen(Some(&runner)).contains(&batch.name(scenario)) {
                    let case = self.run(&mut runner, batch, scenario);
                    report.add(case);
                } else {
                    self.leave_out(batch, scenario, Some(&runner), report);
                }
            }
            report.end();
        }
    }

    fn run(&mut self, runner: &mut Runner<'_>, batch: &Batch, scenario: &Variant) -> Case {
        let name = batch.name(scenario);
        self.pending.remove(&name);
        let result = runner.run(scenario);
        for (topology, time) in runner.take_boots() {
            let built_in = boot_seconds(topology.hypervisor);
            self.times.took(&times::boot(&topology), built_in, time);
        }
        if result.verdict == Verdict::Passed && result.runs == 1 {
            self.times.took(&name, seconds(scenario), result.took);
        }
        case(&name, result)
    }

    /// Which of those that are pending there is time for.
    fn chosen(&self, runner: Option<&Runner<'_>>) -> BTreeSet<String> {
        let mut items = Vec::new();
        for batch in self.batches {
            let pending = |scenario: &&Variant| self.pending.contains(&batch.name(scenario));
            let scenarios = batch.scenarios().filter(pending);
            items.extend(scenarios.map(|scenario| self.item(batch, scenario, runner)));
        }
        plan::choose(&items, self.clock.left(), &self.turn)
    }

    /// A scenario with the times that it and what it needs will take.
    fn item(&self, batch: &Batch, scenario: &Variant, runner: Option<&Runner<'_>>) -> Candidate {
        let (what, built_in) = self.preparation(batch);
        let mut needs = vec![];
        if !batch.on_host {
            needs.push(Need {
                seconds: match self.ready.contains(&batch.prefix) {
                    true => 0.0,
                    false => self.times.expect(&what, built_in),
                },
                key: what,
            });
        }
        if !batch.on_host && !scenario.is_alone() {
            let topology = &scenario.topology;
            let boot = times::boot(topology);
            let built_in = boot_seconds(topology.hypervisor);
            needs.push(Need {
                seconds: match runner.is_some_and(|runner| runner.is_up(topology)) {
                    true => 0.0,
                    false => self.times.expect(&boot, built_in),
                },
                key: format!("{}{boot}", batch.prefix),
            });
        }
        let name = batch.name(scenario);
        Candidate {
            seconds: self.times.expect(&name, seconds(scenario)),
            core: scenario.is_core(),
            last: self.is_built_for(batch),
            name,
            needs,
        }
    }

    /// Whether a kernel has to be built for these first.
    fn is_built_for(&self, batch: &Batch) -> bool {
        let built = |name: &String| self.ready.contains(&batch.prefix) || self.was_built(name);
        batch.profile.as_ref().is_some_and(|name| !built(name))
    }

    /// What preparing a kernel is called, and how many seconds it takes where the built-in figures come from.
    fn preparation(&self, batch: &Batch) -> (String, f64) {
        match &batch.profile {
            // It is needed in any case.
            None => ("default kernel".into(), AGAIN),
            Some(name) if self.was_built(name) => (format!("kernel {name}, again"), AGAIN),
            Some(name) => (format!("kernel {name}, anew"), ANEW),
        }
    }

    /// Whether the cache has a build of a kernel: another is made from it.
    fn was_built(&self, name: &str) -> bool {
        let entries = std::fs::read_dir(self.session.cache.root().join("kernel"));
        let names = entries.into_iter().flatten().flatten();
        names
            .filter_map(|entry| entry.file_name().into_string().ok())
            .any(|entry| entry.rsplit_once('-').is_some_and(|(of, _)| of == name))
    }

    fn leave_out(
        &mut self,
        batch: &Batch,
        scenario: &Variant,
        runner: Option<&Runner<'_>>,
        report: &mut Report<'_>,
    ) {
        let candidate = self.item(batch, scenario, runner);
        let why = self.no_time(plan::price(&candidate, &BTreeSet::new()));
        self.pending.remove(&candidate.name);
        report.add(named(&candidate.name, Outcome::Skipped(why)));
        self.left_out.push(candidate.name);
    }

    /// Why something is left out that takes so many seconds with all that it needs.
    fn no_time(&self, seconds: f64) -> String {
        format!(
            "no time: with what it needs it takes about {}, {} of {} have passed, and the core comes first; --full leaves \
             out none",
            span(Duration::from_secs_f64(seconds.ceil())),
            span(self.clock.passed()),
            span(self.clock.budget.unwrap_or_default())
        )
    }

    /// Reports that nothing of a kernel can be run.
    fn give_up(&mut self, batch: &Batch, report: &mut Report<'_>) {
        for group in &batch.groups {
            report.begin(&group.name, group.scenarios.len());
            for scenario in &group.scenarios {
                let name = batch.name(scenario);
                self.pending.remove(&name);
                let why = "what it needs could not be made: see setup".to_owned();
                report.add(named(&name, Outcome::Skipped(why)));
            }
            report.end();
        }
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
        if batch.needs(|scenario| scenario.topology.loader != Loader::Qemu) {
            images = images.with_grub(session)?;
        }
        if batch.needs(|scenario| scenario.topology.devices == Devices::Debian) {
            images = images.with_debian(session)?;
        }
        Ok(images)
    }
}

fn seconds(scenario: &Variant) -> f64 {
    match scenario.run {
        vmtest::scenario::Run::Booted(_) => SHARED,
        vmtest::scenario::Run::Alone(_) => ALONE,
        vmtest::scenario::Run::OnHost(_) => ON_HOST,
    }
}

fn boot_seconds(hypervisor: Hypervisor) -> f64 {
    match hypervisor {
        Hypervisor::Xen => XEN,
        Hypervisor::Paravane => PARAVANE,
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
