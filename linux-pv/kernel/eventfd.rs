// SPDX-License-Identifier: GPL-2.0

//! Event counters that a program has as files (`eventfd`): signalled from here, or listened to.
//!
//! Whoever waits for an eventfd hangs on a queue of the eventfd, whose lock is held when the counter changes. A
//! [`Watch`] is an entry of that queue for as long as it exists.
//!
//! C headers: `include/linux/eventfd.h`, `include/linux/poll.h`.

mod watch;

use core::ptr::NonNull;

use kernel::bindings as k;
use kernel::error::from_err_ptr;
use kernel::fs::file::LocalFile;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use xen_bindings as bindings;

use crate::count::Live;

pub use watch::{Listener, Watch};

/// References to eventfds that exist, for tests that look for leaks.
pub static LIVE: Live = Live::new();

/// A reference to an eventfd, by which it lives on when its files are closed.
///
/// # Invariants
///
/// Owns a reference to `ctx`.
pub struct EventFd {
    ctx: NonNull<k::eventfd_ctx>,
}

// SAFETY: Eventfds are counted and have a lock of their own.
unsafe impl Send for EventFd {}
// SAFETY: As above.
unsafe impl Sync for EventFd {}

impl EventFd {
    /// The eventfd that is the current program's file `fd`.
    ///
    /// # Errors
    ///
    /// `EBADF` if there is no such file, `EINVAL` if it is none of an eventfd.
    pub fn get(fd: u32) -> Result<Self> {
        Self::of(&*LocalFile::fget(fd)?)
    }

    fn of(file: &LocalFile) -> Result<Self> {
        // SAFETY: The file is open.
        let ctx = from_err_ptr(unsafe { bindings::xen_rs_eventfd_of(file.as_ptr()) })?;
        let ctx = NonNull::new(ctx).ok_or(EINVAL)?;
        LIVE.add(1);
        // INVARIANT: The shim has taken a reference.
        Ok(Self { ctx })
    }

    /// Adds one to the counter and wakes who waits. Any context, but not from a [`Listener`].
    #[inline]
    pub fn signal(&self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::xen_rs_eventfd_signal(self.ctx.as_ptr()) }
    }

    /// Whether both are the same.
    pub fn is(&self, other: &Self) -> bool {
        self.ctx == other.ctx
    }
}

impl Drop for EventFd {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours.
        unsafe { bindings::xen_rs_eventfd_put(self.ctx.as_ptr()) };
        LIVE.sub(1);
    }
}

/// An eventfd with a file that is open as long as this exists.
pub struct OpenEventFd {
    eventfd: EventFd,
    file: ARef<LocalFile>,
}

impl OpenEventFd {
    /// The eventfd that is the current program's file `fd`. Errors are those of [`EventFd::get`].
    pub fn get(fd: u32) -> Result<Self> {
        let file = LocalFile::fget(fd)?;
        let eventfd = EventFd::of(&file)?;
        Ok(Self { eventfd, file })
    }

    /// The eventfd.
    pub fn eventfd(&self) -> &EventFd {
        &self.eventfd
    }
}
