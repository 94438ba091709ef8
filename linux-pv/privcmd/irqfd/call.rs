// SPDX-License-Identifier: GPL-2.0

//! The hypercall of an irqfd, and the log's lines about failed ones.

use core::time::Duration;

use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
    time::{
        Instant,
        Monotonic, //
    },
};
use kernel_ext::work::Job;
use xen::{
    devfile::OpenedFile,
    hypercall::StoredDmOp, //
};

use crate::stats::Stats;

/// Limits how often the log has a line about a failed hypercall: a process can have hypercalls fail
/// at any rate.
pub(super) struct LogLimit {
    begin: Instant<Monotonic>,
    /// Time of the next line, in milliseconds since `begin`.
    next_ms: Atomic<i64>,
}

impl LogLimit {
    /// Least time between two lines, in milliseconds.
    const INTERVAL_MS: i64 = 5000;

    /// Allows a line at once.
    pub(super) fn new() -> Self {
        Self {
            begin: Instant::now(),
            next_ms: Atomic::new(0),
        }
    }

    /// Whether a line may be written now; the next one may not, until the interval is over.
    fn allows(&self) -> bool {
        let now = self.begin.elapsed().as_millis();
        let next = self.next_ms.load(Relaxed);
        let after = now + Self::INTERVAL_MS;
        now >= next && self.next_ms.cmpxchg(next, after, Relaxed).is_ok()
    }
}

/// A device model's hypercall, which is made for each signal of an eventfd.
pub(super) struct IrqfdCall {
    pub(super) hypercall: StoredDmOp,
    /// The guest, for the log.
    pub(super) domain: u16,
    /// The open file that assigned it.
    pub(super) owner: Arc<OpenedFile<Stats>>,
    pub(super) log_limit: Arc<LogLimit>,
}

impl IrqfdCall {
    /// Makes the hypercall, which must be [brief](xen_devfile::eventfds::is_brief). Any context.
    pub(super) fn make_brief(&self) {
        self.finish(Ok(self.hypercall.call_brief()));
    }

    /// Counts a hypercall, and logs its failure.
    fn finish(&self, result: Result<isize>) {
        self.owner.hypercalls.fetch_add(1, Relaxed);
        let error = match result {
            Ok(0) => return,
            Ok(error) => error,
            Err(error) => error.to_errno() as isize,
        };
        if self.log_limit.allows() {
            pr_err!(
                "Failed to configure irq for guest domain: {} ({})\n",
                self.domain,
                error
            );
        }
    }
}

/// Work item that makes a hypercall which is not brief.
pub(super) struct DeferredCall(pub(super) Arc<IrqfdCall>);

impl Job for DeferredCall {
    fn run(&self) -> Option<Duration> {
        self.0.finish(self.0.hypercall.call());
        None
    }
}
