// SPDX-License-Identifier: GPL-2.0

//! What comes of packets: the back end's responses, which the poll function takes.

use kernel::prelude::*;
use kernel_ext::net::{Poll, TxGuard};
use xen::ring::Corrupt;
use xen_ring::netif::tx::in_flight::Outcome;

use super::{Request, TxLink};
use crate::stats::Stats;
use crate::vif::Vif;

impl TxLink {
    /// Takes the responses off the ring and frees what was sent.
    #[inline]
    fn complete(&mut self, stats: &Stats, poll: &Poll<'_, Vif>) -> Result<(), Corrupt> {
        let Self {
            ring,
            in_flight,
            refs,
            pages,
            multicast,
            updates,
            worked,
            ..
        } = self;
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
}

/// A back end must not keep a page that it has answered for.
pub(crate) const STILL_MAPPED: Corrupt = Corrupt::Protocol("Grant still in use by backend domain");

/// Frees what was sent; a part of the poll function. The lock may be had by whom netpoll has interrupted.
#[inline]
pub(crate) fn complete(stats: &Stats, poll: &Poll<'_, Vif>) -> Result<(), Corrupt> {
    let Some(mut tx) = poll.lock_tx() else {
        return Ok(());
    };
    if let Some(link) = &mut tx.link {
        link.complete(stats, poll)?;
        wake(&tx);
    }
    Ok(())
}

/// Lets no further packet come if it would find no room: after slots were used by others than the stack.
#[inline]
pub(crate) fn stop_if_full(tx: &TxGuard<'_, Vif>) {
    if tx.link.as_ref().is_some_and(|link| link.is_nearly_full()) {
        tx.stop();
    }
}

/// Lets packets come again if there is room for one.
#[inline]
fn wake(tx: &TxGuard<'_, Vif>) {
    if let Some(link) = &tx.link {
        if tx.is_stopped() && !link.is_nearly_full() {
            tx.wake();
        }
    }
}
