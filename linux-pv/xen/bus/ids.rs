// SPDX-License-Identifier: GPL-2.0

//! The kinds of devices that a driver drives.

use core::ptr;

use kernel::prelude::*;
use xen_bindings as bindings;

/// A kind of device.
#[repr(transparent)]
pub struct DeviceId(bindings::xenbus_device_id);

impl DeviceId {
    const END: Self = Self::new(c"");

    /// The kind with this name, at most 31 bytes: `vbd`.
    pub const fn new(devicetype: &CStr) -> Self {
        let bytes = devicetype.to_bytes();
        let mut id = bindings::xenbus_device_id {
            devicetype: [0; 32],
        };
        assert!(bytes.len() < id.devicetype.len());
        let mut i = 0;
        while i < bytes.len() {
            id.devicetype[i] = bytes[i];
            i += 1;
        }
        Self(id)
    }

    /// The kind's name.
    pub fn devicetype(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0.devicetype).unwrap_or_default()
    }
}

/// The kinds of devices of a driver: `device_ids![c"vbd"]`.
///
/// # Invariants
///
/// Points to the first of a static list of ids, of which only the last is empty.
#[derive(Clone, Copy)]
pub struct IdTable(*const DeviceId);

impl IdTable {
    /// The table of a list.
    pub const fn new<const N: usize>(ids: &'static Ids<N>) -> Self {
        // INVARIANT: An `Ids` starts with its ids, none of them empty, and ends with an empty one.
        Self(ptr::from_ref(ids).cast())
    }

    pub(super) fn as_ptr(self) -> *const bindings::xenbus_device_id {
        self.0.cast()
    }
}

/// A list of ids for [`IdTable::new`].
#[repr(C)]
pub struct Ids<const N: usize> {
    ids: [DeviceId; N],
    end: DeviceId,
}

impl<const N: usize> Ids<N> {
    /// A list of these ids, none of which may be empty.
    pub const fn new(ids: [DeviceId; N]) -> Self {
        let mut i = 0;
        while i < N {
            assert!(ids[i].0.devicetype[0] != 0);
            i += 1;
        }
        Self {
            ids,
            end: DeviceId::END,
        }
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        let _ = &self.end;
        self.ids.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        N == 0
    }
}

/// Makes the [`IdTable`] of a driver: `const IDS: IdTable = device_ids![c"vbd"];`
#[macro_export]
macro_rules! device_ids {
    ($($name:expr),+ $(,)?) => {
        $crate::bus::IdTable::new(const {
            &$crate::bus::Ids::new([$($crate::bus::DeviceId::new($name)),+])
        })
    };
}
