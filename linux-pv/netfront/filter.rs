// SPDX-License-Identifier: GPL-2.0

//! The multicast filter: which groups' packets the backend passes on
//! (`feature-dynamic-multicast-control`).
//!
//! It passes on those of all groups until it is asked not to, and takes up to 64 groups. Where
//! the stack needs more, or packets of all groups, it is asked to pass on all again.
//!
//! Requests to the backend are extras on the first queue's transmit ring. When the last one is
//! answered the work item of [`crate::backend`] runs again, and switches the filter on.

use core::time::Duration;

use kernel::prelude::*;
use kernel_ext::net::{
    Address,
    RxMode, //
};
use xen_ring::netif::tx::Multicast;

use crate::{
    backend::Backend,
    delayed_poll::RETRY_DELAY,
    interface::Nic,
    transmit::{
        request_multicast,
        stop_if_full,
        MulticastRequests, //
    },
};

/// Groups that a backend can pass on (Linux: `XEN_NETBK_MCAST_MAX`).
const MAX_GROUPS: usize = 64;

/// Which groups are wanted, and which the backend was asked for.
pub(crate) struct Filter {
    /// The groups whose packets are wanted; `None` if those of all are.
    wanted: Option<KVec<Address>>,
    /// Groups that the backend was asked for.
    requested: KVec<Address>,
    /// The backend passes on packets of those groups only.
    on: bool,
    /// It has refused one, so it is not asked any more.
    refused: bool,
}

impl Filter {
    /// All packets are wanted.
    pub(crate) const fn new() -> Self {
        Self {
            wanted: None,
            requested: KVec::new(),
            on: false,
            refused: false,
        }
    }

    /// Stores the groups that the stack has joined. May sleep.
    pub(crate) fn set_wanted(&mut self, mode: &RxMode<'_>) -> Result {
        self.wanted = None;
        let mut room = [Address::default(); MAX_GROUPS];
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

    /// There is no connection any more: the next backend has no groups.
    pub(crate) fn forget(&mut self) {
        self.requested.clear();
        self.on = false;
        self.refused = false;
    }

    /// Passes on what is wanted, as far as the backend has answered.
    ///
    /// # Errors
    ///
    /// `EAGAIN` or `ENOMEM` if that is to be tried again.
    fn update(&mut self, nic: &Nic, backend: &Backend) -> Result {
        if !backend.multicast || self.refused {
            return Ok(());
        }
        let Some(wanted) = &self.wanted else {
            return self.switch(backend, false);
        };
        // Those that are not wanted any more make room for others.
        for &group in self
            .requested
            .iter()
            .filter(|group| !wanted.contains(group))
        {
            request(nic, Multicast::Remove(group))?;
        }
        self.requested.retain(|group| wanted.contains(group));
        for &group in wanted {
            if !self.requested.contains(&group) {
                self.requested.reserve(1, GFP_KERNEL)?;
                request(nic, Multicast::Add(group))?;
                self.requested.push(group, GFP_KERNEL)?;
            }
        }
        let requests = requests(nic);
        if requests.refused {
            pr_info!("{}: the backend knows no more groups\n", nic.name());
            self.refused = true;
            return self.switch(backend, false);
        }
        if requests.unanswered > 0 {
            return Ok(());
        }
        self.switch(backend, true)
    }

    /// Switches the backend's filter.
    fn switch(&mut self, backend: &Backend, on: bool) -> Result {
        if self.on != on {
            let own = backend.dev.node();
            own.write(c"request-multicast-control", fmt!("{}", u32::from(on)))
                .map_err(|_| EIO)?;
            self.on = on;
        }
        Ok(())
    }
}

/// Passes on to a connected backend which groups are wanted. In the work item; returns after how
/// long to call this again, if no answer comes before.
pub(crate) fn update(nic: &Nic) -> Option<Duration> {
    let vif = nic.data();
    let mut filter = vif.filter.lock();
    let backend = vif.backend.lock();
    match filter.update(nic, backend.as_ref()?) {
        Err(error) if error == EAGAIN || error == ENOMEM => Some(RETRY_DELAY),
        // The stack asks again when something changes.
        _ => None,
    }
}

/// Sends one request. The backend takes them on all queues; the first one will do.
fn request(nic: &Nic, request: Multicast) -> Result {
    let mut tx = nic.lock_tx(0).ok_or(ENODEV)?;
    let link = tx.link.as_mut().ok_or(ENODEV)?;
    request_multicast(link, request)?;
    if let Some(queue) = nic.data().queues().first() {
        link.publish(&queue.stats);
    }
    stop_if_full(&tx);
    Ok(())
}

/// What has become of all requests.
fn requests(nic: &Nic) -> MulticastRequests {
    let tx = nic.lock_tx(0);
    let requests = tx.and_then(|tx| tx.link.as_ref().map(|link| link.multicast));
    requests.unwrap_or_default()
}
