// SPDX-License-Identifier: GPL-2.0

//! Running workloads in a guest under either driver: the exchange of drivers, the clock, the counters.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::VCPUS;
use super::counts::{self, Counts};
use super::subject::{Sample, Subject};
use crate::guest::{Domain, Driver, Mode};
use crate::host::Host;

/// How many guests may be lost to the emulator before it is an error.
const LOSSES: u32 = 40;

/// A guest with a device.
pub struct Rig<'h, S> {
    host: &'h Host,
    subject: &'h S,
    mode: Mode,
    guest: Domain,
    /// What is loaded now.
    loaded: Option<Setup>,
    /// Guests that QEMU's emulation of SVM killed.
    pub losses: u32,
}

/// A driver at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// 0 for the baseline, 1 for what is compared with it: with the same driver on both sides, each loads it anew.
    pub side: usize,
    /// The driver.
    pub driver: Driver,
    /// How many queues it uses.
    pub queues: u32,
}

impl<'h, S: Subject> Rig<'h, S> {
    /// Makes the back end and a guest with as many virtual processors as queues are wanted at most.
    pub fn new(host: &'h Host, mode: Mode, subject: &'h S) -> Result<Self> {
        Ok(Self {
            host,
            subject,
            mode,
            guest: subject.create(host, mode, VCPUS)?,
            loaded: None,
            losses: 0,
        })
    }

    /// Sees to it that the device is driven as asked for.
    fn load(&mut self, setup: Setup) -> Result<()> {
        if self.loaded == Some(setup) {
            return Ok(());
        }
        if let Some(Setup { driver: old, .. }) = self.loaded.take() {
            self.unload(old)
                .with_context(|| format!("{} cannot be unloaded", S::module(old)))?;
        }
        self.subject.load(&self.guest, setup).with_context(|| {
            format!(
                "{} does not drive the device with {} queues",
                S::module(setup.driver),
                setup.queues
            )
        })?;
        if setup.queues == 1 {
            // Neither driver chooses a processor for an only queue, and the kernel's choice changes from one binding
            // to the next. Whether it is the one that the load runs on makes more of a difference than the driver.
            self.guest
                .sh(&format!(
                    "for irq in $(sed -n 's/ *\\([0-9]*\\):.* {}[^ ]*$/\\1/p' /proc/interrupts); do \
                     echo 1 > /proc/irq/$irq/smp_affinity && found=1; done; [ -n \"$found\" ]",
                    S::INTERRUPTS
                ))
                .context("the device's interrupts cannot be placed")?;
        }
        self.loaded = Some(setup);
        Ok(())
    }

    /// Takes the driver away from the device and brings the connection back to its beginning, as the toolstack
    /// would for a new one: the front end's part of that is normally done by the kernel that boots next.
    fn unload(&self, driver: Driver) -> Result<()> {
        let (bus, number) = (S::BUS, S::NUMBER);
        self.guest.sh(&format!(
            "echo {bus}-{number} > /sys/bus/xen/drivers/{bus}/unbind && rmmod {}",
            S::module(driver)
        ))?;
        let domid = self.guest.domid();
        let back = format!("/local/domain/0/backend/{bus}/{domid}/{number}");
        let front = format!("/local/domain/{domid}/device/{bus}/{number}");
        // Closed is 6, Initialising 1, InitWait 2.
        let wait = |state| {
            format!(
                "n=0; until [ $(xenstore-read {back}/state) = {state} ]; do n=$((n+1)); [ $n -lt 200 ] || exit 1; sleep 0.05; done"
            )
        };
        // What the old driver wrote has to go, but not what the toolstack did: the next one may use fewer queues and
        // say nothing of it.
        self.host
            .dom0()
            .sh(&format!(
                "{}; for key in $(xenstore-list {front}); do case $key in \
                 backend*|state|virtual-device|device-type|handle|mac|mtu|trusted) ;; \
                 *) xenstore-rm {front}/$key ;; esac; done; \
                 xenstore-write {front}/state 1; {}",
                wait(6),
                wait(2)
            ))
            .context("the back end does not start afresh")
            .map(drop)
    }

    /// After an error: whether the emulator is to blame (see [`crate::console::lost_domain`]), in which case there
    /// is a new guest to go on with.
    pub fn recover(&mut self) -> Result<bool> {
        let lost = self.host.health().take_lost();
        if !lost.contains(&self.guest.domid()) || self.losses == LOSSES {
            return Ok(false);
        }
        // The toolstack is about to remove what is left of the guest; its name must be free.
        self.host
            .dom0()
            .sh(&format!(
                "n=0; while xl domid {0} >/dev/null 2>&1; do n=$((n+1)); [ $n != 20 ] || xl destroy {0}; sleep 0.5; done",
                self.guest.name()
            ))
            .context("what is left of a lost guest cannot be removed")?;
        self.losses += 1;
        self.loaded = None;
        self.guest = self.subject.create(self.host, self.mode, VCPUS)?;
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
        let samples = self.subject.run(&self.guest, S::WARM, time, cells)?;
        // Everything measured is kept with the logs, for whoever doubts the summary.
        let mut line = format!(
            "{} side {} {} queues, load {:.1} s, all {:.1} s:",
            self.guest.name(),
            setup.side,
            setup.queues,
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
        self.load(setup)?;
        // What happens once, such as the filling of pools, is not what a unit costs.
        self.subject.run(&self.guest, Duration::ZERO, time, cells)?;
        counts::install(&self.guest)?;
        let mut all = Vec::new();
        for cell in cells {
            let before = Counts::read(&self.guest, S::INTERRUPTS)?;
            let one = std::slice::from_ref(cell);
            let samples = self.subject.run(&self.guest, Duration::ZERO, time, one)?;
            let total = samples.first().context("nothing was measured")?.total;
            let counts = Counts::read(&self.guest, S::INTERRUPTS)?.since(before);
            all.push((cell.clone(), total, counts));
        }
        counts::remove(&self.guest)?;
        Ok(all)
    }

    /// Ends the guest and removes the back end.
    pub fn finish(self) -> Result<()> {
        self.guest.destroy()?;
        self.host.clean()
    }
}
