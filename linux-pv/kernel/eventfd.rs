// SPDX-License-Identifier: GPL-2.0

//! Eventfds of processes: signalling them, and being called when one is signalled.
//!
//! An eventfd has a wait queue, whose lock is held when the count changes. A [`Watch`] is an entry
//! of that queue as long as it exists.
//!
//! C headers: `include/linux/eventfd.h`, `include/linux/poll.h`.

mod watch;

use core::ptr::NonNull;

use kernel::{
    bindings as k,
    error::from_err_ptr,
    fs::file::LocalFile,
    prelude::*,
    sync::aref::ARef, //
};

use xen_bindings as bindings;

use crate::count::Live;

pub use watch::{
    Listener,
    Watch, //
};

/// The number of references to eventfds, for tests that search for leaks.
pub static LIVE: Live = Live::new();

/// A reference to an eventfd, which keeps it alive when its files are closed.
///
/// # Invariants
///
/// This value owns a reference to `ctx`.
pub struct EventFd {
    ctx: NonNull<k::eventfd_ctx>,
}

// SAFETY: Eventfds are reference-counted and have a lock of their own.
unsafe impl Send for EventFd {}
// SAFETY: Eventfds are reference-counted and have a lock of their own.
unsafe impl Sync for EventFd {}

impl EventFd {
    /// The eventfd of file descriptor `fd` of the current process.
    ///
    /// # Errors
    ///
    /// `EBADF` if there is no such file, `EINVAL` if it is not an eventfd.
    pub fn get(fd: u32) -> Result<Self> {
        Self::of(&*LocalFile::fget(fd)?)
    }

    fn of(file: &LocalFile) -> Result<Self> {
        // SAFETY: The file is open as long as the reference to it.
        let ctx = from_err_ptr(unsafe { bindings::xen_rs_eventfd_of(file.as_ptr()) })?;
        let ctx = NonNull::new(ctx).ok_or(EINVAL)?;
        LIVE.add(1);
        // INVARIANT: The shim returned a reference.
        Ok(Self { ctx })
    }

    /// Increments the count and wakes waiters. Any context, but not in a [`Listener`].
    #[inline]
    pub fn signal(&self) {
        // SAFETY: By the type invariant this value owns a reference.
        unsafe { bindings::xen_rs_eventfd_signal(self.ctx.as_ptr()) }
    }

    /// Whether both are the same eventfd.
    pub fn is(&self, other: &Self) -> bool {
        self.ctx == other.ctx
    }
}

impl Drop for EventFd {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this value owns a reference.
        unsafe { bindings::xen_rs_eventfd_put(self.ctx.as_ptr()) };
        LIVE.sub(1);
    }
}

/// An eventfd with a file, which stays open as long as this exists.
pub struct OpenEventFd {
    eventfd: EventFd,
    file: ARef<LocalFile>,
}

impl OpenEventFd {
    /// The eventfd of file descriptor `fd` of the current process. Errors are those of
    /// [`EventFd::get`].
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
