// SPDX-License-Identifier: GPL-2.0

//! The scenarios: those that need no virtual machine, and those in virtual machines, on one kernel after the other, on one
//! machine after the other, as far as there is time.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use kbuild::config::Config;
use kbuild::{Images, Session};
use vmtest::attempts::Verdict;
use vmtest::runner::{self, Runner, Selection};
use vmtest::topology::Devices;
use vmtest::{Driver, Hypervisor, Loader, Scenario};

use super::plan::{self, Item, Need};
use super::times::{self, Clock, Times};
use crate::cli::{self, Test};
use crate::prepare::prepare;
use crate::report::summary::span;
use crate::report::{Case, Outcome, Report};

/// Seconds that a scenario takes where it was never run, on the machine that the figures in docs/results come from.
const SHARED: f64 = 15.0;
/// The same for one that boots machines itself.
const ALONE: f64 = 40.0;
/// The same for one that boots none.
const ON_HOST: f64 = 20.0;
/// Seconds until Xen and dom0 are up there.
const XEN: f64 = 15.0;
/// Seconds until our hypervisor and dom0 are up there.
const PARAVANE: f64 = 8.0;
/// Seconds that it takes to bring a kernel up to date, with all that is made for it.
const AGAIN: f64 = 90.0;
/// Seconds that it takes to build one for the first time.
const ANEW: f64 = 900.0;

/// Which scenarios the command line means.
pub fn selection(args: &Test) -> Selection {
    Selection {
        filters: args.filter.clone(),
        full: args.full,
        snapshots: args.snapshots,
        driver: match args.driver {
            cli::Driver::Rust => Driver::Rust,
            cli::Driver::C => Driver::C,
        },
    }
}

/// The scenarios of one kernel, or those that need no kernel.
pub struct Lot {
    /// Whether they need neither a kernel nor a machine.
    on_host: bool,
    target: Option<String>,
    /// In front of their names, unless it is the default kernel.
    prefix: String,
    groups: Vec<Group>,
}

/// Scenarios that share a machine, or that boot their machines themselves.
struct Group {
    name: String,
    scenarios: Vec<Scenario>,
}

impl Lot {
    /// How many tests it is at the outermost level: making what it needs, and its groups.
    pub fn planned(&self) -> usize {
        usize::from(!self.on_host) + self.groups.len()
    }

    /// Its scenarios.
    pub fn scenarios(&self) -> impl Iterator<Item = &Scenario> {
        self.groups.iter().flat_map(|group| &group.scenarios)
    }

    /// A scenario's whole name.
    pub fn name(&self, scenario: &Scenario) -> String {
        format!("{}{}", self.prefix, scenario.name)
    }

    /// The kernel, if it is not the default one.
    pub fn kernel(&self) -> Option<&str> {
        self.prefix.strip_suffix('.')
    }

    fn needs(&self, wanted: impl Fn(&Scenario) -> bool) -> bool {
        self.scenarios().any(wanted)
    }
}

/// First those that need no machine. Then the kernels to run on: the one named; otherwise the default one, those that some of the scenarios are for, and with
/// `--full` all, but not those that differ from another only in having more C.
pub fn lots(config: &Config, args: &Test) -> Vec<Lot> {
    let picked = selection(args).pick(&vmtest::scenarios::all());
    let (on_host, picked): (Vec<_>, Vec<_>) = picked.into_iter().partition(Scenario::is_on_host);
    let on_host = Lot {
        on_host: true,
        target: None,
        prefix: String::new(),
        groups: vec![Group {
            name: "this machine".into(),
            scenarios: on_host,
        }],
    };
    let targets = match &args.versions.kernel {
        Some(name) => vec![Some(name.clone())],
        None => {
            let mut others: Vec<_> = config.target.keys().collect();
            others.retain(|name| **name != config.default);
            let others = others.into_iter().map(|name| Some(name.clone()));
            std::iter::once(None).chain(others).collect()
        }
    };
    let lots = targets.into_iter().map(|target| {
        let mut scenarios = picked.clone();
        scenarios.retain(|scenario| is_for(config, args, target.as_deref(), scenario));
        let prefix = match &target {
            Some(name) if *name != config.default => format!("{name}."),
            _ => String::new(),
        };
        let groups = groups(&prefix, scenarios);
        Lot {
            on_host: false,
            target,
            prefix,
            groups,
        }
    });
    std::iter::once(on_host)
        .chain(lots)
        .filter(|lot| lot.scenarios().next().is_some())
        .collect()
}

/// Whether a scenario is run on a kernel.
fn is_for(config: &Config, args: &Test, target: Option<&str>, scenario: &Scenario) -> bool {
    if !scenario.is_for(target) {
        return false;
    }
    let (Some(name), None) = (target, &args.versions.kernel) else {
        return true;
    };
    let is_copy = config.target.get(name).is_some_and(|t| !t.c.is_empty());
    if args.filter.is_empty() && !args.full {
        // The default run has one kernel for those that need a certain one.
        return scenario.kernels.first() == Some(&name);
    }
    !scenario.kernels.is_empty() || args.full && !is_copy
}

/// Scenarios that follow each other and share a machine are a group.
fn groups(prefix: &str, scenarios: Vec<Scenario>) -> Vec<Group> {
    let kernel = match prefix.strip_suffix('.') {
        Some(name) => format!("{name}, "),
        None => String::new(),
    };
    let mut groups: Vec<Group> = Vec::new();
    for scenario in scenarios {
        let machine = match scenario.is_alone() {
            true => "machines of their own".to_owned(),
            false => scenario.topology.to_string(),
        };
        let name = format!("{kernel}{machine}");
        match groups.last_mut() {
            Some(group) if group.name == name => group.scenarios.push(scenario),
            _ => groups.push(Group {
                name,
                scenarios: vec![scenario],
            }),
        }
    }
    groups
}

/// All that is to be run, and how far it is.
pub struct Run<'s> {
    session: &'s Session,
    args: &'s Test,
    clock: Clock,
    times: Times,
    /// Decides which scenarios are left out.
    turn: String,
    lots: &'s [Lot],
    /// Names of those that were not left out or run so far.
    pending: BTreeSet<String>,
    /// Kernels that are ready.
    ready: BTreeSet<String>,
    /// Names of those that were left out.
    pub left_out: Vec<String>,
}

impl<'s> Run<'s> {
    /// Nothing has been run yet.
    pub fn new(session: &'s Session, args: &'s Test, clock: Clock, lots: &'s [Lot]) -> Self {
        let names = lots
            .iter()
            .flat_map(|lot| lot.scenarios().map(|scenario| lot.name(scenario)));
        Self {
            session,
            args,
            clock,
            times: Times::read(session),
            turn: times::turn(session.workspace()),
            lots,
            pending: names.collect(),
            ready: BTreeSet::new(),
            left_out: Vec::new(),
        }
    }

    /// Runs everything.
    pub fn all(&mut self, report: &mut Report<'_>) {
        for lot in self.lots {
            match lot.on_host {
                true => self.on_host(lot, report),
                false => self.lot(lot, report),
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

    fn on_host(&mut self, lot: &Lot, report: &mut Report<'_>) {
        for group in &lot.groups {
            report.begin(&group.name, group.scenarios.len());
            for scenario in &group.scenarios {
                let name = lot.name(scenario);
                if !self.chosen(None).contains(&name) {
                    self.leave_out(lot, scenario, None, report);
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

    fn lot(&mut self, lot: &Lot, report: &mut Report<'_>) {
        let setup = |outcome| {
            let suite = format!("{}setup", lot.prefix);
            Case::new(suite, "everything_needed_is_there", outcome)
        };
        let chosen = self.chosen(None);
        if !lot.scenarios().any(|s| chosen.contains(&lot.name(s))) {
            let (what, built_in) = self.preparation(lot);
            let why = self.no_time(self.times.expect(&what, built_in));
            report.add(setup(Outcome::Skipped(why)));
            for group in &lot.groups {
                report.begin(&group.name, group.scenarios.len());
                for scenario in &group.scenarios {
                    self.leave_out(lot, scenario, None, report);
                }
                report.end();
            }
            return;
        }
        let (key, built_in) = self.preparation(lot);
        let started = Instant::now();
        let images = self.prepare(lot);
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
                return self.give_up(lot, report);
            }
        };
        self.times.took(&key, built_in, time);
        self.ready.insert(lot.prefix.clone());
        report.add(Case {
            time: Some(time),
            ..setup(Outcome::Passed)
        });
        let selection = selection(self.args);
        let mut runner = Runner::new(self.session, &images, &selection, &lot.prefix);
        for group in &lot.groups {
            report.begin(&group.name, group.scenarios.len());
            for scenario in &group.scenarios {
                if self.chosen(Some(&runner)).contains(&lot.name(scenario)) {
                    let case = self.run(&mut runner, lot, scenario);
                    report.add(case);
                } else {
                    self.leave_out(lot, scenario, Some(&runner), report);
                }
            }
            report.end();
        }
    }

    fn run(&mut self, runner: &mut Runner<'_>, lot: &Lot, scenario: &Scenario) -> Case {
        let name = lot.name(scenario);
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
        for lot in self.lots {
            let pending = |scenario: &&Scenario| self.pending.contains(&lot.name(scenario));
            let scenarios = lot.scenarios().filter(pending);
            items.extend(scenarios.map(|scenario| self.item(lot, scenario, runner)));
        }
        plan::choose(&items, self.clock.left(), &self.turn)
    }

    /// A scenario with the times that it and what it needs will take.
    fn item(&self, lot: &Lot, scenario: &Scenario, runner: Option<&Runner<'_>>) -> Item {
        let (what, built_in) = self.preparation(lot);
        let mut needs = vec![];
        if !lot.on_host {
            needs.push(Need {
                seconds: match self.ready.contains(&lot.prefix) {
                    true => 0.0,
                    false => self.times.expect(&what, built_in),
                },
                key: what,
            });
        }
        if !lot.on_host && !scenario.is_alone() {
            let topology = &scenario.topology;
            let boot = times::boot(topology);
            let built_in = boot_seconds(topology.hypervisor);
            needs.push(Need {
                seconds: match runner.is_some_and(|runner| runner.is_up(topology)) {
                    true => 0.0,
                    false => self.times.expect(&boot, built_in),
                },
                key: format!("{}{boot}", lot.prefix),
            });
        }
        let name = lot.name(scenario);
        Item {
            seconds: self.times.expect(&name, seconds(scenario)),
            core: scenario.core,
            last: self.is_built_for(lot),
            name,
            needs,
        }
    }

    /// Whether a kernel has to be built for these first.
    fn is_built_for(&self, lot: &Lot) -> bool {
        let built = |name: &String| self.ready.contains(&lot.prefix) || self.was_built(name);
        lot.target.as_ref().is_some_and(|name| !built(name))
    }

    /// What preparing a kernel is called, and how many seconds it takes where the built-in figures come from.
    fn preparation(&self, lot: &Lot) -> (String, f64) {
        match &lot.target {
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
        lot: &Lot,
        scenario: &Scenario,
        runner: Option<&Runner<'_>>,
        report: &mut Report<'_>,
    ) {
        let item = self.item(lot, scenario, runner);
        let why = self.no_time(plan::price(&item, &BTreeSet::new()));
        self.pending.remove(&item.name);
        report.add(named(&item.name, Outcome::Skipped(why)));
        self.left_out.push(item.name);
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
    fn give_up(&mut self, lot: &Lot, report: &mut Report<'_>) {
        for group in &lot.groups {
            report.begin(&group.name, group.scenarios.len());
            for scenario in &group.scenarios {
                let name = lot.name(scenario);
                self.pending.remove(&name);
                let why = "what it needs could not be made: see setup".to_owned();
                report.add(named(&name, Outcome::Skipped(why)));
            }
            report.end();
        }
    }

    fn prepare(&self, lot: &Lot) -> Result<Images> {
        let (session, args) = (self.session, self.args);
        let ours = selection(args).driver == Driver::Rust;
        let mut images = prepare(
            session,
            lot.target.as_deref(),
            args.versions.xen.as_deref(),
            ours,
        )?;
        if lot.needs(|scenario| scenario.topology.hypervisor == Hypervisor::Paravane) {
            images = images.with_paravane(session)?;
        }
        if lot.needs(|scenario| scenario.topology.loader != Loader::Qemu) {
            images = images.with_grub(session)?;
        }
        if lot.needs(|scenario| scenario.topology.devices == Devices::Debian) {
            images = images.with_debian(session)?;
        }
        Ok(images)
    }
}

fn seconds(scenario: &Scenario) -> f64 {
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

fn case(name: &str, result: runner::Outcome) -> Case {
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
mod tests;
