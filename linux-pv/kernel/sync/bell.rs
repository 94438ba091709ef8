// SPDX-License-Identifier: GPL-2.0

//! Waking a task that looks for something again and again.

use kernel::bindings as k;
use kernel::prelude::*;
use kernel::time::msecs_to_jiffies;
use kernel::types::Opaque;

/// Wakes one task that waits, or the next that does (`struct completion`). It means no more than "look again": it
/// may ring for nothing.
///
/// # Invariants
///
/// `completion` is initialised, and stays where it is.
#[pin_data]
pub struct Bell {
    #[pin]
    completion: Opaque<k::completion>,
}

// SAFETY: A completion has a lock of its own.
unsafe impl Send for Bell {}
// SAFETY: As above.
unsafe impl Sync for Bell {}

impl Bell {
    /// It has not rung yet.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            completion <- Opaque::ffi_init(|slot: *mut k::completion| {
                // SAFETY: The slot is valid for writes.
                unsafe { k::init_completion(slot) }
            }),
        })
    }

    /// Rings. However often that is done, it wakes one task. Any context.
    pub fn ring(&self) {
        let completion = self.completion.get();
        // SAFETY: By the type invariant.
        unsafe {
            if !k::completion_done(completion) {
                k::complete(completion);
            }
        }
    }

    /// Waits until it rings, so many milliseconds at most. Sleeps, and no signal ends that.
    pub fn wait(&self, milliseconds: u32) {
        let limit = msecs_to_jiffies(milliseconds);
        // SAFETY: By the type invariant; the caller shares in this value, so that it stays.
        unsafe { k::wait_for_completion_timeout(self.completion.get(), limit) };
    }
}
