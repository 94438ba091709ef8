// SPDX-License-Identifier: GPL-2.0

//! Completions with a time-out.

use kernel::{
    bindings,
    prelude::*,
    time::msecs_to_jiffies,
    types::Opaque, //
};

/// A completion (`struct completion`) with time-outs, which the kernel's own
/// [`Completion`](kernel::sync::Completion) does not have.
///
/// It is either completed once for all waiters ([`complete_all`](Self::complete_all)), or wakes one
/// task that polls a condition ([`kick`](Self::kick)).
///
/// # Invariants
///
/// `inner` is an initialised completion, and does not move.
#[pin_data]
pub struct TimedCompletion {
    #[pin]
    inner: Opaque<bindings::completion>,
}

// SAFETY: A completion has a lock of its own, and may be used by any task.
unsafe impl Send for TimedCompletion {}
// SAFETY: A completion has a lock of its own, which all operations take.
unsafe impl Sync for TimedCompletion {}

impl TimedCompletion {
    /// A completion that is not completed.
    pub fn new() -> impl PinInit<Self> {
        // INVARIANT: `init_completion` initialises it.
        pin_init!(Self {
            inner <- Opaque::ffi_init(|slot: *mut bindings::completion| {
                // SAFETY: The slot is valid for writes.
                unsafe { bindings::init_completion(slot) }
            }),
        })
    }

    /// Wakes all waiters; later waiters do not wait. Any context.
    pub fn complete_all(&self) {
        // SAFETY: By the type invariant this is an initialised completion.
        unsafe { bindings::complete_all(self.inner.get()) };
    }

    /// Wakes one waiter, or else the next waiter does not wait. Several kicks before that count as
    /// one. Any context.
    pub fn kick(&self) {
        let completion = self.inner.get();
        // SAFETY: By the type invariant this is an initialised completion.
        unsafe {
            if !bindings::completion_done(completion) {
                bindings::complete(completion);
            }
        }
    }

    /// Waits for a [`kick`](Self::kick), at most `timeout_ms` milliseconds. Sleeps; signals do not
    /// interrupt it.
    pub fn wait_for_kick(&self, timeout_ms: u32) {
        let timeout = msecs_to_jiffies(timeout_ms);
        // SAFETY: By the type invariant this is an initialised completion; `&self` keeps it alive.
        unsafe { bindings::wait_for_completion_timeout(self.inner.get(), timeout) };
    }

    /// Waits for [`complete_all`](Self::complete_all), at most `timeout_ms` milliseconds, or
    /// without limit for values from 2^31 on. Returns whether it is completed. May sleep.
    ///
    /// # Errors
    ///
    /// `EINTR` if the task is being killed. Other signals do not interrupt it.
    pub fn wait_killable(&self, timeout_ms: u32) -> Result<bool> {
        let timeout = msecs_to_jiffies(timeout_ms);
        let completion = self.inner.get();
        // SAFETY: By the type invariant this is an initialised completion; `&self` keeps it alive.
        let left = unsafe { bindings::wait_for_completion_killable_timeout(completion, timeout) };
        if left < 0 {
            return Err(EINTR);
        }
        Ok(left != 0)
    }
}
