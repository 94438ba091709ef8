// SPDX-License-Identifier: GPL-2.0

//! Virtual PCI buses, `io/pciif.h`: one page in which front and back end hand each other one
//! operation at a time.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Operations (`XEN_PCI_OP_*`).
pub mod op {
    /// Reads configuration space.
    pub const CONF_READ: u32 = 0;
    /// Writes configuration space.
    pub const CONF_WRITE: u32 = 1;
    /// Enables MSI.
    pub const ENABLE_MSI: u32 = 2;
    /// Disables MSI.
    pub const DISABLE_MSI: u32 = 3;
    /// Enables MSI-X.
    pub const ENABLE_MSIX: u32 = 4;
    /// Disables MSI-X.
    pub const DISABLE_MSIX: u32 = 5;
    /// Error recovery: an error was detected (back to front).
    pub const AER_DETECTED: u32 = 6;
    /// Error recovery: resume (back to front).
    pub const AER_RESUME: u32 = 7;
    /// Error recovery: memory-mapped I/O works again (back to front).
    pub const AER_MMIO: u32 = 8;
    /// Error recovery: the slot was reset (back to front).
    pub const AER_SLOTRESET: u32 = 9;
}

/// Errors (`XEN_PCI_ERR_*`), in [`Op::err`].
pub mod err {
    /// Done.
    pub const SUCCESS: i32 = 0;
    /// No such device.
    pub const DEV_NOT_FOUND: i32 = -1;
    /// No such register.
    pub const INVALID_OFFSET: i32 = -2;
    /// Not allowed.
    pub const ACCESS_DENIED: i32 = -3;
    /// Not implemented.
    pub const NOT_IMPLEMENTED: i32 = -4;
    /// The back end failed to do it.
    pub const OP_FAILED: i32 = -5;
}

/// Bits of [`SharedInfo::flags`] (`XEN_PCIF_*`, `XEN_PCIB_*`).
pub mod flag {
    /// Bit number: the front end has put an operation into the page.
    pub const FRONT_ACTIVE: u32 = 0;
    /// Bit number: the front end handles error recovery.
    pub const AER_HANDLER: u32 = 1;
    /// Bit number: the back end has put an operation into the page.
    pub const BACK_ACTIVE: u32 = 2;
}

/// MSI-X vectors in one operation (`SH_INFO_MAX_VEC`).
pub const MAX_VECTORS: usize = 128;

/// One vector (`struct xen_msix_entry`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct MsixEntry {
    /// The physical interrupt the back end gave.
    pub vector: u16,
    /// Entry of the device's table.
    pub entry: u16,
}

/// An operation (`struct xen_pci_op`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Op {
    /// In: see [`op`].
    pub cmd: u32,
    /// Out: see [`err`].
    pub err: i32,
    /// In: PCI domain.
    pub domain: u32,
    /// In: bus number.
    pub bus: u32,
    /// In: device and function.
    pub devfn: u32,
    /// In: register, in bytes.
    pub offset: i32,
    /// In: width, in bytes.
    pub size: i32,
    /// In or out: the register's value.
    pub value: u32,
    /// In: more about the operation; for MSI-X the number of vectors.
    pub info: u32,
    /// In and out: the vectors.
    pub msix_entries: [MsixEntry; MAX_VECTORS],
}

/// An error-recovery operation (`struct xen_pcie_aer_op`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct AerOp {
    /// In: see [`op`].
    pub cmd: u32,
    /// In: state of the channel; out: result.
    pub err: i32,
    /// In: PCI domain.
    pub domain: u32,
    /// In: bus number.
    pub bus: u32,
    /// In: device and function.
    pub devfn: u32,
}

/// The shared page (`struct xen_pci_sharedinfo`). Accessed field by field, never as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SharedInfo {
    /// See [`flag`].
    pub flags: u32,
    /// The front end's operation.
    pub op: Op,
    /// The back end's operation.
    pub aer_op: AerOp,
}
