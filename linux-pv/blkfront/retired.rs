// SPDX-License-Identifier: GPL-2.0

//! Requests that the disk is done with while the backend still has their pages mapped.
//!
//! Their connection is at its end. They are not completed, because whoever made them would use the
//! pages for something else while the backend may write to them. When the backend has unmapped the
//! pages they are submitted again: they fail if there will be no connection, and otherwise are
//! carried out by the next one.

use core::time::Duration;

use kernel::prelude::*;
use kernel_ext::{
    block::RequestList,
    sync::{
        new_irq_spinlock,
        IrqSpinLock, //
    },
    work::{
        new_worker,
        Job,
        Worker, //
    },
};
use xen::block::{
    LentRequest,
    RetiredRequests, //
};

use crate::{
    queue::Blk,
    request_data::abandon_copies, //
};

/// How often it is tried to end the grants of retired requests.
pub(crate) const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// The retired requests of a disk: no more than its queues have tags. Their lock may be taken with
/// a ring's lock held, and not the other way round.
pub(crate) struct Retired(Pin<KBox<Worker<EndRetired>>>);

struct EndRetired(Pin<KBox<IrqSpinLock<RetiredRequests<Blk>>>>);

impl Retired {
    /// None. May sleep.
    pub(crate) fn new() -> Result<Self> {
        let requests = new_irq_spinlock!(RetiredRequests::new(), "blkfront::retired");
        let job = EndRetired(KBox::pin_init(requests, GFP_KERNEL)?);
        Ok(Self(KBox::pin_init(new_worker!(job), GFP_KERNEL)?))
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.job().0.lock().is_empty()
    }

    /// Retires a request. Any context.
    #[cold]
    pub(crate) fn push(&self, lent: LentRequest<Blk>) {
        self.0.job().0.lock().push(lent);
        self.0.as_ref().schedule_once(RETRY_INTERVAL);
    }

    /// Ends the requests without the bios that they are made of, since the disk is removed: see
    /// [`RetiredRequests::leave_bios`]. May sleep.
    pub(crate) fn leave_bios(&self) {
        self.0.as_ref().cancel();
        let requests = core::mem::take(&mut *self.0.job().0.lock());
        requests.leave_bios();
    }
}

impl Job for EndRetired {
    fn run(&self) -> Option<Duration> {
        let mut ended = RequestList::new();
        let is_empty = {
            let mut requests = self.0.lock();
            requests.try_end(&mut ended);
            requests.is_empty()
        };
        while let Some(rq) = ended.pop() {
            abandon_copies(rq).requeue(true);
        }
        (!is_empty).then_some(RETRY_INTERVAL)
    }
}
