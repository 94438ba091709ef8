// SPDX-License-Identifier: GPL-2.0

//! Lent buffers that nobody wants to lend any longer, but that a domain still has mapped.
//!
//! Each of them keeps this module loaded: what is tried again is code of its.

use core::time::Duration;

use kernel::prelude::*;
use kernel_ext::work::{new_worker, Job, Worker};

use super::lent::Lent;

/// When it is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// The buffers, a chain, so that nothing has to be allocated for putting one in; and what works on it.
struct Chain {
    first: Option<KBox<Lent>>,
    worker: Option<Pin<KBox<Worker<TryAgain>>>>,
}

kernel::sync::global_lock! {
    // SAFETY: `Retired::start` initialises it, which is called before anything can be retired.
    unsafe(uninit) static CHAIN: Mutex<Chain> = Chain { first: None, worker: None };
}

impl Chain {
    fn push(&mut self, mut lent: KBox<Lent>) {
        lent.next = self.first.take();
        self.first = Some(lent);
    }
}

/// Takes over a buffer with grants that could not be ended. May sleep.
pub(super) fn retire(mut lent: KBox<Lent>) {
    lent.keep_module();
    let mut chain = CHAIN.lock();
    chain.push(lent);
    if let Some(worker) = &chain.worker {
        worker.as_ref().schedule_once(AGAIN);
    }
}

struct TryAgain;

impl Job for TryAgain {
    fn run(&self) -> Option<Duration> {
        let mut all = CHAIN.lock().first.take();
        while let Some(mut lent) = all {
            all = lent.next.take();
            if lent.end() != 0 {
                CHAIN.lock().push(lent);
                continue;
            }
            // Giving a buffer back takes locks of its exporter's, so not under ours.
            drop(lent);
        }
        CHAIN.lock().first.is_some().then_some(AGAIN)
    }
}

/// What tries again. Dropped, it stops, and there must be no buffer left.
pub(crate) struct Retired(());

impl Retired {
    /// To be called once, when this module is loaded. May sleep.
    pub(crate) fn start() -> Result<Self> {
        // SAFETY: Called once, and before the lock is used.
        unsafe { CHAIN.init() };
        let worker = KBox::pin_init(new_worker!(TryAgain), GFP_KERNEL)?;
        CHAIN.lock().worker = Some(worker);
        Ok(Self(()))
    }
}

impl Drop for Retired {
    fn drop(&mut self) {
        let worker = CHAIN.lock().worker.take();
        // This waits for the job, which takes the lock.
        drop(worker);
    }
}
