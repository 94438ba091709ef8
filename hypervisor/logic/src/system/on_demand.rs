// SPDX-License-Identifier: GPL-2.0

//! Memory that is populated on demand (p2m-pod.c in Xen): a domain whose balloon driver will give memory back is built
//! with less than it will map. Its p2m has entries without frames, and frames are kept in a cache for them, as many as
//! the toolstack's target allows.
//!
//! As long as the domain has more such entries than there are frames, each page that it gives back goes to the cache. If
//! the cache is empty when a page is needed, pages that have only zeroes are taken back from the domain. If there is
//! none, the domain has used more than it may and crashes.

use super::{Errno, Platform, Result, System};
use crate::mem::frames::{DomId, Released};
use crate::mem::p2m::P2mType;
use crate::mem::pod_cache::{LARGE_ORDER, PodCache};
use crate::mem::{Gfn, HypFrames, Mfn, Owner, PAGE_SIZE};
use alloc::vec::Vec;
use xen_abi::sched::shutdown;

/// Extents that are added to or taken from a cache before a hypercall is preempted.
const CACHE_BATCH: u32 = 64;
/// Pages that a nested page fault looks at for one that has only zeroes. Then the guest runs into the fault again.
const SWEEP_BATCH: u64 = 4096;
/// Pages that are unmapped at once to be looked at, with one flush of the TLBs (`POD_SWEEP_STRIDE`).
const SWEEP_STRIDE: usize = 16;

/// What a domain has that is populated on demand.
#[derive(Debug, Default)]
pub struct OnDemand {
    /// Number of its gfns that have no frame yet.
    pub entries: u64,
    /// Frames for them.
    pub cache: PodCache,
    /// A search for pages with only zeroes that has found none yet.
    sweep: Option<Sweep>,
}

#[derive(Clone, Copy, Debug)]
struct Sweep {
    next: Gfn,
    /// Pages to look at until all of the domain's were.
    left: u64,
}

/// What has become of an access to a gfn that is populated on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// It has a frame now.
    Populated,
    /// Not yet: a page for it is still searched.
    Searching,
    /// The domain has crashed, since there is no page for it.
    OutOfMemory,
}

impl<P: Platform> System<P> {
    /// Marks `1 << order` gfns from `gfn` on as populated on demand.
    ///
    /// # Errors
    ///
    /// [`Errno::EBUSY`] if something is mapped there, [`Errno::EINVAL`] beyond what a domain may have or for a domain that
    /// is being destroyed, [`Errno::ENOMEM`] without pages for tables.
    pub fn mark_populate_on_demand(&mut self, id: DomId, gfn: Gfn, order: u8) -> Result<()> {
        let domain = self.living_domain(id)?;
        // DMA of its devices reaches what is equal to the gfn.
        if domain.config.direct_mapped || gfn.0 % (1 << order) != 0 {
            return Err(Errno::EINVAL);
        }
        let count = 1u64 << order;
        let end = gfn.checked_add(count).ok_or(Errno::EINVAL)?;
        let (p2m, tables) = self.tables(id)?;
        if p2m
            .next_leaf(&tables, gfn)
            .is_some_and(|(next, _)| next < end)
        {
            return Err(Errno::EBUSY);
        }
        let known = |gfn| p2m.on_demand_order(&tables, Gfn(gfn)).is_some();
        let replaced = (gfn.0..end.0).filter(|gfn| known(*gfn)).count() as u64;
        let step = if order >= LARGE_ORDER { LARGE_ORDER } else { 0 };
        let (p2m, mut tables) = self.tables(id)?;
        let mut starts = (gfn.0..end.0).step_by(1 << step);
        let marked =
            starts.try_for_each(|start| p2m.mark_populate_on_demand(&mut tables, Gfn(start), step));
        self.flush_if_needed(id)?;
        marked?;
        let domain = self.domain_mut(id)?;
        domain.on_demand.entries += count - replaced;
        domain.max_gfn = domain.max_gfn.max(end.0 - 1);
        Ok(())
    }

    /// Sets how many pages a domain is to have, of which those that it has not populated are kept in its cache
    /// (`p2m_pod_set_mem_target`). Returns whether that is done; else the call is to be made again.
    ///
    /// # Errors
    ///
    /// [`Errno::ENOMEM`] without free memory.
    pub fn set_pod_target(&mut self, id: DomId, target: u64) -> Result<bool> {
        let domain = self.domain(id)?;
        let (entries, cached) = (domain.on_demand.entries, domain.on_demand.cache.count());
        let max_pages = domain.config.max_pages;
        let total = self.frames.tot_pages(id);
        let populated = total - cached;
        // With nothing to populate, or less than it has, all is up to its balloon driver.
        let is_built = populated > 0;
        if domain.is_dying() || (is_built && entries == 0) || target < total {
            return Ok(true);
        }
        let mut wanted = target - populated;
        if is_built {
            wanted = wanted.min(entries);
        }
        for _ in 0..CACHE_BATCH {
            let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
            let cache = &mut domain.on_demand.cache;
            let missing = wanted.saturating_sub(cache.count());
            if missing == 0 {
                return Ok(true);
            }
            if self.frames.tot_pages(id) >= max_pages {
                return Err(Errno::ENOMEM);
            }
            let large =
                (missing >= 1 << LARGE_ORDER).then(|| self.frames.alloc_for(id, LARGE_ORDER, None));
            let extent = large
                .flatten()
                .or_else(|| self.frames.alloc_for(id, 0, None));
            cache.add(&mut self.frames, id, extent.ok_or(Errno::ENOMEM)?);
        }
        Ok(false)
    }

    /// Populates a gfn, if it is populated on demand; `None` if it is not. At most [`SWEEP_BATCH`] pages are searched.
    pub(super) fn demand_populate(&mut self, id: DomId, gfn: Gfn) -> Option<Demand> {
        let (p2m, tables) = self.tables(id).ok()?;
        let order = p2m.on_demand_order(&tables, gfn)?;
        if self.domain(id).is_ok_and(|domain| domain.is_dying()) {
            return None;
        }
        if self
            .domain(id)
            .is_ok_and(|d| d.on_demand.cache.count() == 0)
        {
            match self.sweep(id) {
                Some(true) => {}
                Some(false) => return Some(Demand::Searching),
                None => return Some(self.out_of_memory(id)),
            }
        }
        let first = Gfn(gfn.0 >> order << order);
        let domain = self.domains.get_mut(&id)?;
        let cache = &mut domain.on_demand.cache;
        let (extent, first) = match cache.take(&mut self.frames, id, order) {
            Some(extent) => (extent, first),
            // There are only single frames: the large entry is split.
            None => (cache.take(&mut self.frames, id, 0)?, gfn),
        };
        let count = extent.count();
        for frame in 0..count {
            let frame = Mfn(extent.mfn().0 + frame);
            self.platform.clear_frame(frame.address());
        }
        let mfn = extent.mfn();
        self.domain_mut(id).ok()?.on_demand.entries -= count;
        if self.assign_and_map(id, first, extent).is_err() {
            // Nothing of it was mapped: there is no page for a table.
            self.domain_mut(id).ok()?.on_demand.entries += count;
            for frame in 0..count {
                if let Ok(Released::Now(page)) = self.frames.release(Mfn(mfn.0 + frame), id) {
                    self.keep_or_free(id, page);
                }
            }
            return Some(self.out_of_memory(id));
        }
        Some(Demand::Populated)
    }

    /// A domain has no page for what it accesses: it crashes.
    fn out_of_memory(&mut self, id: DomId) -> Demand {
        if let Ok(domain) = self.domain(id) {
            let (entries, total) = (domain.on_demand.entries, self.frames.tot_pages(id));
            self.platform.printk(format_args!(
                "d{id} is out of memory to populate on demand: it has {total} pages and lacks {entries}"
            ));
        }
        // It is there.
        let _ = self.shut_down(id, shutdown::CRASH as u8);
        Demand::OutOfMemory
    }

    /// Removes a gfn that is populated on demand: the domain gives it back. False if it is not.
    pub(super) fn remove_on_demand(&mut self, id: DomId, gfn: Gfn) -> Result<bool> {
        let (p2m, mut tables) = self.tables(id)?;
        if !p2m.remove_on_demand(&mut tables, gfn)? {
            return Ok(false);
        }
        self.flush_if_needed(id)?;
        self.domain_mut(id)?.on_demand.entries -= 1;
        self.trim_cache(id)?;
        Ok(true)
    }

    /// Frees cached frames beyond the entries that there are.
    fn trim_cache(&mut self, id: DomId) -> Result<()> {
        let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
        let OnDemand { entries, cache, .. } = &mut domain.on_demand;
        while cache.count() > *entries {
            let Some(frame) = cache.take(&mut self.frames, id, 0) else {
                break;
            };
            self.frames.free(frame);
        }
        Ok(())
    }

    /// A domain has given a page back: it is kept for an entry that has none, or freed.
    pub(super) fn keep_or_free(&mut self, id: DomId, page: HypFrames) {
        if let Some(domain) = self
            .domains
            .get_mut(&id)
            .filter(|domain| !domain.is_dying())
        {
            let OnDemand { entries, cache, .. } = &mut domain.on_demand;
            if *entries > cache.count() {
                cache.add(&mut self.frames, id, page);
                return;
            }
        }
        self.frames.free(page);
    }

    /// Frees a part of a domain's cache. Returns whether it is empty.
    pub(super) fn empty_pod_cache(&mut self, id: DomId) -> Result<bool> {
        let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
        let cache = &mut domain.on_demand.cache;
        for _ in 0..CACHE_BATCH {
            match cache.take_any(&mut self.frames, id) {
                Some(extent) => self.frames.free(extent),
                None => return Ok(true),
            }
        }
        Ok(cache.count() == 0)
    }

    /// Searches some of a domain's pages for those that have only zeroes, and takes them back. `Some(true)` if one was
    /// found, `None` if all were looked at and none was.
    fn sweep(&mut self, id: DomId) -> Option<bool> {
        let all = self.frames.tot_pages(id);
        let begin = Sweep {
            next: Gfn(0),
            left: all,
        };
        let domain = self.domains.get_mut(&id)?;
        let mut sweep = domain.on_demand.sweep.take().unwrap_or(begin);
        let mut budget = SWEEP_BATCH;
        let mut candidates = Vec::new();
        let mut found = false;
        while budget > 0 && sweep.left > 0 && !found {
            let (p2m, tables) = self.tables(id).ok()?;
            let next = p2m.next_leaf(&tables, sweep.next);
            if let Some((gfn, entry)) = next {
                sweep.next = Gfn(gfn.0 + 1);
                budget -= 1;
                if self.frames.owner(entry.mfn) == Owner::Domain(id) {
                    sweep.left -= 1;
                }
                if self.may_reclaim(id, entry.mfn, entry.p2mt) && self.is_zero(entry.mfn) {
                    candidates.push((gfn, entry.mfn));
                }
            } else {
                sweep.left = 0;
            }
            let is_end = budget == 0 || sweep.left == 0;
            if candidates.len() == SWEEP_STRIDE || (is_end && !candidates.is_empty()) {
                found = self.reclaim_zero_pages(id, &candidates);
                candidates.clear();
            }
        }
        if found {
            return Some(true);
        }
        if sweep.left == 0 {
            return None;
        }
        self.domain_mut(id).ok()?.on_demand.sweep = Some(sweep);
        Some(false)
    }

    /// Whether a page can be taken from a domain: only the domain uses it, as memory.
    fn may_reclaim(&self, id: DomId, mfn: Mfn, p2mt: P2mType) -> bool {
        p2mt == P2mType::RamRw
            && self.frames.owner(mfn) == Owner::Domain(id)
            && self.frames.page_refs(mfn).0 == 0
    }

    fn is_zero(&self, mfn: Mfn) -> bool {
        let mut bytes = [0; 512];
        (0..PAGE_SIZE).step_by(bytes.len()).all(|offset| {
            self.platform.read(mfn.address() + offset, &mut bytes);
            bytes.iter().all(|byte| *byte == 0)
        })
    }

    /// Takes those of some pages back that have only zeroes once the domain cannot write to them any more. Returns whether
    /// there was one.
    fn reclaim_zero_pages(&mut self, id: DomId, candidates: &[(Gfn, Mfn)]) -> bool {
        let mut unmapped = 0;
        for (gfn, _) in candidates {
            let Ok((p2m, mut tables)) = self.tables(id) else {
                break;
            };
            if p2m.mark_populate_on_demand(&mut tables, *gfn, 0).is_err() {
                break;
            }
            unmapped += 1;
        }
        let mut found = false;
        if self.flush_if_needed(id).is_err() {
            return false;
        }
        for &(gfn, mfn) in &candidates[..unmapped] {
            if !self.is_zero(mfn) {
                // Its table is there, so it is mapped again without memory.
                let _ = self.p2m_map(id, gfn, mfn, 1, P2mType::RamRw);
                continue;
            }
            if let Ok(Released::Now(page)) = self.frames.release(mfn, id) {
                if let Some(domain) = self.domains.get_mut(&id) {
                    domain.on_demand.entries += 1;
                    domain.on_demand.cache.add(&mut self.frames, id, page);
                    found = true;
                }
            }
        }
        found
    }
}
