// SPDX-License-Identifier: GPL-2.0

//! Grants between domains: mapping and unmapping, the table's frames, its version. Copies are in [`super::copies`].

use super::{Domain, Errno, HeapBudget, Platform, Result, System};
use crate::grant::maptrack::GrantMapping;
use crate::grant::{ActiveEntry, GntStatus, GnttabResult, GrantTable, Pins};
use crate::mem::frames::DomId;
use crate::mem::p2m::P2mType;
use crate::mem::{Gfn, Mfn, PAGE_SIZE, PageRef};
use alloc::vec::Vec;
use xen_abi::grant_table::op::{MapGrantRef, UnmapGrantRef, map_flag};
use xen_abi::grant_table::{EntryV1, EntryV2, flag, reserved, status};
use xen_grant::Version;
use zerocopy::{FromZeros, IntoBytes};

const GENERAL: GntStatus = GntStatus(status::GENERAL_ERROR);

impl<P: Platform> System<P> {
    /// Grows a domain's table to so many frames of entries. [`Errno::EINVAL`] if the domain may not have as many.
    pub fn grow_grant_table(&mut self, id: DomId, frames: u32) -> Result<()> {
        let table = &self.domain(id)?.grants;
        if frames > table.max_frames(false) {
            return Err(Errno::EINVAL);
        }
        let words = if table.version() == 1 {
            0
        } else {
            GrantTable::status_frames(frames)
        };
        self.grow(id, false, frames)?;
        self.grow(id, true, words)
    }

    fn grow(&mut self, id: DomId, status: bool, frames: u32) -> Result<()> {
        while self.domain(id)?.grants.frames(status).len() < frames as usize {
            if !status {
                let (domain, budget) = self.domain_with_budget(id)?;
                let count = domain.grants.frames(false).len() + 1;
                domain.grants.reserve_active(count, budget)?;
            }
            let frame = self.frames.alloc(0, None).ok_or(Errno::ENOMEM)?;
            self.platform.clear_frame(frame.mfn().address());
            self.domain_mut(id)?
                .grants
                .frames_mut(status)
                .push((frame, None));
        }
        Ok(())
    }

    /// A domain, and the budget of the heap for what it makes the hypervisor keep. A privileged one has none.
    fn domain_with_budget(&mut self, id: DomId) -> Result<(&mut Domain, Option<&mut HeapBudget>)> {
        let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
        let is_privileged = domain.config.privileged;
        let budget = (!is_privileged).then_some(&mut self.heap_budget);
        Ok((domain, budget))
    }

    /// A frame of a domain's table and the gfn at which the domain maps it. The table grows if it has no such frame
    /// yet.
    fn get_grant_frame(
        &mut self,
        id: DomId,
        status: bool,
        index: u64,
    ) -> Result<(Mfn, Option<Gfn>)> {
        let table = &self.living_domain(id)?.grants;
        if status && table.version() != 2 {
            return Err(Errno::EINVAL);
        }
        let index = u32::try_from(index).map_err(|_| Errno::EINVAL)?;
        if index >= table.max_frames(status) {
            return Err(Errno::EINVAL);
        }
        if index as usize >= table.frames(status).len() {
            // The first frame of entries whose status words lie in this status frame.
            let entries = if status {
                index
                    .saturating_mul(PAGE_SIZE as u32 / 2 / 256)
                    .saturating_add(1)
            } else {
                index + 1
            };
            let entries = entries.min(table.max_frames(false));
            self.grow_grant_table(id, entries)
                .map_err(|_| Errno::EINVAL)?;
        }
        let frames = self.domain(id)?.grants.frames(status);
        let (frame, mapped_at) = frames.get(index as usize).ok_or(Errno::EINVAL)?;
        Ok((frame.mfn(), *mapped_at))
    }

    /// Maps a frame of a domain's own table at a gfn (`XENMAPSPACE_grant_table`).
    pub fn map_grant_table_frame(
        &mut self,
        id: DomId,
        status: bool,
        index: u64,
        gfn: Gfn,
    ) -> Result<()> {
        let (mfn, old) = self.get_grant_frame(id, status, index)?;
        self.map_shared_frame(id, gfn, mfn, old)?;
        if let Some((_, mapped_at)) = self
            .domain_mut(id)?
            .grants
            .frames_mut(status)
            .get_mut(index as usize)
        {
            *mapped_at = Some(gfn);
        }
        Ok(())
    }

    /// Maps a frame of another domain's table at a gfn (`XENMEM_acquire_resource`).
    pub fn acquire_grant_table_frame(
        &mut self,
        id: DomId,
        gfn: Gfn,
        of: DomId,
        status: bool,
        index: u64,
    ) -> Result<()> {
        let (mfn, _) = self.get_grant_frame(of, status, index)?;
        self.map_resource_frame(id, gfn, mfn)
    }

    /// Maps a grant at a gfn. The granter may be the domain itself.
    ///
    /// # Errors
    ///
    /// The `GNTST_*` status of the operation.
    pub fn map_grant(&mut self, id: DomId, args: &mut MapGrantRef) -> GnttabResult<()> {
        if args.flags & (map_flag::HOST_MAP | map_flag::DEVICE_MAP) == 0 {
            return Err(GntStatus(status::BAD_GNTREF));
        }
        // A translated domain has no device mappings of its own, and no page-table entries that the hypervisor writes.
        let allowed = map_flag::HOST_MAP | map_flag::READONLY;
        let refused = map_flag::DEVICE_MAP | map_flag::APPLICATION_MAP | map_flag::CONTAINS_PTE;
        if args.flags & refused != 0 {
            return Err(GENERAL);
        }
        let readonly = args.flags & map_flag::READONLY != 0;
        self.domain(args.dom)
            .map_err(|_| GntStatus(status::BAD_DOMAIN))?;
        let no_space = GntStatus(status::NO_SPACE);
        let (domain, budget) = self.domain_with_budget(id).map_err(|_| no_space)?;
        let reserved = domain.grants.maptrack.reserve(budget);
        reserved.map_err(|_| no_space)?;
        let (active, page) = self.acquire_grant(args.dom, args.gref, id, readonly, true)?;
        let gfn = Gfn::of(args.host_addr);
        let p2mt = if readonly {
            P2mType::GrantMapRo
        } else {
            P2mType::GrantMapRw
        };
        let mapped = if args.flags & !allowed != 0 {
            Err(Errno::EINVAL)
        } else {
            self.map_grant_page(id, gfn, active.mfn, p2mt)
        };
        if mapped.is_err() {
            self.release_grant(args.dom, args.gref, readonly, page);
            return Err(GENERAL);
        }
        let mapping = GrantMapping {
            granter: args.dom,
            reference: args.gref,
            readonly,
            gfn,
            page,
        };
        let domain = self.domain_mut(id).map_err(|_| GENERAL)?;
        args.handle = domain.grants.maptrack.add(mapping);
        args.dev_bus_addr = active.mfn.address();
        Ok(())
    }

    /// Unmaps a grant.
    ///
    /// # Errors
    ///
    /// The `GNTST_*` status of the operation.
    pub fn unmap_grant(&mut self, id: DomId, args: &UnmapGrantRef) -> GnttabResult<()> {
        let bad_handle = GntStatus(status::BAD_HANDLE);
        let domain = self.domain(id).map_err(|_| bad_handle)?;
        let mapping = domain.grants.maptrack.get(args.handle).ok_or(bad_handle)?;
        // As in Xen, an address of 0 means that there is nothing to unmap.
        if args.host_addr == 0 {
            return Ok(());
        }
        let (gfn, mfn) = (Gfn::of(args.host_addr), mapping.page.mfn());
        // Another handle may have the same page mapped elsewhere.
        if mapping.gfn != gfn {
            return Err(GENERAL);
        }
        let entry = self.lookup(id, gfn).ok_or(GENERAL)?;
        if !matches!(entry.p2mt, P2mType::GrantMapRw | P2mType::GrantMapRo) || entry.mfn != mfn {
            return Err(GENERAL);
        }
        self.unmap_grant_page(id, gfn).map_err(|_| GENERAL)?;
        let domain = self.domain_mut(id).map_err(|_| bad_handle)?;
        if let Some(mapping) = domain.grants.maptrack.remove(args.handle) {
            self.release_grant(
                mapping.granter,
                mapping.reference,
                mapping.readonly,
                mapping.page,
            );
        }
        Ok(())
    }

    /// Pins a grant for a use: checks the entry, sets its status bits and takes a reference to the page.
    pub(super) fn acquire_grant(
        &mut self,
        granter: DomId,
        reference: u32,
        user: DomId,
        readonly: bool,
        map: bool,
    ) -> GnttabResult<(ActiveEntry, PageRef)> {
        let domain = self
            .living_domain(granter)
            .map_err(|_| GntStatus(status::BAD_DOMAIN))?;
        let granted = domain
            .grants
            .set_status(&self.platform, reference, user, readonly, map)?;
        let known = domain.grants.active(reference).copied();
        let result = match (known, granted) {
            // A grant in use keeps its page, whatever its entry says now.
            (Some(active), _) => self
                .frames
                .get_page(active.mfn, granter, !readonly)
                .map_err(|_| GENERAL)
                .map(|page| (active, page)),
            (None, Some(granted)) => self
                .get_granted_page(granter, Gfn(granted.frame), readonly)
                .map(|page| {
                    let active = ActiveEntry {
                        user,
                        mfn: page.mfn(),
                        start: granted.start,
                        length: granted.length,
                        sub_page: granted.sub_page,
                        pins: Pins::default(),
                    };
                    (active, page)
                }),
            (None, None) => Err(GENERAL),
        };
        let domain = self
            .domains
            .get_mut(&granter)
            .ok_or(GntStatus(status::BAD_DOMAIN))?;
        match result {
            Ok((active, page)) => {
                let active = domain.grants.pin(reference, readonly, active);
                Ok((active, page))
            }
            Err(failed) => {
                domain
                    .grants
                    .reduce_status_for_pin(&self.platform, reference);
                Err(failed)
            }
        }
    }

    /// Takes a reference to a page that its domain grants or copies, which is memory of its own.
    pub(super) fn get_granted_page(
        &mut self,
        id: DomId,
        gfn: Gfn,
        readonly: bool,
    ) -> GnttabResult<PageRef> {
        let bad = GntStatus(status::BAD_PAGE);
        let entry = self.get_gfn(id, gfn, !readonly).ok_or(bad)?;
        if !entry.p2mt.is_ram() || (!readonly && entry.p2mt != P2mType::RamRw) {
            return Err(bad);
        }
        self.frames
            .get_page(entry.mfn, id, !readonly)
            .map_err(|_| bad)
    }

    /// Unpins a grant and drops the reference to its page.
    pub(super) fn release_grant(
        &mut self,
        granter: DomId,
        reference: u32,
        readonly: bool,
        page: PageRef,
    ) {
        self.put_page(page);
        if let Some(domain) = self.domains.get_mut(&granter) {
            domain.grants.unpin(&self.platform, reference, readonly);
        }
    }

    /// Sets the version of a domain's table. All entries but the reserved ones are lost.
    pub fn set_grant_version(&mut self, id: DomId, version: u32) -> Result<()> {
        let table = &self.domain(id)?.grants;
        let new = Version::new(version).ok_or(Errno::EINVAL)?;
        if table.version() == version {
            return Ok(());
        }
        if table.is_used_beyond(reserved::COUNT) {
            return Err(Errno::EBUSY);
        }
        let reserved = self.reserved_entries(id)?;
        if version == 2 {
            let words = GrantTable::status_frames(table_len(&self.domain(id)?.grants));
            self.grow(id, true, words)?;
        } else {
            self.unpopulate_status_frames(id)?;
        }
        let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
        self.items_done += u64::from(table_len(&domain.grants));
        for (frame, _) in domain.grants.frames(false) {
            self.platform.clear_frame(frame.mfn().address());
        }
        domain.grants.set_version(new);
        for (reference, entry) in reserved.into_iter().enumerate() {
            let (Some(at), Some(word)) = (
                domain.grants.entry(reference as u32),
                domain.grants.status_word(reference as u32),
            ) else {
                continue;
            };
            if version == 1 {
                self.platform.write(at, entry.as_bytes());
                continue;
            }
            let used = flag::READING | flag::WRITING;
            self.platform
                .write(word, &(entry.flags & used).to_le_bytes());
            let entry = EntryV2 {
                flags: entry.flags & !used,
                domid: entry.domid,
                pad: 0,
                frame: entry.frame.into(),
            };
            self.platform.write(at, entry.as_bytes());
        }
        Ok(())
    }

    /// The reserved entries in the layout of version 1. [`Errno::ERANGE`] if one has no such form.
    fn reserved_entries(&self, id: DomId) -> Result<Vec<EntryV1>> {
        let table = &self.domain(id)?.grants;
        let mut kept = Vec::new();
        for reference in 0..reserved::COUNT {
            let mut entry = EntryV1::new_zeroed();
            if let Some(at) = table.entry(reference) {
                if table.version() == 1 {
                    self.platform.read(at, entry.as_mut_bytes());
                } else {
                    let mut full = EntryV2::new_zeroed();
                    self.platform.read(at, full.as_mut_bytes());
                    let entry_type = full.flags & flag::TYPE_MASK;
                    if entry_type == flag::TRANSITIVE
                        || (entry_type == flag::PERMIT_ACCESS && full.frame >> 32 != 0)
                    {
                        return Err(Errno::ERANGE);
                    }
                    if entry_type == flag::PERMIT_ACCESS {
                        let used = table
                            .status_word(reference)
                            .map_or(0, |word| self.platform.load_u16(word));
                        entry.flags = full.flags | used;
                        entry.domid = full.domid;
                        entry.frame = full.frame as u32;
                    }
                }
            }
            kept.push(entry);
        }
        Ok(kept)
    }

    /// Frees the status frames, after they were unmapped from the domain (XSA-379: no mapping may stay).
    /// [`Errno::EBUSY`] if another domain maps one; none is freed then.
    fn unpopulate_status_frames(&mut self, id: DomId) -> Result<()> {
        let mut frames = self.domain(id)?.grants.frames(true).iter();
        if frames.any(|(frame, _)| self.has_resource_mappings(frame.mfn())) {
            return Err(Errno::EBUSY);
        }
        while let Some((frame, mapped_at)) = self.domain_mut(id)?.grants.frames_mut(true).pop() {
            if let Some(gfn) = mapped_at {
                if self
                    .lookup(id, gfn)
                    .is_some_and(|entry| entry.mfn == frame.mfn())
                {
                    self.unmap_grant_page(id, gfn)?;
                }
            }
            self.frames.free(frame);
        }
        Ok(())
    }

    /// Swaps two entries, neither of which may be in use.
    pub fn swap_grant_refs(&mut self, id: DomId, a: u32, b: u32) -> GnttabResult<()> {
        let table = &self.domain(id).map_err(|_| GENERAL)?.grants;
        let bad = GntStatus(status::BAD_GNTREF);
        let known = |reference: u32| {
            table
                .entry(reference)
                .filter(|_| reference < table.entries())
        };
        let (at_a, at_b) = (known(a).ok_or(bad)?, known(b).ok_or(bad)?);
        if a == b {
            return Ok(());
        }
        if table.active(a).is_some() || table.active(b).is_some() {
            return Err(GntStatus(status::EAGAIN));
        }
        let size = if table.version() == 1 {
            size_of::<EntryV1>()
        } else {
            size_of::<EntryV2>()
        };
        let mut entries = [[0; size_of::<EntryV2>()]; 2];
        self.platform.read(at_a, &mut entries[0][..size]);
        self.platform.read(at_b, &mut entries[1][..size]);
        self.platform.write(at_a, &entries[1][..size]);
        self.platform.write(at_b, &entries[0][..size]);
        Ok(())
    }
}

fn table_len(table: &GrantTable) -> u32 {
    table.frames(false).len() as u32
}
