// SPDX-License-Identifier: GPL-2.0

//! The `dm_op` hypercall of device models, `hvm/dm_op.h`.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Operations (`XEN_DMOP_*`), the first 32 bits of the first buffer; only those that this project names.
pub mod op {
    /// Sets the level of a PCI device's interrupt pin.
    pub const SET_PCI_INTX_LEVEL: u32 = 8;
    /// Sets the level of an ISA interrupt.
    pub const SET_ISA_IRQ_LEVEL: u32 = 9;
    /// Sends a message-signalled interrupt.
    pub const INJECT_MSI: u32 = 14;
    /// Shuts the domain down; takes [`RemoteShutdown`](super::RemoteShutdown).
    pub const REMOTE_SHUTDOWN: u32 = 16;
    /// Sets the level of an interrupt line (Arm).
    pub const SET_IRQ_LEVEL: u32 = 19;
}

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

/// What the first buffer begins with; the operation's own argument follows (`struct xen_dm_op`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Header {
    /// The operation.
    pub op: u32,
    /// Zero.
    pub pad: u32,
}

/// Argument of [`op::REMOTE_SHUTDOWN`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct RemoteShutdown {
    /// For which reason: one of [`shutdown`](crate::sched::shutdown).
    pub reason: u32,
}
