// SPDX-License-Identifier: GPL-2.0

//! Watches: being called when something in the xenstore changes.

use core::marker::PhantomPinned;
use kernel::error::to_result;
use kernel::ffi::c_char;
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::types::Opaque;
use xen_bindings as bindings;

use super::Path;
use crate::debug;

/// Called when a watched key, or something below it, changes.
pub trait WatchHandler: Send + Sync + 'static {
    /// Whether one call may stand for several changes. The default is yes, so that a peer who keeps
    /// writing cannot make the kernel queue events without bound; a handler that needs the path of
    /// every single change says no.
    const COALESCE: bool = true;

    /// `path` has changed; once also right after the watch was set. Runs in the xenwatch thread, one
    /// call at a time in the whole system, and may sleep.
    fn changed(&self, path: &CStr);
}

/// A watch that is set as long as this exists. Dropping it waits for a call that is running, unless
/// it is that very call that drops it.
///
/// The latter is for devices only, whose removal waits for the xenwatch thread anyway: a module that
/// sets a watch without a device must not be unloaded while a handler is dropping its own watch.
///
/// # Invariants
///
/// - `raw` is registered; `path` and `handler` stay as they are while it is.
/// - The value is pinned, and dropping it unregisters `raw`.
#[pin_data(PinnedDrop)]
pub struct Watch<H: WatchHandler> {
    path: Path,
    /// In an `Arc`, for a call may drop the watch it is called for and still goes on.
    handler: Arc<H>,
    #[pin]
    raw: Opaque<bindings::xenbus_watch>,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: The kernel's list of watches has a lock of its own; the rest is `Send` and `Sync`.
unsafe impl<H: WatchHandler> Send for Watch<H> {}
// SAFETY: As above.
unsafe impl<H: WatchHandler> Sync for Watch<H> {}

impl<H: WatchHandler> Watch<H> {
    /// Sets a watch on `path`. May sleep; the handler may be called before this returns.
    pub fn new(path: Path, handler: Arc<H>) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            path,
            handler,
            raw: Opaque::zeroed(),
            _pin: PhantomPinned,
        })
        .pin_chain(|this| {
            let raw = this.raw.get();
            // SAFETY: `raw` is zeroed and not known to anybody yet. `path` lives in memory of its own
            // until after the watch is unregistered.
            unsafe {
                (*raw).node = this.path.as_char_ptr();
                (*raw).will_handle = Some(will_handle::<H>);
                (*raw).callback = Some(callback::<H>);
            }
            // SAFETY: `raw` is initialised, and pinned within `this`.
            to_result(unsafe { bindings::register_xenbus_watch(raw) })?;
            debug::WATCHES.add(1);
            Ok(())
        })
    }

    /// What is watched.
    pub fn path(&self) -> &CStr {
        &self.path
    }
}

#[pinned_drop]
impl<H: WatchHandler> PinnedDrop for Watch<H> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant it is registered. Afterwards no callback is running or will
        // run, except one that is the caller of this.
        unsafe { bindings::unregister_xenbus_watch(self.raw.get()) };
        debug::WATCHES.sub(1);
    }
}

/// # Safety
///
/// Only for the kernel, about a watch of a [`Watch<H>`], under the lock that unregistering takes.
unsafe extern "C" fn will_handle<H: WatchHandler>(
    raw: *mut bindings::xenbus_watch,
    _path: *const c_char,
    _token: *const c_char,
) -> bool {
    // SAFETY: The watch is registered, thus valid; its count is only changed under the lock we are in.
    !H::COALESCE || unsafe { (*raw).nr_pending } == 0
}

/// # Safety
///
/// Only for the kernel, about a watch of a [`Watch<H>`] that is registered when this is called.
unsafe extern "C" fn callback<H: WatchHandler>(
    raw: *mut bindings::xenbus_watch,
    path: *const c_char,
    _token: *const c_char,
) {
    // SAFETY: `raw` is the field of a `Watch<H>`, which is valid since the watch is registered. The
    // reference is not used after the handler is called, which may drop the watch.
    let handler = unsafe {
        let this = kernel::container_of!(Opaque::cast_from(raw), Watch<H>, raw);
        (*this).handler.clone()
    };
    // SAFETY: The kernel passes a string that lives until this returns.
    handler.changed(unsafe { CStr::from_char_ptr(path) });
}
