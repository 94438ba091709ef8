// SPDX-License-Identifier: GPL-2.0

//! Commands of the `grant_table_op` hypercall and their arguments, `grant_table.h`.
//!
//! Guest handles are 64-bit addresses.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Takes [`MapGrantRef`].
pub const MAP_GRANT_REF: u32 = 0;
/// Takes [`UnmapGrantRef`].
pub const UNMAP_GRANT_REF: u32 = 1;
/// Takes [`SetupTable`].
pub const SETUP_TABLE: u32 = 2;
/// Prints a table to Xen's log; takes [`DumpTable`].
pub const DUMP_TABLE: u32 = 3;
/// Takes [`Transfer`].
pub const TRANSFER: u32 = 4;
/// Takes [`struct@Copy`].
pub const COPY: u32 = 5;
/// Takes [`QuerySize`].
pub const QUERY_SIZE: u32 = 6;
/// Takes [`UnmapAndReplace`].
pub const UNMAP_AND_REPLACE: u32 = 7;
/// Takes [`SetVersion`].
pub const SET_VERSION: u32 = 8;
/// Takes [`GetStatusFrames`].
pub const GET_STATUS_FRAMES: u32 = 9;
/// Takes [`GetVersion`].
pub const GET_VERSION: u32 = 10;
/// Takes [`SwapGrantRef`].
pub const SWAP_GRANT_REF: u32 = 11;
/// Takes [`CacheFlush`].
pub const CACHE_FLUSH: u32 = 12;

/// Flags of a mapping (`GNTMAP_*`).
pub mod map_flag {
    /// Map for I/O devices.
    pub const DEVICE_MAP: u32 = 1 << 0;
    /// Map for the CPUs.
    pub const HOST_MAP: u32 = 1 << 1;
    /// Map read-only.
    pub const READONLY: u32 = 1 << 2;
    /// The running application may access the mapping too (PV).
    pub const APPLICATION_MAP: u32 = 1 << 3;
    /// `host_addr` is the machine address of a page-table entry (PV).
    pub const CONTAINS_PTE: u32 = 1 << 4;
    /// Bits that go to the guest-available bits of the page-table entry (PV).
    pub const GUEST_AVAIL_MASK: u32 = !0 << 16;
}

/// Flags of a copy (`GNTCOPY_*`).
pub mod copy_flag {
    /// The source is a grant reference, not a frame.
    pub const SOURCE_GREF: u16 = 1 << 0;
    /// The destination is a grant reference, not a frame.
    pub const DEST_GREF: u16 = 1 << 1;
}

/// Flags of a cache operation (`GNTTAB_CACHE_*`).
pub mod cache_flag {
    /// Write back.
    pub const CLEAN: u32 = 1 << 0;
    /// Invalidate.
    pub const INVAL: u32 = 1 << 1;
    /// The address is a grant reference.
    pub const SOURCE_GREF: u32 = 1 << 31;
}

args! {
    /// Argument of [`MAP_GRANT_REF`].
    MapGrantRef {
        /// In: where to map.
        host_addr: u64,
        /// In: see [`map_flag`].
        flags: u32,
        /// In: the grant of the other domain.
        gref: u32,
        /// In: the other domain.
        dom: u16,
        /// Out: see [`super::status`].
        status: i16,
        /// Out: the maptrack handle, to unmap the grant by.
        handle: u32,
        /// Out: with [`map_flag::DEVICE_MAP`].
        dev_bus_addr: u64,
    }
}

args! {
    /// Argument of [`UNMAP_GRANT_REF`].
    UnmapGrantRef {
        /// In: where it is mapped, zero if only for devices.
        host_addr: u64,
        /// In: zero if not mapped for devices.
        dev_bus_addr: u64,
        /// In.
        handle: u32,
        /// Out: see [`super::status`].
        status: i16,
        /// Zero.
        pad: u16,
    }
}

args! {
    /// Argument of [`SETUP_TABLE`].
    SetupTable {
        /// In.
        dom: u16,
        /// Zero.
        pad0: u16,
        /// In: how many frames the table shall have.
        nr_frames: u32,
        /// Out: see [`super::status`].
        status: i16,
        /// Zero.
        pad1: [u16; 3],
        /// In: address of the array that gets the frame numbers.
        frame_list: u64,
    }
}

args! {
    /// Argument of [`DUMP_TABLE`].
    DumpTable {
        /// In.
        dom: u16,
        /// Out: see [`super::status`].
        status: i16,
    }
}

args! {
    /// Argument of [`TRANSFER`].
    Transfer {
        /// In.
        mfn: u64,
        /// In.
        domid: u16,
        /// Zero.
        pad0: u16,
        /// In.
        gref: u32,
        /// Out: see [`super::status`].
        status: i16,
        /// Zero.
        pad1: [u16; 3],
    }
}

args! {
    /// One side of a [`struct@Copy`].
    CopyPtr {
        /// A frame number, or a grant reference in the low half.
        frame_or_gref: u64,
        /// The domain that owns the frame or made the grant.
        domid: u16,
        /// Offset in the frame, in bytes.
        offset: u16,
        /// Zero.
        pad: u32,
    }
}

args! {
    /// Argument of [`COPY`].
    Copy {
        /// In.
        source: CopyPtr,
        /// In.
        dest: CopyPtr,
        /// In: bytes, within one page on both sides.
        len: u16,
        /// In: see [`copy_flag`].
        flags: u16,
        /// Out: see [`super::status`].
        status: i16,
        /// Zero.
        pad: u16,
    }
}

args! {
    /// Argument of [`QUERY_SIZE`].
    QuerySize {
        /// In.
        dom: u16,
        /// Zero.
        pad0: u16,
        /// Out: frames the table has.
        nr_frames: u32,
        /// Out: frames it may grow to.
        max_nr_frames: u32,
        /// Out: see [`super::status`].
        status: i16,
        /// Zero.
        pad1: u16,
    }
}

args! {
    /// Argument of [`UNMAP_AND_REPLACE`].
    UnmapAndReplace {
        /// In.
        host_addr: u64,
        /// In: the mapping that takes its place.
        new_addr: u64,
        /// In.
        handle: u32,
        /// Out: see [`super::status`].
        status: i16,
        /// Zero.
        pad: u16,
    }
}

args! {
    /// Argument of [`SET_VERSION`].
    SetVersion {
        /// In and out: 1 or 2.
        version: u32,
    }
}

args! {
    /// Argument of [`GET_STATUS_FRAMES`].
    GetStatusFrames {
        /// In.
        nr_frames: u32,
        /// In.
        dom: u16,
        /// Out: see [`super::status`].
        status: i16,
        /// In: address of the array that gets the frame numbers.
        frame_list: u64,
    }
}

args! {
    /// Argument of [`GET_VERSION`].
    GetVersion {
        /// In.
        dom: u16,
        /// Zero.
        pad: u16,
        /// Out: 1 or 2.
        version: u32,
    }
}

args! {
    /// Argument of [`SWAP_GRANT_REF`].
    SwapGrantRef {
        /// In.
        ref_a: u32,
        /// In.
        ref_b: u32,
        /// Out: see [`super::status`].
        status: i16,
        /// Zero.
        pad: u16,
    }
}

args! {
    /// Argument of [`CACHE_FLUSH`].
    CacheFlush {
        /// In: a bus address, or a grant reference in the low half.
        dev_bus_addr_or_gref: u64,
        /// In: offset from the start of the grant, in bytes.
        offset: u16,
        /// In: bytes.
        length: u16,
        /// In: see [`cache_flag`].
        op: u32,
    }
}
