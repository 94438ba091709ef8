// SPDX-License-Identifier: GPL-2.0

//! What a scenario is.

use std::fmt;
use std::path::PathBuf;

use anyhow::Result;
use kbuild::Images;

use crate::fault::Fault;
use crate::fresh::Fresh;
use crate::guest::Driver;
use crate::health::Health;
use crate::host::Host;
use crate::machine::Machine;
use crate::topology::Topology;

/// One test, in a virtual machine as a rule.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Its name: `group.behaviour`.
    pub name: &'static str,
    /// The machine it needs.
    pub topology: Topology,
    /// Too long for the default run.
    pub full_only: bool,
    /// It is run whatever time is left.
    pub core: bool,
    /// Whether its machine has to have booted, for that is what it is about: a [snapshot](crate::snapshot) will not do.
    pub boots: bool,
    /// The kernel targets it is for; empty: whichever kernel is under test.
    pub kernels: &'static [&'static str],
    /// Whether the default run has it too if it is for certain kernels, on the first of them.
    pub by_default: bool,
    /// The test.
    pub run: Run,
}

/// What a test works with.
#[derive(Clone, Copy)]
pub enum Run {
    /// The scenario's machine, which it shares with others and leaves as it was.
    Booted(fn(&mut Ctx<'_>) -> Result<()>),
    /// Machines that it boots itself, one at a time, and may end in any way.
    Alone(fn(&mut Machines<'_>) -> Result<()>),
    /// No virtual machine: commands on this one, as [`crate::fresh`] has them. The topology means nothing.
    OnHost(fn(&mut Fresh<'_>) -> Result<()>),
}

impl Scenario {
    /// A scenario on a PV dom0 that is part of the default run.
    pub const fn new(name: &'static str, run: fn(&mut Ctx<'_>) -> Result<()>) -> Self {
        Self {
            name,
            topology: Topology::PV,
            full_only: false,
            core: false,
            boots: false,
            kernels: &[],
            by_default: false,
            run: Run::Booted(run),
        }
    }

    /// A scenario that boots machines like `topology` itself.
    pub const fn alone(
        name: &'static str,
        topology: Topology,
        run: fn(&mut Machines<'_>) -> Result<()>,
    ) -> Self {
        Self {
            name,
            topology,
            full_only: false,
            core: false,
            boots: false,
            kernels: &[],
            by_default: false,
            run: Run::Alone(run),
        }
    }

    /// A scenario that needs no virtual machine, nor the images of one.
    pub const fn on_host(name: &'static str, run: fn(&mut Fresh<'_>) -> Result<()>) -> Self {
        Self {
            run: Run::OnHost(run),
            ..Self::new(name, |_| Ok(()))
        }
    }

    /// Sets the machine.
    #[must_use]
    pub const fn on(mut self, topology: Topology) -> Self {
        self.topology = topology;
        self
    }

    /// Says that it is about the machine's boot.
    #[must_use]
    pub const fn boots(mut self) -> Self {
        self.boots = true;
        self
    }

    /// Says that it is for kernels that have to be built: it is left to `--full` and to those who name it or its group, unless
    /// it is [for the default run](Self::by_default).
    #[must_use]
    pub const fn only_on(mut self, kernels: &'static [&'static str]) -> Self {
        self.kernels = kernels;
        self
    }

    /// Gives it a place in the default run, on the first of the kernels that it is for.
    #[must_use]
    pub const fn by_default(mut self) -> Self {
        self.by_default = true;
        self
    }

    /// Makes it part of the core: it is run even if no time is left.
    #[must_use]
    pub const fn core(mut self) -> Self {
        self.core = true;
        self
    }

    /// Whether it is for a kernel target; `None` is the default one.
    pub fn is_for(&self, kernel: Option<&str>) -> bool {
        self.kernels.is_empty() || kernel.is_some_and(|kernel| self.kernels.contains(&kernel))
    }

    /// Whether it boots machines itself.
    pub fn is_alone(&self) -> bool {
        matches!(self.run, Run::Alone(_))
    }

    /// Whether it needs no virtual machine.
    pub fn is_on_host(&self) -> bool {
        matches!(self.run, Run::OnHost(_))
    }

    /// Leaves it to `--full`.
    #[must_use]
    pub const fn full(mut self) -> Self {
        self.full_only = true;
        self
    }
}

/// What a scenario works with.
pub struct Ctx<'h> {
    /// The machine, without any guest.
    pub host: &'h Host,
    /// The block frontend under test.
    pub driver: Driver,
    /// Whether long loops run all their rounds.
    pub full: bool,
    /// Lines for the report: measured numbers, choices made.
    pub notes: Vec<String>,
    pub(crate) expected: Vec<String>,
}

impl Ctx<'_> {
    /// Rounds of a loop: few in the default run, all with `--full`.
    pub fn rounds(&self, short: u32, full: u32) -> u32 {
        if self.full { full } else { short }
    }

    /// Adds a line to the report.
    pub fn note(&mut self, line: impl Into<String>) {
        self.notes.push(line.into());
    }

    /// Says that a kernel complaint with this text is expected and does not fail the scenario.
    pub fn expect_complaint(&mut self, text: &str) {
        self.expected.push(text.to_owned());
    }
}

/// What a scenario works with that boots machines itself.
pub struct Machines<'r> {
    /// The machine that the scenario names, to be changed as the test wants it.
    pub topology: Topology,
    /// Whether long loops run all their rounds.
    pub full: bool,
    /// Lines for the report.
    pub notes: Vec<String>,
    images: &'r Images,
    dir: PathBuf,
    count: u32,
    watched: Vec<Health>,
}

impl<'r> Machines<'r> {
    /// `dir` gets the machines' logs.
    pub(crate) fn new(images: &'r Images, topology: Topology, dir: PathBuf, full: bool) -> Self {
        Self {
            topology,
            full,
            notes: Vec::new(),
            images,
            dir,
            count: 0,
            watched: Vec::new(),
        }
    }

    /// Boots a machine up to dom0's agent.
    pub fn boot(&mut self, topology: &Topology) -> Result<Host> {
        let host = Host::boot(self.images, topology, &self.next_dir())?;
        self.watched.push(host.health().clone());
        Ok(host)
    }

    /// Starts a machine, from a [snapshot](crate::snapshot) if there can be one.
    pub fn start_kept(&mut self, topology: &Topology) -> Result<Host> {
        let host = Host::start(self.images, topology, &self.next_dir())?;
        self.watched.push(host.health().clone());
        Ok(host)
    }

    /// Starts a machine whose dom0 has no agent. What its console says is the scenario's to judge.
    pub fn start(&mut self, topology: &Topology) -> Result<Machine> {
        Machine::start(self.images, topology, &self.next_dir())
    }

    /// Rounds of a loop: few in the default run, all with `--full`.
    pub fn rounds(&self, short: u32, full: u32) -> u32 {
        if self.full { full } else { short }
    }

    /// Adds a line to the report.
    pub fn note(&mut self, line: impl Into<String>) {
        self.notes.push(line.into());
    }

    /// The domains that ended by a triple fault on machines that were booted so far.
    pub(crate) fn lost(&self) -> Vec<Fault> {
        self.watched.iter().flat_map(Health::take_lost).collect()
    }

    /// What kernels complained about on machines that were booted so far.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let all = self.watched.iter().map(Health::take_complaints);
        all.flatten().collect()
    }

    fn next_dir(&mut self) -> PathBuf {
        self.count += 1;
        match self.count {
            1 => self.dir.clone(),
            count => self.dir.join(format!("machine-{count}")),
        }
    }
}

/// The error that means "cannot be run here".
#[derive(Debug)]
pub struct Skip(pub String);

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}

/// The error that means "took longer than it may".
#[derive(Debug)]
pub struct TimedOut(pub String);

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TimedOut {}

/// Ends a scenario without a verdict.
pub fn skip<T>(why: impl Into<String>) -> Result<T> {
    Err(Skip(why.into()).into())
}
