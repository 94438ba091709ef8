// SPDX-License-Identifier: GPL-2.0

//! What a benchmark compares: two drivers, the workloads they run, and the domain in which that is done.

use std::time::Duration;

use anyhow::Result;

pub use super::report::{Table, Workload};
use crate::guest::{Driver, Mode};
use crate::host::Host;
use crate::remote::Place;
use crate::topology::Topology;

/// What is compared: two drivers under the same workloads.
pub trait Subject {
    /// A workload.
    type Cell: Workload;
    /// Where the drivers run.
    type Site<'h>: Site<Self::Cell>
    where
        Self: 'h;
    /// Its name on the command line.
    const COMMAND: &'static str;
    /// The document's title.
    const TITLE: &'static str;
    /// What kind of domain the drivers run in, as a word.
    const DOMAIN: &'static str;
    /// How long a workload runs before it is measured.
    const WARM: Duration;
    /// Numbers of queues or threads.
    const LANES: [u32; 2];

    /// What a driver is called.
    fn name(driver: Driver) -> &'static str;

    /// A driver's modules.
    fn modules(driver: Driver) -> Vec<&'static str>;

    /// The workloads for a number of queues or threads, in the order they are run.
    fn cells(lanes: u32, quick: bool) -> Vec<Self::Cell>;

    /// The machine on which a domain of a kind is found or made. One boot is enough for kinds that follow each other
    /// and have the same.
    fn topology(mode: Mode) -> Topology;

    /// What else is to be known of the machine, as pairs of a subject and a few words.
    fn facts(&self) -> Vec<(&'static str, String)>;

    /// How it is measured, one paragraph each.
    fn method() -> Vec<&'static str>;

    /// Makes all that the drivers need; neither is loaded.
    fn site<'h>(&'h self, host: &'h Host, mode: Mode) -> Result<Self::Site<'h>>;
}

/// A domain in which the drivers are exchanged and workloads run.
pub trait Site<C> {
    /// The domain whose drivers are measured.
    fn place(&self) -> &Place;

    /// Loads a driver, where none is, and makes everything ready for the load; fails unless it is as asked for.
    fn load(&self, setup: Setup) -> Result<()>;

    /// Unloads a driver, and brings everything back to what it was before.
    fn unload(&self, driver: Driver) -> Result<()>;

    /// Runs workloads one after the other; each for `warm`, and then measured for `time`.
    fn run(&self, warm: Duration, time: Duration, cells: &[C]) -> Result<Vec<Sample<C>>>;

    /// After an error: whether the emulator has killed the domain, in which case there is a new one to go on with.
    fn renew(&mut self) -> Result<bool>;

    /// Ends it.
    fn leave(self) -> Result<()>;
}

/// A driver at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// 0 for the baseline, 1 for what is compared with it: with the same driver on both sides, each loads it anew.
    pub side: usize,
    /// The driver.
    pub driver: Driver,
    /// How many queues or threads it is used with.
    pub lanes: u32,
}

/// One workload's result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample<C> {
    /// What was run.
    pub cell: C,
    /// Units a second.
    pub rate: f64,
    /// Seconds of the domain's processors for a unit, if that is measured.
    pub processor: Option<f64>,
    /// What costs are counted for, with those units that the rate leaves out.
    pub total: u64,
}
