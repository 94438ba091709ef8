// SPDX-License-Identifier: GPL-2.0

//! How a request ended, or why a driver could not take it now.

use kernel::bindings as k;
use kernel::sync::atomic::AtomicType;
use xen_bindings as b;

/// A `blk_status_t` (`include/linux/blk_types.h`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct BlkStatus(k::blk_status_t);

// SAFETY: The type has the size and alignment of an `i8`, and is round-trip transmutable to it.
unsafe impl AtomicType for BlkStatus {
    type Repr = i8;
}

impl BlkStatus {
    /// The request was carried out.
    pub const OK: Self = Self(k::BLK_STS_OK as k::blk_status_t);
    /// The device does not do this operation. File systems fall back to another way.
    pub const NOTSUPP: Self = Self(b::XEN_RS_BLK_STS_NOTSUPP);
    /// Any other failure.
    pub const IOERR: Self = Self(b::XEN_RS_BLK_STS_IOERR);

    /// Refusal: something that is not the device's is short. The block layer tries again when a
    /// request of the same hardware queue completes, and after 3 ms if there is none.
    pub const RESOURCE: Self = Self(b::XEN_RS_BLK_STS_RESOURCE);

    /// Whether this says that the request was carried out.
    #[inline]
    pub fn is_ok(self) -> bool {
        self == Self::OK
    }

    #[inline]
    pub(super) fn to_raw(self) -> k::blk_status_t {
        self.0
    }
}
