// SPDX-License-Identifier: GPL-2.0

//! Transmit queues: their lock, and what is done under it.

use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use xen_bindings as b;

use super::device::Queue;
use super::{Device, Operations, SkBuff};

/// A transmit queue whose lock is held by whoever called [`Operations::start_xmit`].
pub struct Transmit<'a, T: Operations> {
    queue: &'a Queue<T>,
    index: u32,
}

impl<'a, T: Operations> Transmit<'a, T> {
    /// The queue that a packet is mapped to.
    ///
    /// # Safety
    ///
    /// The caller holds the lock of that queue for `'a`, and makes no other value of this kind meanwhile.
    #[inline]
    pub(super) unsafe fn current(dev: &'a Device<T>, skb: &SkBuff) -> Option<Self> {
        // SAFETY: The packet is live.
        let index = unsafe { b::xen_rs_skb_queue(skb.as_ptr()) }.into();
        let queue = dev.queue(index)?;
        Some(Self { queue, index })
    }

    /// The queue's number.
    #[inline]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// What the driver keeps for it.
    #[inline]
    pub fn transmitter(&mut self) -> &mut T::Transmitter {
        // SAFETY: The lock is held, and this value is the only one made for that.
        unsafe { &mut *self.queue.transmitter.get() }
    }

    /// Whether another packet follows at once, so that telling the device can wait for that one.
    #[inline]
    pub fn more(&self) -> bool {
        // SAFETY: Looks at a variable of this CPU, which is the one that transmits.
        unsafe { b::xen_rs_xmit_more() }
    }

    /// Lets no further packet come until the queue is [woken](TxGuard::wake).
    #[inline]
    pub fn stop(&self) {
        // SAFETY: The queue is valid, and its lock is held.
        unsafe { b::xen_rs_txq_stop(self.queue.txq.as_ptr()) }
    }
}

/// The lock of a transmit queue, held; it dereferences to what the driver keeps for it.
pub struct TxGuard<'a, T: Operations> {
    queue: &'a Queue<T>,
    irqs_off: bool,
    /// The lock belongs to this CPU.
    _cpu: PhantomData<*mut ()>,
}

impl<'a, T: Operations> TxGuard<'a, T> {
    #[inline]
    pub(super) fn lock(queue: &'a Queue<T>) -> Self {
        // SAFETY: The queue is valid.
        unsafe { b::xen_rs_txq_lock(queue.txq.as_ptr()) };
        Self {
            queue,
            irqs_off: false,
            _cpu: PhantomData,
        }
    }

    /// For netpoll, which may have interrupted the holder of the lock, and comes with interrupts off.
    pub(super) fn try_lock_irqs_off(queue: &'a Queue<T>) -> Option<Self> {
        // SAFETY: The queue is valid.
        let locked = unsafe { b::xen_rs_txq_trylock_irqs_off(queue.txq.as_ptr()) };
        // Not `then_some`, which would make a guard, and so unlock, in either case.
        locked.then(|| Self {
            queue,
            irqs_off: true,
            _cpu: PhantomData,
        })
    }

    /// Whether the queue was stopped for want of room.
    #[inline]
    pub fn is_stopped(&self) -> bool {
        // SAFETY: The queue is valid.
        unsafe { b::xen_rs_txq_stopped(self.queue.txq.as_ptr()) }
    }

    /// Lets no further packet come until the queue is [woken](Self::wake).
    #[inline]
    pub fn stop(&self) {
        // SAFETY: The queue is valid, and its lock is held.
        unsafe { b::xen_rs_txq_stop(self.queue.txq.as_ptr()) }
    }

    /// Lets packets come again.
    #[inline]
    pub fn wake(&self) {
        // SAFETY: The queue is valid.
        unsafe { b::netif_tx_wake_queue(self.queue.txq.as_ptr()) }
    }
}

impl<T: Operations> Deref for TxGuard<'_, T> {
    type Target = T::Transmitter;

    #[inline]
    fn deref(&self) -> &T::Transmitter {
        // SAFETY: The lock is held.
        unsafe { &*self.queue.transmitter.get() }
    }
}

impl<T: Operations> DerefMut for TxGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T::Transmitter {
        // SAFETY: The lock is held.
        unsafe { &mut *self.queue.transmitter.get() }
    }
}

impl<T: Operations> Drop for TxGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let txq = self.queue.txq.as_ptr();
        // SAFETY: The lock is held, and was taken in this way.
        unsafe {
            if self.irqs_off {
                b::xen_rs_txq_unlock_irqs_off(txq);
            } else {
                b::xen_rs_txq_unlock(txq);
            }
        }
    }
}
