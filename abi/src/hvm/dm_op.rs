// SPDX-License-Identifier: GPL-2.0

//! The `dm_op` hypercall of device models, `hvm/dm_op.h`.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One of the buffers of a call.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct DmOpBuf {
    /// Its address.
    pub h: u64,
    /// Its bytes.
    pub size: u64,
}
