// SPDX-License-Identifier: GPL-2.0

//! Comparing frontends: a guest with a device, whose driver is exchanged while the back end stays.

use std::time::Duration;

use anyhow::{Context, Result};

use super::counts::{Counter, Ratio, Source};
use super::subject::{Sample, Setup, Site, Subject, Workload};
use crate::guest::{Domain, Driver, Guest, Mode};
use crate::host::Host;
use crate::remote::Place;
use crate::topology::Topology;

/// Processors of a guest: as many as queues are wanted at most.
const VCPUS: u32 = 4;

/// A kind of device with its two drivers, a back end, and workloads.
pub trait Device {
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

/// What is counted of a frontend whose interrupts have names that begin so.
pub const fn counters(interrupts: &'static str) -> [Counter; 3] {
    [
        Counter {
            name: "notifications",
            // Where every driver's notification passes; xenbus and the console do not use it.
            source: Source::Calls(&["notify_remote_via_irq"]),
            shown: Ratio::UnitsFor("notification"),
            meaning: "notification the guest sent",
        },
        Counter {
            name: "interrupts",
            source: Source::Interrupts(interrupts),
            shown: Ratio::UnitsFor("interrupt"),
            meaning: "interrupt of the device it took",
        },
        Counter {
            name: "grant operations",
            // Given, and taken back by either of two functions (the one calls neither of the other).
            source: Source::Calls(&[
                "gnttab_grant_foreign_access_ref",
                "gnttab_end_foreign_access_ref",
                "gnttab_try_end_foreign_access",
            ]),
            shown: Ratio::ForUnit,
            meaning: "grants it gave plus grants it took back",
        },
    ]
}

/// A guest that is not yet created, and dom0 where it should be.
pub fn guest(host: &Host, mode: Mode, queues: u32) -> Result<Guest> {
    // Left to Xen and dom0's kernel, the two ends of the device, and the back end's interrupt and its thread, sometimes
    // share a processor and sometimes not, which makes a factor of two where one request is in flight.
    host.dom0().sh("xl vcpu-pin Domain-0 all 0")?;
    let name = format!("bench-{}", mode.name());
    let guest = Guest::new(&name, mode).on_last_cpu(host.topology());
    // Xen's clock makes leaps where four virtual processors share one that is emulated, and then stands still until time
    // has caught up. The counter it is made from does not: the emulator takes it from the machine.
    Ok(guest
        .vcpus(queues)
        .memory(512)
        .args("tsc=reliable clocksource=tsc"))
}

impl<D: Device> Subject for D {
    type Cell = D::Cell;
    type Site<'h>
        = InGuest<'h, D>
    where
        D: 'h;
    const COMMAND: &'static str = D::COMMAND;
    const TITLE: &'static str = D::TITLE;
    const DOMAIN: &'static str = "guest";
    const WARM: Duration = D::WARM;
    const LANES: [u32; 2] = [1, VCPUS];

    fn name(driver: Driver) -> &'static str {
        D::module(driver)
    }

    fn modules(driver: Driver) -> Vec<&'static str> {
        vec![D::module(driver)]
    }

    fn cells(lanes: u32, quick: bool) -> Vec<D::Cell> {
        D::cells(lanes, quick)
    }

    fn topology(_mode: Mode) -> Topology {
        Topology {
            dom0_vcpus: 1,
            ..Topology::PV
        }
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            (
                "guests",
                format!(
                    "{VCPUS} virtual processors, 512 MiB, the processor's time-stamp counter as clock"
                ),
            ),
            ("back end", self.back_end()),
        ]
    }

    fn method() -> Vec<&'static str> {
        let exchange = "Both drivers run in the same guest of the same boot, one after the other, on the same back end: the \
             module in use is unbound and unloaded, the connection is brought back to its first state, the other module \
             is loaded.";
        let place = "Dom0 has one processor, on one of the machine's, and the guest runs on another, so that it is no matter of \
             chance whether the two ends of the device share one. The interrupts of an only queue go to the processor that \
             the load runs on; those of several queues go where the driver puts them.";
        let counts = "Notifications, interrupts and grant operations come from kprobes and /proc/interrupts in the guest, \
             in passes that are not timed.";
        [&[exchange][..], D::METHOD, &[place, counts]].concat()
    }

    fn site<'h>(&'h self, host: &'h Host, mode: Mode) -> Result<InGuest<'h, D>> {
        Ok(InGuest {
            host,
            device: self,
            mode,
            guest: self.create(host, mode, VCPUS)?,
        })
    }
}

/// A guest with a device.
pub struct InGuest<'h, D> {
    host: &'h Host,
    device: &'h D,
    mode: Mode,
    guest: Domain,
}

impl<D: Device> Site<D::Cell> for InGuest<'_, D> {
    fn place(&self) -> &Place {
        &self.guest
    }

    fn load(&self, setup: Setup) -> Result<()> {
        self.device.load(&self.guest, setup)?;
        if setup.lanes == 1 {
            // Neither driver chooses a processor for an only queue, and the kernel's choice changes from one binding
            // to the next. Whether it is the one that the load runs on makes more of a difference than the driver.
            self.guest
                .sh(&format!(
                    "for irq in $(sed -n 's/ *\\([0-9]*\\):.* {}[^ ]*$/\\1/p' /proc/interrupts); do \
                     echo 1 > /proc/irq/$irq/smp_affinity && found=1; done; [ -n \"$found\" ]",
                    D::INTERRUPTS
                ))
                .context("the device's interrupts cannot be placed")?;
        }
        Ok(())
    }

    /// Takes the driver away from the device and brings the connection back to its beginning, as the toolstack
    /// would for a new one: the front end's part of that is normally done by the kernel that boots next.
    fn unload(&self, driver: Driver) -> Result<()> {
        let (bus, number) = (D::BUS, D::NUMBER);
        self.guest.sh(&format!(
            "echo {bus}-{number} > /sys/bus/xen/drivers/{bus}/unbind && rmmod {}",
            D::module(driver)
        ))?;
        let domid = self.guest.domid();
        let back = format!("/local/domain/0/backend/{bus}/{domid}/{number}");
        let front = format!("/local/domain/{domid}/device/{bus}/{number}");
        // Closed is 6, Initialising 1, InitWait 2.
        let wait = |state| {
            format!(
                "n=0; until [ $(xenstore-read {back}/state) = {state} ]; do n=$((n+1)); [ $n -lt $((200 * PACE)) ] || exit 1; sleep 0.05; done"
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

    fn run(
        &self,
        warm: Duration,
        time: Duration,
        cells: &[D::Cell],
    ) -> Result<Vec<Sample<D::Cell>>> {
        self.device.run(&self.guest, warm, time, cells)
    }

    fn renew(&mut self) -> Result<bool> {
        let lost = self.host.health().take_lost();
        let domid = self.guest.domid();
        if !lost.iter().any(|fault| fault.domid == domid) {
            return Ok(false);
        }
        // The toolstack is about to remove what is left of the guest; its name must be free.
        self.host
            .dom0()
            .sh(&format!(
                "n=0; while xl domid {0} >/dev/null 2>&1; do n=$((n+1)); [ $n != $((20 * PACE)) ] || xl destroy {0}; sleep 0.5; done",
                self.guest.name()
            ))
            .context("what is left of a lost guest cannot be removed")?;
        self.guest = self.device.create(self.host, self.mode, VCPUS)?;
        Ok(true)
    }

    fn leave(self) -> Result<()> {
        self.guest.destroy()?;
        self.host.clean()
    }
}
