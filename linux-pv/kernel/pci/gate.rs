// SPDX-License-Identifier: GPL-2.0

//! A value that can be taken away while others may want to use it.

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

/// Added to the number of users when the gate is closed.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// Milliseconds between two looks whether the last user has left, should a kick be missed.
const LOOK: u32 = 100;

/// A value that is used by entering, in any context, until it is closed.
///
/// # Invariants
///
/// `value` is `Some`, and only read, until `users` is exactly [`CLOSED`]; then it belongs to who has
/// closed the gate.
#[pin_data]
pub(super) struct Gate<T> {
    users: Atomic<usize>,
    #[pin]
    left: TimedCompletion,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: The value is sent with the gate.
unsafe impl<T: Send> Send for Gate<T> {}
// SAFETY: Users share the value, and who closes the gate drops it.
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

    /// Uses the value, unless the gate is closed.
    pub(super) fn enter(&self) -> Option<Entered<'_, T>> {
        let users = self.users.fetch_add(1, Acquire);
        // From here on the drop counts down again.
        let entered = Entered(self);
        (users & CLOSED == 0).then_some(entered)
    }

    /// Lets nobody enter any more, waits until all have left, and returns the value; nothing if the gate is
    /// closed already. May sleep.
    pub(super) fn close(&self) -> Option<T> {
        let mut users = self.users.load(Acquire);
        loop {
            if users & CLOSED != 0 {
                return None;
            }
            match self.users.cmpxchg(users, users | CLOSED, Full) {
                Ok(_) => break,
                Err(present) => users = present,
            }
        }
        while self.users.load(Acquire) != CLOSED {
            self.left.wait_for_kick(LOOK);
        }
        // SAFETY: By the type invariant the value belongs to this call: nobody else has closed the gate,
        // all have left, and those who try to enter from here on do not look at it.
        unsafe { (*self.value.get()).take() }
    }
}

/// A user of the value.
pub(super) struct Entered<'a, T>(&'a Gate<T>);

impl<T> Deref for Entered<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: By the type invariant the value is there and not changed, as this user has entered
        // while the gate was open and has not left.
        unsafe { (*self.0.value.get()).as_ref().unwrap_unchecked() }
    }
}

impl<T> Drop for Entered<'_, T> {
    fn drop(&mut self) {
        if self.0.users.fetch_sub(1, Release) & CLOSED != 0 {
            self.0.left.kick();
        }
    }
}
