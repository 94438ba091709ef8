// SPDX-License-Identifier: GPL-2.0

//! Notification that the xenstore can be used. It may start after this kernel, or after a module
//! was loaded.

use core::marker::PhantomPinned;

use kernel::{
    bindings as k,
    error::to_result,
    ffi::{
        c_int,
        c_ulong,
        c_void, //
    },
    prelude::*,
    types::Opaque, //
};

use xen_bindings as bindings;

/// Handler for the start of the xenstore.
pub trait OnReady: Send + Sync + 'static {
    /// Called when the xenstore can be used, usually once: the xenstore does not stop. May sleep.
    fn ready(&self);
}

/// A registered handler. Dropping it waits for a call in progress.
///
/// # Invariants
///
/// `block` is part of this value, which is pinned, and on the kernel's list until this is dropped,
/// unless the xenstore could be used when the handler was registered.
#[pin_data(PinnedDrop)]
pub struct WhenReady<H: OnReady> {
    handler: H,
    #[pin]
    block: Opaque<k::notifier_block>,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: `block` is only accessed by the kernel, with the lock of its list, which any task may
// take; the handler is `Send`.
unsafe impl<H: OnReady> Send for WhenReady<H> {}
// SAFETY: `block` is not accessible through a reference; the handler is `Sync`.
unsafe impl<H: OnReady> Sync for WhenReady<H> {}

impl<H: OnReady> WhenReady<H> {
    /// Calls `handler` when the xenstore can be used: before this returns if it can be now. May
    /// sleep.
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
                // SAFETY: The block does not move, and is taken off the list before it is freed.
                // The handler, which may be called now, is initialised.
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
        // SAFETY: By the requirement of this function the block is part of a `WhenReady<H>`.
        let this = unsafe { kernel::container_of!(Opaque::cast_from(block), Self, block) };
        // SAFETY: The value is valid until its block is unregistered, which waits for this call.
        // Its initialisation may not have ended, so only the handler is referenced, which is
        // initialised before the block is registered.
        let handler = unsafe { &(*this).handler };
        handler.ready();
        k::NOTIFY_DONE as c_int
    }
}

#[pinned_drop]
impl<H: OnReady> PinnedDrop for WhenReady<H> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant the block is valid. The function waits for a call in
        // progress, and does nothing if the block is not on the list.
        unsafe { bindings::unregister_xenstore_notifier(self.block.get()) };
    }
}
