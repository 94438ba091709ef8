// SPDX-License-Identifier: GPL-2.0

//! Devices of the xenbus that have bound channels: their numbers in sysfs.
//!
//! A channel has a reference to its device until it is freed. An upcall on another CPU may have
//! found the channel before it was unbound, and counts an event when the driver has long gone on to
//! remove the device. In C it then counts in memory that was freed.

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

use kernel::bindings as k;

use core_bindings as bindings;

/// A device.
///
/// # Invariants
///
/// The device is valid: somebody has a reference to it.
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

    /// Takes a reference, with which the device stays valid after its driver has gone.
    pub(crate) fn get(self) {
        // SAFETY: The device is valid by the type invariant.
        unsafe { k::get_device(addr_of_mut!((*self.0.as_ptr()).dev)) };
    }

    /// Gives the reference back. May sleep.
    ///
    /// # Safety
    ///
    /// There was a [`get`](Self::get) for this, and nobody uses this value or a copy any more.
    pub(crate) unsafe fn put(self) {
        // SAFETY: The device is valid by the type invariant. The rest is the caller's.
        unsafe { k::put_device(addr_of_mut!((*self.0.as_ptr()).dev)) };
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
