// SPDX-License-Identifier: GPL-2.0

//! Running workloads under either driver: the exchange of drivers, the clock, the counters.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::counts::{self, Counts};
use super::subject::{Sample, Setup, Site, Subject, Workload};
use crate::guest::Mode;
use crate::host::Host;
use crate::remote::Place;

/// How many domains may be lost to the emulator before it is an error.
const LOSSES: u32 = 40;

/// A site, and which driver is loaded there.
pub struct Rig<'h, S: Subject + 'h> {
    host: &'h Host,
    site: S::Site<'h>,
    /// What is loaded now.
    loaded: Option<Setup>,
    /// Domains that QEMU's emulation of SVM killed.
    pub losses: u32,
}

impl<'h, S: Subject + 'h> Rig<'h, S> {
    /// Makes the site.
    pub fn new(host: &'h Host, mode: Mode, subject: &'h S) -> Result<Self> {
        Ok(Self {
            host,
            site: subject.site(host, mode)?,
            loaded: None,
            losses: 0,
        })
    }

    /// Sees to it that the driver asked for is at work.
    fn load(&mut self, setup: Setup) -> Result<()> {
        if self.loaded == Some(setup) {
            return Ok(());
        }
        if let Some(Setup { driver: old, .. }) = self.loaded.take() {
            self.site
                .unload(old)
                .with_context(|| format!("{} cannot be unloaded", S::name(old)))?;
        }
        self.site.load(setup).with_context(|| {
            let (name, lanes) = (S::name(setup.driver), setup.lanes);
            format!("{name} is not at work as asked for, with {lanes} queues or threads")
        })?;
        self.loaded = Some(setup);
        Ok(())
    }

    /// After an error: whether the emulator is to blame (see [`crate::fault`]), in which case there
    /// is a new domain to go on with.
    pub fn recover(&mut self) -> Result<bool> {
        if self.losses == LOSSES || !self.site.renew()? {
            return Ok(false);
        }
        self.losses += 1;
        self.loaded = None;
        Ok(true)
    }

    /// Runs workloads one after the other under a driver; each is measured for `time`.
    pub fn measure(
        &mut self,
        setup: Setup,
        cells: &[S::Cell],
        time: Duration,
    ) -> Result<Vec<Sample<S::Cell>>> {
        let started = Instant::now();
        self.load(setup)?;
        let loaded = started.elapsed();
        let samples = self.site.run(S::WARM, time, cells)?;
        // Every figure is kept with the logs, so that the summary can be checked.
        let mut line = format!(
            "{} side {} lanes {}, load {:.1} s, all {:.1} s:",
            self.site.place().name(),
            setup.side,
            setup.lanes,
            loaded.as_secs_f32(),
            started.elapsed().as_secs_f32()
        );
        for sample in &samples {
            line += &format!(" {}={:.1}", sample.cell, sample.rate);
            if let Some(seconds) = sample.processor {
                line += &format!("/{seconds:.3e}");
            }
        }
        let mut log = File::options()
            .create(true)
            .append(true)
            .open(self.host.dir().join("bench.log"))?;
        writeln!(log, "{line}")?;
        Ok(samples)
    }

    /// Runs workloads under a driver with counters instead of a clock.
    pub fn count(
        &mut self,
        setup: Setup,
        cells: &[S::Cell],
        time: Duration,
    ) -> Result<Vec<(S::Cell, u64, Counts)>> {
        let counters = S::Cell::COUNTERS;
        self.load(setup)?;
        // What happens once, such as the filling of pools, is not what a unit costs.
        self.site.run(Duration::ZERO, time, cells)?;
        counts::install(self.site.place(), counters)?;
        let mut all = Vec::new();
        for cell in cells {
            let before = Counts::read(self.site.place(), counters)?;
            let one = std::slice::from_ref(cell);
            let samples = self.site.run(Duration::ZERO, time, one)?;
            let total = samples.first().context("nothing was measured")?.total;
            let counts = Counts::read(self.site.place(), counters)?.since(&before);
            all.push((cell.clone(), total, counts));
        }
        counts::remove(self.site.place())?;
        Ok(all)
    }

    /// Runs workloads under a driver, and has `take` say what was executed, cell by cell; it is told the domain, and whether
    /// that is a guest. The cells' units are all of the run.
    pub fn executed<T>(
        &mut self,
        setup: Setup,
        cells: &[S::Cell],
        time: Duration,
        mut take: impl FnMut(&Place, bool) -> Result<T>,
    ) -> Result<Vec<(S::Cell, u64, T)>> {
        self.load(setup)?;
        // What happens once, such as the filling of pools, is not what a unit costs.
        self.site.run(Duration::ZERO, time, cells)?;
        let mut all = Vec::new();
        for cell in cells {
            let one = std::slice::from_ref(cell);
            let samples = self.site.run(Duration::ZERO, time, one)?;
            let total = samples.first().context("nothing was measured")?.total;
            let place = self.site.place();
            let is_guest = place.name() != self.host.dom0().name();
            all.push((cell.clone(), total, take(place, is_guest)?));
        }
        Ok(all)
    }

    /// Ends the site.
    pub fn finish(self) -> Result<()> {
        self.site.leave()
    }
}
