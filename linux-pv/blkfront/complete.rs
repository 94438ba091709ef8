// SPDX-License-Identifier: GPL-2.0

//! Responses end requests.
//!
//! The event's interrupt takes all responses off the ring under its lock, ends the backend's
//! access to their pages, and completes the requests afterwards, without the lock: most of them as
//! a batch, the others [one by one](crate::finish).
//! Whatever is wrong with a response puts the disk into its error state.

use kernel::{
    prelude::*,
    sync::Arc, //
};
use kernel_ext::block::{
    BlkStatus,
    CompletionBatch,
    OwnedRequest,
    RequestList, //
};
use xen::{
    event::{
        Eoi,
        Event,
        Handler, //
    },
    ring::Corrupt, //
};
use xen_ring::blkif::operation::{
    Operation,
    Outcome, //
};

use crate::{
    connection::Connection,
    copy::{
        copy_back,
        copy_page_back,
        MAX_COPIED_AT_ONCE, //
    },
    finish::{
        finish,
        unsuccessful, //
    },
    queue::Blk,
    stats::Stats,
    stock::{
        StillMapped,
        Stock, //
    },
    vbd::{
        Link,
        Ring,
        Vbd, //
    },
};

/// A backend must not keep a page that it has answered for, unless grants are persistent.
const STILL_MAPPED: Corrupt = Corrupt::Protocol("backend has not unmapped a grant");

/// What is called for a ring's events.
pub(crate) struct OnEvent {
    pub(crate) vbd: Arc<Vbd>,
    pub(crate) index: usize,
}

impl Handler for OnEvent {
    fn handle(&self, event: Event<'_>) -> Eoi {
        let mut collected = Collected::default();
        let result = self.collect(&mut collected);
        let eoi = match result {
            Ok(()) => event.done(collected.responses > 0),
            Err(why) => {
                self.vbd.give_up(why);
                // No end of this interrupt, so that there is no further one.
                let (eoi, end) = event.defer();
                core::mem::forget(end);
                eoi
            }
        };
        finish(&mut collected.done, &mut collected.batch);
        eoi
    }
}

/// The requests that responses were taken off the ring for.
#[derive(Default)]
struct Collected {
    responses: u64,
    /// Carried out in full: nothing is left to do with them.
    batch: CompletionBatch<Blk>,
    /// The others, with their status noted.
    done: RequestList<Blk>,
    /// Data that was read still is to be copied, and there is much of it.
    to_copy: RequestList<Blk>,
}

impl OnEvent {
    /// Takes the responses off the ring.
    ///
    /// Much data is copied without the lock, so that requests can be submitted meanwhile. The pages
    /// that it was in go back under the lock, after which the requests are done.
    fn collect(&self, collected: &mut Collected) -> Result<(), Corrupt> {
        let Some(ring) = self.vbd.rings().get(self.index) else {
            return Ok(());
        };
        let result = {
            let mut ring = ring.lock();
            let Ring { link, stats } = &mut *ring;
            let result = match link {
                Link::Connected(c) | Link::Closing(c) => collect(c, &self.vbd, stats, collected),
                _ => Ok(()),
            };
            stats.interrupts = stats.interrupts.wrapping_add(1);
            stats.responses = stats.responses.wrapping_add(collected.responses);
            if collected.responses == 0 {
                stats.spurious = stats.spurious.wrapping_add(1);
            }
            result
        };
        if collected.to_copy.is_empty() {
            return result;
        }
        collected.to_copy.try_each(|rq, data| {
            copy_back(rq, data);
            Ok(())
        });
        let mut taken_back = Ok(());
        {
            let mut ring = ring.lock();
            let mut stock = match &mut ring.link {
                Link::Connected(c) | Link::Closing(c) | Link::Dead(c, _) => Some(&mut c.stock),
                // The connection is gone, and the pages go with it.
                _ => None,
            };
            collected.to_copy.try_each(|_, data| {
                let Some(usable) = &mut stock else {
                    data.abandon_copies();
                    return Ok(());
                };
                taken_back = usable.take_back(data);
                if taken_back.is_err() {
                    // The pages of the other requests are left to the kernel as well.
                    stock = None;
                    return Err(BlkStatus::IOERR);
                }
                Ok(())
            });
        }
        collected.done.append(&mut collected.to_copy);
        taken_back.map_err(|StillMapped| STILL_MAPPED)?;
        result
    }
}

/// Takes the responses off the ring, under its lock.
#[inline]
fn collect(
    connection: &mut Connection,
    vbd: &Vbd,
    stats: &mut Stats,
    collected: &mut Collected,
) -> Result<(), Corrupt> {
    let Connection {
        ring,
        in_flight,
        stock,
        ..
    } = connection;
    loop {
        for response in ring.responses()? {
            collected.responses = collected.responses.wrapping_add(1);
            let request = in_flight.complete(response.id)?;
            let operation = request.data().operation;
            let mut rq = match stock.reclaim(request) {
                Ok(rq) => rq,
                Err(lent) => {
                    vbd.retired.push(lent);
                    return Err(STILL_MAPPED);
                }
            };
            let outcome = Outcome::of(&response, operation);
            if outcome != Ok(Outcome::Done) {
                not_carried_out(vbd, stats, stock, rq, outcome, &mut collected.done)?;
                continue;
            }
            let pages = rq.data().copies.len();
            if operation == Operation::Read && pages > 0 {
                let bytes = rq.data().part.unwrap_or(rq.bytes());
                stats.copied_bytes = stats.copied_bytes.wrapping_add(bytes.into());
                if pages > MAX_COPIED_AT_ONCE {
                    rq.set_status(BlkStatus::OK);
                    collected.to_copy.push(rq);
                    continue;
                }
                copy_page_back(&rq, rq.data());
            }
            if stock.take_back(rq.data_mut()).is_err() {
                rq.set_status(BlkStatus::IOERR);
                collected.done.push(rq);
                return Err(STILL_MAPPED);
            }
            rq.set_status(BlkStatus::OK);
            let left = match rq.data().part {
                None => collected.batch.try_add(rq),
                Some(_) => Err(rq),
            };
            if let Err(rq) = left {
                collected.done.push(rq);
            }
        }
        if !ring.final_check_for_responses()? {
            return Ok(());
        }
    }
}

/// Notes the status of a request that was not carried out, or whose response makes no sense.
#[cold]
fn not_carried_out(
    vbd: &Vbd,
    stats: &mut Stats,
    stock: &mut Stock,
    mut rq: OwnedRequest<Blk>,
    outcome: Result<Outcome, Corrupt>,
    done: &mut RequestList<Blk>,
) -> Result<(), Corrupt> {
    rq.set_status(match outcome {
        Ok(outcome) => unsuccessful(vbd, stats, &rq, outcome),
        Err(_) => BlkStatus::IOERR,
    });
    let result = stock.take_back(rq.data_mut());
    if result.is_err() {
        rq.set_status(BlkStatus::IOERR);
    }
    done.push(rq);
    outcome?;
    result.map_err(|StillMapped| STILL_MAPPED)
}
