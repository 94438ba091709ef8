// SPDX-License-Identifier: GPL-2.0

//! What all parts of an interface share.
//!
//! Locks, all mutexes, nest in the order of the fields. None is held while the backend is waited
//! for: the RTNL lock, which is taken before them, must not be either.

use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            AtomicFlag,
            Relaxed, //
        },
        new_mutex,
        Mutex, //
    },
};
use kernel_ext::show::Show;
use xen::{
    bus::FrontendHandle,
    ring::Corrupt, //
};
use xen_ring::netif::features::Offloads;

use crate::{
    backend::Backend,
    control::ControlLink,
    device::Netfront,
    filter::Filter,
    interface::Nic,
    queue::Queue,
    rss::Rss, //
};

/// An interface. Lives as long as its network device.
#[pin_data]
pub(crate) struct Vif {
    queues: KVec<Pin<KBox<Queue>>>,
    /// The backend has broken the protocol: the interface is unusable until it is connected anew.
    broken: AtomicFlag,
    /// The number of queues that the user has asked for, of those that there are.
    requested_queues: Atomic<u32>,
    /// There is an XDP program, or will be in a moment.
    wants_headroom: AtomicFlag,
    /// For another connection.
    frontend: FrontendHandle<Netfront>,
    /// Which groups' packets are wanted.
    #[pin]
    pub(crate) filter: Mutex<Filter>,
    /// The backend while it is connected.
    #[pin]
    pub(crate) backend: Mutex<Option<Backend>>,
    /// The control ring, if the backend has one.
    #[pin]
    pub(crate) control: Mutex<Option<KBox<ControlLink>>>,
    /// Which queues the backend is to put packets on.
    #[pin]
    pub(crate) rss: Mutex<Rss>,
    /// What the backend offers.
    #[pin]
    pub(crate) offloads: Mutex<Offloads>,
}

impl Vif {
    /// For an interface with that many queues. May sleep.
    pub(crate) fn new(
        queues: u32,
        frontend: FrontendHandle<Netfront>,
    ) -> Result<impl PinInit<Self>> {
        let mut all = KVec::with_capacity(queues as usize, GFP_KERNEL)?;
        for _ in 0..queues {
            all.push(KBox::pin_init(Queue::new(), GFP_KERNEL)?, GFP_KERNEL)?;
        }
        Ok(pin_init!(Self {
            requested_queues: Atomic::new(queues),
            queues: all,
            broken: AtomicFlag::new(false),
            wants_headroom: AtomicFlag::new(false),
            frontend,
            filter <- new_mutex!(Filter::new()),
            backend <- new_mutex!(None),
            control <- new_mutex!(None),
            rss <- new_mutex!(Rss::new()),
            offloads <- new_mutex!(Offloads::default()),
        }))
    }

    /// The queues, whether in use or not.
    #[inline]
    pub(crate) fn queues(&self) -> &[Pin<KBox<Queue>>] {
        &self.queues
    }

    /// The number of queues that the user has asked for.
    pub(crate) fn requested_queues(&self) -> u32 {
        self.requested_queues.load(Relaxed)
    }

    /// Asks for a number of queues. It is part of what both ends agree on when they connect, so
    /// another connection is made; without one it counts for the next.
    pub(crate) fn request_queues(&self, nic: &Nic, queues: u32) {
        self.requested_queues.store(queues, Relaxed);
        if queues != nic.queues_in_use() && self.backend.lock().is_some() {
            nic.carrier_off();
            self.frontend.reconnect();
        }
    }

    /// Whether the backend is to leave room for XDP programs.
    pub(crate) fn wants_headroom(&self) -> bool {
        self.wants_headroom.load(Relaxed)
    }

    /// The first program is attached, or the last one detached. May sleep.
    pub(crate) fn request_headroom(&self, program: bool) {
        self.wants_headroom.store(program, Relaxed);
        self.update_backend();
    }

    /// Has settings passed on that the backend does not have yet, if it is connected. May sleep.
    pub(crate) fn update_backend(&self) {
        if let Some(backend) = &*self.backend.lock() {
            backend.updates.schedule();
        }
    }

    /// Passes on no more settings: the connection is about to be closed. May sleep, until the
    /// work item has returned.
    pub(crate) fn stop_updates(&self) {
        let backend = self.backend.lock().take();
        if let Some(backend) = backend {
            // Not under the lock, which the work item takes.
            backend.updates.cancel();
        }
    }

    /// Whether the interface is in its error state.
    #[inline]
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Relaxed)
    }

    /// A new connection begins without fault.
    pub(crate) fn repair(&self) {
        self.broken.store(false, Relaxed);
    }

    /// The error state: nothing more is taken from the backend, and nothing given to it. Any
    /// context but with interrupts off; logged once.
    #[cold]
    pub(crate) fn give_up(&self, nic: &Nic, why: Corrupt) {
        if !self.broken.xchg(true, Relaxed) {
            pr_alert!("{}: {}\n", nic.name(), Show(why));
            pr_alert!("{}: Disabled for further use\n", nic.name());
            nic.carrier_off();
        }
    }
}
