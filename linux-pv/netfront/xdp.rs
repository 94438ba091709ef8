// SPDX-License-Identifier: GPL-2.0

//! XDP: what becomes of a packet that a program of the user has looked at, and packets that
//! programs send.
//!
//! Programs see packets that lie in one page; others are dropped while there is one, which the
//! limit on the MTU makes rare. A packet that comes without the head room that programs need
//! ([`crate::headroom`]) is moved.

use kernel::prelude::*;
use kernel_ext::net::{
    Poll,
    PoolPage,
    Program,
    TxGuard,
    XdpAction,
    XdpFrame,
    XdpQueue, //
};

use crate::{
    stats::Stats,
    transmit::{
        send_frame,
        stop_if_full, //
    },
    vif::Vif, //
};

/// Runs a program on the packet in a page. Returns the page with what is left for the stack, if
/// anything.
pub(crate) fn run(
    stats: &Stats,
    poll: &Poll<'_, Vif>,
    queue: &XdpQueue<Vif>,
    program: &Program<'_>,
    (page, offset, len): (PoolPage, u32, u32),
) -> Option<(PoolPage, u32, u32)> {
    stats.xdp_packets.one();
    match program.run(poll, queue, page, offset, len) {
        XdpAction::Pass(page, offset, len) => return Some((page, offset, len)),
        XdpAction::Drop => stats.xdp_drops.one(),
        XdpAction::Redirect => stats.xdp_redirects.one(),
        XdpAction::Aborted => stats.xdp_errors.one(),
        XdpAction::Tx(frame) => {
            let sent = poll
                .lock_tx()
                .is_some_and(|mut tx| send(stats, &mut tx, frame).is_ok());
            if sent {
                stats.xdp_tx.one();
            } else {
                stats.xdp_errors.one();
            }
        }
    }
    None
}

/// Puts a packet on the transmit ring; [`publish`] has to follow. Gives it back if there is no
/// room.
pub(crate) fn send(
    stats: &Stats,
    tx: &mut TxGuard<'_, Vif>,
    frame: XdpFrame,
) -> Result<(), XdpFrame> {
    let Some(link) = &mut tx.link else {
        return Err(frame);
    };
    let result = send_frame(link, stats, frame);
    stop_if_full(tx);
    result
}

/// Tells the backend about packets that were [sent](send).
pub(crate) fn publish(stats: &Stats, tx: &mut TxGuard<'_, Vif>) {
    if let Some(link) = &mut tx.link {
        link.publish(stats);
    }
}
