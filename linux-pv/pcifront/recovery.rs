// SPDX-License-Identifier: GPL-2.0

//! What the back end reports of devices' errors, and what their drivers say to that.

use core::time::Duration;

use kernel::pr_warn_once;
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel_ext::work::{new_worker, Job, Worker};
use xen::event::{Eoi, Event, Handler};
use xen_ring::pciif::{Recovery, Report};

use crate::exchange::Wire;
use crate::roots::Roots;

/// Deals with reports, one at a time. Dropping it waits for the one it is at.
pub(crate) struct Recoverer(Pin<KBox<Worker<Reports>>>);

impl Recoverer {
    /// For the back end behind `wire` and its buses.
    pub(crate) fn new(wire: &Arc<Wire>, roots: &Arc<Roots>) -> Result<Arc<Self>> {
        let reports = Reports {
            wire: wire.clone(),
            roots: roots.clone(),
        };
        let worker = KBox::pin_init(new_worker!(reports), GFP_KERNEL)?;
        Ok(Arc::new(Self(worker), GFP_KERNEL)?)
    }

    /// Waits for the report it is at, and takes no other until the next event. May sleep.
    pub(crate) fn stop(&self) {
        self.0.as_ref().cancel();
    }
}

/// See [`Recoverer`].
struct Reports {
    wire: Arc<Wire>,
    roots: Arc<Roots>,
}

impl Reports {
    fn recover(&self, report: &Report) -> Recovery {
        self.wire.stats.step(report.step);
        match self.roots.recover(report) {
            Some(recovery) => recovery,
            None => {
                dev_err!(self.wire.device(), "device or AER driver is NULL\n");
                Recovery::None
            }
        }
    }
}

impl Job for Reports {
    fn run(&self) -> Option<Duration> {
        // A further report comes with an event, which has this run again.
        let (serial, report) = self.wire.report()?;
        let recovery = match report {
            Some(report) => self.recover(&report),
            None => {
                self.wire.stats.bad_reports.one();
                pr_warn_once!("bad request in aer recovery operation!\n");
                Recovery::None
            }
        };
        self.wire.reply(serial, recovery);
        None
    }
}

/// What an event means: an answer, a report, or both.
pub(crate) struct OnEvent {
    pub(crate) wire: Arc<Wire>,
    pub(crate) recoverer: Arc<Recoverer>,
}

impl OnEvent {
    /// Has reports dealt with. Any context.
    pub(crate) fn schedule(&self) {
        self.recoverer.0.as_ref().schedule_once(Duration::ZERO);
    }
}

impl Handler for OnEvent {
    fn handle(&self, event: Event<'_>) -> Eoi {
        let (meant, report) = self.wire.on_event();
        if report {
            self.schedule();
        }
        event.done(meant)
    }
}
