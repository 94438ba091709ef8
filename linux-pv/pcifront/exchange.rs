// SPDX-License-Identifier: GPL-2.0

//! Operations on passed devices: one at a time is handed to the backend, and its answer waited
//! for.
//!
//! All buses of a backend share one page, with room for one operation. A task that may sleep does
//! so while its operation is in flight, and others queue up behind it on a mutex
//! ([`Exchange::run_sleeping`]). The kernel also accesses configuration space in atomic context:
//! such a caller holds the page's lock, with interrupts off, and lets the hypervisor run other
//! vCPUs until the answer has come ([`Exchange::run_atomic`]). If it finds the operation of a task
//! that sleeps in the page, it waits for that answer too, and leaves it for the task, which may not
//! get to run earlier.
//!
//! No caller waits longer than [`TIMEOUT`] for an answer. When a backend has not given one by
//! then, further operations are refused at once, until it has: a dead backend costs [`TIMEOUT`]
//! once, and not at each access.

use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            AtomicFlag,
            Relaxed, //
        },
        new_mutex,
        Arc,
        Mutex, //
    },
    time::{
        Delta,
        Instant,
        Monotonic, //
    },
};
use kernel_ext::{
    show::Show,
    sync::{
        may_sleep,
        new_raw_spinlock,
        RawSpinLock,
        TimedCompletion, //
    },
};
use xen::{
    bus::{
        Bound,
        Device, //
    },
    pci::Access, //
};
use xen_ring::pciif::{
    Address,
    Answer,
    NotStarted,
    Recovery,
    Refusal,
    Report,
    Request,
    Started, //
};

use crate::{
    link::Link,
    stats::Stats, //
};

mod state;

use state::ExchangeState;

/// How long an answer may take, as with the C driver.
const TIMEOUT: Delta = Delta::from_secs(2);

/// Milliseconds after which a task that sleeps looks for its answer although no event has come: the
/// event channel's interrupt is off while the system is being suspended.
const POLL_INTERVAL: u32 = 10;

/// The answer to an operation, or the reason why there is none.
type OpResult = Result<Answer, Refusal>;

/// The exchange of operations and answers with one backend, as long as any bus may use it.
#[pin_data]
pub(crate) struct Exchange {
    /// Held for moments, but for [`Exchange::run_atomic`]. A raw lock, since the PCI core may hold
    /// one of those.
    #[pin]
    state: RawSpinLock<ExchangeState>,
    /// Held by the task that sleeps for an answer; others wait for it.
    #[pin]
    turn: Mutex<()>,
    /// There may be an answer for that task.
    #[pin]
    answered: TimedCompletion,
    /// No event has come since an operation was started.
    awaiting: AtomicFlag,
    /// A malformed answer was reported in the log.
    complained: AtomicFlag,
    pub(crate) stats: Stats,
    dev: ARef<Device>,
}

impl Access for Exchange {
    fn access(&self, at: Address, request: &Request<'_>) -> OpResult {
        let started = Instant::<Monotonic>::now();
        let result = if may_sleep() {
            self.run_sleeping(at, request, started)
        } else {
            self.stats.atomic_accesses.one();
            self.run_atomic(at, request, started)
        };
        self.stats.count(request, &result, started.elapsed());
        if result == Err(Refusal::Nonsense) && !self.complained.xchg(true, Relaxed) {
            dev_err!(
                self.device(),
                "backend's answer for {} makes no sense: {:?}\n",
                Show(at),
                request
            );
        }
        result
    }
}

impl Exchange {
    /// Without a link. May sleep.
    pub(crate) fn new(dev: &Device<Bound>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                state <- new_raw_spinlock!(ExchangeState::new(), "pcifront::state"),
                turn <- new_mutex!((), "pcifront::turn"),
                answered <- TimedCompletion::new(),
                awaiting: AtomicFlag::new(false),
                complained: AtomicFlag::new(false),
                stats: Stats::default(),
                dev: ARef::from(&**dev),
            }),
            GFP_KERNEL,
        )
    }

    /// Replaces the link, or takes it away. Operations in flight over the old one end with
    /// [`Refusal::Gone`]. May sleep.
    pub(crate) fn set_link(&self, link: Option<Link>) {
        let old = self.state.lock().replace_link(link);
        // Not under the lock, since closing a channel waits for its handler.
        drop(old);
        self.complained.store(false, Relaxed);
    }

    /// The device, for messages.
    pub(crate) fn device(&self) -> &kernel::device::Device {
        (*self.dev).as_ref()
    }

    /// An event has come. Returns whether it was due, and whether there may be a report of a
    /// device's error. Any context.
    pub(crate) fn on_event(&self) -> (bool, bool) {
        let awaited = self.awaiting.xchg(false, Relaxed);
        if awaited {
            self.answered.kick();
        }
        // The holder of the lock may poll for long, and may have tested for reports already.
        let report = match self.state.try_lock() {
            Some(state) => state.has_report(),
            None => true,
        };
        (awaited || report, report)
    }

    /// The report of a device's error, if there is one, with the number of the link for the reply.
    /// None in it if it is malformed.
    pub(crate) fn report(&self) -> Option<(u32, Option<Report>)> {
        self.state.lock().report()
    }

    /// Replies to a report, unless there is another link by now.
    pub(crate) fn reply(&self, link: u32, recovery: Recovery) {
        self.state.lock().reply(link, recovery);
    }

    /// An operation of a task that may sleep.
    fn run_sleeping(
        &self,
        at: Address,
        request: &Request<'_>,
        started: Instant<Monotonic>,
    ) -> OpResult {
        let _turn = self.turn.lock();
        let begun = {
            let mut state = self.state.lock();
            state.left = None;
            self.start(&mut state, at, request)?
        };
        self.report_recovered(begun);
        loop {
            {
                let mut state = self.state.lock();
                if let Some(result) = state.take_for_sleeper(&self.stats) {
                    return result;
                }
                // The time spent waiting for the turn counts.
                if started.elapsed() > TIMEOUT {
                    state.abandon();
                    drop(state);
                    return self.time_out();
                }
            }
            self.answered.wait_for_kick(POLL_INTERVAL);
        }
    }

    /// An operation in atomic context.
    fn run_atomic(
        &self,
        at: Address,
        request: &Request<'_>,
        started: Instant<Monotonic>,
    ) -> OpResult {
        let mut state = self.state.lock();
        if state.is_in_flight() {
            let result = self.poll(&mut state, started);
            state.left = Some(result);
            self.stats.helped.one();
            self.answered.kick();
        }
        let begun = self.start(&mut state, at, request)?;
        let result = self.poll(&mut state, Instant::now());
        drop(state);
        self.report_recovered(begun);
        result
    }

    /// Waits for the answer to the operation in flight, with the lock held.
    fn poll(&self, state: &mut ExchangeState, since: Instant<Monotonic>) -> OpResult {
        loop {
            if let Some(result) = state.take() {
                return result;
            }
            if since.elapsed() > TIMEOUT {
                state.abandon();
                return self.time_out();
            }
            match &state.link {
                Some(link) => link.channel.poll(),
                None => return Err(Refusal::Gone),
            }
        }
    }

    /// Hands an operation to the backend, with the lock held.
    fn start(
        &self,
        state: &mut ExchangeState,
        at: Address,
        request: &Request<'_>,
    ) -> Result<Started, Refusal> {
        let link = state.link.as_mut().ok_or(Refusal::Gone)?;
        let begun = link.page.start(at, request).map_err(|why| match why {
            NotStarted::Busy | NotStarted::Unanswered => Refusal::Gone,
            NotStarted::TooBig => Refusal::BadOffset,
        })?;
        self.awaiting.store(true, Relaxed);
        link.channel.notify();
        Ok(begun)
    }

    /// Logs that the backend answers again, once.
    fn report_recovered(&self, begun: Started) {
        if begun == Started::BackToLife {
            self.stats.late_answers.one();
            dev_info!(self.device(), "pciback responds again\n");
        }
    }

    #[cold]
    fn time_out(&self) -> OpResult {
        self.stats.timeouts.one();
        dev_err!(
            self.device(),
            "pciback not responding!!! No configuration access until it answers.\n"
        );
        Err(Refusal::TimedOut)
    }
}
