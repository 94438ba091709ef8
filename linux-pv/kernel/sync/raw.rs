// SPDX-License-Identifier: GPL-2.0

//! Raw spin locks, which do not sleep in a real-time kernel either. For callbacks that are called
//! with such a lock held, as those of the PCI core are.

use kernel::{
    bindings as k, ffi,
    sync::lock::{
        Backend,
        Lock, //
    },
};

use xen_bindings as bindings;

/// A spin lock that disables interrupts while it is held, and then restores their state
/// (`raw_spin_lock_irqsave`). No other kind of lock may be taken while it is held.
pub type RawSpinLock<T> = Lock<T, RawSpinLockBackend>;

/// Makes an initialiser of a [`RawSpinLock`]; every use is a lock class of its own for lockdep.
#[macro_export]
macro_rules! new_raw_spinlock {
    ($inner:expr $(, $name:literal)? $(,)?) => {
        $crate::sync::RawSpinLock::new(
            $inner, ::kernel::optional_name!($($name)?), ::kernel::static_lock_class!())
    };
}
pub use new_raw_spinlock;

/// `raw_spinlock_t`, always taken with interrupts disabled.
pub struct RawSpinLockBackend;

// SAFETY: The kernel's `raw_spinlock_t` ensures mutual exclusion, and the guard state is the
// interrupt state that `lock` saved and the `unlock` of the same guard restores. `relock` is the
// default.
unsafe impl Backend for RawSpinLockBackend {
    type State = k::raw_spinlock_t;
    type GuardState = ffi::c_ulong;

    unsafe fn init(ptr: *mut Self::State, name: *const ffi::c_char, key: *mut k::lock_class_key) {
        // SAFETY: The caller guarantees that `ptr` is valid for writes, and `name` and `key` for
        // reads for ever.
        unsafe { bindings::xen_rs_raw_spin_lock_init(ptr, name, key) }
    }

    #[inline]
    unsafe fn lock(ptr: *mut Self::State) -> Self::GuardState {
        // SAFETY: The caller guarantees that the lock is valid and initialised.
        unsafe { k::_raw_spin_lock_irqsave(ptr) }
    }

    #[inline]
    unsafe fn unlock(ptr: *mut Self::State, guard_state: &Self::GuardState) {
        // SAFETY: The caller guarantees that it owns the lock; the state is from locking it.
        unsafe { k::_raw_spin_unlock_irqrestore(ptr, *guard_state) }
    }

    #[inline]
    unsafe fn try_lock(ptr: *mut Self::State) -> Option<Self::GuardState> {
        let mut flags = 0;
        // SAFETY: The caller guarantees that the lock is valid and initialised; `flags` is a local.
        let locked = unsafe { bindings::xen_rs_raw_spin_trylock_irqsave(ptr, &mut flags) };
        (locked != 0).then_some(flags)
    }

    #[inline]
    unsafe fn assert_is_held(ptr: *mut Self::State) {
        // Only lockdep knows; there is no function that checks a raw spin lock.
        let _ = ptr;
    }
}
