// SPDX-License-Identifier: GPL-2.0

//! Something that happens once, and that tasks wait for.

use kernel::bindings as k;
use kernel::prelude::*;
use kernel::time::msecs_to_jiffies;
use kernel::types::Opaque;

/// Something that happens once (`struct completion`).
///
/// # Invariants
///
/// `completion` is initialised, and stays where it is.
#[pin_data]
pub struct Done {
    #[pin]
    completion: Opaque<k::completion>,
}

// SAFETY: A completion has a lock of its own.
unsafe impl Send for Done {}
// SAFETY: As above.
unsafe impl Sync for Done {}

impl Done {
    /// It has not happened yet.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            completion <- Opaque::ffi_init(|slot: *mut k::completion| {
                // SAFETY: The slot is valid for writes.
                unsafe { k::init_completion(slot) }
            }),
        })
    }

    /// It happens: all who wait, and who will, are done waiting. Any context.
    pub fn happen(&self) {
        // SAFETY: By the type invariant.
        unsafe { k::complete_all(self.completion.get()) };
    }

    /// Waits so many milliseconds at most, from 2^31 on for ever, and returns whether it has happened. Sleeps, unless
    /// it has.
    ///
    /// # Errors
    ///
    /// `EINTR` if the task is being killed; other signals are not heard.
    pub fn wait(&self, milliseconds: u32) -> Result<bool> {
        let limit = msecs_to_jiffies(milliseconds);
        // SAFETY: By the type invariant; the caller shares in this value, so that it stays.
        let left = unsafe { k::wait_for_completion_killable_timeout(self.completion.get(), limit) };
        if left < 0 {
            return Err(EINTR);
        }
        Ok(left != 0)
    }
}
