// SPDX-License-Identifier: GPL-2.0

//! Locks and completions in addition to those of `kernel::sync`: spin locks that disable interrupts
//! or softirqs, a scope in which allocations start no I/O, and completions with a time-out
//! ([`TimedCompletion`]).

mod completion;
mod raw;

pub use completion::TimedCompletion;
pub use raw::{
    new_raw_spinlock,
    RawSpinLock,
    RawSpinLockBackend, //
};

use core::marker::PhantomData;

use kernel::{
    ffi,
    sync::lock::{
        Backend,
        Guard,
        Lock, //
    },
};

use xen_bindings as bindings;

/// A spin lock that disables interrupts while it is held, and then restores their state
/// (`spin_lock_irqsave`), for data shared with event handlers.
///
/// Guards of two such locks should be dropped in the reverse order of locking; otherwise interrupts
/// are enabled while one lock is still held, which can deadlock.
pub type IrqSpinLock<T> = Lock<T, IrqSpinLockBackend>;

/// Guard of an [`IrqSpinLock`].
pub type IrqSpinLockGuard<'a, T> = Guard<'a, T, IrqSpinLockBackend>;

/// Makes an initialiser of an [`IrqSpinLock`]; every use is a lock class of its own for lockdep.
#[macro_export]
macro_rules! new_irq_spinlock {
    ($inner:expr $(, $name:literal)? $(,)?) => {
        $crate::sync::IrqSpinLock::new(
            $inner, ::kernel::optional_name!($($name)?), ::kernel::static_lock_class!())
    };
}
pub use new_irq_spinlock;

/// `spinlock_t`, always taken with interrupts disabled.
pub struct IrqSpinLockBackend;

// SAFETY: The kernel's `spinlock_t` ensures mutual exclusion, and the guard state is the interrupt
// state that `lock` saved and the `unlock` of the same guard restores. `relock` is the default.
unsafe impl Backend for IrqSpinLockBackend {
    type State = kernel::bindings::spinlock_t;
    type GuardState = ffi::c_ulong;

    unsafe fn init(
        ptr: *mut Self::State,
        name: *const ffi::c_char,
        key: *mut kernel::bindings::lock_class_key,
    ) {
        // SAFETY: The caller guarantees that `ptr` is valid for writes, and `name` and `key` for
        // reads for ever.
        unsafe { kernel::bindings::__spin_lock_init(ptr, name, key) }
    }

    #[inline]
    unsafe fn lock(ptr: *mut Self::State) -> Self::GuardState {
        // The functions behind the macros instead of a shim, for this is in the hot paths of
        // drivers. With PREEMPT_RT a `spinlock_t` is a sleeping lock.
        #[cfg(not(CONFIG_PREEMPT_RT))]
        // SAFETY: The caller guarantees that the lock is valid and initialised; the first field of
        // a `spinlock_t` is its `raw_spinlock_t`.
        unsafe {
            kernel::bindings::_raw_spin_lock_irqsave(ptr.cast())
        }
        #[cfg(CONFIG_PREEMPT_RT)]
        // SAFETY: The caller guarantees that the lock is valid and initialised.
        unsafe {
            bindings::xen_rs_spin_lock_irqsave(ptr)
        }
    }

    #[inline]
    unsafe fn unlock(ptr: *mut Self::State, guard_state: &Self::GuardState) {
        #[cfg(not(CONFIG_PREEMPT_RT))]
        // SAFETY: The caller guarantees that it owns the lock; the state is from locking it.
        unsafe {
            kernel::bindings::_raw_spin_unlock_irqrestore(ptr.cast(), *guard_state)
        }
        #[cfg(CONFIG_PREEMPT_RT)]
        // SAFETY: The caller guarantees that it owns the lock; the state is from locking it.
        unsafe {
            bindings::xen_rs_spin_unlock_irqrestore(ptr, *guard_state)
        }
    }

    #[inline]
    unsafe fn try_lock(ptr: *mut Self::State) -> Option<Self::GuardState> {
        let mut flags = 0;
        // SAFETY: The caller guarantees that the lock is valid and initialised; `flags` is a local.
        let locked = unsafe { bindings::xen_rs_spin_trylock_irqsave(ptr, &mut flags) };
        (locked != 0).then_some(flags)
    }

    #[inline]
    unsafe fn assert_is_held(ptr: *mut Self::State) {
        // Only lockdep knows.
        #[cfg(CONFIG_LOCKDEP)]
        // SAFETY: The caller guarantees that the lock is valid and initialised.
        unsafe {
            kernel::bindings::spin_assert_is_held(ptr)
        }
        let _ = ptr;
    }
}

/// A spin lock that disables softirqs while it is held (`spin_lock_bh`), for data shared with NAPI
/// polls. Not to be locked with interrupts disabled.
pub type BhSpinLock<T> = Lock<T, BhSpinLockBackend>;

/// Guard of a [`BhSpinLock`].
pub type BhSpinLockGuard<'a, T> = Guard<'a, T, BhSpinLockBackend>;

/// Makes an initialiser of a [`BhSpinLock`]; every use is a lock class of its own for lockdep.
#[macro_export]
macro_rules! new_bh_spinlock {
    ($inner:expr $(, $name:literal)? $(,)?) => {
        $crate::sync::BhSpinLock::new(
            $inner, ::kernel::optional_name!($($name)?), ::kernel::static_lock_class!())
    };
}
pub use new_bh_spinlock;

/// `spinlock_t`, always taken with softirqs disabled.
pub struct BhSpinLockBackend;

// SAFETY: The kernel's `spinlock_t` ensures mutual exclusion. `relock` is the default.
unsafe impl Backend for BhSpinLockBackend {
    type State = kernel::bindings::spinlock_t;
    type GuardState = ();

    unsafe fn init(
        ptr: *mut Self::State,
        name: *const ffi::c_char,
        key: *mut kernel::bindings::lock_class_key,
    ) {
        // SAFETY: The caller guarantees that `ptr` is valid for writes, and `name` and `key` for
        // reads for ever.
        unsafe { kernel::bindings::__spin_lock_init(ptr, name, key) }
    }

    #[inline]
    unsafe fn lock(ptr: *mut Self::State) -> Self::GuardState {
        // SAFETY: The caller guarantees that the lock is valid and initialised.
        unsafe { bindings::xen_rs_spin_lock_bh(ptr) }
    }

    #[inline]
    unsafe fn unlock(ptr: *mut Self::State, _guard_state: &Self::GuardState) {
        // SAFETY: The caller guarantees that it owns the lock.
        unsafe { bindings::xen_rs_spin_unlock_bh(ptr) }
    }

    #[inline]
    unsafe fn try_lock(ptr: *mut Self::State) -> Option<Self::GuardState> {
        // SAFETY: The caller guarantees that the lock is valid and initialised.
        (unsafe { bindings::xen_rs_spin_trylock_bh(ptr) } != 0).then_some(())
    }

    #[inline]
    unsafe fn assert_is_held(ptr: *mut Self::State) {
        // Only lockdep knows.
        #[cfg(CONFIG_LOCKDEP)]
        // SAFETY: The caller guarantees that the lock is valid and initialised.
        unsafe {
            kernel::bindings::spin_assert_is_held(ptr)
        }
        let _ = ptr;
    }
}

/// Whether the caller may sleep: it holds no spin lock, and is not in an interrupt or an RCU
/// section. Always false in a kernel that does not count preemption.
pub fn may_sleep() -> bool {
    // SAFETY: Only reads the state of the current task.
    unsafe { bindings::xen_rs_may_sleep() }
}

/// A scope in which allocations of the current task do not start I/O to reclaim memory, whatever
/// their flags (`memalloc_noio_save`). For callbacks in which a disk may be unusable: reclaim could
/// wait for a write to that disk.
pub struct NoIo {
    saved: ffi::c_uint,
    /// The scope is the task's that opened it.
    _task: PhantomData<*mut ()>,
}

impl NoIo {
    /// Opens the scope.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self {
            // SAFETY: Only changes a flag of the current task.
            saved: unsafe { bindings::xen_rs_noio_save() },
            _task: PhantomData,
        }
    }
}

impl Drop for NoIo {
    fn drop(&mut self) {
        // SAFETY: `NoIo` is not `Send`, so this is the task whose state was saved.
        unsafe { bindings::xen_rs_noio_restore(self.saved) }
    }
}
