// SPDX-License-Identifier: GPL-2.0

//! Event channels: an interrupt from the other end and one to it.
//!
//! An [`EventChannel`] is bound to a [`Handler`] for as long as it exists; dropping it waits for a
//! handler that is running, then closes the channel. Handlers run under the late end-of-interrupt
//! scheme (lateeoi): the channel stays masked until the handler has returned its [`Eoi`],
//! and from the second event in a row that came for nothing on, the kernel waits before it unmasks
//! the channel (XSA-332, 391; seen with 7.2: a jiffy each time, since the delayed unmasking resets
//! the count). That is enforced by types: a handler gets an [`Event`] and can only make the [`Eoi`]
//! it must return from that.
//!
//! C header: `include/xen/events.h`.

use core::{
    marker::{
        PhantomData,
        PhantomPinned, //
    },
    mem::ManuallyDrop, //
};

use kernel::{
    error::{
        to_result,
        Error, //
    },
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    str::CString,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc, //
    },
};

use kernel_ext::series;
use xen_bindings as bindings;

use crate::{
    bus::Device,
    debug, //
};

pub mod port;
mod shared;

use port::Port;
pub use shared::{
    ObservedEvent,
    Observer,
    SharedChannel, //
};

/// Called when the other end sends an event.
pub trait Handler: Send + Sync + 'static {
    /// Handles an event, with interrupts off: look at the shared ring, or leave that to other
    /// context with [`Event::defer`].
    ///
    /// Returns [`Event::spurious`] if there was nothing to do: that limits the rate of a peer that
    /// floods this domain with events. Must not drop the channel it is called for, which would wait
    /// for this call.
    fn handle(&self, event: Event<'_>) -> Eoi;
}

impl<T: ?Sized + Handler> Handler for Arc<T> {
    #[inline]
    fn handle(&self, event: Event<'_>) -> Eoi {
        T::handle(self, event)
    }
}

/// An event that has to be answered.
pub struct Event<'a> {
    irq: u32,
    _handler: PhantomData<&'a ()>,
}

impl Event<'_> {
    /// There was something to do for this event.
    #[inline]
    pub fn handled(self) -> Eoi {
        Eoi(Verdict::Now(0))
    }

    /// There was nothing to do for this event.
    #[inline]
    pub fn spurious(self) -> Eoi {
        Eoi(Verdict::Now(bindings::XEN_EOI_FLAG_SPURIOUS))
    }

    /// [`handled`](Self::handled) or [`spurious`](Self::spurious).
    #[inline]
    pub fn done(self, had_work: bool) -> Eoi {
        if had_work {
            self.handled()
        } else {
            self.spurious()
        }
    }

    /// The event is handled later, from other context (NAPI, work, a thread). No further event
    /// comes from this channel until the returned token is spent.
    #[inline]
    pub fn defer(self) -> (Eoi, DeferredEoi) {
        (Eoi(Verdict::Later), DeferredEoi { irq: self.irq })
    }
}

/// The end of an interrupt, with what the handler found; made from the [`Event`] only.
#[must_use]
pub struct Eoi(Verdict);

enum Verdict {
    Now(u32),
    Later,
}

/// The duty to end an event whose handling was deferred. Dropped, it counts as handled.
///
/// If the channel goes away first, ending the event does nothing, or at worst unmasks a new channel
/// that got the same interrupt number early, which costs that one a needless event.
#[must_use]
pub struct DeferredEoi {
    irq: u32,
}

impl DeferredEoi {
    /// Ends the event and lets the channel send further ones.
    pub fn finish(self, had_work: bool) {
        let this = ManuallyDrop::new(self);
        end_of_interrupt(
            this.irq,
            if had_work {
                0
            } else {
                bindings::XEN_EOI_FLAG_SPURIOUS
            },
        );
    }
}

impl Drop for DeferredEoi {
    fn drop(&mut self) {
        end_of_interrupt(self.irq, 0);
    }
}

#[inline]
fn end_of_interrupt(irq: u32, flags: u32) {
    // SAFETY: Looks the interrupt up and does nothing if it is not a bound event channel.
    unsafe { bindings::xen_irq_lateeoi(irq, flags) }
}

/// An event channel to the other end of a device, bound to a handler. Dropping it may sleep.
///
/// # Examples
///
/// The frontend in [`FrontendDriver`](crate::bus::FrontendDriver#examples) has one.
///
/// # Invariants
///
/// - `irq` is bound to the channel, with a pointer to this value as its cookie. The value is pinned
///   and unbinds on drop, so the pointer is valid whenever the handler can run.
/// - `handler` is initialised before the channel is bound and is dropped after it is unbound.
#[pin_data(PinnedDrop)]
pub struct EventChannel<H: Handler> {
    #[pin]
    handler: H,
    /// The kernel keeps a pointer to it, for `/proc/interrupts`.
    name: CString,
    port: u32,
    irq: u32,
    #[pin]
    _pin: PhantomPinned,
}

impl<H: Handler> EventChannel<H> {
    /// Makes a channel that the other end of `dev` can bind to, and binds it to `handler` here,
    /// which may be called from then on. Tell the other end its [`port`](Self::port). May sleep.
    ///
    /// `name` is what the interrupt is called in `/proc/interrupts`.
    ///
    /// # Errors
    ///
    /// What the hypervisor or the interrupt layer says. If it is the hypervisor, the device is put
    /// into state Closing and the error is in the xenstore.
    pub fn new<'a, Ctx: 'a, E>(
        dev: &'a Device<Ctx>,
        name: &'a CStr,
        handler: impl PinInit<H, E> + 'a,
    ) -> impl PinInit<Self, Error> + 'a
    where
        Error: From<E>,
        E: 'a,
    {
        try_pin_init!(&this in Self {
            handler <- handler,
            name: CString::try_from_fmt(fmt!("{}", name))?,
            port: alloc_port(dev)?,
            irq: {
                let this = this.as_ptr();
                // SAFETY: `name` and `port` are initialised above, in this order; `this` is valid
                // and stays where it is. Should binding fail, the port is closed and nothing is
                // kept.
                unsafe {
                    bind(dev, (*this).port, &(*this).name, Some(on_event::<H>), this.cast())?
                }
            },
            _pin: PhantomPinned,
        })
    }

    /// Binds a port that belongs to no device to `handler`, which may be called from then on.
    /// Whether or not that succeeds, the port is closed in the end, unless it is a static one. May
    /// sleep.
    ///
    /// # Errors
    ///
    /// Those of the interrupt layer; `EBUSY` for a static port that has a handler in this kernel.
    pub fn adopt<'a, E>(
        adopted: Port,
        name: &'a CStr,
        handler: impl PinInit<H, E> + 'a,
    ) -> impl PinInit<Self, Error> + 'a
    where
        Error: From<E>,
        E: 'a,
    {
        try_pin_init!(&this in Self {
            handler <- handler,
            name: CString::try_from_fmt(fmt!("{}", name))?,
            port: adopted.number(),
            irq: {
                let this = this.as_ptr();
                // SAFETY: `name` and `handler` are initialised above, in this order; `this` is
                // valid and does not move. If binding fails, neither is used afterwards.
                unsafe { adopted.bind(Some(on_event::<H>), &(*this).name, this.cast())? }
            },
            _pin: PhantomPinned,
        })
    }

    /// The number under which the channel is announced in the xenstore (`event-channel`).
    #[inline]
    pub fn port(&self) -> u32 {
        self.port
    }

    /// The handler.
    #[inline]
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// Sends an event to the other end. Any context.
    #[inline]
    pub fn notify(&self) {
        // SAFETY: By the type invariant `irq` is a bound event channel.
        unsafe { bindings::notify_remote_via_irq(self.irq as c_int) }
    }

    /// Lets the hypervisor run another vCPU for a moment, at most until an event is pending. For
    /// callers that wait for the other end and must not sleep. Any context.
    ///
    /// An event that has come already is taken to be seen by the caller, and the handler need not
    /// be called for it.
    pub fn poll(&self) {
        /// Nanoseconds since the hypervisor was started, so that the time has passed: whether an
        /// event came before this call, and was handled on another CPU, cannot be told, so the wait
        /// must not be a long one.
        const AT_ONCE: u64 = 1;
        let irq = self.irq as c_int;
        // SAFETY: By the type invariant `irq` is a bound event channel.
        unsafe {
            bindings::xen_clear_irq_pending(irq);
            bindings::xen_poll_irq_timeout(irq, AT_ONCE);
        }
    }

    /// Has events handled on one CPU. May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no such CPU, or what the interrupt layer says.
    pub fn set_cpu(&self, cpu: u32) -> Result {
        // SAFETY: By the type invariant `irq` is bound to this channel; the shim checks `cpu`.
        to_result(unsafe { bindings::xen_rs_irq_set_cpu(self.irq, cpu) })
    }
}

#[pinned_drop]
impl<H: Handler> PinnedDrop for EventChannel<H> {
    fn drop(self: Pin<&mut Self>) {
        let irq = self.irq;
        // SAFETY: The pinned address is only used as the cookie, nothing is moved.
        let cookie = unsafe { core::ptr::from_mut(self.get_unchecked_mut()) };
        unbind(irq, cookie.cast());
    }
}

fn alloc_port<Ctx>(dev: &Device<Ctx>) -> Result<u32> {
    let mut port = 0;
    // SAFETY: `dev` is a valid device, `port` a local for the result.
    to_result(unsafe { bindings::xenbus_alloc_evtchn(dev.as_raw(), &mut port) })?;
    Ok(port)
}

/// Binds a port to an interrupt handler; closes the port if that fails.
///
/// # Safety
///
/// On success, `name` and `cookie` stay valid until [`unbind`], as `handler` needs it.
unsafe fn bind<Ctx>(
    dev: &Device<Ctx>,
    port: u32,
    name: &CStr,
    handler: kernel::bindings::irq_handler_t,
    cookie: *mut c_void,
) -> Result<u32> {
    // Two calls, since of the one below one cannot tell whether it has closed the port when it
    // fails: it does if an interrupt was bound, and after this call one is.
    // SAFETY: Takes any port number.
    if let Err(error) = to_result(unsafe { bindings::bind_evtchn_to_irq_lateeoi(port) }) {
        // SAFETY: `dev` is valid, and the port is owned and not bound.
        unsafe { bindings::xenbus_free_evtchn(dev.as_raw(), port) };
        return Err(error);
    }
    // SAFETY: By the requirements of this function.
    let irq = unsafe {
        bindings::bind_evtchn_to_irqhandler_lateeoi(port, handler, 0, name.as_char_ptr(), cookie)
    };
    to_result(irq)?;
    debug::EVENT_CHANNELS.add(1);
    Ok(irq as u32)
}

fn unbind(irq: u32, cookie: *mut c_void) {
    // SAFETY: The only caller owns the binding of this interrupt with this cookie. This waits for a
    // handler that is running, and closes the channel.
    unsafe { bindings::unbind_from_irqhandler(irq, cookie) };
    debug::EVENT_CHANNELS.sub(1);
}

/// # Safety
///
/// Only to be called by the interrupt layer, with a cookie that [`EventChannel::new`] passed.
unsafe extern "C" fn on_event<H: Handler>(
    irq: c_int,
    cookie: *mut c_void,
) -> kernel::bindings::irqreturn_t {
    let channel = cookie.cast::<EventChannel<H>>();
    // SAFETY: By the invariants of `EventChannel` the channel is alive and its handler initialised.
    // The rest of it may still be being initialised, so only the handler is referenced.
    let handler = unsafe { &(*channel).handler };
    let irq = irq as u32;
    let Eoi(verdict) = handler.handle(Event {
        irq,
        _handler: PhantomData,
    });
    if let Verdict::Now(flags) = verdict {
        end_of_interrupt(irq, flags);
    }
    series::IRQ_HANDLED
}

/// Room for one [`DeferredEoi`], between the handler and the code that deals with the event later.
/// Any context, from any number of CPUs.
pub struct DeferredCell(Atomic<u32>);

impl Default for DeferredCell {
    fn default() -> Self {
        Self(Atomic::new(0))
    }
}

impl DeferredCell {
    /// Keeps a duty. One that is in there already, which is not the case if both are of the same
    /// channel, is fulfilled.
    #[inline]
    pub fn put(&self, deferred: DeferredEoi) {
        let this = ManuallyDrop::new(deferred);
        let old = self.0.xchg(this.irq, Release);
        drop(Self::token(old));
    }

    /// Takes out the duty, if there is one.
    #[inline]
    pub fn take(&self) -> Option<DeferredEoi> {
        if self.0.load(Relaxed) == 0 {
            return None;
        }
        Self::token(self.0.xchg(0, Acquire))
    }

    /// Forgets the duty: the channel is closed, or is to stay masked.
    pub fn forget(&self) {
        self.0.store(0, Relaxed);
    }

    #[inline]
    fn token(irq: u32) -> Option<DeferredEoi> {
        // No event channel has interrupt 0. Not `then_some`: it would make a duty in that case too,
        // and fulfil it.
        (irq != 0).then(|| DeferredEoi { irq })
    }
}
