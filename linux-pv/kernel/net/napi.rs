// SPDX-License-Identifier: GPL-2.0

//! NAPI: polling a queue in softirq context.

use core::{
    cell::Cell,
    ptr::NonNull, //
};

use kernel::{
    bindings as k,
    ffi::c_int, //
};

use xen_bindings as b;

use super::{
    Device,
    Incoming,
    Operations,
    Received,
    SharedPacket,
    SkBuff,
    TxGuard, //
};

/// A call of [`Operations::poll`].
///
/// # Invariants
///
/// `napi` is a context of `dev` whose poll function is running.
pub struct Poll<'a, T: Operations> {
    dev: &'a Device<T>,
    napi: NonNull<k::napi_struct>,
    queue: u32,
    budget: u32,
    /// Whether packets were redirected, so `xdp_do_flush()` is to be called.
    flush: Cell<bool>,
}

impl<'a, T: Operations> Poll<'a, T> {
    /// # Safety
    ///
    /// To be called from the poll function of `napi`, which belongs to queue `queue` of `dev`.
    #[inline]
    pub(super) unsafe fn new(
        dev: &'a Device<T>,
        napi: NonNull<k::napi_struct>,
        queue: u32,
        budget: c_int,
    ) -> Self {
        // INVARIANT: By the requirement of this function.
        Self {
            dev,
            napi,
            queue,
            budget: budget.max(0) as u32,
            flush: Cell::new(false),
        }
    }

    #[inline]
    pub(super) fn device(&self) -> &'a Device<T> {
        self.dev
    }

    #[inline]
    pub(super) fn flush_later(&self) {
        self.flush.set(true);
    }

    #[inline]
    pub(super) fn wants_flush(&self) -> bool {
        self.flush.get()
    }

    /// The queue.
    #[inline]
    pub fn queue(&self) -> u32 {
        self.queue
    }

    /// The budget: how many received packets may be handled at most. 0 for netpoll.
    #[inline]
    pub fn budget(&self) -> u32 {
        self.budget
    }

    /// Takes the lock of the transmit queue; `None` if netpoll has interrupted its holder.
    #[inline]
    pub fn lock_tx(&self) -> Option<TxGuard<'a, T>> {
        let queue = self.dev.queue(self.queue)?;
        if self.budget == 0 {
            TxGuard::try_lock_irqs_off(queue)
        } else {
            Some(TxGuard::lock(queue))
        }
    }

    /// Allocates a packet for received data, with room for `room` bytes in its linear part; `None`
    /// if there is no memory.
    #[inline]
    pub fn alloc(&self, room: u32) -> Option<Incoming<'a, T>> {
        // SAFETY: By the type invariant this is called in the poll function of the context.
        let raw = unsafe { k::napi_alloc_skb(self.napi.as_ptr(), room) };
        let raw = NonNull::new(raw)?;
        // SAFETY: The packet is new, of the device of this context, and has that much room.
        Some(unsafe { Incoming::new(SkBuff::from_raw(raw), room, self.dev, self.queue) })
    }

    /// Passes a [complete](Incoming::finish) packet to the network stack.
    #[inline]
    pub fn receive(&self, skb: Received<'a>) {
        // SAFETY: By the type invariant this is called in the poll function of the context; the
        // stack takes the ownership of the packet.
        unsafe { b::xen_rs_napi_receive(self.napi.as_ptr(), skb.0.into_raw().as_ptr()) }
    }

    /// Puts a reference to a packet that was sent. Packets are freed in bulk if possible.
    #[inline]
    pub fn consume(&self, skb: SharedPacket) {
        // SAFETY: The function takes the reference. The budget is that of this poll, so 0 for
        // netpoll.
        unsafe { k::napi_consume_skb(skb.into_raw().as_ptr(), self.budget as c_int) }
    }
}
