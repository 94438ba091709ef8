// SPDX-License-Identifier: GPL-2.0

//! Requests of the hypervisor to a device model, `hvm/ioreq.h`: one slot a vCPU in pages that both share.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Whose turn it is (`STATE_IOREQ_*`, `STATE_IORESP_*`).
pub mod state {
    /// There is no request (`STATE_IOREQ_NONE`).
    pub const NONE: u8 = 0;
    /// The hypervisor has made a request (`STATE_IOREQ_READY`).
    pub const READY: u8 = 1;
    /// A device model deals with it (`STATE_IOREQ_INPROCESS`).
    pub const INPROCESS: u8 = 2;
    /// It is answered (`STATE_IORESP_READY`).
    pub const RESP_READY: u8 = 3;
}

/// What a request is about (`IOREQ_TYPE_*`).
pub mod kind {
    /// An I/O port.
    pub const PIO: u8 = 0;
    /// Memory-mapped I/O.
    pub const COPY: u8 = 1;
    /// A PCI device's configuration space.
    pub const PCI_CONFIG: u8 = 2;
    /// The clock was set.
    pub const TIMEOFFSET: u8 = 7;
    /// Mappings of the guest's memory are to be forgotten.
    pub const INVALIDATE: u8 = 8;
}

/// Which way data goes (`IOREQ_READ`, `IOREQ_WRITE`).
pub mod direction {
    /// The guest writes.
    pub const WRITE: u8 = 0;
    /// The guest reads.
    pub const READ: u8 = 1;
}

/// A request (`struct ioreq`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Ioreq {
    /// Guest-physical address, or a port.
    pub addr: u64,
    /// Data, or the guest-physical address of it.
    pub data: u64,
    /// How many times (a `rep` prefix).
    pub count: u32,
    /// Bytes each time.
    pub size: u32,
    /// The guest's end of the vCPU's event channel.
    pub vp_eport: u32,
    /// Nothing.
    pub pad: u16,
    /// From the lowest bit on: 4 bits of [`state`]; whether `data` is an address; [`direction`]; whether addresses
    /// go down from one time to the next; nothing.
    pub status: u8,
    /// See [`kind`] (`type`).
    pub kind: u8,
}
