// SPDX-License-Identifier: GPL-2.0

//! Frames that are kept for memory of a domain that is populated on demand (`p2m->pod` in Xen). They are charged to the
//! domain and belong to the hypervisor until they are populated. Extents of 2 MiB and of single frames are in lists of
//! their own, threaded through the frame table, so that a cache of any size needs no memory.

use super::frames::{DomId, FrameTable};
use super::{HypFrames, Mfn};

/// Order of the large extents: 2 MiB.
pub const LARGE_ORDER: u8 = 9;

/// The cache of one domain. It is empty before it is dropped.
#[derive(Debug, Default)]
pub struct PodCache {
    /// The first extent of each list: single frames, large ones.
    heads: [Option<Mfn>; 2],
    count: u64,
}

impl PodCache {
    /// Number of frames.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Adds an extent of order 0 or [`LARGE_ORDER`], and charges it to the domain.
    pub fn add(&mut self, frames: &mut FrameTable, domain: DomId, extent: HypFrames) {
        let head = &mut self.heads[usize::from(extent.order() > 0)];
        self.count += extent.count();
        *head = Some(frames.keep_in_list(extent, *head, domain));
    }

    /// Takes an extent of order 0 or [`LARGE_ORDER`], which is no longer charged to the domain. A large one is split if
    /// there is no single frame.
    pub fn take(&mut self, frames: &mut FrameTable, domain: DomId, order: u8) -> Option<HypFrames> {
        let list = usize::from(order > 0);
        if list == 0 && self.heads[0].is_none() {
            let large = self.take(frames, domain, LARGE_ORDER)?;
            for single in large.into_single_frames() {
                self.add(frames, domain, single);
            }
        }
        let first = self.heads[list]?;
        let (extent, next) = frames.take_from_list(first, order, domain);
        self.heads[list] = next;
        self.count -= extent.count();
        Some(extent)
    }

    /// Takes any extent.
    pub fn take_any(&mut self, frames: &mut FrameTable, domain: DomId) -> Option<HypFrames> {
        let order = if self.heads[1].is_some() {
            LARGE_ORDER
        } else {
            0
        };
        self.take(frames, domain, order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::Owner;
    use crate::mem::frames::PageInfo;

    #[test]
    fn frames_are_charged_while_they_are_kept() {
        let mut frames = FrameTable::new(vec![PageInfo::default(); 4096]);
        frames.add_free(0..4096);
        let free = frames.free_count();
        let mut cache = PodCache::default();
        for order in [0, LARGE_ORDER, 0, LARGE_ORDER] {
            let extent = frames.alloc(order, None).expect("free");
            let mfn = extent.mfn();
            cache.add(&mut frames, 7, extent);
            assert_eq!(frames.owner(mfn), Owner::Hypervisor, "no domain maps it");
        }
        assert_eq!((cache.count(), frames.tot_pages(7)), (1026, 1026));
        let large = cache.take(&mut frames, 7, LARGE_ORDER).expect("kept");
        assert_eq!((large.count(), cache.count()), (512, 514));
        frames.free(large);
        // The two single ones, then those of a large one.
        let mut taken = 0;
        while let Some(single) = cache.take(&mut frames, 7, 0) {
            assert_eq!(single.count(), 1);
            frames.free(single);
            taken += 1;
            assert_eq!(frames.tot_pages(7), cache.count());
        }
        assert_eq!((taken, cache.count()), (514, 0));
        assert_eq!(cache.take(&mut frames, 7, LARGE_ORDER), None);
        assert_eq!(frames.free_count(), free, "none is lost");
    }

    #[test]
    fn large_extents_go_first() {
        let mut frames = FrameTable::new(vec![PageInfo::default(); 2048]);
        frames.add_free(0..2048);
        let mut cache = PodCache::default();
        for order in [0, LARGE_ORDER] {
            let extent = frames.alloc(order, None).expect("free");
            cache.add(&mut frames, 7, extent);
        }
        for count in [512, 1] {
            let extent = cache.take_any(&mut frames, 7).expect("kept");
            assert_eq!(extent.count(), count);
            frames.free(extent);
        }
        assert_eq!(cache.take_any(&mut frames, 7), None);
    }
}
