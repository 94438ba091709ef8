// SPDX-License-Identifier: GPL-2.0

//! Virtual block devices, `io/blkif.h`.
//!
//! All sector numbers and counts are in units of 512 bytes, whatever the logical sector size. The
//! structures have the layout of the native machine ABI ([`super::protocols::NATIVE`]).

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Operations of a request (`BLKIF_OP_*`).
///
/// There is no write-zeroes operation.
pub mod op {
    /// Read.
    pub const READ: u8 = 0;
    /// Write.
    pub const WRITE: u8 = 1;
    /// Write that all earlier writes precede and all later ones follow (`feature-barrier`).
    pub const WRITE_BARRIER: u8 = 2;
    /// Flush of the volatile cache (`feature-flush-cache`).
    pub const FLUSH_DISKCACHE: u8 = 3;
    /// Device-specific packet of some SUSE kernels.
    pub const RESERVED_1: u8 = 4;
    /// Discard, see [`DiscardRequest`](super::DiscardRequest) (`feature-discard`).
    pub const DISCARD: u8 = 5;
    /// Read or write with its segments in other pages, see
    /// [`IndirectRequest`](super::IndirectRequest) (`feature-max-indirect-segments`).
    pub const INDIRECT: u8 = 6;
}

/// Status of a response (`BLKIF_RSP_*`).
pub mod rsp {
    /// Done.
    pub const OKAY: i16 = 0;
    /// Failed.
    pub const ERROR: i16 = -1;
    /// The operation is not supported: barrier, flush or discard.
    pub const EOPNOTSUPP: i16 = -2;
}

/// Flag of a discard: no copy of the data may remain (`BLKIF_DISCARD_SECURE`, `discard-secure`).
pub const DISCARD_SECURE: u8 = 1 << 0;

/// Bits of the back end's `info` node (`VDISK_*`).
pub mod vdisk {
    /// A CD-ROM.
    pub const CDROM: u32 = 0x1;
    /// Removable.
    pub const REMOVABLE: u32 = 0x2;
    /// Read-only.
    pub const READONLY: u32 = 0x4;
}

/// Segments in a direct request (`BLKIF_MAX_SEGMENTS_PER_REQUEST`).
pub const MAX_SEGMENTS_PER_REQUEST: usize = 11;
/// Pages of segments an indirect request can name (`BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST`).
pub const MAX_INDIRECT_PAGES_PER_REQUEST: usize = 8;
/// Segments in one such page.
pub const SEGMENTS_PER_INDIRECT_PAGE: usize = crate::PAGE_SIZE / size_of::<Segment>();
/// Bytes of the unit that sectors are counted in.
pub const SECTOR_SIZE: usize = 512;
/// Sectors in a page.
pub const SECTORS_PER_PAGE: usize = crate::PAGE_SIZE / SECTOR_SIZE;

/// Linux's major numbers that virtual device numbers of old may carry.
///
/// From the Linux kernel's copy of the header (`XEN_*_MAJOR`); Xen documents them in
/// `xen-vbd-interface(7)`.
pub mod major {
    /// First IDE channel: `hda`, `hdb`.
    pub const IDE0: u32 = 3;
    /// Second IDE channel: `hdc`, `hdd`.
    pub const IDE1: u32 = 22;
    /// First SCSI major: `sda` to `sdp`.
    pub const SCSI_DISK0: u32 = 8;
    /// Second SCSI major.
    pub const SCSI_DISK1: u32 = 65;
    /// Eighth SCSI major; two to seven lie between.
    pub const SCSI_DISK7: u32 = 71;
    /// Ninth SCSI major.
    pub const SCSI_DISK8: u32 = 128;
    /// Last SCSI major; nine to fourteen lie between.
    pub const SCSI_DISK15: u32 = 135;
}

/// One piece of a request's data (`struct blkif_request_segment`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Segment {
    /// Grant of the page.
    pub gref: u32,
    /// First sector in the page, inclusive.
    pub first_sect: u8,
    /// Last sector in the page, inclusive.
    pub last_sect: u8,
    /// Zero.
    pub pad: u16,
}

/// A read, write, barrier or flush (`struct blkif_request`). It fills the slot.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Request {
    /// See [`op`].
    pub operation: u8,
    /// Used segments, at most [`MAX_SEGMENTS_PER_REQUEST`].
    pub nr_segments: u8,
    /// The virtual device's number.
    pub handle: u16,
    /// Zero.
    pub pad: u32,
    /// Chosen by the front end, echoed in the response.
    pub id: u64,
    /// First sector on the disk.
    pub sector_number: u64,
    /// The data.
    pub seg: [Segment; MAX_SEGMENTS_PER_REQUEST],
}

/// A discard (`struct blkif_request_discard`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct DiscardRequest {
    /// [`op::DISCARD`].
    pub operation: u8,
    /// Zero or [`DISCARD_SECURE`].
    pub flag: u8,
    /// The virtual device's number.
    pub handle: u16,
    /// Zero.
    pub pad: u32,
    /// Chosen by the front end, echoed in the response.
    pub id: u64,
    /// First sector on the disk.
    pub sector_number: u64,
    /// Number of sectors.
    pub nr_sectors: u64,
}

/// A read or write whose segments are in pages of their own (`struct blkif_request_indirect`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct IndirectRequest {
    /// [`op::INDIRECT`].
    pub operation: u8,
    /// [`op::READ`] or [`op::WRITE`].
    pub indirect_op: u8,
    /// Used segments.
    pub nr_segments: u16,
    /// Zero.
    pub pad0: u32,
    /// Chosen by the front end, echoed in the response.
    pub id: u64,
    /// First sector on the disk.
    pub sector_number: u64,
    /// The virtual device's number.
    pub handle: u16,
    /// Zero.
    pub pad1: u16,
    /// Grants of the pages with the segments.
    pub indirect_grefs: [u32; MAX_INDIRECT_PAGES_PER_REQUEST],
    /// Zero; fills the structure to 64 bytes.
    pub pad2: u32,
}

/// A response (`struct blkif_response`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Response {
    /// Id of the request.
    pub id: u64,
    /// Operation of the request; of an indirect one its `indirect_op`.
    pub operation: u8,
    /// Zero.
    pub pad0: u8,
    /// See [`rsp`].
    pub status: i16,
    /// Zero.
    pub pad1: u32,
}
