// SPDX-License-Identifier: GPL-2.0

//! Completions that are waited for with a time-out.

use kernel::{
    bindings,
    prelude::*,
    time::msecs_to_jiffies,
    types::Opaque, //
};

/// A completion (`struct completion`) with time-outs, which the kernel's own
/// [`Completion`](kernel::sync::Completion) does not have.
///
/// It is either completed once, for all who wait ([`complete_all`](Self::complete_all)), or kicks one
/// task that looks for something again and again ([`kick`](Self::kick)).
///
/// # Invariants
///
/// `inner` is an initialised completion, and stays where it is.
#[pin_data]
pub struct TimedCompletion {
    #[pin]
    inner: Opaque<bindings::completion>,
}

// SAFETY: A completion is protected by a lock of its own, and may be used by any task.
unsafe impl Send for TimedCompletion {}
// SAFETY: A completion is protected by a lock of its own, which all operations take.
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

    /// Wakes all who wait, and lets all who will wait pass. Any context.
    pub fn complete_all(&self) {
        // SAFETY: By the type invariant this is an initialised completion.
        unsafe { bindings::complete_all(self.inner.get()) };
    }

    /// Wakes one task that waits, or lets the next one pass; several kicks before it waits count as
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

    /// Waits for a [`kick`](Self::kick), at most `timeout_ms` milliseconds. Sleeps, and no signal
    /// interrupts that.
    pub fn wait_for_kick(&self, timeout_ms: u32) {
        let timeout = msecs_to_jiffies(timeout_ms);
        // SAFETY: By the type invariant this is an initialised completion; `&self` keeps it alive.
        unsafe { bindings::wait_for_completion_timeout(self.inner.get(), timeout) };
    }

    /// Waits for [`complete_all`](Self::complete_all), at most `timeout_ms` milliseconds, for ever from
    /// 2^31 on. Returns whether it is completed. May sleep.
    ///
    /// # Errors
    ///
    /// `EINTR` if the task is being killed; other signals do not interrupt it.
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
