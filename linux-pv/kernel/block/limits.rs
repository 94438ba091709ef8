// SPDX-License-Identifier: GPL-2.0

//! Limits and features of a queue that a driver sets (`struct queue_limits`).

use kernel::{
    bindings as k,
    impl_flags, //
};

use xen_bindings as b;

impl_flags!(
    /// Features of a queue (`BLK_FEAT_*`).
    #[derive(Debug, Clone, Default, Copy, PartialEq, Eq)]
    pub struct Features(u32);

    /// One feature of [`Features`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Feature {
        /// The device has a volatile cache and supports [`Op::Flush`](super::Op::Flush).
        WriteCache = b::XEN_RS_BLK_FEAT_WRITE_CACHE,
        /// Writes can bypass that cache.
        Fua = b::XEN_RS_BLK_FEAT_FUA,
        /// The medium rotates: seeks cost time.
        Rotational = b::XEN_RS_BLK_FEAT_ROTATIONAL,
        /// Pages must not change while they are written.
        StableWrites = b::XEN_RS_BLK_FEAT_STABLE_WRITES,
    }
);

/// Limits that a driver sets; all others are the block layer's defaults.
///
/// Lengths are in bytes, or in sectors of 512 bytes if the name ends with `sectors`. The block
/// layer validates the limits when they are applied.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// Smallest unit that can be addressed: a power of two, 512 or more.
    pub logical_block_size: u32,
    /// Smallest unit that the device writes without reading first: a multiple of the logical size.
    pub physical_block_size: u32,
    /// Maximum length of a read or write.
    pub max_hw_sectors: u32,
    /// Maximum number of segments of a read or write.
    pub max_segments: u16,
    /// Maximum length of a segment.
    pub max_segment_size: u32,
    /// No segment crosses a multiple of this plus one; a power of two minus one.
    pub seg_boundary_mask: usize,
    /// Segments begin at a multiple of this plus one.
    pub dma_alignment: u32,
    /// Maximum length of a discard, 0 if discards are not supported.
    pub max_discard_sectors: u32,
    /// Unit of discards, 0 for the block layer's default.
    pub discard_granularity: u32,
    /// Offset of the first such unit.
    pub discard_alignment: u32,
    /// Maximum length of a secure erase, 0 if these are not supported.
    pub max_secure_erase_sectors: u32,
    /// Maximum length of a write of zeroes, 0 if these are not supported.
    pub max_write_zeroes_sectors: u32,
    /// Features; those that the driver can set are replaced as a whole.
    pub features: Features,
}

impl Default for QueueLimits {
    /// Limits of a device with blocks of 512 bytes that only reads and writes, with segments of up
    /// to a page.
    fn default() -> Self {
        Self {
            logical_block_size: super::SECTOR_SIZE,
            physical_block_size: super::SECTOR_SIZE,
            max_hw_sectors: 255,
            max_segments: 128,
            max_segment_size: k::PAGE_SIZE as u32,
            seg_boundary_mask: k::PAGE_SIZE - 1,
            dma_alignment: super::SECTOR_SIZE - 1,
            max_discard_sectors: 0,
            discard_granularity: 0,
            discard_alignment: 0,
            max_secure_erase_sectors: 0,
            max_write_zeroes_sectors: 0,
            features: Features::default(),
        }
    }
}

impl QueueLimits {
    /// Sets the fields of `raw` that a driver decides.
    pub(super) fn apply(&self, raw: &mut k::queue_limits) {
        let driver_features = u32::from(
            Features::default()
                | Feature::WriteCache
                | Feature::Fua
                | Feature::Rotational
                | Feature::StableWrites,
        );
        raw.features = (raw.features & !driver_features) | u32::from(self.features);
        raw.logical_block_size = self.logical_block_size;
        raw.physical_block_size = self.physical_block_size;
        raw.max_hw_sectors = self.max_hw_sectors;
        raw.max_segments = self.max_segments;
        raw.max_segment_size = self.max_segment_size;
        raw.seg_boundary_mask = self.seg_boundary_mask;
        raw.dma_alignment = self.dma_alignment;
        raw.max_hw_discard_sectors = self.max_discard_sectors;
        if self.discard_granularity != 0 {
            raw.discard_granularity = self.discard_granularity;
        }
        raw.discard_alignment = self.discard_alignment;
        raw.max_secure_erase_sectors = self.max_secure_erase_sectors;
        raw.max_write_zeroes_sectors = self.max_write_zeroes_sectors;
    }
}
