// SPDX-License-Identifier: GPL-2.0

//! One operation handed to the back end, and its answer waited for.
//!
//! There is one page for all buses of a back end, and room for one operation in it. Whoever may sleep does so while it
//! is in flight, and others who may sleep queue up behind him ([`Wire::patiently`]). The kernel also accesses configuration
//! space where nobody may sleep: such a caller keeps the page's lock, with interrupts off, and has the hypervisor run
//! others until the answer is there ([`Wire::hastily`]). If he finds the operation of somebody who sleeps in the page, he waits
//! for that answer too, and leaves it for its owner: who sleeps may not get to run before.
//!
//! Nobody waits longer than [`LIMIT`] for an answer. When a back end has not given one by then, further operations are
//! refused at once, until it has: a dead back end costs [`LIMIT`] once, and not at each access.

use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;

use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::{new_mutex, Arc, Mutex};
use kernel::time::{Delta, Instant, Monotonic};
use kernel_ext::show::Show;
use kernel_ext::sync::{may_sleep, new_raw_spinlock, RawSpinLock, TimedCompletion};
use xen::bus::{Bound, Device};
use xen::pci::Access;
use xen_ring::pciif::{Address, Answer, NotStarted, Refusal, Report, Request, Started};

use crate::link::Link;
use crate::stats::Stats;

/// How long an answer may take, as with the C driver.
const LIMIT: Delta = Delta::from_secs(2);

/// Milliseconds between two looks of somebody who sleeps. An event wakes him; this is for when there are none, since the
/// system is just being suspended.
const LOOK: u32 = 10;

type Outcome = Result<Answer, Refusal>;

/// The way to the back end, as long as any bus may use it.
#[pin_data]
pub(crate) struct Wire {
    /// Held for moments only, but for [`Wire::hastily`]. A raw one, since the PCI core may hold one of those.
    #[pin]
    line: RawSpinLock<Line>,
    /// Whose turn it is, of those who may sleep.
    #[pin]
    turn: Mutex<()>,
    /// Rings when there may be an answer for him.
    #[pin]
    answered: TimedCompletion,
    /// No event has come since an operation was started.
    expecting: AtomicBool,
    /// Whether it was said that the back end's answers make no sense.
    complained: AtomicBool,
    pub(crate) stats: Stats,
    dev: ARef<Device>,
}

struct Line {
    link: Option<Link>,
    /// Counts links.
    serial: u32,
    /// The answer to the operation of the one who sleeps, taken out of the page by somebody else.
    delivered: Option<Outcome>,
}

impl Access for Wire {
    fn access(&self, at: Address, request: &Request<'_>) -> Outcome {
        let started = Instant::<Monotonic>::now();
        let outcome = if may_sleep() {
            self.patiently(at, request, started)
        } else {
            self.stats.hasty.one();
            self.hastily(at, request, started)
        };
        self.stats.count(request, &outcome, started.elapsed());
        if outcome == Err(Refusal::Nonsense) && !self.complained.swap(true, Relaxed) {
            dev_err!(
                self.device(),
                "backend's answer for {} makes no sense: {:?}\n",
                Show(at),
                request
            );
        }
        outcome
    }
}

impl Wire {
    /// Nothing is connected yet.
    pub(crate) fn new(dev: &Device<Bound>) -> Result<Arc<Self>> {
        let line = Line {
            link: None,
            serial: 0,
            delivered: None,
        };
        Arc::pin_init(
            pin_init!(Self {
                line <- new_raw_spinlock!(line, "pcifront::line"),
                turn <- new_mutex!((), "pcifront::turn"),
                answered <- TimedCompletion::new(),
                expecting: AtomicBool::new(false),
                complained: AtomicBool::new(false),
                stats: Stats::default(),
                dev: ARef::from(&**dev),
            }),
            GFP_KERNEL,
        )
    }

    /// Puts a link in place of the one before, or takes that away. Who still waits for an answer over it waits in vain.
    /// May sleep.
    pub(crate) fn set_link(&self, link: Option<Link>) {
        let old = {
            let mut line = self.line.lock();
            line.serial = line.serial.wrapping_add(1);
            line.delivered = None;
            core::mem::replace(&mut line.link, link)
        };
        // Not under the lock, since closing a channel waits for its handler.
        drop(old);
        self.complained.store(false, Relaxed);
    }

    /// For messages.
    pub(crate) fn device(&self) -> &kernel::device::Device {
        (*self.dev).as_ref()
    }

    /// An event has come; returns whether it means anything, and whether there may be a report. Any context.
    pub(crate) fn on_event(&self) -> (bool, bool) {
        let awaited = self.expecting.swap(false, Relaxed);
        if awaited {
            self.answered.kick();
        }
        // Who has the lock may keep it long, and has perhaps looked for reports already.
        let report = match self.line.try_lock() {
            Some(line) => line.has_report(),
            None => true,
        };
        (awaited || report, report)
    }

    /// What the back end reports, if it does, with a number for the answer; nothing in it if it makes no sense.
    pub(crate) fn report(&self) -> Option<(u32, Option<Report>)> {
        let line = self.line.lock();
        if !line.has_report() {
            return None;
        }
        let report = line.link.as_ref().and_then(|link| link.page.report());
        Some((line.serial, report))
    }

    /// Answers it, unless there is another link by now.
    pub(crate) fn reply(&self, serial: u32, recovery: xen_ring::pciif::Recovery) {
        let line = self.line.lock();
        if let (Some(link), true) = (&line.link, line.serial == serial) {
            link.page.reply(recovery);
            link.channel.notify();
        }
    }

    /// For those who may sleep.
    fn patiently(
        &self,
        at: Address,
        request: &Request<'_>,
        started: Instant<Monotonic>,
    ) -> Outcome {
        let _turn = self.turn.lock();
        let began = {
            let mut line = self.line.lock();
            line.delivered = None;
            self.start(&mut line, at, request)?
        };
        self.tell(began);
        loop {
            let mut gave_up = false;
            {
                let mut line = self.line.lock();
                if let Some(outcome) = line.look(&self.stats) {
                    return outcome;
                }
                // The time in the queue counts: nobody has to wait for longer than that.
                if started.elapsed() > LIMIT {
                    line.abandon();
                    gave_up = true;
                }
            }
            if gave_up {
                return self.give_up();
            }
            self.answered.wait_for_kick(LOOK);
        }
    }

    /// For those who must not sleep.
    fn hastily(&self, at: Address, request: &Request<'_>, started: Instant<Monotonic>) -> Outcome {
        let mut line = self.line.lock();
        if line.is_in_flight() {
            let outcome = self.poll(&mut line, started);
            line.delivered = Some(outcome);
            self.stats.helped.one();
            self.answered.kick();
        }
        let began = self.start(&mut line, at, request)?;
        let outcome = self.poll(&mut line, Instant::now());
        drop(line);
        self.tell(began);
        outcome
    }

    /// Waits for the answer to what is in flight, with the line locked.
    fn poll(&self, line: &mut Line, since: Instant<Monotonic>) -> Outcome {
        loop {
            if let Some(outcome) = line.take() {
                return outcome;
            }
            if since.elapsed() > LIMIT {
                line.abandon();
                return self.give_up();
            }
            match &line.link {
                Some(link) => link.channel.poll(),
                None => return Err(Refusal::Gone),
            }
        }
    }

    /// Starts an operation.
    fn start(
        &self,
        line: &mut Line,
        at: Address,
        request: &Request<'_>,
    ) -> Result<Started, Refusal> {
        let link = line.link.as_mut().ok_or(Refusal::Gone)?;
        let began = link.page.start(at, request).map_err(|why| match why {
            NotStarted::Busy | NotStarted::Unanswered => Refusal::Gone,
            NotStarted::TooBig => Refusal::BadOffset,
        })?;
        self.expecting.store(true, Relaxed);
        link.channel.notify();
        Ok(began)
    }

    fn tell(&self, began: Started) {
        if began == Started::BackToLife {
            self.stats.late_answers.one();
            dev_info!(self.device(), "pciback responds again\n");
        }
    }

    #[cold]
    fn give_up(&self) -> Outcome {
        self.stats.timeouts.one();
        dev_err!(
            self.device(),
            "pciback not responding!!! No configuration access until it answers.\n"
        );
        Err(Refusal::TimedOut)
    }
}

impl Line {
    fn is_in_flight(&self) -> bool {
        let link = self.link.as_ref();
        link.is_some_and(|link| link.page.is_in_flight())
    }

    fn has_report(&self) -> bool {
        let link = self.link.as_ref();
        link.is_some_and(|link| link.page.has_report())
    }

    fn abandon(&mut self) {
        if let Some(link) = &mut self.link {
            link.page.abandon();
        }
    }

    /// The answer to what is in flight, if it is there. An event that was polled away may have been one for a report too.
    fn take(&mut self) -> Option<Outcome> {
        let link = self.link.as_mut()?;
        let outcome = link.page.take()?;
        if link.page.has_report() {
            link.channel.handler().schedule();
        }
        Some(outcome)
    }

    /// What there is for the one who sleeps.
    fn look(&mut self, stats: &Stats) -> Option<Outcome> {
        if let Some(outcome) = self.delivered.take() {
            return Some(outcome);
        }
        if self.link.is_none() {
            return Some(Err(Refusal::Gone));
        }
        if !self.is_in_flight() {
            // There is another link since.
            stats.lost.one();
            return Some(Err(Refusal::Gone));
        }
        self.take()
    }
}
