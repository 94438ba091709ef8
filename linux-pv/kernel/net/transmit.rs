// SPDX-License-Identifier: GPL-2.0

//! Transmit queues and their locks.

use core::{
    marker::PhantomData,
    ops::{
        Deref,
        DerefMut, //
    },
};

use xen_bindings as b;

use super::{
    device::Queue,
    Device,
    Operations,
    SkBuff, //
};

/// A transmit queue, whose lock the caller of [`Operations::start_xmit`] holds.
///
/// # Invariants
///
/// The lock of `queue` is held for `'a`, and there is no other value of this type for it.
pub struct Transmit<'a, T: Operations> {
    queue: &'a Queue<T>,
    index: u32,
}

impl<'a, T: Operations> Transmit<'a, T> {
    /// The queue that a packet is mapped to.
    ///
    /// # Safety
    ///
    /// The caller holds the lock of that queue for `'a`, and makes no other value of this type in
    /// that time.
    #[inline]
    pub(super) unsafe fn current(dev: &'a Device<T>, skb: &SkBuff) -> Option<Self> {
        // SAFETY: By the invariant of `SkBuff` the packet is live.
        let index = unsafe { b::xen_rs_skb_queue(skb.as_ptr()) }.into();
        let queue = dev.queue(index)?;
        // INVARIANT: By the requirement of this function.
        Some(Self { queue, index })
    }

    /// The number of the queue.
    #[inline]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The driver's data of the queue.
    #[inline]
    pub fn transmitter(&mut self) -> &mut T::Transmitter {
        // SAFETY: By the type invariant the lock is held, and there is no other access.
        unsafe { &mut *self.queue.transmitter.get() }
    }

    /// Whether another packet follows at once, so that notifying the device can be deferred.
    #[inline]
    pub fn more(&self) -> bool {
        // SAFETY: Reads a variable of this CPU, on which `start_xmit` runs.
        unsafe { b::xen_rs_xmit_more() }
    }

    /// Stops the queue until it is [woken](TxGuard::wake).
    #[inline]
    pub fn stop(&self) {
        // SAFETY: By the invariant of `Queue` the queue is valid; its lock is held.
        unsafe { b::xen_rs_txq_stop(self.queue.txq.as_ptr()) }
    }
}

/// A transmit queue whose lock is held by this value. It dereferences to the driver's data of the
/// queue.
///
/// # Invariants
///
/// This value holds the lock of `queue`, which was taken as `irqs_off` says.
pub struct TxGuard<'a, T: Operations> {
    queue: &'a Queue<T>,
    irqs_off: bool,
    /// The lock is held by this CPU.
    _cpu: PhantomData<*mut ()>,
}

impl<'a, T: Operations> TxGuard<'a, T> {
    #[inline]
    pub(super) fn lock(queue: &'a Queue<T>) -> Self {
        // SAFETY: By the invariant of `Queue` the queue is valid.
        unsafe { b::xen_rs_txq_lock(queue.txq.as_ptr()) };
        // INVARIANT: The lock was just taken.
        Self {
            queue,
            irqs_off: false,
            _cpu: PhantomData,
        }
    }

    /// For netpoll, which polls with interrupts disabled, and may have interrupted the holder of
    /// the lock.
    pub(super) fn try_lock_irqs_off(queue: &'a Queue<T>) -> Option<Self> {
        // SAFETY: By the invariant of `Queue` the queue is valid.
        let locked = unsafe { b::xen_rs_txq_trylock_irqs_off(queue.txq.as_ptr()) };
        // INVARIANT: The lock was just taken.
        // `then_some` would make a guard, and so unlock, in either case.
        locked.then(|| Self {
            queue,
            irqs_off: true,
            _cpu: PhantomData,
        })
    }

    /// Whether the queue is stopped.
    #[inline]
    pub fn is_stopped(&self) -> bool {
        // SAFETY: By the invariant of `Queue` the queue is valid.
        unsafe { b::xen_rs_txq_stopped(self.queue.txq.as_ptr()) }
    }

    /// Stops the queue until it is [woken](Self::wake).
    #[inline]
    pub fn stop(&self) {
        // SAFETY: By the invariant of `Queue` the queue is valid; its lock is held.
        unsafe { b::xen_rs_txq_stop(self.queue.txq.as_ptr()) }
    }

    /// Wakes the queue, so that packets can be sent again.
    #[inline]
    pub fn wake(&self) {
        // SAFETY: By the invariant of `Queue` the queue is valid.
        unsafe { b::netif_tx_wake_queue(self.queue.txq.as_ptr()) }
    }
}

impl<T: Operations> Deref for TxGuard<'_, T> {
    type Target = T::Transmitter;

    #[inline]
    fn deref(&self) -> &T::Transmitter {
        // SAFETY: By the type invariant the lock is held.
        unsafe { &*self.queue.transmitter.get() }
    }
}

impl<T: Operations> DerefMut for TxGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T::Transmitter {
        // SAFETY: By the type invariant the lock is held.
        unsafe { &mut *self.queue.transmitter.get() }
    }
}

impl<T: Operations> Drop for TxGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let txq = self.queue.txq.as_ptr();
        // SAFETY: By the type invariant the lock is held, and was taken in this way.
        unsafe {
            if self.irqs_off {
                b::xen_rs_txq_unlock_irqs_off(txq);
            } else {
                b::xen_rs_txq_unlock(txq);
            }
        }
    }
}
