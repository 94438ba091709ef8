// SPDX-License-Identifier: GPL-2.0

//! Responses of the backend free what was sent; the poll function takes them.

use kernel::prelude::*;
use kernel_ext::net::{
    Poll,
    TxGuard, //
};
use xen::ring::Corrupt;
use xen_ring::netif::tx::in_flight::Outcome;

use super::{
    Request,
    TxLink, //
};
use crate::{
    stats::Stats,
    vif::Vif, //
};

/// A backend must not keep a page that it has answered for.
pub(crate) const STILL_MAPPED: Corrupt = Corrupt::Protocol("Grant still in use by backend domain");

/// Frees what was sent; a part of the poll function. Netpoll may have interrupted the holder of the
/// lock, so this does not wait for it.
#[inline]
pub(crate) fn complete(stats: &Stats, poll: &Poll<'_, Vif>) -> Result<(), Corrupt> {
    let Some(mut tx) = poll.lock_tx() else {
        return Ok(());
    };
    if let Some(link) = &mut tx.link {
        take_responses(link, stats, poll)?;
        wake(&tx);
    }
    Ok(())
}

/// Wakes the queue if there is room for a packet.
#[inline]
fn wake(tx: &TxGuard<'_, Vif>) {
    if let Some(link) = &tx.link {
        if tx.is_stopped() && !link.is_nearly_full() {
            tx.wake();
        }
    }
}

/// Takes the responses off the ring and frees what was sent.
#[inline]
fn take_responses(link: &mut TxLink, stats: &Stats, poll: &Poll<'_, Vif>) -> Result<(), Corrupt> {
    let TxLink {
        ring,
        in_flight,
        refs,
        pages,
        multicast,
        updates,
        worked,
        ..
    } = link;
    let mut violation = None;
    for response in ring.responses()? {
        *worked = true;
        let (part, outcome) = match in_flight.complete(&response) {
            Ok(Some((Request::Part(part), outcome))) => (part, outcome),
            Ok(Some((Request::Multicast, outcome))) => {
                multicast.unanswered -= 1;
                multicast.refused |= outcome != Outcome::Sent;
                if multicast.unanswered == 0 {
                    updates.schedule();
                }
                continue;
            }
            Ok(None) => continue,
            Err(corrupt) => {
                violation = Some(corrupt);
                break;
            }
        };
        if outcome != Outcome::Sent {
            stats.tx_errors.one();
        }
        match part.reclaim(refs, pages) {
            Ok(Some(packet)) => poll.consume(packet),
            Ok(None) => {}
            Err(part) => {
                drop(part);
                violation = Some(STILL_MAPPED);
                break;
            }
        }
    }
    match violation {
        Some(corrupt) => Err(ring.poison(corrupt)),
        None => Ok(()),
    }
}
