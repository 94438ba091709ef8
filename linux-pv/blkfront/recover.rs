// SPDX-License-Identifier: GPL-2.0

//! Getting across a suspend, a migration or a restored snapshot.
//!
//! The back end is another one then, and nothing that was shared with the old one exists any more. What
//! it had not answered is submitted again. It may have carried such a request out already: then it is
//! carried out twice, with the same data, and nobody who waits for it can tell. What it had answered is
//! not touched again, and requests that came meanwhile wait, so nothing overtakes.

use kernel::prelude::*;
use xen::bus::{Bound, Device, Failure, OrFail, State};

use crate::connect::{disconnect, Offer};
use crate::device::Life;
use crate::disk::limits;
use crate::queue::Link;

impl Life {
    /// The domain was resumed: takes the requests back and waits for the new back end.
    pub(crate) fn resume(&mut self, dev: &Device<Bound>) -> Result<(), Failure> {
        self.offer = None;
        if self.closed {
            return Ok(());
        }
        let (Some(core), Some(disk)) = (&self.core, &self.disk) else {
            // Nothing was connected yet: it begins anew.
            return Ok(());
        };
        disk.disk().quiesce();
        let mut taken_back = disconnect(core, || Link::Suspended);
        self.pending.append(&mut taken_back);
        disk.moved(dev.otherend())?;
        Ok(())
    }

    /// The new back end is there: submits what the old one did not answer, and all else goes on.
    pub(crate) fn recover(&mut self, dev: &Device<Bound>, offer: Offer) -> Result<(), Failure> {
        let (Some(core), Some(disk)) = (&self.core, &self.disk) else {
            return Ok(());
        };
        let data = disk.disk().tag_set().data();
        let agreed = offer.agree(dev, Some(data.max_segments as u32))?;
        disk.disk()
            .queue()
            .update_limits(&limits(&agreed))
            .or_fatal("changing the limits of the queue")?;
        disk.disk().set_read_only(agreed.disk.read_only);
        offer.accept(dev, &agreed, disk.disk().tag_set())?;
        agreed.log(core);
        dev.switch_state(State::Connected);
        while let Some(rq) = self.pending.pop() {
            rq.requeue(false);
        }
        disk.disk().queue().kick_requeue_list();
        disk.disk().unquiesce();
        disk.announce();
        disk.watch_idle();
        Ok(())
    }
}
