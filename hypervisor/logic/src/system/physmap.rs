// SPDX-License-Identifier: GPL-2.0

//! Changes of a domain's p2m: its own memory, devices, shared frames of the hypervisor, foreign frames.

use super::{Domain, Errno, P2mTables, Platform, Result, System};
use crate::mem::frames::{DomId, Released};
use crate::mem::p2m::{GFN_LIMIT, MapError, P2m, P2mEntry, P2mType};
use crate::mem::{Gfn, HypFrames, Mfn, Owner, PageRef};
use crate::system::vcpu::{Vcpu, VcpuId};

impl From<MapError> for Errno {
    fn from(error: MapError) -> Self {
        match error {
            MapError::NoMemory => Errno::ENOMEM,
            MapError::OutOfReach => Errno::EINVAL,
        }
    }
}

impl<P: Platform> System<P> {
    /// A domain. [`Errno::ESRCH`] if there is none.
    pub fn domain(&self, id: DomId) -> Result<&Domain> {
        self.domains.get(&id).ok_or(Errno::ESRCH)
    }

    /// A domain, mutably.
    pub fn domain_mut(&mut self, id: DomId) -> Result<&mut Domain> {
        self.domains.get_mut(&id).ok_or(Errno::ESRCH)
    }

    /// A vCPU, mutably.
    pub fn vcpu_mut(&mut self, id: VcpuId) -> Result<&mut Vcpu> {
        self.domain_mut(id.domain)?.vcpu_mut(id.vcpu)
    }

    /// A domain's p2m, and the memory of its tables.
    pub(super) fn tables(&mut self, id: DomId) -> Result<(&mut P2m, P2mTables<'_, P>)> {
        let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
        let tables = P2mTables {
            frames: &mut self.frames,
            memory: &self.platform,
            pool: &mut domain.paging_pool,
        };
        Ok((&mut domain.p2m, tables))
    }

    /// What a gfn of a domain maps to. An access uses [`System::get_gfn`].
    pub fn lookup(&mut self, id: DomId, gfn: Gfn) -> Option<P2mEntry> {
        let (p2m, tables) = self.tables(id).ok()?;
        p2m.lookup(&tables, gfn)
    }

    /// A domain that is not being destroyed. [`Errno::ESRCH`] if there is none, [`Errno::EINVAL`] if it is.
    pub(crate) fn living_domain(&self, id: DomId) -> Result<&Domain> {
        let domain = self.domain(id)?;
        if domain.is_dying() {
            return Err(Errno::EINVAL);
        }
        Ok(domain)
    }

    /// Maps frames in a domain's p2m, and flushes TLBs if something else was mapped there. [`Errno::EINVAL`] if the
    /// domain is being destroyed.
    pub(super) fn p2m_map(
        &mut self,
        id: DomId,
        gfn: Gfn,
        mfn: Mfn,
        count: u64,
        p2mt: P2mType,
    ) -> Result<()> {
        self.living_domain(id)?;
        let (p2m, mut tables) = self.tables(id)?;
        let result = p2m.map(&mut tables, gfn, mfn, count, p2mt);
        self.flush_if_needed(id)?;
        result?;
        let last = gfn.0.saturating_add(count.saturating_sub(1));
        let domain = self.domain_mut(id)?;
        domain.max_gfn = domain.max_gfn.max(last);
        Ok(())
    }

    /// Unmaps a gfn in a domain's p2m and flushes TLBs. References to the frame stay.
    fn p2m_unmap(&mut self, id: DomId, gfn: Gfn) -> Result<Option<P2mEntry>> {
        let (p2m, mut tables) = self.tables(id)?;
        let entry = p2m.unmap(&mut tables, gfn)?;
        self.flush_if_needed(id)?;
        Ok(entry)
    }

    /// Flushes a domain's translations from all TLBs if its p2m needs that. Tables that were freed before can be used
    /// again then.
    pub(super) fn flush_if_needed(&mut self, id: DomId) -> Result<()> {
        let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
        if domain.p2m.take_needs_flush() {
            self.platform.flush_tlb(id);
            domain.paging_pool.flushed();
        }
        Ok(())
    }

    /// Makes a domain the owner of frames and maps them.
    pub fn assign_and_map(&mut self, id: DomId, gfn: Gfn, frames: HypFrames) -> Result<()> {
        let (mfn, count) = (frames.mfn(), frames.count());
        self.frames.assign_pages(frames, id);
        self.p2m_map(id, gfn, mfn, count, P2mType::RamRw)
    }

    /// Maps device memory. [`Errno::EPERM`] if some of it is RAM or belongs to a device of the hypervisor.
    pub fn map_mmio(&mut self, id: DomId, gfn: Gfn, mfn: Mfn, count: u64) -> Result<()> {
        let end = mfn.0.checked_add(count).ok_or(Errno::EINVAL)?;
        if count == 0 || end > GFN_LIMIT {
            return Err(Errno::EINVAL);
        }
        if !self.frames.is_mmio(mfn.0..end) {
            return Err(Errno::EPERM);
        }
        self.p2m_map(id, gfn, mfn, count, P2mType::MmioDirect)
    }

    /// Unmaps device memory. Nothing happens if none is mapped there.
    pub fn unmap_mmio(&mut self, id: DomId, gfn: Gfn) -> Result<()> {
        match self.lookup(id, gfn) {
            Some(entry) if entry.p2mt == P2mType::MmioDirect => self.p2m_unmap(id, gfn).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Unmaps a gfn (`XENMEM_remove_from_physmap`). The domain's own memory is freed, unless the domain is
    /// direct-mapped; the reference to a foreign frame is put. What is populated on demand is no longer.
    ///
    /// # Errors
    ///
    /// [`Errno::ENOENT`] if nothing is mapped, [`Errno::EPERM`] for devices and grants, which have hypercalls of their
    /// own.
    pub fn remove_from_physmap(&mut self, id: DomId, gfn: Gfn) -> Result<()> {
        let Some(entry) = self.lookup(id, gfn) else {
            return match self.remove_on_demand(id, gfn)? {
                true => Ok(()),
                false => Err(Errno::ENOENT),
            };
        };
        match entry.p2mt {
            P2mType::MmioDirect | P2mType::GrantMapRw | P2mType::GrantMapRo => {
                return Err(Errno::EPERM);
            }
            P2mType::MapForeignRw | P2mType::MapForeignRo => {
                self.p2m_unmap(id, gfn)?;
                return self.put_foreign(id, gfn, entry.mfn);
            }
            P2mType::RamRw | P2mType::RamRo | P2mType::RamLogdirty => {}
        }
        self.p2m_unmap(id, gfn)?;
        match self.frames.owner(entry.mfn) {
            Owner::Domain(owner) if owner == id => {
                let domain = self.domain_mut(id)?;
                // Also a frame that it has moved: a device may go on using the frame's former address.
                if domain.config.direct_mapped {
                    domain.ballooned_out += 1;
                } else if let Ok(Released::Now(frame)) = self.frames.release(entry.mfn, id) {
                    self.keep_or_free(id, frame);
                }
            }
            // The shared info page or a grant table frame: it may be mapped again.
            _ => {
                let domain = self.domain_mut(id)?;
                if domain.shared_info.1 == Some(gfn) {
                    domain.shared_info.1 = None;
                }
                domain.grants.clear_frame_gfn(gfn);
            }
        }
        Ok(())
    }

    /// Drops a reference to a page, and frees the frame if it was the last one to a released frame. A zombie that has
    /// nothing else left is gone then.
    pub fn put_page(&mut self, page: PageRef) {
        let owner = self.frames.owner(page.mfn());
        if let Some(frame) = self.frames.put_page(page) {
            self.frames.free(frame);
            if let Owner::Released(id) = owner {
                self.reap_domain(id);
            }
        }
    }

    /// Unmaps what a gfn maps to, for something else to be mapped there. Nothing to unmap is no error.
    fn remove_previous(&mut self, id: DomId, gfn: Gfn) -> Result<()> {
        if gfn.0 >= GFN_LIMIT {
            return Err(Errno::EINVAL);
        }
        match self.remove_from_physmap(id, gfn) {
            Err(Errno::ENOENT) => Ok(()),
            result => result,
        }
    }

    /// Maps a frame of the hypervisor that is shared with the domain. It is mapped at one gfn at a time: `old` is the
    /// one before.
    pub fn map_shared_frame(
        &mut self,
        id: DomId,
        gfn: Gfn,
        mfn: Mfn,
        old: Option<Gfn>,
    ) -> Result<()> {
        self.remove_previous(id, gfn)?;
        if let Some(old) = old.filter(|old| *old != gfn) {
            // The guest may have mapped something else there meanwhile.
            if self.lookup(id, old).is_some_and(|entry| entry.mfn == mfn) {
                self.p2m_unmap(id, old)?;
            }
        }
        self.p2m_map(id, gfn, mfn, 1, P2mType::RamRw)
    }

    /// Moves one of a domain's own frames to another gfn (`XENMAPSPACE_gmfn`).
    pub fn move_page(&mut self, id: DomId, from: Gfn, to: Gfn) -> Result<()> {
        let entry = self.get_gfn(id, from, true).ok_or(Errno::EACCES)?;
        if entry.p2mt != P2mType::RamRw {
            return Err(Errno::EACCES);
        }
        if self.frames.owner(entry.mfn) != Owner::Domain(id) {
            return Err(Errno::EINVAL);
        }
        if from == to {
            return Ok(());
        }
        self.remove_previous(id, to)?;
        // In this order the domain keeps the frame if there is no page for a table.
        self.p2m_map(id, to, entry.mfn, 1, P2mType::RamRw)?;
        let unmapped = self.p2m_unmap(id, from);
        if unmapped.is_err() {
            self.p2m_unmap(id, to)?;
        }
        unmapped.map(|_| ())
    }

    /// Maps a frame of another domain (`XENMAPSPACE_gmfn_foreign`).
    pub fn map_foreign(&mut self, id: DomId, gfn: Gfn, of: DomId, foreign: Gfn) -> Result<()> {
        self.living_domain(of)?;
        // Who maps it for writing says itself what it has written, as in Xen.
        let entry = self.get_gfn(of, foreign, false).ok_or(Errno::EINVAL)?;
        if !entry.p2mt.is_ram() {
            return Err(Errno::EINVAL);
        }
        let writable = entry.p2mt.is_writable_ram();
        let page = match self.frames.get_page(entry.mfn, of, writable) {
            Ok(page) => page,
            Err(_) => return Err(Errno::EINVAL),
        };
        let p2mt = if writable {
            P2mType::MapForeignRw
        } else {
            P2mType::MapForeignRo
        };
        let result = self
            .remove_previous(id, gfn)
            .and_then(|()| self.p2m_map(id, gfn, entry.mfn, 1, p2mt));
        match result {
            Ok(()) => {
                self.domain_mut(id)?.foreign.insert(gfn.0, page);
            }
            Err(_) => self.put_page(page),
        }
        result
    }

    /// Allocates `1 << order` frames for a domain, clears them and maps them. A direct-mapped domain gets back the
    /// frames that it has ballooned out there, and no others.
    pub fn populate_physmap(
        &mut self,
        id: DomId,
        gfn: Gfn,
        order: u8,
        below: Option<u64>,
    ) -> Result<()> {
        let count = 1u64 << order;
        let domain = self.living_domain(id)?;
        let end = gfn
            .checked_add(count)
            .filter(|end| end.0 <= GFN_LIMIT)
            .ok_or(Errno::EINVAL)?;
        if domain.config.direct_mapped {
            return self.populate_direct_mapped(id, gfn.0..end.0);
        }
        if self.frames.tot_pages(id) + count > domain.config.max_pages {
            return Err(Errno::ENOMEM);
        }
        let frames = self
            .frames
            .alloc_for(id, order, below)
            .ok_or(Errno::ENOMEM)?;
        let mut replaced = (gfn.0..end.0).map(|frame| self.remove_previous(id, Gfn(frame)));
        if let Some(failed) = replaced.find(Result::is_err) {
            self.frames.free(frames);
            return failed;
        }
        let first = frames.mfn();
        for frame in 0..count {
            self.platform.clear_frame(Mfn(first.0 + frame).address());
        }
        let result = self.assign_and_map(id, gfn, frames);
        if result.is_err() {
            // Without pages for tables, none of the extent stays.
            for frame in 0..count {
                self.p2m_unmap(id, Gfn(gfn.0 + frame))?;
                if let Ok(Released::Now(page)) = self.frames.release(Mfn(first.0 + frame), id) {
                    self.frames.free(page);
                }
            }
        }
        result
    }

    fn populate_direct_mapped(&mut self, id: DomId, range: core::ops::Range<u64>) -> Result<()> {
        let own =
            |frames: &crate::mem::FrameTable, frame| frames.owner(Mfn(frame)) == Owner::Domain(id);
        if !range.clone().all(|frame| own(&self.frames, frame)) {
            return Err(Errno::EINVAL);
        }
        for frame in range {
            match self.lookup(id, Gfn(frame)) {
                // It was not ballooned out.
                Some(entry) if entry.mfn.0 == frame && entry.p2mt == P2mType::RamRw => continue,
                Some(_) => self.remove_previous(id, Gfn(frame))?,
                None => {}
            }
            self.p2m_map(id, Gfn(frame), Mfn(frame), 1, P2mType::RamRw)?;
            let domain = self.domain_mut(id)?;
            domain.ballooned_out = domain.ballooned_out.saturating_sub(1);
        }
        Ok(())
    }

    /// Takes a reference to a page that a domain shares with the hypervisor, which is writable memory of its own.
    pub fn get_shared_page(&mut self, id: DomId, gfn: Gfn) -> Result<PageRef> {
        let entry = self
            .get_gfn(id, gfn, true)
            .filter(|entry| entry.p2mt == P2mType::RamRw)
            .ok_or(Errno::EINVAL)?;
        self.frames
            .get_page(entry.mfn, id, true)
            .map_err(|_| Errno::EINVAL)
    }

    /// Number of its own frames that a domain maps (`XENMEM_current_reservation`).
    pub fn current_reservation(&self, domain: &Domain) -> u64 {
        self.frames
            .tot_pages(domain.id())
            .saturating_sub(domain.ballooned_out)
    }
}

impl<P: Platform> System<P> {
    /// Maps the page of a grant.
    pub(super) fn map_grant_page(
        &mut self,
        id: DomId,
        gfn: Gfn,
        mfn: Mfn,
        p2mt: P2mType,
    ) -> Result<()> {
        self.remove_previous(id, gfn)?;
        self.p2m_map(id, gfn, mfn, 1, p2mt)
    }

    /// Unmaps the page of a grant.
    pub(super) fn unmap_grant_page(&mut self, id: DomId, gfn: Gfn) -> Result<()> {
        self.p2m_unmap(id, gfn).map(|_| ())
    }

    /// Maps a resource frame of the hypervisor, which belongs to another domain's grant table. The mapping is counted,
    /// so that the frame is not freed meanwhile.
    pub(super) fn map_resource_frame(&mut self, id: DomId, gfn: Gfn, mfn: Mfn) -> Result<()> {
        self.remove_previous(id, gfn)?;
        self.p2m_map(id, gfn, mfn, 1, P2mType::MapForeignRw)?;
        *self.resource_mappings.entry(mfn.0).or_default() += 1;
        Ok(())
    }

    /// Whether a domain maps a resource frame of another one.
    pub(super) fn has_resource_mappings(&self, mfn: Mfn) -> bool {
        self.resource_mappings.contains_key(&mfn.0)
    }

    /// Counts a mapping of a resource frame less. It may have been the last that kept a zombie.
    pub(super) fn put_resource_frame(&mut self, mfn: Mfn) {
        if let Some(count) = self.resource_mappings.get_mut(&mfn.0) {
            *count -= 1;
            if *count == 0 {
                self.resource_mappings.remove(&mfn.0);
                self.reap_dead_domains();
            }
        }
    }
}
