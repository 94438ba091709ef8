// SPDX-License-Identifier: GPL-2.0

//! Spin locks that are taken with interrupts disabled, in any context but an NMI, and before the
//! kernel has an allocator.

use core::cell::UnsafeCell;

use kernel::{
    bindings as k,
    types::Opaque, //
};

use core_bindings as bindings;

/// A value behind a raw spin lock, which is initialised by a call: of a static at boot.
///
/// # Invariants
///
/// The lock is initialised before any other method is called.
pub struct IrqLock<T> {
    lock: Opaque<k::raw_spinlock_t>,
    value: UnsafeCell<T>,
}

// SAFETY: The value is only reached by one CPU at a time, which holds the lock.
unsafe impl<T: Send> Sync for IrqLock<T> {}

impl<T> IrqLock<T> {
    /// With a value, and a lock that is not initialised yet.
    ///
    /// # Safety
    ///
    /// [`init`](Self::init) is called before any other method.
    pub const unsafe fn new(value: T) -> Self {
        // INVARIANT: By the requirement of this function.
        Self {
            lock: Opaque::uninit(),
            value: UnsafeCell::new(value),
        }
    }

    /// Initialises the lock.
    ///
    /// # Safety
    ///
    /// Called once, while nobody else calls a method, and the value is not moved any more.
    pub unsafe fn init(&self) {
        // SAFETY: By the requirement nobody uses the lock, and it stays where it is.
        unsafe { bindings::xen_core_raw_spin_lock_init(self.lock.get()) }
    }

    /// Calls `with` while the lock is held and interrupts are disabled. No other lock of this type
    /// may be taken in it.
    #[inline]
    pub fn with<R>(&self, with: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: By the type invariant the lock is initialised.
        let flags = unsafe { k::_raw_spin_lock_irqsave(self.lock.get()) };
        // SAFETY: The lock is held, so no other reference to the value exists.
        let result = with(unsafe { &mut *self.value.get() });
        // SAFETY: The lock was taken above, with these flags.
        unsafe { k::_raw_spin_unlock_irqrestore(self.lock.get(), flags) };
        result
    }
}
