// SPDX-License-Identifier: GPL-2.0

//! Requests that the backend has answered are completed, or submitted once more.
//!
//! That is done on the CPU that the event came to, and for many requests at a time: another CPU
//! would have to be interrupted, which costs a virtual one more than the work.

use kernel::prelude::*;
use kernel_ext::block::{
    BlkStatus,
    CompletionBatch,
    Op,
    OwnedRequest,
    Progress,
    RequestList, //
};
use xen_ring::blkif::operation::{
    Operation,
    Outcome, //
};

use crate::{
    queue::Blk,
    stats::Stats,
    vbd::Vbd, //
};

/// The status of a request that is to be submitted once more.
const AGAIN: BlkStatus = BlkStatus::RESOURCE;

/// The status of a request that was not carried out.
#[cold]
pub(crate) fn unsuccessful(
    vbd: &Vbd,
    stats: &mut Stats,
    rq: &OwnedRequest<Blk>,
    outcome: Outcome,
) -> BlkStatus {
    stats.errors += 1;
    let name = vbd.name.as_str();
    let operation = rq.data().operation;
    match operation {
        Operation::Discard { .. } if outcome == Outcome::Unsupported => {
            if vbd.capabilities.discard() {
                pr_warn!("{}: discard op failed\n", name);
            }
            vbd.capabilities.lose_discard();
            rq.queue().disable_discard();
            rq.queue().disable_secure_erase();
            BlkStatus::NOTSUPP
        }
        // Old backends do not support an empty barrier, and answer it with a plain error.
        Operation::Flush | Operation::Barrier
            if outcome == Outcome::Unsupported
                || (operation == Operation::Barrier && rq.op() == Op::Flush) =>
        {
            if vbd.capabilities.flush() {
                pr_warn!("{}: flush or barrier op failed\n", name);
            }
            vbd.capabilities.lose_flush();
            rq.queue().disable_write_cache();
            // There is nothing to flush, as far as this backend is concerned. But data that was to
            // be written has not been, so that is to be written without.
            if rq.op() == Op::Flush {
                BlkStatus::OK
            } else {
                AGAIN
            }
        }
        _ => BlkStatus::IOERR,
    }
}

/// Completes requests whose status is noted, when the batch is dropped at the latest, or submits
/// those once more that are not complete yet. To be called without a ring's lock, in any context.
#[inline]
pub(crate) fn finish(done: &mut RequestList<Blk>, batch: &mut CompletionBatch<Blk>) {
    while let Some(rq) = done.pop() {
        if rq.data().part.is_none() && rq.status() != AGAIN {
            batch.complete_here(rq);
        } else {
            submit_again(rq);
        }
    }
}

/// Submits a request once more, or what is left of it.
#[cold]
fn submit_again(rq: OwnedRequest<Blk>) {
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
