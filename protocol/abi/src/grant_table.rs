// SPDX-License-Identifier: GPL-2.0

//! Grant tables, `grant_table.h`: entries of both versions and their flags.
//!
//! The hypercall's arguments are in [`op`], so that this file is what a grantor needs and that
//! one what a mapper needs.

pub mod op;

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// First entries, which the toolstack fills (`GNTTAB_RESERVED_*`).
pub mod reserved {
    /// How many entries are reserved.
    pub const COUNT: u32 = 8;
    /// The console ring.
    pub const CONSOLE: u32 = 0;
    /// The xenstore ring.
    pub const XENSTORE: u32 = 1;
}

/// Type and flags of an entry (`GTF_*`).
pub mod flag {
    /// Type: not in use.
    pub const INVALID: u16 = 0;
    /// Type: the domain may map or access the frame.
    pub const PERMIT_ACCESS: u16 = 1;
    /// Type: the domain may transfer a frame into this entry.
    pub const ACCEPT_TRANSFER: u16 = 2;
    /// Type: the domain may use a grant of a third domain (version 2).
    pub const TRANSITIVE: u16 = 3;
    /// Mask of the type.
    pub const TYPE_MASK: u16 = 3;
    /// The domain may not write.
    pub const READONLY: u16 = 1 << 2;
    /// Set by Xen: the frame is mapped or accessed for reading. Status word in version 2.
    pub const READING: u16 = 1 << 3;
    /// Set by Xen: the frame is mapped or accessed for writing. Status word in version 2.
    pub const WRITING: u16 = 1 << 4;
    /// x86: cache attribute of mappings.
    pub const PWT: u16 = 1 << 5;
    /// x86: cache attribute of mappings.
    pub const PCD: u16 = 1 << 6;
    /// x86: cache attribute of mappings.
    pub const PAT: u16 = 1 << 7;
    /// Only part of the frame is granted, for copies (version 2).
    pub const SUB_PAGE: u16 = 1 << 8;
    /// With [`ACCEPT_TRANSFER`], set by Xen: a transfer has begun.
    pub const TRANSFER_COMMITTED: u16 = 1 << 2;
    /// With [`ACCEPT_TRANSFER`], set by Xen: the entry names the new frame.
    pub const TRANSFER_COMPLETED: u16 = 1 << 3;
}

/// An entry of a version 1 table (`struct grant_entry_v1`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct EntryV1 {
    /// See [`flag`].
    pub flags: u16,
    /// The domain granted to.
    pub domid: u16,
    /// The granted frame.
    pub frame: u32,
}

/// A version 2 entry that grants a whole frame (`union grant_entry_v2`, `full_page`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct EntryV2 {
    /// See [`flag`].
    pub flags: u16,
    /// The domain granted to.
    pub domid: u16,
    /// Zero.
    pub pad: u32,
    /// The granted frame.
    pub frame: u64,
}

/// A version 2 entry with [`flag::SUB_PAGE`] (`union grant_entry_v2`, `sub_page`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct EntryV2SubPage {
    /// See [`flag`].
    pub flags: u16,
    /// The domain granted to.
    pub domid: u16,
    /// First byte granted.
    pub page_off: u16,
    /// Bytes granted.
    pub length: u16,
    /// The granted frame.
    pub frame: u64,
}

/// A version 2 entry of type [`flag::TRANSITIVE`] (`union grant_entry_v2`, `transitive`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct EntryV2Transitive {
    /// See [`flag`].
    pub flags: u16,
    /// The domain granted to.
    pub domid: u16,
    /// The domain whose grant is passed on.
    pub trans_domid: u16,
    /// Zero.
    pub pad0: u16,
    /// The grant that is passed on.
    pub gref: u32,
    /// Zero; fills the entry.
    pub pad1: u32,
}

/// Outcome of one grant operation (`GNTST_*`), in the `status` field of its argument.
pub mod status {
    /// Done.
    pub const OKAY: i16 = 0;
    /// Undefined error.
    pub const GENERAL_ERROR: i16 = -1;
    /// Unrecognised domain.
    pub const BAD_DOMAIN: i16 = -2;
    /// Unrecognised or inappropriate grant reference.
    pub const BAD_GNTREF: i16 = -3;
    /// Unrecognised or inappropriate handle.
    pub const BAD_HANDLE: i16 = -4;
    /// Inappropriate virtual address to map.
    pub const BAD_VIRT_ADDR: i16 = -5;
    /// Inappropriate device address to unmap.
    pub const BAD_DEV_ADDR: i16 = -6;
    /// No space in the I/O MMU.
    pub const NO_DEVICE_SPACE: i16 = -7;
    /// Not enough privilege.
    pub const PERMISSION_DENIED: i16 = -8;
    /// The page does not suit the operation.
    pub const BAD_PAGE: i16 = -9;
    /// A copy crosses a page boundary.
    pub const BAD_COPY_ARG: i16 = -10;
    /// The page's address is too large.
    pub const ADDRESS_TOO_BIG: i16 = -11;
    /// Not done; try again.
    pub const EAGAIN: i16 = -12;
    /// Out of space, for handles say.
    pub const NO_SPACE: i16 = -13;
}
