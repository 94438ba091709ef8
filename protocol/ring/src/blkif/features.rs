// SPDX-License-Identifier: GPL-2.0

//! What a back end offers, read from its xenstore nodes and put into bounds.
//!
//! The nodes and their defaults are described in `io/blkif.h`. A node that is optional and not
//! there, or is not a number, has its default; one that is needed and bad is an error, since
//! there is no disk without it. Each function takes a look-up of nodes in the back end's folder.
//!
//! The transport is read in state InitWait; a back end writes the rest before it is Connected.

use crate::xenstore::node::{clamp, needed, number, out_of_range};
use xen_abi::io::blkif::{
    vdisk, MAX_INDIRECT_PAGES_PER_REQUEST, MAX_SEGMENTS_PER_REQUEST, SECTOR_SIZE,
    SEGMENTS_PER_INDIRECT_PAGE,
};
use xen_abi::PAGE_SIZE;

pub use crate::xenstore::node::{BadNode, BadNodeWhy};

/// Most segments that an indirect request can name: 4096, of 16 MiB.
pub const MAX_INDIRECT_SEGMENTS: u32 =
    (MAX_INDIRECT_PAGES_PER_REQUEST * SEGMENTS_PER_INDIRECT_PAGE) as u32;
/// Largest ring we make: 16 pages, which is what Linux's xenbus maps (`XENBUS_MAX_RING_GRANTS`).
pub const MAX_RING_PAGE_ORDER: u32 = 4;
/// Most queues we take a back end's word for. A driver has no use for more than it has CPUs.
pub const MAX_QUEUES: u32 = 4096;

/// How requests can be carried: `max-ring-page-order` and `multi-queue-max-queues`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    /// The ring may have up to `1 << max_ring_page_order` pages; 0 to [`MAX_RING_PAGE_ORDER`].
    pub max_ring_page_order: u32,
    /// Number of rings; 1 to [`MAX_QUEUES`].
    pub max_queues: u32,
}

impl Transport {
    /// Reads the nodes by means of `get`.
    pub fn from_store<V: AsRef<[u8]>>(mut get: impl FnMut(&str) -> Option<V>) -> Transport {
        let mut read = |key, default| number(get(key)).unwrap_or(default);
        Transport {
            max_ring_page_order: clamp(read("max-ring-page-order", 0), 0, MAX_RING_PAGE_ORDER),
            max_queues: clamp(read("multi-queue-max-queues", 1), 1, MAX_QUEUES),
        }
    }
}

/// The disk: `sectors`, `sector-size`, `physical-sector-size` and `info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Size in sectors of 512 bytes; its size in bytes fits an `i64`.
    pub sectors: u64,
    /// Logical sector size in bytes: a power of two, 512 to 4096, since a segment cannot be
    /// larger than a page.
    pub sector_size: u32,
    /// Physical sector size in bytes: a power of two, not less than the logical one.
    pub physical_sector_size: u32,
    /// It is a CD-ROM.
    pub cdrom: bool,
    /// Its medium can be removed.
    pub removable: bool,
    /// It cannot be written.
    pub read_only: bool,
}

impl Disk {
    /// Reads the nodes by means of `get`.
    pub fn from_store<V: AsRef<[u8]>>(
        mut get: impl FnMut(&str) -> Option<V>,
    ) -> Result<Disk, BadNode> {
        let sectors = Self::sectors_from_store(&mut get)?;
        let info = needed("info", get("info"))?;
        let size = needed("sector-size", get("sector-size"))?;
        let in_range = |bytes: u32| {
            bytes.is_power_of_two() && (SECTOR_SIZE as u32..=PAGE_SIZE as u32).contains(&bytes)
        };
        let sector_size = match u32::try_from(size) {
            Ok(size) if in_range(size) => size,
            _ => return Err(out_of_range("sector-size", size)),
        };
        // An invalid physical size is ignored: it is only a hint.
        let physical_sector_size = number(get("physical-sector-size"))
            .and_then(|size| u32::try_from(size).ok())
            .filter(|size| size.is_power_of_two() && *size >= sector_size)
            .unwrap_or(sector_size);
        // Bits we do not know are left for later versions of the protocol.
        let flag = |bit: u32| info & u64::from(bit) != 0;
        Ok(Disk {
            sectors,
            sector_size,
            physical_sector_size,
            cdrom: flag(vdisk::CDROM),
            removable: flag(vdisk::REMOVABLE),
            read_only: flag(vdisk::READONLY),
        })
    }

    /// Reads the size alone: a back end changes it when the disk was resized, and then switches to
    /// Connected once more.
    pub fn sectors_from_store<V: AsRef<[u8]>>(
        mut get: impl FnMut(&str) -> Option<V>,
    ) -> Result<u64, BadNode> {
        let sectors = needed("sectors", get("sectors"))?;
        if sectors > i64::MAX as u64 / SECTOR_SIZE as u64 {
            return Err(out_of_range("sectors", sectors));
        }
        Ok(sectors)
    }
}

/// How a disk can be told to make data stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Not at all: an old back end that writes synchronously, or a disk without a cache.
    None,
    /// By barriers only (`feature-barrier`).
    Barrier,
    /// By flushes (`feature-flush-cache`), which are preferred if there are both.
    Flush,
}

/// Discards: `discard-granularity`, `discard-alignment`, `discard-secure`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discard {
    /// Size in bytes of what can be discarded, a multiple of the logical sector size.
    pub granularity: u32,
    /// Offset in bytes of the first such extent on the disk, less than the granularity and a
    /// multiple of 512.
    pub alignment: u32,
    /// Secure discards are offered.
    pub secure: bool,
}

/// The optional parts of the protocol that a back end offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// How to make data stable.
    pub durability: Durability,
    /// Discards, if offered (`feature-discard`).
    pub discard: Option<Discard>,
    /// The back end can keep grants mapped (`feature-persistent`).
    pub persistent: bool,
    /// Most segments of an indirect request (`feature-max-indirect-segments`): zero, for none, or
    /// 12 to [`MAX_INDIRECT_SEGMENTS`]. No more than a direct request has is as good as none.
    pub max_indirect_segments: u32,
}

impl Features {
    /// Reads the nodes by means of `get`, for a disk whose logical sectors have `sector_size`
    /// bytes.
    pub fn from_store<V: AsRef<[u8]>>(
        mut get: impl FnMut(&str) -> Option<V>,
        sector_size: u32,
    ) -> Features {
        let mut read = |key| number(get(key)).unwrap_or(0);
        let durability = match (read("feature-flush-cache"), read("feature-barrier")) {
            (0, 0) => Durability::None,
            (0, _) => Durability::Barrier,
            _ => Durability::Flush,
        };
        let discard = (read("feature-discard") != 0).then(|| {
            let granularity = u32::try_from(read("discard-granularity")).unwrap_or(0);
            let alignment = u32::try_from(read("discard-alignment")).unwrap_or(0);
            let secure = read("discard-secure") != 0;
            discard(granularity, alignment, secure, sector_size)
        });
        let most = clamp(
            read("feature-max-indirect-segments"),
            0,
            MAX_INDIRECT_SEGMENTS,
        );
        Features {
            durability,
            discard,
            persistent: read("feature-persistent") != 0,
            max_indirect_segments: if most as usize > MAX_SEGMENTS_PER_REQUEST {
                most
            } else {
                0
            },
        }
    }

    /// Most sectors of 512 bytes in one request, if the driver wants no more than `wanted`
    /// indirect segments, and the number of segments they may lie in.
    pub fn transfer_limit(&self, wanted: u32) -> TransferLimit {
        let indirect = self.max_indirect_segments.min(wanted);
        let segments = indirect.max(MAX_SEGMENTS_PER_REQUEST as u32);
        TransferLimit {
            segments,
            sectors: segments.saturating_mul((PAGE_SIZE / SECTOR_SIZE) as u32),
        }
    }
}

/// How large a read or write can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferLimit {
    /// Most segments, each within a page of 4 KiB; more than 11 stand in an indirect request.
    pub segments: u32,
    /// Most sectors of 512 bytes.
    pub sectors: u32,
}

fn discard(granularity: u32, alignment: u32, secure: bool, sector_size: u32) -> Discard {
    // Missing, or not made of sectors: the header's default.
    let granularity = match granularity.checked_rem(sector_size) {
        Some(0) if granularity > 0 => granularity,
        _ => sector_size,
    };
    let alignment = alignment.checked_rem(granularity).unwrap_or(0);
    Discard {
        granularity,
        alignment: if alignment % SECTOR_SIZE as u32 == 0 {
            alignment
        } else {
            0
        },
        secure,
    }
}
