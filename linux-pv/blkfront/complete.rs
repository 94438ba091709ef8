// SPDX-License-Identifier: GPL-2.0

//! Responses end requests.
//!
//! The event's interrupt takes all responses off the ring under its lock, ends the back end's access to
//! their pages, and completes the requests afterwards, without the lock and many at a time. Whatever is
//! wrong with a response puts the disk into its error state.

use kernel::prelude::*;
use kernel::sync::Arc;
use xen::block::{BlkStatus, CompletionBatch, Op, OwnedRequest, Progress, RequestList};
use xen::event::{Eoi, Event, Handler};
use xen::ring::Corrupt;
use xen_ring::blkif::operation::{Operation, Outcome};

use crate::data::{StillMapped, Stock, Way};
use crate::queue::{Blk, Connection, Core, InFlight, Link, Ring};
use crate::stats::Stats;

/// The status of a request that is to be submitted once more.
const AGAIN: BlkStatus = BlkStatus::RESOURCE;

/// What is called for a ring's events.
pub(crate) struct OnEvent {
    pub(crate) core: Arc<Core>,
    pub(crate) index: usize,
}

impl Handler for OnEvent {
    fn handle(&self, event: Event<'_>) -> Eoi {
        let mut done = RequestList::new();
        let result = self.collect(&mut done);
        let eoi = match result {
            Ok(responses) => event.done(responses > 0),
            Err(why) => {
                self.core.give_up(why);
                // No end of this interrupt, so that there is no further one.
                let (eoi, end) = event.defer();
                core::mem::forget(end);
                eoi
            }
        };
        finish(done);
        eoi
    }
}

impl OnEvent {
    fn collect(&self, done: &mut RequestList<Blk>) -> Result<u64, Corrupt> {
        let Some(ring) = self.core.rings().get(self.index) else {
            return Ok(0);
        };
        let mut ring = ring.lock();
        let Ring { link, stats } = &mut *ring;
        stats.interrupts = stats.interrupts.wrapping_add(1);
        let result = match link {
            Link::Connected(c) => c.collect(&self.core, stats, done),
            _ => Ok(0),
        };
        match result {
            Ok(0) => stats.spurious += 1,
            Ok(responses) => stats.responses = stats.responses.wrapping_add(responses),
            Err(_) => (),
        }
        result
    }
}

impl Connection {
    /// Takes the responses off the ring, and puts their requests into `done` with the status noted.
    #[inline]
    fn collect(
        &mut self,
        core: &Core,
        stats: &mut Stats,
        done: &mut RequestList<Blk>,
    ) -> Result<u64, Corrupt> {
        let Connection {
            ring,
            requests,
            stock,
            ..
        } = self;
        let mut count = 0_u64;
        loop {
            for response in ring.responses()? {
                count = count.wrapping_add(1);
                let request = requests.complete(response.id)?;
                let outcome = Outcome::of(&response, request.data().asked);
                let failed = outcome.is_err();
                let (rq, violation) =
                    stock.end(core, stats, request, outcome.unwrap_or(Outcome::Failed));
                done.push(rq);
                if failed {
                    outcome?;
                }
                if violation {
                    return Err(Corrupt::Protocol("back end has not unmapped a grant"));
                }
            }
            if !ring.final_check_for_responses()? {
                return Ok(count);
            }
        }
    }

    /// The request with its pages, of a message that was not sent.
    pub(crate) fn take_back(&mut self, request: InFlight) -> Result<OwnedRequest<Blk>, InFlight> {
        let (mut rq, result) = self.stock.reclaim(request);
        let result = result.and(self.stock.take_back(&mut rq));
        match result {
            Ok(()) => Ok(rq),
            Err(StillMapped) => Err(InFlight::Plain(rq)),
        }
    }
}

impl Stock {
    /// Ends the back end's access to the pages that were lent, as far as it lets us.
    #[inline]
    fn reclaim(&mut self, request: InFlight) -> (OwnedRequest<Blk>, Result<(), StillMapped>) {
        match request {
            InFlight::Plain(rq) => (rq, Ok(())),
            InFlight::Lent(lent) => {
                let (result, (mut rq, loans)) = match lent.reclaim(&mut self.refs) {
                    Ok(parts) => (Ok(()), parts),
                    Err(lent) => (Err(StillMapped), lent.abandon()),
                };
                rq.data_mut().loans = loans;
                (rq, result)
            }
        }
    }

    /// Ends a request that the back end has answered. Returns it with its status noted, and whether the
    /// back end still has a page of it.
    #[inline]
    fn end(
        &mut self,
        core: &Core,
        stats: &mut Stats,
        request: InFlight,
        outcome: Outcome,
    ) -> (OwnedRequest<Blk>, bool) {
        let (mut rq, reclaimed) = self.reclaim(request);
        let mut status = match outcome {
            Outcome::Done => BlkStatus::OK,
            _ => unsuccessful(core, stats, &rq, outcome),
        };
        if !matches!(self.way, Way::Lend) && rq.data().asked == Operation::Read && status.is_ok() {
            let bytes = rq.data().part.unwrap_or(rq.bytes());
            stats.copied = stats.copied.wrapping_add(bytes.into());
            for (segment, copy) in rq.segments_within(bytes).zip(rq.data().copies.iter()) {
                if segment.copy_from(copy.page()).is_err() {
                    status = BlkStatus::IOERR;
                }
            }
        }
        let violation = reclaimed.is_err() || self.take_back(&mut rq).is_err();
        rq.set_status(if violation { BlkStatus::IOERR } else { status });
        (rq, violation)
    }
}

/// The status of a request that was not carried out.
#[cold]
fn unsuccessful(
    core: &Core,
    stats: &mut Stats,
    rq: &OwnedRequest<Blk>,
    outcome: Outcome,
) -> BlkStatus {
    stats.errors += 1;
    let name = core.name.as_str();
    let asked = rq.data().asked;
    match asked {
        Operation::Discard { .. } if outcome == Outcome::Unsupported => {
            if core.can.discard() {
                pr_warn!("{}: discard op failed\n", name);
            }
            core.can.lose_discard();
            rq.queue().disable_discard();
            rq.queue().disable_secure_erase();
            BlkStatus::NOTSUPP
        }
        // Old back ends answer an empty barrier, which they do not know, with a plain error.
        Operation::Flush | Operation::Barrier
            if outcome == Outcome::Unsupported
                || (asked == Operation::Barrier && rq.op() == Op::Flush) =>
        {
            if core.can.flush() {
                pr_warn!("{}: flush or barrier op failed\n", name);
            }
            core.can.lose_flush();
            // There is nothing to flush, as far as this back end is concerned. But data that was to be
            // written has not been, so that is to be written without.
            if rq.op() == Op::Flush {
                BlkStatus::OK
            } else {
                AGAIN
            }
        }
        _ => BlkStatus::IOERR,
    }
}

/// Completes requests whose status is noted, or goes on with those that are not complete yet. To be
/// called without a ring's lock, in any context.
#[inline]
pub(crate) fn finish(mut done: RequestList<Blk>) {
    let mut batch = CompletionBatch::new();
    while let Some(rq) = done.pop() {
        if rq.data().part.is_none() && rq.status() != AGAIN {
            batch.complete_noted(rq);
        } else {
            go_on(rq);
        }
    }
}

/// Submits a request once more, or what is left of it.
#[cold]
fn go_on(rq: OwnedRequest<Blk>) {
    let status = rq.status();
    if status == AGAIN {
        rq.requeue(true);
        return;
    }
    match rq.data().part {
        Some(bytes) if status.is_ok() => match rq.advance(bytes) {
            Progress::More(rq) => rq.requeue(true),
            Progress::Done(rq) => rq.end(BlkStatus::OK),
        },
        _ => rq.complete(status),
    }
}
