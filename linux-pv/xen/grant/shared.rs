// SPDX-License-Identifier: GPL-2.0

//! A page that a program shares with another domain.

use core::mem;

use kernel::new_mutex;
use kernel::prelude::*;
use kernel::sync::{Arc, Mutex};
use xen_abi::linux::gntalloc::{UnmapNotify, UNMAP_NOTIFY_CLEAR_BYTE, UNMAP_NOTIFY_SEND_EVENT};

use super::{Access, Grant, GrantRefNumber};
use crate::domain::DomId;
use crate::event::port::SharedPort;
use crate::page::GrantablePage;
use crate::vma::shared::OwnsPage;

/// What the other domain is told when a page goes.
#[derive(Default)]
pub struct Farewell {
    /// The byte at this offset becomes zero.
    pub clear: Option<usize>,
    /// An event is sent.
    pub event: Option<SharedPort>,
}

impl Farewell {
    /// What a program wishes for: whether its byte is to become zero, and where an event goes. May sleep.
    ///
    /// A share in a port is had from here on. Get it before an earlier farewell is dropped, for the port may be the same.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it wishes for something unknown, or the port is not one that a program has bound.
    pub fn wishes(args: &UnmapNotify) -> Result<(bool, Option<SharedPort>)> {
        const KNOWN: u32 = UNMAP_NOTIFY_CLEAR_BYTE | UNMAP_NOTIFY_SEND_EVENT;
        if args.action & !KNOWN != 0 {
            return Err(EINVAL);
        }
        let event = if args.action & UNMAP_NOTIFY_SEND_EVENT != 0 {
            Some(SharedPort::get(args.event_channel_port).map_err(|_| EINVAL)?)
        } else {
            None
        };
        Ok((args.action & UNMAP_NOTIFY_CLEAR_BYTE != 0, event))
    }
}

/// A page that is granted to another domain and may be shown in areas of programs' address spaces. Dropped,
/// it says farewell, then the grant ends. `T` is what the driver wants to keep as long as the page.
#[pin_data(PinnedDrop)]
pub struct SharedPage<T> {
    #[pin]
    farewell: Mutex<Farewell>,
    grant: Grant,
    _kept: T,
}

impl<T: Send + Sync + 'static> SharedPage<T> {
    /// Makes a zeroed page, charged to the current program, and grants it. May sleep.
    pub fn new(to: DomId, access: Access, kept: T) -> Result<Arc<Self>> {
        let page = GrantablePage::new(GFP_KERNEL_ACCOUNT)?;
        let grant = Grant::new(page, to, access)?;
        Arc::pin_init(
            pin_init!(Self {
                farewell <- new_mutex!(Farewell::default(), "xen::farewell"),
                grant,
                _kept: kept,
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// What to tell the peer.
    pub fn number(&self) -> GrantRefNumber {
        self.grant.number()
    }

    /// Says what is to happen when the page goes, instead of what was said before. May sleep.
    pub fn set_farewell(&self, farewell: Farewell) {
        let old = mem::replace(&mut *self.farewell.lock(), farewell);
        // Not under the lock, since closing a port may take long.
        drop(old);
    }
}

impl<T: Send + Sync + 'static> OwnsPage for SharedPage<T> {
    fn page(&self) -> &GrantablePage {
        self.grant.page()
    }
}

#[pinned_drop]
impl<T> PinnedDrop for SharedPage<T> {
    fn drop(self: Pin<&mut Self>) {
        let farewell = mem::take(&mut *self.farewell.lock());
        if let Some(offset) = farewell.clear {
            // It fails only for an offset that is not in a page; then there is nothing to clear.
            let _ = self.grant.page().copy_in(offset, &[0]);
        }
        if let Some(event) = farewell.event {
            event.notify();
        }
    }
}
