// SPDX-License-Identifier: GPL-2.0

//! NAPI: polling a queue in softirq context.

use core::cell::Cell;
use core::ptr::NonNull;

use kernel::bindings as k;
use kernel::ffi::c_int;
use xen_bindings as b;

use super::{Device, Incoming, Operations, Received, SharedPacket, SkBuff, TxGuard};

/// A run of [`Operations::poll`].
///
/// # Invariants
///
/// `napi` is a context of `dev`, whose poll function is running.
pub struct Poll<'a, T: Operations> {
    dev: &'a Device<T>,
    napi: NonNull<k::napi_struct>,
    queue: u32,
    budget: u32,
    /// Packets were redirected, which the kernel collects.
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

    /// How many received packets may be handled; 0 for netpoll.
    #[inline]
    pub fn budget(&self) -> u32 {
        self.budget
    }

    /// Takes the lock of the transmit queue; `None` if somebody has it whom netpoll has interrupted.
    #[inline]
    pub fn lock_tx(&self) -> Option<TxGuard<'a, T>> {
        let queue = self.dev.queue(self.queue)?;
        if self.budget == 0 {
            TxGuard::try_lock_irqs_off(queue)
        } else {
            Some(TxGuard::lock(queue))
        }
    }

    /// Makes a packet to be filled with what has arrived, with room for `room` bytes in its linear part;
    /// `None` if memory is short.
    #[inline]
    pub fn alloc(&self, room: u32) -> Option<Incoming<'a, T>> {
        // SAFETY: By the type invariant this is the context's poll function.
        let raw = unsafe { k::napi_alloc_skb(self.napi.as_ptr(), room) };
        let raw = NonNull::new(raw)?;
        // SAFETY: A new packet of this context's device, with that much room.
        Some(unsafe { Incoming::new(SkBuff::from_raw(raw), room, self.dev, self.queue) })
    }

    /// Passes a packet that is [complete](Incoming::finish) to the network stack.
    #[inline]
    pub fn receive(&self, skb: Received<'a>) {
        // SAFETY: By the type invariant; the packet is handed over.
        unsafe { b::xen_rs_napi_receive(self.napi.as_ptr(), skb.0.into_raw().as_ptr()) }
    }

    /// Puts a reference to a packet that was sent; packets are freed together with others if possible.
    #[inline]
    pub fn consume(&self, skb: SharedPacket) {
        // SAFETY: The packet is handed over. The budget says that this is NAPI, or netpoll if 0.
        unsafe { k::napi_consume_skb(skb.into_raw().as_ptr(), self.budget as c_int) }
    }
}
