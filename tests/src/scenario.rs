// SPDX-License-Identifier: GPL-2.0

//! What a scenario is.

use std::fmt;

use anyhow::Result;

use crate::guest::Driver;
use crate::host::Host;
use crate::topology::Topology;

/// One test in a virtual machine.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Its name: `group.behaviour`.
    pub name: &'static str,
    /// The machine it needs.
    pub topology: Topology,
    /// Too long for the default run.
    pub full_only: bool,
    /// The kernel targets it is for; empty: whichever kernel is under test.
    pub kernels: &'static [&'static str],
    /// The test.
    pub run: fn(&mut Ctx<'_>) -> Result<()>,
}

impl Scenario {
    /// A scenario on a PV dom0 that is part of the default run.
    pub const fn new(name: &'static str, run: fn(&mut Ctx<'_>) -> Result<()>) -> Self {
        Self {
            name,
            topology: Topology::PV,
            full_only: false,
            kernels: &[],
            run,
        }
    }

    /// Sets the machine.
    #[must_use]
    pub const fn on(mut self, topology: Topology) -> Self {
        self.topology = topology;
        self
    }

    /// Says that it is for kernels that have to be built: it is left to `--full` and to those who name it or its group.
    #[must_use]
    pub const fn only_on(mut self, kernels: &'static [&'static str]) -> Self {
        self.kernels = kernels;
        self
    }

    /// Whether it is for a kernel target; `None` is the default one.
    pub fn is_for(&self, kernel: Option<&str>) -> bool {
        self.kernels.is_empty() || kernel.is_some_and(|kernel| self.kernels.contains(&kernel))
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

/// The error that means "cannot be run here".
#[derive(Debug)]
pub struct Skip(pub String);

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}

/// Ends a scenario without a verdict.
pub fn skip<T>(why: impl Into<String>) -> Result<T> {
    Err(Skip(why.into()).into())
}
