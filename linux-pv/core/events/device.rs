// SPDX-License-Identifier: GPL-2.0

//! Devices of the xenbus that have bound channels: their numbers in sysfs.

use core::{
    ptr::{
        addr_of,
        addr_of_mut,
        NonNull, //
    },
    sync::atomic::{
        AtomicI32,
        Ordering::Relaxed, //
    },
};

use core_bindings as bindings;

/// A device.
///
use kernel::bindings as k;

/// # Invariants
///
/// The device is valid: its driver unbinds its channels before it goes away.
#[derive(Clone, Copy)]
pub(crate) struct Device(NonNull<bindings::xenbus_device>);

/// A counter of the device.
macro_rules! counter {
    ($device:expr, $field:ident) => {{
        // SAFETY: The device is valid by the type invariant; the field is an atomic one in C too.
        unsafe { AtomicI32::from_ptr(addr_of_mut!((*$device.0.as_ptr()).$field.counter)) }
    }};
}

impl Device {
    /// From a pointer of C's, which may be null.
    ///
    /// # Safety
    ///
    /// The device is null, or valid as long as the result or a copy of it is used.
    #[inline]
    pub(crate) unsafe fn from_raw(device: *mut bindings::xenbus_device) -> Option<Self> {
        // INVARIANT: By the requirement of this function.
        NonNull::new(device).map(Self)
    }

    #[inline]
    pub(crate) fn as_raw(self) -> *mut bindings::xenbus_device {
        self.0.as_ptr()
    }

    /// The domain at the other end.
    pub(crate) fn domain(self) -> u16 {
        // SAFETY: The device is valid by the type invariant.
        unsafe { addr_of!((*self.0.as_ptr()).otherend_id).read_volatile() as u16 }
    }

    /// How many spurious events in a row have no delay; the user may change it at any time.
    pub(crate) fn threshold(self) -> u32 {
        // SAFETY: The device is valid by the type invariant.
        unsafe { addr_of!((*self.0.as_ptr()).spurious_threshold).read_volatile() }
    }

    /// Counts an event.
    #[inline]
    pub(crate) fn count_event(self) {
        counter!(self, events).fetch_add(1, Relaxed);
    }

    /// Counts a spurious event, and for how long it delays the channel.
    pub(crate) fn count_spurious(self, jiffies: u64) {
        counter!(self, spurious_events).fetch_add(1, Relaxed);
        if jiffies != 0 {
            counter!(self, jiffies_eoi_delayed).fetch_add(jiffies as i32, Relaxed);
        }
    }

    /// Counts a channel that was bound.
    pub(crate) fn add_channel(self) {
        counter!(self, event_channels).fetch_add(1, Relaxed);
    }

    /// Counts a channel that is unbound.
    pub(crate) fn remove_channel(self) {
        counter!(self, event_channels).fetch_sub(1, Relaxed);
    }
}
