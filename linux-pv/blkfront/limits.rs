// SPDX-License-Identifier: GPL-2.0

//! The limits of a disk's queue, from what was agreed with the backend.

use kernel_ext::block::{
    Feature,
    Features,
    QueueLimits,
    SECTOR_SIZE, //
};
use xen_abi::PAGE_SIZE;
use xen_ring::blkif::features::Durability;

use crate::connect::Agreed;

/// What the queue of a disk can do.
pub(crate) fn limits(agreed: &Agreed) -> QueueLimits {
    let segments = agreed.limits.max_segments;
    let sectors_per_page = PAGE_SIZE as u32 / SECTOR_SIZE;
    let mut features = Features::default();
    match agreed.features.durability {
        Durability::None => {}
        Durability::Flush => features |= Feature::WriteCache,
        // A barrier makes its own data stable too.
        Durability::Barrier => features |= Feature::WriteCache | Feature::Fua,
    }
    let discard = agreed.features.discard;
    let no_more_than_whole_blocks = !(agreed.limits.block_size / SECTOR_SIZE - 1);
    QueueLimits {
        logical_block_size: agreed.disk.sector_size,
        physical_block_size: agreed.disk.physical_sector_size,
        max_hw_sectors: segments * sectors_per_page,
        max_segments: segments as u16,
        max_segment_size: PAGE_SIZE as u32,
        seg_boundary_mask: PAGE_SIZE - 1,
        dma_alignment: SECTOR_SIZE - 1,
        max_discard_sectors: if discard.is_some() { u32::MAX } else { 0 },
        discard_granularity: discard.map_or(0, |d| d.granularity),
        discard_alignment: discard.map_or(0, |d| d.alignment),
        max_secure_erase_sectors: match discard {
            Some(d) if d.secure => u32::MAX,
            _ => 0,
        },
        max_write_zeroes_sectors: (segments * sectors_per_page) & no_more_than_whole_blocks,
        features,
    }
}
