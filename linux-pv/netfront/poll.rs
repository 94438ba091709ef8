// SPDX-License-Identifier: GPL-2.0

//! NAPI polling of a queue: packets that were sent, packets that have come, and the end of the
//! events that have led here.

use kernel::prelude::*;
use kernel_ext::net::Poll;
use xen::ring::Corrupt;

use crate::{
    event::Direction,
    interface::Nic,
    queue::Queue,
    transmit,
    vif::Vif, //
};

/// Handles what has come on a queue; returns how many packets were received.
pub(crate) fn poll(nic: &Nic, poll: &mut Poll<'_, Vif>) -> u32 {
    let vif = nic.data();
    let Some(queue) = vif.queues().get(poll.queue() as usize) else {
        return 0;
    };
    if vif.is_broken() {
        return 0;
    }
    queue.stats.polls.one();
    if let Err(why) = transmit::complete(&queue.stats, poll) {
        vif.give_up(nic, why);
        return 0;
    }
    if poll.budget() == 0 {
        return 0;
    }
    let mut rx = queue.rx.lock();
    let Some(link) = &mut rx.link else {
        return 0;
    };
    match link.poll(&queue.stats, poll) {
        Ok(work) => work,
        Err(why) => {
            drop(rx);
            vif.give_up(nic, why);
            0
        }
    }
}

/// Asks for an event when there is something to do again; returns whether there is already.
pub(crate) fn rearm(nic: &Nic, index: u32) -> bool {
    let vif = nic.data();
    let Some(queue) = vif.queues().get(index as usize) else {
        return false;
    };
    if vif.is_broken() {
        return false;
    }
    let more = end_events(nic, index, queue);
    more.unwrap_or_else(|why| {
        vif.give_up(nic, why);
        false
    })
}

/// Ends the events that have led to a poll, and asks for further ones; returns whether there is
/// something to do already.
#[inline]
fn end_events(nic: &Nic, index: u32, queue: &Queue) -> Result<bool, Corrupt> {
    // An event may come after its responses were dealt with, in a poll that another one has caused:
    // so work counts until an event of its channel has been ended. A channel for both rings is the
    // transmit one.
    let shared = !queue.is_split();
    let on = |direction: Direction| queue.events[direction as usize].take();
    let (mut more, mut received) = (false, false);
    if let Some(link) = &mut queue.rx.lock().link {
        more |= link.rearm()?;
        if let Some(event) = on(Direction::Receive) {
            event.finish(link.take_worked());
        } else if shared {
            received = link.take_worked();
        }
    }
    if let Some(mut tx) = nic.lock_tx(index) {
        if let Some(link) = &mut tx.link {
            link.worked |= received;
            more |= link.rearm()?;
            if let Some(event) = on(Direction::Transmit) {
                event.finish(link.take_worked());
            }
        }
    }
    Ok(more)
}
