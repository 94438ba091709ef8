// SPDX-License-Identifier: GPL-2.0

//! Polling a queue for what there is no event for: to post buffers when there was no memory for
//! them, and to free packets that nobody waits for.

use core::time::Duration;

use kernel::{
    prelude::*,
    sync::Arc, //
};
use kernel_ext::work::{
    new_worker,
    Job,
    Worker, //
};

use crate::interface::Nic;

/// How long a queue may have to wait for what there is no event for.
pub(crate) const RETRY_DELAY: Duration = Duration::from_millis(100);

/// A job that has a queue polled.
pub(crate) struct DelayedPoll {
    nic: Arc<Nic>,
    index: u32,
}

impl Job for DelayedPoll {
    fn run(&self) -> Option<Duration> {
        self.nic.schedule(self.index);
        None
    }
}

impl DelayedPoll {
    /// Makes the job for a queue. May sleep.
    pub(crate) fn worker(nic: &Arc<Nic>, index: u32) -> Result<Pin<KBox<Worker<Self>>>> {
        let nic = nic.clone();
        KBox::pin_init(new_worker!(Self { nic, index }), GFP_KERNEL)
    }
}
