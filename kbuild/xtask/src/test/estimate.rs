// SPDX-License-Identifier: GPL-2.0

//! What scenarios and their kernels are expected to take, which of them there is time for, and which were left out.

use std::collections::BTreeSet;
use std::time::Duration;

use kbuild::Session;
use vmtest::{Hypervisor, Topology, Variant};

use super::batch::Batch;
use super::plan::{self, Candidate, Need};
use super::times::{self, Clock, Times};
use crate::report::summary::span;

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

/// The scenarios that have not run yet, and the time that is left for them.
pub struct Estimate<'s> {
    session: &'s Session,
    batches: &'s [Batch],
    clock: Clock,
    /// How many scenarios run at the same time.
    jobs: usize,
    times: Times,
    /// Decides which scenarios are left out.
    turn: String,
    /// Names of those that were not left out or run so far.
    pending: BTreeSet<String>,
    /// Kernels that are ready.
    ready: BTreeSet<String>,
    /// Names of those that were left out.
    left_out: Vec<String>,
}

impl<'s> Estimate<'s> {
    /// Nothing has been run yet.
    pub fn new(session: &'s Session, batches: &'s [Batch], clock: Clock, jobs: usize) -> Self {
        let names = batches
            .iter()
            .flat_map(|batch| batch.scenarios().map(|scenario| batch.name(scenario)));
        Self {
            session,
            batches,
            clock,
            jobs,
            times: Times::read(session),
            turn: times::turn(session.workspace()),
            pending: names.collect(),
            ready: BTreeSet::new(),
            left_out: Vec::new(),
        }
    }

    /// Takes a scenario from those that are pending if there is time for it. Otherwise it is left out: the error says why.
    /// `is_up` says whether a machine runs already that is at hand for it.
    pub fn take(
        &mut self,
        batch: &Batch,
        scenario: &Variant,
        is_up: impl Fn(&Topology) -> bool,
    ) -> Result<(), String> {
        let name = batch.name(scenario);
        if self.chosen(&is_up).contains(&name) {
            self.pending.remove(&name);
            return Ok(());
        }
        Err(self.leave_out(batch, scenario, &is_up))
    }

    /// Leaves a scenario out; returns why.
    pub fn leave_out(
        &mut self,
        batch: &Batch,
        scenario: &Variant,
        is_up: &impl Fn(&Topology) -> bool,
    ) -> String {
        let candidate = self.candidate(batch, scenario, is_up);
        let why = self.no_time(plan::price(&candidate, &BTreeSet::new()));
        self.pending.remove(&candidate.name);
        self.left_out.push(candidate.name);
        why
    }

    /// Whether there is time for any scenario of these; the error says why not.
    pub fn begin(&self, batch: &Batch) -> Result<(), String> {
        let chosen = self.chosen(&|_| false);
        if batch.scenarios().any(|s| chosen.contains(&batch.name(s))) {
            return Ok(());
        }
        let (what, built_in) = self.preparation(batch);
        Err(self.no_time(self.times.expect(&what, built_in)))
    }

    /// Takes all scenarios of these out: they cannot be run.
    pub fn give_up(&mut self, batch: &Batch) {
        for scenario in batch.scenarios() {
            self.pending.remove(&batch.name(scenario));
        }
    }

    /// Records that what these need has been made, and how long that took. `key` is what [`Self::preparation`] said before.
    pub fn prepared(&mut self, batch: &Batch, (key, built_in): &(String, f64), time: Duration) {
        self.times.took(key, *built_in, time);
        self.ready.insert(batch.prefix.clone());
    }

    /// Records how long a scenario took.
    pub fn took(&mut self, batch: &Batch, scenario: &Variant, time: Duration) {
        self.times
            .took(&batch.name(scenario), seconds(scenario), time);
    }

    /// Records how long a machine took to come up.
    pub fn booted(&mut self, topology: &Topology, time: Duration) {
        let built_in = boot_seconds(topology.hypervisor);
        self.times.took(&times::boot(topology), built_in, time);
    }

    /// What preparing a kernel is called, and how many seconds it takes where the built-in figures come from.
    pub fn preparation(&self, batch: &Batch) -> (String, f64) {
        match &batch.profile {
            // It is needed in any case.
            None => ("default kernel".into(), AGAIN),
            Some(name) if self.was_built(name) => (format!("kernel {name}, again"), AGAIN),
            Some(name) => (format!("kernel {name}, anew"), ANEW),
        }
    }

    /// Keeps the times for later runs.
    pub fn save(&self) {
        if let Err(error) = self.times.save(self.session) {
            let text = format!("note: how long scenarios took is not kept: {error:#}");
            self.session.ui.line(&text);
        }
    }

    /// Names of those that were left out.
    pub fn left_out(self) -> Vec<String> {
        self.left_out
    }

    /// Which of those that are pending there is time for.
    fn chosen(&self, is_up: &impl Fn(&Topology) -> bool) -> BTreeSet<String> {
        let mut items = Vec::new();
        for batch in self.batches {
            let pending = |scenario: &&Variant| self.pending.contains(&batch.name(scenario));
            let scenarios = batch.scenarios().filter(pending);
            items.extend(scenarios.map(|scenario| self.candidate(batch, scenario, is_up)));
        }
        // So many seconds are left by the clock, and each of those that run at the same time has them.
        let left = self.clock.left() * self.jobs as f64;
        plan::choose(&items, left, &self.turn)
    }

    /// A scenario with the times that it and what it needs will take.
    fn candidate(
        &self,
        batch: &Batch,
        scenario: &Variant,
        is_up: &impl Fn(&Topology) -> bool,
    ) -> Candidate {
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
                seconds: match is_up(topology) {
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

    /// Whether the cache has a build of a kernel: another is made from it.
    fn was_built(&self, name: &str) -> bool {
        let entries = std::fs::read_dir(self.session.cache.root().join("kernel"));
        let names = entries.into_iter().flatten().flatten();
        names
            .filter_map(|entry| entry.file_name().into_string().ok())
            .any(|entry| entry.rsplit_once('-').is_some_and(|(of, _)| of == name))
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
