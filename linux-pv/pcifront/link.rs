// SPDX-License-Identifier: GPL-2.0

//! A connection to the backend: the shared page and its event channel.

use kernel::{
    prelude::*,
    sync::Arc, //
};
use xen::{
    bus::{
        transact,
        Bound,
        Device,
        Failure,
        OrFail, //
    },
    event::EventChannel,
    ring::SharedRing, //
};
use xen_ring::pciif::{
    FrontPage,
    MAGIC, //
};

use crate::{
    exchange::Exchange,
    recovery::{
        OnEvent,
        Recoverer, //
    },
};

/// A connection. Dropping it waits for the channel's handler; it may sleep.
pub(crate) struct Link {
    pub(crate) page: FrontPage<SharedRing>,
    pub(crate) channel: Arc<EventChannel<OnEvent>>,
}

impl Link {
    /// Makes page and channel, which are not announced yet. May sleep.
    pub(crate) fn make(
        dev: &Device<Bound>,
        exchange: &Arc<Exchange>,
        recoverer: &Arc<Recoverer>,
    ) -> Result<Self, Failure> {
        let memory =
            SharedRing::new(dev.otherend_id(), 1).or_fatal("Error allocating the shared page")?;
        let page = FrontPage::new(memory).map_err(|_| EINVAL)?;
        let handler = OnEvent {
            exchange: exchange.clone(),
            recoverer: recoverer.clone(),
        };
        let channel = EventChannel::new(dev, c"pcifront", Ok::<_, Error>(handler));
        let channel = Arc::pin_init::<Error>(channel, GFP_KERNEL)
            .or_fatal("Error binding the event channel")?;
        Ok(Self { page, channel })
    }

    /// Writes to the xenstore what the backend needs to connect. May sleep.
    pub(crate) fn announce(&self, dev: &Device<Bound>) -> Result<(), Failure> {
        transact(|t| {
            let own = dev.node().within(t);
            for number in self.page.mem().numbers() {
                own.write(c"pci-op-ref", fmt!("{}", number))?;
            }
            own.write(c"event-channel", fmt!("{}", self.channel.port()))?;
            own.write(c"magic", fmt!("{}", MAGIC))?;
            Ok(())
        })
        .map_err(|failure: Failure| failure)
        .or_fatal("Error writing configuration for backend")
    }
}
