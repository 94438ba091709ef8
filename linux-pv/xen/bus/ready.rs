// SPDX-License-Identifier: GPL-2.0

//! Being called when the xenstore can be used: it may start later than this kernel, or than a module.

use core::marker::PhantomPinned;

use kernel::bindings as k;
use kernel::error::to_result;
use kernel::ffi::{c_int, c_ulong, c_void};
use kernel::prelude::*;
use kernel::types::Opaque;
use xen_bindings as bindings;

/// What is to be done once the xenstore can be used.
pub trait OnReady: Send + Sync + 'static {
    /// It can be. May sleep. Usually called once; the xenstore does not go away.
    fn ready(&self);
}

/// A wish to be called, until this is dropped.
///
/// # Invariants
///
/// `block` is registered, and part of this value, which is pinned.
#[pin_data(PinnedDrop)]
pub struct WhenReady<H: OnReady> {
    handler: H,
    #[pin]
    block: Opaque<k::notifier_block>,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: The kernel's list of these has a lock of its own; the rest is `Send` and `Sync`.
unsafe impl<H: OnReady> Send for WhenReady<H> {}
// SAFETY: As above.
unsafe impl<H: OnReady> Sync for WhenReady<H> {}

impl<H: OnReady> WhenReady<H> {
    /// Has `handler` called when the xenstore can be used; before this returns if it can be now. May sleep.
    pub fn new(handler: H) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            handler,
            block <- Opaque::try_ffi_init(|slot: *mut k::notifier_block| {
                let block = k::notifier_block {
                    notifier_call: Some(Self::call),
                    ..pin_init::zeroed()
                };
                // SAFETY: The slot is valid for writes.
                unsafe { slot.write(block) };
                // SAFETY: The block stays where it is and is taken off the list before it goes; the handler
                // is initialised.
                to_result(unsafe { bindings::register_xenstore_notifier(slot) })
            }),
            _pin: PhantomPinned,
        })
    }

    /// # Safety
    ///
    /// To be called as `notifier_call` of the block of a `WhenReady<H>`.
    unsafe extern "C" fn call(
        block: *mut k::notifier_block,
        _event: c_ulong,
        _data: *mut c_void,
    ) -> c_int {
        // SAFETY: By the type invariant the block is part of a `WhenReady<H>`.
        let this = unsafe { kernel::container_of!(Opaque::cast_from(block), Self, block) };
        // SAFETY: As above. The rest of the value may still be being initialised, so only the handler is
        // referenced.
        let handler = unsafe { &(*this).handler };
        handler.ready();
        k::NOTIFY_DONE as c_int
    }
}

#[pinned_drop]
impl<H: OnReady> PinnedDrop for WhenReady<H> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: This waits for a call that is running. It does nothing if the xenstore was ready at first,
        // when the block was not put on the list.
        unsafe { bindings::unregister_xenstore_notifier(self.block.get()) };
    }
}
