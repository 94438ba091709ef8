// SPDX-License-Identifier: GPL-2.0

//! Device numbers: a major number, and which of its minor numbers are taken.

use core::ops::Range;

use kernel::{bindings as k, error::to_result, prelude::*};

/// A registered major number; free again when dropped.
pub struct Major {
    number: u32,
    name: &'static CStr,
}

impl Major {
    /// Registers the major number `number`, shown as `name` in `/proc/devices`.
    ///
    /// # Errors
    ///
    /// [`EBUSY`] if another driver has it.
    pub fn register(number: u32, name: &'static CStr) -> Result<Self> {
        // SAFETY: The name is a static string, and there is no probe function.
        to_result(unsafe { k::__register_blkdev(number, name.as_char_ptr(), None) })?;
        Ok(Self { number, name })
    }

    /// The number.
    pub fn number(&self) -> u32 {
        self.number
    }
}

impl Drop for Major {
    fn drop(&mut self) {
        // SAFETY: Number and name are those that were registered.
        unsafe { k::unregister_blkdev(self.number, self.name.as_char_ptr()) };
    }
}

/// Taken device numbers, of all drivers that use [`MinorRange`].
struct Taken {
    major: u32,
    minors: Range<u32>,
}

kernel::sync::global_lock! {
    // SAFETY: `init` is called before the module's symbols can be used.
    unsafe(uninit) static TAKEN: Mutex<KVec<Taken>> = KVec::new();
}

/// # Safety
///
/// Called once, before anything else in this file.
pub(super) unsafe fn init() {
    // SAFETY: By the requirement of this function.
    unsafe { TAKEN.init() };
}

/// Minor numbers of a major number, which nobody else gets while this lives.
pub struct MinorRange {
    major: u32,
    first: u32,
    count: u32,
}

impl MinorRange {
    /// Takes the `count` minor numbers from `first` on, below major number `major`.
    ///
    /// # Errors
    ///
    /// [`EBUSY`] if one of them is taken, [`EINVAL`] for an empty or impossible range, [`ENOMEM`].
    pub fn reserve(major: u32, first: u32, count: u32) -> Result<Self> {
        let end = first
            .checked_add(count)
            .filter(|end| *end > first)
            .ok_or(EINVAL)?;
        let minors = first..end;
        let mut taken = TAKEN.lock();
        let overlaps = |other: &Taken| {
            other.major == major && other.minors.start < end && first < other.minors.end
        };
        if taken.iter().any(overlaps) {
            return Err(EBUSY);
        }
        taken.push(Taken { major, minors }, GFP_KERNEL)?;
        Ok(Self {
            major,
            first,
            count,
        })
    }

    /// Major number, first minor number, and how many there are.
    pub fn numbers(&self) -> (u32, u32, u32) {
        (self.major, self.first, self.count)
    }
}

impl Drop for MinorRange {
    fn drop(&mut self) {
        let mut taken = TAKEN.lock();
        let ours = |other: &Taken| other.major == self.major && other.minors.start == self.first;
        if let Some(at) = taken.iter().position(ours) {
            let last = taken.len() - 1;
            taken.swap(at, last);
            taken.pop();
        }
        if taken.is_empty() {
            // Frees the memory, so that nothing is left when the modules are unloaded.
            *taken = KVec::new();
        }
    }
}
