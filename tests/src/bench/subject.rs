// SPDX-License-Identifier: GPL-2.0

//! What a benchmark compares: a kind of device with its two drivers, a back end, and workloads.

use std::time::Duration;

use anyhow::Result;

use super::drive::Setup;
pub use super::report::Workload;
use crate::guest::{Domain, Driver, Mode};
use crate::host::Host;

/// A kind of device.
pub trait Subject {
    /// A workload.
    type Cell: Workload;
    /// Its name on the command line.
    const COMMAND: &'static str;
    /// The document's title.
    const TITLE: &'static str;
    /// Xenbus's name for the drivers and for the kind of device.
    const BUS: &'static str;
    /// The device's number.
    const NUMBER: u32;
    /// What the names of the device's interrupts begin with.
    const INTERRUPTS: &'static str;
    /// How long a workload runs before it is measured.
    const WARM: Duration;
    /// How it is measured, one paragraph each.
    const METHOD: &'static [&'static str];

    /// The module of a driver.
    fn module(driver: Driver) -> &'static str;

    /// The workloads for a number of queues, in the order they are run.
    fn cells(queues: u32, quick: bool) -> Vec<Self::Cell>;

    /// A few words about the back end.
    fn back_end(&self) -> String;

    /// Makes the back end in dom0 and a guest with a device on it, whose driver is not loaded.
    fn create(&self, host: &Host, mode: Mode, queues: u32) -> Result<Domain>;

    /// Loads a driver and makes the device ready for the load; fails unless it is used as asked for.
    fn load(&self, guest: &Domain, setup: Setup) -> Result<()>;

    /// Runs workloads one after the other; each for `warm`, and then measured for `time`.
    fn run(
        &self,
        guest: &Domain,
        warm: Duration,
        time: Duration,
        cells: &[Self::Cell],
    ) -> Result<Vec<Sample<Self::Cell>>>;
}

/// One workload's result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample<C> {
    /// The workload.
    pub cell: C,
    /// Units a second.
    pub rate: f64,
    /// Seconds of the guest's processors for a unit, if that is measured.
    pub processor: Option<f64>,
    /// What costs are counted for, with those units that the rate leaves out.
    pub total: u64,
}
