// SPDX-License-Identifier: GPL-2.0

//! A value that can be taken away from concurrent users.
//!
//! Unlike the kernel's `Revocable`, users are not in an RCU read section, so they may take long.

use core::{
    cell::UnsafeCell,
    ops::Deref, //
};

use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Full,
        Release, //
    },
};

use crate::sync::TimedCompletion;

/// Flag in the number of users: the gate is closed.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// Interval in milliseconds at which [`Gate::close`] checks the number of users, in addition to
/// kicks.
const RECHECK_MS: u32 = 100;

/// A value that users access by entering, in any context, until it is closed.
///
/// # Invariants
///
/// `value` is `Some`, and only read, until `users` is exactly [`CLOSED`]. From then on it belongs
/// to the call of [`Gate::close`] that set the flag.
#[pin_data]
pub(super) struct Gate<T> {
    users: Atomic<usize>,
    #[pin]
    left: TimedCompletion,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: The value is sent with the gate.
unsafe impl<T: Send> Send for Gate<T> {}
// SAFETY: Users share the value, and the task that closes the gate gets it.
unsafe impl<T: Send + Sync> Sync for Gate<T> {}

impl<T> Gate<T> {
    /// An open gate.
    pub(super) fn new(value: T) -> impl PinInit<Self> {
        // INVARIANT: There is a value, and no user.
        pin_init!(Self {
            users: Atomic::new(0),
            left <- TimedCompletion::new(),
            value: UnsafeCell::new(Some(value)),
        })
    }

    /// Enters, unless the gate is closed. Any context.
    pub(super) fn enter(&self) -> Option<GateGuard<'_, T>> {
        let users = self.users.fetch_add(1, Acquire);
        // Dropping the guard decrements the number.
        let guard = GateGuard(self);
        (users & CLOSED == 0).then_some(guard)
    }

    /// Closes the gate, waits until all users have left, and returns the value; none if the gate
    /// was closed before. May sleep.
    pub(super) fn close(&self) -> Option<T> {
        let mut users = self.users.load(Acquire);
        loop {
            if users & CLOSED != 0 {
                return None;
            }
            match self.users.cmpxchg(users, users | CLOSED, Full) {
                Ok(_) => break,
                Err(current) => users = current,
            }
        }
        while self.users.load(Acquire) != CLOSED {
            self.left.wait_for_kick(RECHECK_MS);
        }
        // SAFETY: By the type invariant the value belongs to this call, which set the flag: the
        // number of users is zero, and later ones find the gate closed.
        unsafe { (*self.value.get()).take() }
    }
}

/// A user of the value, or one that found the gate closed. [`Gate::enter`] only returns the former.
pub(super) struct GateGuard<'a, T>(&'a Gate<T>);

impl<T> Deref for GateGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: By the invariant of `Gate` the value is `Some` and only read, since this user
        // entered while the gate was open, and is still counted.
        unsafe { (*self.0.value.get()).as_ref().unwrap_unchecked() }
    }
}

impl<T> Drop for GateGuard<'_, T> {
    fn drop(&mut self) {
        if self.0.users.fetch_sub(1, Release) & CLOSED != 0 {
            self.0.left.kick();
        }
    }
}
