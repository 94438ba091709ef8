// SPDX-License-Identifier: GPL-2.0

//! Observers of event channels that another handler handles.
//!
//! A program has bound a port, and with it goes the duty to end the interrupt: no further event
//! comes until it has. Who else wants to hear of events is called too, after the program was told,
//! and owes nothing.

use core::marker::{
    PhantomData,
    PhantomPinned, //
};

use kernel::{
    bindings as k,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*, //
};

use kernel_ext::series;
use xen_bindings as bindings;

use super::{
    port::{
        request,
        SharedPort, //
    },
    unbind, //
};

/// Called when the other end of a program's port sends an event.
pub trait Observer: Send + Sync + 'static {
    /// Takes notice of an event, with interrupts off. Returns whether there was something to do.
    ///
    /// May be called for nothing at any time. Must not drop the channel it is called for, which
    /// would wait for itself.
    fn observe(&self, event: ObservedEvent<'_>) -> bool;
}

/// An event that another handler ends.
pub struct ObservedEvent<'a> {
    irq: u32,
    _observer: PhantomData<&'a ()>,
}

impl ObservedEvent<'_> {
    /// Sends an event back.
    pub fn notify(&self) {
        // SAFETY: The interrupt is bound while its handler runs.
        unsafe { bindings::notify_remote_via_irq(self.irq as c_int) }
    }
}

/// A program's port whose events an observer hears of. The port stays open as long as this exists,
/// even if the program has closed it. Dropping it may sleep.
///
/// # Invariants
///
/// - `irq` has a handler with a pointer to this value as its cookie. The value is pinned and takes
///   the handler away on drop, so the pointer is valid whenever the handler can run.
/// - `observer` is initialised before the handler is there and is dropped after it is gone.
#[pin_data(PinnedDrop)]
pub struct SharedChannel<O: Observer> {
    #[pin]
    observer: O,
    irq: u32,
    #[pin]
    _pin: PhantomPinned,
}

impl<O: Observer> SharedChannel<O> {
    /// Has `observer` called from now on. May sleep.
    ///
    /// `name` is what it is called in `/proc/interrupts`, beside what the program's handler is.
    ///
    /// # Errors
    ///
    /// What the interrupt layer says: `EBUSY` if the program's driver does not share its
    /// interrupts.
    pub fn new<E>(
        port: SharedPort,
        name: &'static CStr,
        observer: impl PinInit<O, E>,
    ) -> impl PinInit<Self, Error>
    where
        Error: From<E>,
    {
        try_pin_init!(&this in Self {
            observer <- observer,
            irq: {
                let cookie = this.as_ptr().cast();
                // SAFETY: `observer` is initialised above, and `this` valid and pinned. The port is
                // counted, since there is a reference to it, which exists until the handler has
                // one.
                unsafe {
                    request(port.number(), Some(on_event::<O>), k::IRQF_SHARED, name, cookie)?
                }
            },
            _pin: PhantomPinned,
        })
    }
}

#[pinned_drop]
impl<O: Observer> PinnedDrop for SharedChannel<O> {
    fn drop(self: Pin<&mut Self>) {
        let irq = self.irq;
        // SAFETY: The pinned address is only used as the cookie, nothing is moved.
        let cookie = unsafe { core::ptr::from_mut(self.get_unchecked_mut()) };
        unbind(irq, cookie.cast());
    }
}

/// # Safety
///
/// Only to be called by the interrupt layer, with a cookie that [`SharedChannel::new`] passed.
unsafe extern "C" fn on_event<O: Observer>(irq: c_int, cookie: *mut c_void) -> k::irqreturn_t {
    let channel = cookie.cast::<SharedChannel<O>>();
    // SAFETY: By the invariants of `SharedChannel` it is alive and its observer initialised. The
    // rest of it may still be being initialised, so only the observer is referenced.
    let observer = unsafe { &(*channel).observer };
    let event = ObservedEvent {
        irq: irq as u32,
        _observer: PhantomData,
    };
    if observer.observe(event) {
        series::IRQ_HANDLED
    } else {
        series::IRQ_NONE
    }
}
