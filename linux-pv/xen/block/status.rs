// SPDX-License-Identifier: GPL-2.0

//! How a request ended, or why a driver could not take it now.

use kernel::bindings as k;
use xen_bindings as b;

/// A `blk_status_t` (`include/linux/blk_types.h`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct BlkStatus(k::blk_status_t);

impl BlkStatus {
    /// The request was carried out.
    pub const OK: Self = Self(k::BLK_STS_OK as k::blk_status_t);
    /// The device does not do this operation. File systems fall back to another way.
    pub const NOTSUPP: Self = Self(b::XEN_RS_BLK_STS_NOTSUPP);
    /// The device did not answer in time.
    pub const TIMEOUT: Self = Self(b::XEN_RS_BLK_STS_TIMEOUT);
    /// The device is full (thin provisioning).
    pub const NOSPC: Self = Self(b::XEN_RS_BLK_STS_NOSPC);
    /// The way to the device is broken; another path may work.
    pub const TRANSPORT: Self = Self(b::XEN_RS_BLK_STS_TRANSPORT);
    /// The device reports a fault of its own.
    pub const TARGET: Self = Self(b::XEN_RS_BLK_STS_TARGET);
    /// The medium is faulty at this place.
    pub const MEDIUM: Self = Self(b::XEN_RS_BLK_STS_MEDIUM);
    /// A checksum of the data is wrong.
    pub const PROTECTION: Self = Self(b::XEN_RS_BLK_STS_PROTECTION);
    /// Any other failure.
    pub const IOERR: Self = Self(b::XEN_RS_BLK_STS_IOERR);
    /// The request may not wait and would have to.
    pub const AGAIN: Self = Self(b::XEN_RS_BLK_STS_AGAIN);
    /// The device is gone for good.
    pub const OFFLINE: Self = Self(b::XEN_RS_BLK_STS_OFFLINE);
    /// The request is invalid for this device.
    pub const INVAL: Self = Self(b::XEN_RS_BLK_STS_INVAL);

    /// Refusal: something that is not the device's is short. The block layer tries again when a
    /// request of the same hardware queue completes, and after 3 ms if there is none.
    pub const RESOURCE: Self = Self(b::XEN_RS_BLK_STS_RESOURCE);
    /// Refusal: something of the device is short that comes back when one of its requests completes.
    /// Only to be used if there is one in flight, since nothing else makes the block layer try again.
    pub const DEV_RESOURCE: Self = Self(b::XEN_RS_BLK_STS_DEV_RESOURCE);

    /// Whether this says that the request was carried out.
    #[inline]
    pub fn is_ok(self) -> bool {
        self == Self::OK
    }

    #[inline]
    pub(super) fn from_raw(status: k::blk_status_t) -> Self {
        Self(status)
    }

    #[inline]
    pub(super) fn to_raw(self) -> k::blk_status_t {
        self.0
    }
}
