// SPDX-License-Identifier: GPL-2.0

//! Responses end requests.
//!
//! The event's interrupt takes all responses off the ring under its lock, ends the back end's access to
//! their pages, and completes the requests afterwards, without the lock and many at a time: here and now,
//! since another CPU would have to be interrupted for it, which costs a virtual one more than the work. Whatever is
//! wrong with a response puts the disk into its error state.

use kernel::prelude::*;
use kernel::sync::Arc;
use kernel_ext::block::{BlkStatus, CompletionBatch, Op, OwnedRequest, Progress, RequestList};
use xen::event::{Eoi, Event, Handler};
use xen::ring::Corrupt;
use xen_ring::blkif::operation::{Operation, Outcome};

use crate::data::{StillMapped, Stock};
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
    /// Takes the responses off the ring, and puts their requests into `done` with their status noted.
    ///
    /// Data is copied without the lock, so that requests can be submitted meanwhile. The pages that it was
    /// in go back under the lock, after which the requests are complete.
    fn collect(&self, done: &mut RequestList<Blk>) -> Result<u64, Corrupt> {
        let Some(ring) = self.core.rings().get(self.index) else {
            return Ok(0);
        };
        let mut to_copy = RequestList::new();
        let mut total = 0_u64;
        let result = {
            let mut ring = ring.lock();
            let Ring { link, stats } = &mut *ring;
            let result = match link {
                Link::Connected(c) | Link::Closing(c) => {
                    c.collect(&self.core, stats, &mut total, done, &mut to_copy)
                }
                _ => Ok(()),
            };
            stats.interrupts = stats.interrupts.wrapping_add(1);
            stats.responses = stats.responses.wrapping_add(total);
            if total == 0 {
                stats.spurious = stats.spurious.wrapping_add(1);
            }
            result
        };
        if !to_copy.is_empty() {
            let mut copied = RequestList::new();
            while let Some(mut rq) = to_copy.pop() {
                copy_back(&mut rq);
                copied.push(rq);
            }
            let mut ring = ring.lock();
            while let Some(mut rq) = copied.pop() {
                let (Link::Connected(c) | Link::Closing(c) | Link::Dead(c, _)) = &mut ring.link
                else {
                    // The connection is gone, and the pages go with it.
                    done.push(InFlight::Plain(rq).abandon());
                    continue;
                };
                if c.stock.take_back(&mut rq).is_err() {
                    rq.set_status(BlkStatus::IOERR);
                    done.push(rq);
                    fail_rest(&mut copied, done);
                    return Err(STILL_MAPPED);
                }
                done.push(rq);
            }
        }
        result.map(|()| total)
    }
}

/// Copies the data that was read to where it was asked for.
#[inline]
fn copy_back(rq: &mut OwnedRequest<Blk>) {
    let bytes = rq.data().part.unwrap_or(rq.bytes());
    let mut copied = Ok(());
    for (segment, copy) in rq.segments_within(bytes).zip(rq.data().copies.iter()) {
        copied = copied.and(copy.page().copy_to_segment(&segment));
    }
    if copied.is_err() {
        rq.set_status(BlkStatus::IOERR);
    }
}

/// Requests whose pages do not go back after a violation: they are left to the kernel.
#[cold]
fn fail_rest(requests: &mut RequestList<Blk>, done: &mut RequestList<Blk>) {
    while let Some(rq) = requests.pop() {
        done.push(InFlight::Plain(rq).abandon());
    }
}

/// A back end must not keep a page that it has answered for, unless grants are persistent.
const STILL_MAPPED: Corrupt = Corrupt::Protocol("back end has not unmapped a grant");

impl Connection {
    /// Takes the responses off the ring. Requests go to `done` with their status noted, or to `to_copy` if
    /// data that was read still is to be copied.
    #[inline]
    fn collect(
        &mut self,
        core: &Core,
        stats: &mut Stats,
        total: &mut u64,
        done: &mut RequestList<Blk>,
        to_copy: &mut RequestList<Blk>,
    ) -> Result<(), Corrupt> {
        let Connection {
            ring,
            requests,
            stock,
            ..
        } = self;
        loop {
            for response in ring.responses()? {
                *total = total.wrapping_add(1);
                let request = requests.complete(response.id)?;
                let asked = request.data().asked;
                let outcome = Outcome::of(&response, asked);
                let (mut rq, reclaimed) = stock.reclaim(request);
                rq.set_status(match outcome {
                    Ok(Outcome::Done) => BlkStatus::OK,
                    Ok(outcome) => unsuccessful(core, stats, &rq, outcome),
                    Err(_) => BlkStatus::IOERR,
                });
                if asked == Operation::Read && !rq.data().copies.is_empty() && rq.status().is_ok() {
                    let bytes = rq.data().part.unwrap_or(rq.bytes());
                    stats.copied = stats.copied.wrapping_add(bytes.into());
                    to_copy.push(rq);
                    continue;
                }
                let result = reclaimed.and(stock.take_back(&mut rq));
                if result.is_err() {
                    rq.set_status(BlkStatus::IOERR);
                }
                done.push(rq);
                outcome?;
                result.map_err(|StillMapped| STILL_MAPPED)?;
            }
            if !ring.final_check_for_responses()? {
                return Ok(());
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
            batch.complete_here(rq);
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
