// SPDX-License-Identifier: GPL-2.0

//! A page that a program shares with another domain.

use core::mem;

use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
};

use xen_abi::linux::gntalloc::{
    UnmapNotify,
    UNMAP_NOTIFY_CLEAR_BYTE,
    UNMAP_NOTIFY_SEND_EVENT, //
};

use crate::{
    domain::DomId,
    event::port::SharedPort,
    page::GrantablePage,
    vma::shared::OwnsPage, //
};

use super::{
    Access,
    Grant,
    GrantRefNumber, //
};

/// How the other domain is notified when a process unmaps a page (`struct unmap_notify` of C's
/// gntdev).
#[derive(Default)]
pub struct UnmapNotification {
    /// Offset of a byte that becomes zero.
    pub clear: Option<usize>,
    /// A port through which an event is sent.
    pub event: Option<SharedPort>,
}

impl UnmapNotification {
    /// What a process requests: whether its byte is to become zero, and through which port an event
    /// is sent. May sleep.
    ///
    /// The port is shared from here on. Call this before an earlier notification is dropped, whose
    /// port may be the same.
    ///
    /// # Errors
    ///
    /// `EINVAL` for an unknown action, or if the port is not one that a process has bound.
    pub fn parse(args: &UnmapNotify) -> Result<(bool, Option<SharedPort>)> {
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

/// A page that is granted to another domain and may be shown in areas of programs' address spaces.
/// Dropped, the other domain is notified, then the grant ends. `T` is what the driver wants to keep
/// as long as the page.
#[pin_data(PinnedDrop)]
pub struct SharedPage<T> {
    #[pin]
    on_unmap: Mutex<UnmapNotification>,
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
                on_unmap <- new_mutex!(UnmapNotification::default(), "xen::unmap_notification"),
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

    /// Sets how the other domain is notified when the page goes, in place of an earlier setting.
    /// May sleep.
    pub fn set_unmap_notification(&self, notification: UnmapNotification) {
        let old = mem::replace(&mut *self.on_unmap.lock(), notification);
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
        let notification = mem::take(&mut *self.on_unmap.lock());
        if let Some(offset) = notification.clear {
            // It fails only for an offset that is not in a page; then there is nothing to clear.
            let _ = self.grant.page().copy_in(offset, &[0]);
        }
        if let Some(event) = notification.event {
            event.notify();
        }
    }
}
