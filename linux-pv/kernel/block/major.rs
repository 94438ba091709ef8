// SPDX-License-Identifier: GPL-2.0

//! Device numbers: major numbers, and ranges of minor numbers.

use core::ops::Range;

use kernel::{
    bindings as k,
    error::to_result,
    prelude::*, //
};

/// A registered major number; unregistered when dropped.
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

/// Reserved minor numbers.
struct Reserved {
    major: u32,
    minors: Range<u32>,
}

kernel::sync::global_lock! {
    // SAFETY: `init` is called before the module's symbols can be used.
    unsafe(uninit) static RESERVED: Mutex<KVec<Reserved>> = KVec::new();
}

/// Initialises the list of reserved minor numbers.
///
/// # Safety
///
/// To be called once, before [`MinorRange`] is used.
pub(super) unsafe fn init() {
    // SAFETY: By the requirement of this function.
    unsafe { RESERVED.init() };
}

/// Reserved minor numbers of a major number; released when dropped.
pub struct MinorRange {
    major: u32,
    first: u32,
    count: u32,
}

impl MinorRange {
    /// Reserves `count` minor numbers from `first` on, of major number `major`. May sleep.
    ///
    /// # Errors
    ///
    /// [`EBUSY`] if one of them is reserved, [`EINVAL`] for an empty or impossible range,
    /// [`ENOMEM`].
    pub fn reserve(major: u32, first: u32, count: u32) -> Result<Self> {
        let end = first
            .checked_add(count)
            .filter(|end| *end > first)
            .ok_or(EINVAL)?;
        let minors = first..end;
        let mut reserved = RESERVED.lock();
        let overlaps = |other: &Reserved| {
            other.major == major && other.minors.start < end && first < other.minors.end
        };
        if reserved.iter().any(overlaps) {
            return Err(EBUSY);
        }
        reserved.push(Reserved { major, minors }, GFP_KERNEL)?;
        Ok(Self {
            major,
            first,
            count,
        })
    }

    /// The major number, the first minor number, and the number of minor numbers.
    pub fn numbers(&self) -> (u32, u32, u32) {
        (self.major, self.first, self.count)
    }
}

impl Drop for MinorRange {
    fn drop(&mut self) {
        let mut reserved = RESERVED.lock();
        let ours = |other: &Reserved| other.major == self.major && other.minors.start == self.first;
        if let Some(at) = reserved.iter().position(ours) {
            let last = reserved.len() - 1;
            reserved.swap(at, last);
            reserved.pop();
        }
        if reserved.is_empty() {
            // Frees the memory, so that nothing leaks when the modules are unloaded.
            *reserved = KVec::new();
        }
    }
}
