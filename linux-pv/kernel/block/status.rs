// SPDX-License-Identifier: GPL-2.0

//! Status of a completed or refused request.

use kernel::bindings as k;
use xen_bindings as b;

/// A `blk_status_t` (`include/linux/blk_types.h`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct BlkStatus(k::blk_status_t);

impl BlkStatus {
    /// Success.
    pub const OK: Self = Self(k::BLK_STS_OK as k::blk_status_t);
    /// The operation is not supported. File systems fall back to another one.
    pub const NOTSUPP: Self = Self(b::XEN_RS_BLK_STS_NOTSUPP);
    /// Any other failure.
    pub const IOERR: Self = Self(b::XEN_RS_BLK_STS_IOERR);

    /// For a refused request: a resource is exhausted. The block layer tries again when a request
    /// of the same hardware queue completes, or after 3 ms if none is in flight.
    pub const RESOURCE: Self = Self(b::XEN_RS_BLK_STS_RESOURCE);

    /// Whether the request succeeded.
    #[inline]
    pub fn is_ok(self) -> bool {
        self == Self::OK
    }

    #[inline]
    pub(super) fn to_raw(self) -> k::blk_status_t {
        self.0
    }
}
