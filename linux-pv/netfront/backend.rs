// SPDX-License-Identifier: GPL-2.0

//! A connected backend, and the settings that it gets while it is connected: the user's RSS
//! settings, the multicast groups that are wanted, the head room for XDP programs.
//!
//! The network stack asks for these with the RTNL lock held, and a backend may take its time, or
//! never answer. So the settings are noted, and a work item passes them on ([`Updates`]). It does
//! not wait either, but runs again when an answer comes, or after a while.

use core::time::Duration;

use kernel::{
    prelude::*,
    str::CString,
    sync::{
        aref::ARef,
        Arc, //
    },
};
use kernel_ext::work::{
    new_worker,
    Job,
    Worker, //
};
use xen::bus::{
    Bound,
    Device,
    Failure, //
};
use xen_ring::netif::features::Features;

use crate::{
    filter,
    headroom::{
        self,
        Headroom, //
    },
    interface::Nic,
    rss, //
};

/// The backend, from Connected until the connection is closed.
pub(crate) struct Backend {
    pub(crate) dev: ARef<Device>,
    /// Its folder in the xenstore.
    pub(crate) folder: CString,
    /// The head room that it leaves in packets' buffers; none if it cannot.
    pub(crate) headroom: Option<Headroom>,
    /// It takes requests about multicast groups.
    pub(crate) multicast: bool,
    pub(crate) updates: Arc<Updates>,
}

impl Backend {
    /// The backend of `dev`, which has offered `features` and was asked for `headroom` bytes of
    /// head room.
    pub(crate) fn new(
        dev: &Device<Bound>,
        features: &Features,
        headroom: u32,
        updates: Arc<Updates>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            dev: ARef::from(&**dev),
            folder: CString::try_from_fmt(fmt!("{}", dev.otherend()))?,
            headroom: features.xdp_headroom.then(|| Headroom::new(headroom)),
            multicast: features.dynamic_multicast_control,
            updates,
        })
    }
}

/// The work item. It keeps the interface, so it has to go with the connection.
pub(crate) struct Updates(Pin<KBox<Worker<Update>>>);

impl Updates {
    /// For one connection of an interface. May sleep.
    pub(crate) fn new(nic: &Arc<Nic>) -> Result<Arc<Self>> {
        let worker = KBox::pin_init(new_worker!(Update(nic.clone())), GFP_KERNEL)?;
        Ok(Arc::new(Self(worker), GFP_KERNEL)?)
    }

    /// Has settings passed on that the backend does not have yet. Any context.
    pub(crate) fn schedule(&self) {
        self.0.as_ref().schedule(Duration::ZERO);
    }

    /// Waits until the work item has returned. It may be scheduled again. May sleep.
    pub(crate) fn cancel(&self) {
        self.0.as_ref().cancel();
    }
}

/// See [`Updates`].
struct Update(Arc<Nic>);

impl Job for Update {
    fn run(&self) -> Option<Duration> {
        let nic = &self.0;
        let again = [rss::update(nic), filter::update(nic), headroom::update(nic)];
        again.into_iter().flatten().min()
    }
}
