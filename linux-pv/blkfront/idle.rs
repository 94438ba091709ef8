// SPDX-License-Identifier: GPL-2.0

//! Giving back granted pages and references that a disk has not needed for a while.

use core::time::Duration;

use kernel::{
    prelude::*,
    sync::Arc, //
};
use kernel_ext::work::Job;
use xen::grant::{
    Grant,
    GrantRefs, //
};

use crate::vbd::{
    Link,
    Vbd, //
};

/// How long a granted page must not have been needed to be given back.
pub(crate) const IDLE_TIME: Duration = Duration::from_secs(10);

/// Most pages of a ring that are given back at a time.
const MAX_RETURNED: usize = 256;

/// The job that gives them back. It runs every [`IDLE_TIME`] while the disk is connected.
pub(crate) struct ReturnIdle {
    pub(crate) vbd: Arc<Vbd>,
}

impl Job for ReturnIdle {
    fn run(&self) -> Option<Duration> {
        let mut idle = KVec::<Grant>::with_capacity(MAX_RETURNED, GFP_KERNEL).unwrap_or_default();
        let mut busy = KVec::<Grant>::with_capacity(MAX_RETURNED, GFP_KERNEL).unwrap_or_default();
        let mut any = false;
        for ring in self.vbd.rings() {
            let mut spare = GrantRefs::empty();
            if let Link::Connected(c) = &mut ring.lock().link {
                any = true;
                c.stock.take_idle(&mut idle);
                if c.in_flight.taken() == 0 {
                    spare = c.stock.spare_refs();
                }
            }
            drop(spare);
            // A page that the backend has mapped stays: it would have to be kept for it anyway.
            while let Some(grant) = idle.pop() {
                match grant.try_end() {
                    Ok(page) => drop(page),
                    Err(grant) => {
                        let _ = busy.push_within_capacity(grant);
                    }
                }
            }
            if let Link::Connected(c) = &mut ring.lock().link {
                c.stock.take_in(&mut busy);
            }
            // The connection is another one by now.
            busy.clear();
        }
        any.then_some(IDLE_TIME)
    }
}
