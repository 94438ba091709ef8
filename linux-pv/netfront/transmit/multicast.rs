// SPDX-License-Identifier: GPL-2.0

//! Requests for packets to multicast groups, which share the ring with packets.

use kernel::prelude::*;
use xen_ring::netif::tx::Multicast;

use super::{
    Request,
    TxLink, //
};

/// What has become of requests for packets to groups, and for no more of them.
#[derive(Clone, Copy, Default)]
pub(crate) struct MulticastRequests {
    /// The number of those that are not answered yet.
    pub(crate) unanswered: u32,
    /// One was refused.
    pub(crate) refused: bool,
}

/// Asks the backend for packets to a group, or for no more of them; what becomes of that is in
/// [`TxLink::multicast`]. [`TxLink::publish`] has to follow.
///
/// # Errors
///
/// `EAGAIN` if there is no room now.
pub(crate) fn request_multicast(link: &mut TxLink, request: Multicast) -> Result {
    let id = link
        .in_flight
        .check_out(Request::Multicast)
        .map_err(|_| EAGAIN)?;
    let pushed = link.in_flight.push_multicast(&mut link.ring, id, request);
    if pushed.is_err() {
        drop(link.in_flight.take_back(id));
        return Err(EAGAIN);
    }
    link.multicast.unanswered += 1;
    // A request and its extra.
    link.await_last(2);
    Ok(())
}
