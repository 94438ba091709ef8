// SPDX-License-Identifier: GPL-2.0

//! The connection: a page shared with the back end, and an event channel.

use kernel::prelude::*;
use kernel::sync::Arc;
use xen::bus::{transact, Bound, Device, Failure, OrFail};
use xen::event::EventChannel;
use xen::ring::SharedRing;
use xen_ring::pciif::{FrontPage, MAGIC};

use crate::exchange::Wire;
use crate::recovery::{OnEvent, Recoverer};

/// A page and its channel. Dropping it may sleep.
pub(crate) struct Link {
    pub(crate) page: FrontPage<SharedRing>,
    pub(crate) channel: Arc<EventChannel<OnEvent>>,
}

impl Link {
    /// Makes one. May sleep.
    pub(crate) fn make(
        dev: &Device<Bound>,
        wire: &Arc<Wire>,
        recoverer: &Arc<Recoverer>,
    ) -> Result<Self, Failure> {
        let memory =
            SharedRing::new(dev.otherend_id(), 1).or_fatal("Error allocating the shared page")?;
        let page = FrontPage::new(memory).map_err(|_| EINVAL)?;
        let handler = OnEvent {
            wire: wire.clone(),
            recoverer: recoverer.clone(),
        };
        let channel = EventChannel::new(dev, c"pcifront", Ok::<_, Error>(handler));
        let channel = Arc::pin_init::<Error>(channel, GFP_KERNEL)
            .or_fatal("Error binding the event channel")?;
        Ok(Self { page, channel })
    }

    /// Tells the back end of it. May sleep.
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
