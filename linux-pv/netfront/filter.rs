// SPDX-License-Identifier: GPL-2.0

//! Which groups' packets the back end passes on (`feature-dynamic-multicast-control`).
//!
//! It passes on those of all groups until it is asked not to, and can be told of 64 groups. Where the stack wants more, or
//! packets of all groups, it is asked to pass on all again.

use core::time::Duration;

use kernel::prelude::*;
use kernel_ext::net::{Address, RxMode};
use xen::bus::wait_until;
use xen_ring::netif::tx::Multicast;

use crate::interface::{Bus, Nic};
use crate::transmit::{stop_if_full, Wishes};

/// Groups that a back end can be told of (Linux: `XEN_NETBK_MCAST_MAX`).
const MOST: usize = 64;

/// How long the back end gets to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is wanted, and what the back end was told of that.
pub(crate) struct Filter {
    /// The groups whose packets are wanted; `None` if those of all are.
    wanted: Option<KVec<Address>>,
    told: KVec<Address>,
    /// The back end was asked to pass on packets of groups that it was told of only.
    on: bool,
    /// It has refused one, so it is not asked any more.
    refused: bool,
}

impl Filter {
    /// All packets are wanted.
    pub(crate) const fn new() -> Self {
        Self {
            wanted: None,
            told: KVec::new(),
            on: false,
            refused: false,
        }
    }

    /// Takes note of what the stack wants. May sleep.
    pub(crate) fn want(&mut self, mode: &RxMode<'_>) -> Result {
        self.wanted = None;
        let mut room = [Address::default(); MOST];
        match mode.groups(&mut room) {
            Some(groups) if !mode.all_multicast() => {
                let mut wanted = KVec::new();
                wanted.extend_from_slice(groups, GFP_KERNEL)?;
                self.wanted = Some(wanted);
            }
            _ => {}
        }
        Ok(())
    }

    /// There is no connection any more: the next back end knows nothing.
    pub(crate) fn forget(&mut self) {
        self.told.clear();
        self.on = false;
        self.refused = false;
    }

    /// Tells the back end what is wanted. May sleep.
    ///
    /// # Errors
    ///
    /// If that is to be tried again.
    pub(crate) fn tell(&mut self, nic: &Nic, bus: &Bus) -> Result {
        if !bus.multicast || self.refused {
            return Ok(());
        }
        let Some(wanted) = &self.wanted else {
            return self.switch(bus, false);
        };
        // Those that are not wanted any more make room for others.
        for &group in self.told.iter().filter(|group| !wanted.contains(group)) {
            wish(nic, Multicast::Remove(group))?;
        }
        self.told.retain(|group| wanted.contains(group));
        for &group in wanted {
            if !self.told.contains(&group) {
                self.told.reserve(1, GFP_KERNEL)?;
                wish(nic, Multicast::Add(group))?;
                self.told.push(group, GFP_KERNEL)?;
            }
        }
        let mut wishes = Wishes::default();
        let answered = wait_until(PATIENCE, || {
            wishes = all_wishes(nic);
            wishes.open == 0
        });
        if wishes.refused {
            pr_info!("{}: the back end knows no more groups\n", nic.name());
            self.refused = true;
            return self.switch(bus, false);
        }
        if !answered {
            return Err(ETIMEDOUT);
        }
        self.switch(bus, true)
    }

    /// Has the back end look at groups, or not.
    fn switch(&mut self, bus: &Bus, on: bool) -> Result {
        if self.on != on {
            let own = bus.dev.node();
            own.write(c"request-multicast-control", fmt!("{}", u32::from(on)))
                .map_err(|_| EIO)?;
            self.on = on;
        }
        Ok(())
    }
}

/// Tells the back end one thing. It listens on all queues; the first one will do.
fn wish(nic: &Nic, wish: Multicast) -> Result {
    let mut tx = nic.lock_tx(0).ok_or(ENODEV)?;
    let link = tx.link.as_mut().ok_or(ENODEV)?;
    link.wish(wish)?;
    if let Some(queue) = nic.data().queues().first() {
        link.publish(&queue.stats);
    }
    stop_if_full(&tx);
    Ok(())
}

/// What has become of all that was wished.
fn all_wishes(nic: &Nic) -> Wishes {
    let tx = nic.lock_tx(0);
    let wishes = tx.and_then(|tx| tx.link.as_ref().map(|link| link.wishes));
    wishes.unwrap_or_default()
}
