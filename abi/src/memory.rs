// SPDX-License-Identifier: GPL-2.0

//! The `memory_op` hypercall, `memory.h`, as far as it is used.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Commands (`XENMEM_*`).
pub mod op {
    /// Makes a resource of a domain, that no frame number names, mappable; takes
    /// [`AcquireResource`](super::AcquireResource).
    pub const ACQUIRE_RESOURCE: u32 = 28;
}

/// Bit of [`AcquireResource::flags`]: the frames belong to the caller (`XENMEM_rsrc_acq_caller_owned`).
/// Only older hypervisors say that, newer ones leave the field zero.
pub const RSRC_ACQ_CALLER_OWNED: u32 = 1;

/// Argument of [`op::ACQUIRE_RESOURCE`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct AcquireResource {
    /// In: whose resource.
    pub domid: u16,
    /// In: what kind.
    pub kind: u16,
    /// In: which one of that kind.
    pub id: u32,
    /// In: how many frames; out, if it is 0 and there is no list: how many there are.
    pub nr_frames: u32,
    /// Out, zero before.
    pub flags: u32,
    /// In: the first frame of the resource.
    pub frame: u64,
    /// Address of a list of frames: in, where they are to appear (auto-translated domains); out, what
    /// they are (PV domains).
    pub frame_list: u64,
}
