// SPDX-License-Identifier: GPL-2.0

//! Errors of devices that the backend reports: their drivers take the steps of recovering, and the
//! backend gets their verdict.

use core::time::Duration;

use kernel::{
    pr_warn_once,
    prelude::*,
    sync::Arc, //
};
use kernel_ext::work::{
    new_worker,
    Job,
    Worker, //
};
use xen::event::{
    Eoi,
    Event,
    Handler, //
};
use xen_ring::pciif::{
    Recovery,
    Report, //
};

use crate::{
    exchange::Exchange,
    roots::Roots, //
};

/// Handles reports in a work item, one at a time. Dropping it waits for the one that is handled.
pub(crate) struct Recoverer(Pin<KBox<Worker<Reports>>>);

impl Recoverer {
    /// For the backend behind `exchange` and its buses.
    pub(crate) fn new(exchange: &Arc<Exchange>, roots: &Arc<Roots>) -> Result<Arc<Self>> {
        let reports = Reports {
            exchange: exchange.clone(),
            roots: roots.clone(),
        };
        let worker = KBox::pin_init(new_worker!(reports), GFP_KERNEL)?;
        Ok(Arc::new(Self(worker), GFP_KERNEL)?)
    }

    /// Waits for the report that is handled, and takes no other until the next event. May sleep.
    pub(crate) fn stop(&self) {
        self.0.as_ref().cancel();
    }
}

/// The job of a [`Recoverer`].
struct Reports {
    exchange: Arc<Exchange>,
    roots: Arc<Roots>,
}

impl Reports {
    fn recover(&self, report: &Report) -> Recovery {
        self.exchange.stats.step(report.step);
        match self.roots.recover(report) {
            Some(recovery) => recovery,
            None => {
                dev_err!(self.exchange.device(), "device or AER driver is NULL\n");
                Recovery::None
            }
        }
    }
}

impl Job for Reports {
    fn run(&self) -> Option<Duration> {
        // A further report comes with an event, which schedules this again.
        let (link, report) = self.exchange.report()?;
        let recovery = match report {
            Some(report) => self.recover(&report),
            None => {
                self.exchange.stats.bad_reports.one();
                pr_warn_once!("bad request in aer recovery operation!\n");
                Recovery::None
            }
        };
        self.exchange.reply(link, recovery);
        None
    }
}

/// What is called for events of the backend: each means an answer, a report, or both.
pub(crate) struct OnEvent {
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) recoverer: Arc<Recoverer>,
}

impl OnEvent {
    /// Has reports handled. Any context.
    pub(crate) fn schedule(&self) {
        self.recoverer.0.as_ref().schedule_once(Duration::ZERO);
    }
}

impl Handler for OnEvent {
    fn handle(&self, event: Event<'_>) -> Eoi {
        let (due, report) = self.exchange.on_event();
        if report {
            self.schedule();
        }
        event.done(due)
    }
}
