// SPDX-License-Identifier: GPL-2.0

//! Device numbers: a major number, and which of its minor numbers are taken.

use core::ops::Range;

use kernel::{bindings as k, error::to_result, new_mutex, prelude::*, sync::Mutex};

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

/// Which minor numbers of a major number are in use.
#[pin_data]
pub struct MinorMap {
    /// Ranges in use: sorted, disjoint, not empty.
    #[pin]
    used: Mutex<KVec<Range<u32>>>,
}

impl MinorMap {
    /// A map in which every number is free.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self { used <- new_mutex!(KVec::new(), "MinorMap") })
    }

    /// Takes the `count` numbers from `first` on.
    ///
    /// # Errors
    ///
    /// [`EBUSY`] if one of them is taken, [`EINVAL`] for an empty or impossible range, [`ENOMEM`].
    pub fn reserve(&self, first: u32, count: u32) -> Result {
        let end = first.checked_add(count).filter(|end| *end > first).ok_or(EINVAL)?;
        let mut used = self.used.lock();
        let at = used.iter().position(|range| range.end > first).unwrap_or(used.len());
        if used.get(at).is_some_and(|range| range.start < end) {
            return Err(EBUSY);
        }
        used.push(first..end, GFP_KERNEL)?;
        used[at..].rotate_right(1);
        Ok(())
    }

    /// Gives back what [`Self::reserve`] took with the same first number.
    pub fn release(&self, first: u32) {
        let mut used = self.used.lock();
        if let Some(at) = used.iter().position(|range| range.start == first) {
            used[at..].rotate_left(1);
            used.pop();
        }
    }
}
