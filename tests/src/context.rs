// SPDX-License-Identifier: GPL-2.0

//! What a scenario's test gets to work with: a machine that runs, or the means to start some.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use kbuild::Images;

use crate::fault::Fault;
use crate::guest::{Driver, Mode};
use crate::health::Health;
use crate::host::{Host, Start};
use crate::machine::{Machine, Root};
use crate::matrix::Cell;
use crate::solo::{self, SoloGuest, SoloReport};
use crate::topology::Topology;

/// For a test on a machine that others use too.
pub struct Ctx<'h> {
    /// The machine, without any guest.
    pub host: &'h Host,
    /// The frontends under test.
    pub driver: Driver,
    /// Whether long loops run all their rounds.
    pub full: bool,
    /// Lines for the report: measured numbers, choices made.
    pub notes: Vec<String>,
    pub(crate) cell: Cell,
    pub(crate) expected: Vec<String>,
}

impl Ctx<'_> {
    /// The kind of guest that the scenario's matrix asks for.
    ///
    /// # Panics
    ///
    /// If its cells name none.
    pub fn mode(&self) -> Mode {
        match self.cell.guest {
            Some(mode) => mode,
            None => panic!("the scenario's matrix names no kind of guest"),
        }
    }

    /// How many vCPUs the matrix wants guests to have.
    ///
    /// # Panics
    ///
    /// If its cells do not say.
    pub fn vcpus(&self) -> u32 {
        match self.cell.vcpus {
            Some(count) => count,
            None => panic!("the scenario's matrix names no number of vCPUs"),
        }
    }

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

/// For a test that starts machines itself.
pub struct Machines<'r> {
    /// The machine that the scenario names; the test may start others.
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

    /// Starts a machine and waits for dom0's agent.
    pub fn start(&mut self, topology: &Topology, start: Start) -> Result<Host> {
        self.start_with(self.images, topology, start)
    }

    /// What machines are made of, for a test that has some of other images.
    pub fn images(&self) -> &'r Images {
        self.images
    }

    /// Starts a machine of these images and waits for dom0's agent.
    pub fn start_with(
        &mut self,
        images: &Images,
        topology: &Topology,
        start: Start,
    ) -> Result<Host> {
        let host = Host::start(images, topology, &self.next_dir(), start)?;
        self.watched.push(host.health().clone());
        Ok(host)
    }

    /// A folder for files of a test's own, beside the logs.
    pub fn folder(&self) -> Result<PathBuf> {
        let folder = self.dir.join("files");
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Starts a machine and waits for nothing: its dom0 has no agent. The test judges what the console says.
    pub fn start_alone(&mut self, topology: &Topology) -> Result<Machine> {
        Machine::start(self.images, topology, &self.next_dir(), Root::Temporary)
    }

    /// Runs a guest without dom0 to its end.
    pub fn run_solo(&mut self, guest: &SoloGuest) -> Result<SoloReport> {
        solo::run(self.images, &self.next_dir(), guest, &mut |_| {})
    }

    /// Rounds of a loop: few in the default run, all with `--full`.
    pub fn rounds(&self, short: u32, full: u32) -> u32 {
        if self.full { full } else { short }
    }

    /// Adds a line to the report.
    pub fn note(&mut self, line: impl Into<String>) {
        self.notes.push(line.into());
    }

    /// The domains that ended by a triple fault on the machines so far.
    pub(crate) fn lost(&self) -> Vec<Fault> {
        self.watched.iter().flat_map(Health::take_lost).collect()
    }

    /// What kernels complained about on the machines so far.
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
