//! Grants between domains: maps, the table's frames, its version. Copies are in [`super::copies`].

use super::{Errno, Platform, Result, System};
use crate::grant::{Active, Failed, GrantTable, Mapping, Outcome};
use crate::mem::frames::DomId;
use crate::mem::p2m::Kind;
use crate::mem::{Gfn, Hold, Mfn, PAGE_SIZE};
use alloc::vec::Vec;
use xen_abi::grant_table::op::{MapGrantRef, UnmapGrantRef, map_flag};
use xen_abi::grant_table::{EntryV1, EntryV2, flag, reserved, status};
use zerocopy::{FromZeros, IntoBytes};

const GENERAL: Failed = Failed(status::GENERAL_ERROR);

impl<P: Platform> System<P> {
    /// Lets a domain's table have so many frames of entries: [`Errno::EINVAL`] if that is more than it may have.
    pub fn grow_grants(&mut self, id: DomId, frames: u32) -> Result<()> {
        let table = &self.domain(id)?.grants;
        if frames > table.most_frames(false) {
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
            let frame = self.frames.alloc(0, None).ok_or(Errno::ENOMEM)?;
            self.platform.clear_frame(frame.mfn().address());
            self.domain_mut(id)?
                .grants
                .frames_mut(status)
                .push((frame, None));
        }
        Ok(())
    }

    /// Finds a frame of a domain's table, which grows if it has to.
    fn grant_frame(&mut self, id: DomId, status: bool, index: u64) -> Result<(Mfn, Option<Gfn>)> {
        let table = &self.domain(id)?.grants;
        if status && table.version() != 2 {
            return Err(Errno::EINVAL);
        }
        let index = u32::try_from(index).map_err(|_| Errno::EINVAL)?;
        if index >= table.most_frames(status) {
            return Err(Errno::EINVAL);
        }
        if index as usize >= table.frames(status).len() {
            // A frame of status words serves that many frames of entries.
            let entries = if status {
                index
                    .saturating_mul(PAGE_SIZE as u32 / 2 / 256)
                    .saturating_add(1)
            } else {
                index + 1
            };
            let entries = entries.min(table.most_frames(false));
            self.grow_grants(id, entries).map_err(|_| Errno::EINVAL)?;
        }
        let frames = self.domain(id)?.grants.frames(status);
        let (frame, place) = frames.get(index as usize).ok_or(Errno::EINVAL)?;
        Ok((frame.mfn(), *place))
    }

    /// Lets a domain see a frame of its own table.
    pub fn show_grant_frame(
        &mut self,
        id: DomId,
        status: bool,
        index: u64,
        gfn: Gfn,
    ) -> Result<()> {
        let (mfn, old) = self.grant_frame(id, status, index)?;
        self.show_special(id, gfn, mfn, old)?;
        if let Some((_, place)) = self
            .domain_mut(id)?
            .grants
            .frames_mut(status)
            .get_mut(index as usize)
        {
            *place = Some(gfn);
        }
        Ok(())
    }

    /// Lets a domain see a frame of another one's table.
    pub fn show_foreign_grant_frame(
        &mut self,
        id: DomId,
        gfn: Gfn,
        of: DomId,
        status: bool,
        index: u64,
    ) -> Result<()> {
        let (mfn, _) = self.grant_frame(of, status, index)?;
        self.show_hypervisors(id, gfn, mfn)
    }

    /// Maps a grant of another domain, or of its own.
    pub fn map_grant(&mut self, id: DomId, args: &mut MapGrantRef) -> Outcome<()> {
        if args.flags & (map_flag::HOST_MAP | map_flag::DEVICE_MAP) == 0 {
            return Err(Failed(status::BAD_GNTREF));
        }
        // A translated domain's devices see what it sees, and it has no page-table entries of the hypervisor's.
        let allowed = map_flag::HOST_MAP | map_flag::READONLY;
        let refused = map_flag::DEVICE_MAP | map_flag::APPLICATION_MAP | map_flag::CONTAINS_PTE;
        if args.flags & refused != 0 {
            return Err(GENERAL);
        }
        let readonly = args.flags & map_flag::READONLY != 0;
        self.domain(args.dom)
            .map_err(|_| Failed(status::BAD_DOMAIN))?;
        if !self
            .domain(id)
            .is_ok_and(|domain| domain.grants.has_handle())
        {
            return Err(Failed(status::NO_SPACE));
        }
        let (active, hold) = self.use_grant(args.dom, args.gref, id, readonly, true)?;
        let gfn = Gfn::of(args.host_addr);
        let kind = if readonly {
            Kind::GrantReadOnly
        } else {
            Kind::Grant
        };
        let shown = if args.flags & !allowed != 0 {
            Err(Errno::EINVAL)
        } else {
            self.show_granted(id, gfn, active.mfn, kind)
        };
        if shown.is_err() {
            self.end_use(args.dom, args.gref, readonly, hold);
            return Err(GENERAL);
        }
        let mapping = Mapping {
            granter: args.dom,
            reference: args.gref,
            readonly,
            gfn,
            hold,
        };
        let domain = self.domain_mut(id).map_err(|_| GENERAL)?;
        args.handle = domain.grants.add_mapping(mapping);
        args.dev_bus_addr = active.mfn.address();
        Ok(())
    }

    /// Unmaps a grant.
    pub fn unmap_grant(&mut self, id: DomId, args: &UnmapGrantRef) -> Outcome<()> {
        let bad_handle = Failed(status::BAD_HANDLE);
        let domain = self.domain(id).map_err(|_| bad_handle)?;
        let mapping = domain.grants.mapping(args.handle).ok_or(bad_handle)?;
        // Without an address nothing is asked for.
        if args.host_addr == 0 {
            return Ok(());
        }
        let (gfn, mfn) = (Gfn::of(args.host_addr), mapping.hold.mfn());
        let seen = self.lookup(id, gfn).ok_or(GENERAL)?;
        if !matches!(seen.kind, Kind::Grant | Kind::GrantReadOnly) || seen.mfn != mfn {
            return Err(GENERAL);
        }
        self.hide_granted(id, gfn).map_err(|_| GENERAL)?;
        let domain = self.domain_mut(id).map_err(|_| bad_handle)?;
        if let Some(mapping) = domain.grants.remove_mapping(args.handle) {
            self.end_use(
                mapping.granter,
                mapping.reference,
                mapping.readonly,
                mapping.hold,
            );
        }
        Ok(())
    }

    /// Starts a use of a grant.
    pub(super) fn use_grant(
        &mut self,
        granter: DomId,
        reference: u32,
        user: DomId,
        readonly: bool,
        map: bool,
    ) -> Outcome<(Active, Hold)> {
        let domain = self
            .domain(granter)
            .map_err(|_| Failed(status::BAD_DOMAIN))?;
        let granted = domain
            .grants
            .claim(&self.platform, reference, user, readonly, map)?;
        let known = domain.grants.active(reference).copied();
        let result = match (known, granted) {
            // What is in use stays what it was, whatever the entry says now.
            (Some(active), _) => self
                .frames
                .hold(active.mfn, granter, !readonly)
                .map_err(|_| GENERAL)
                .map(|hold| (active, hold)),
            (None, Some(granted)) => {
                self.hold_granted(granter, granted.gfn, readonly)
                    .map(|hold| {
                        let active = Active {
                            user,
                            mfn: hold.mfn(),
                            start: granted.start,
                            length: granted.length,
                            sub_page: granted.sub_page,
                            readers: 0,
                            writers: 0,
                        };
                        (active, hold)
                    })
            }
            (None, None) => Err(GENERAL),
        };
        let domain = self
            .domains
            .get_mut(&granter)
            .ok_or(Failed(status::BAD_DOMAIN))?;
        match result {
            Ok((active, hold)) => {
                let active = domain.grants.pin(reference, readonly, active);
                Ok((active, hold))
            }
            Err(failed) => {
                domain.grants.clear_marks(&self.platform, reference);
                Err(failed)
            }
        }
    }

    /// Holds a frame that its domain grants or copies: its own memory.
    pub(super) fn hold_granted(&mut self, id: DomId, gfn: Gfn, readonly: bool) -> Outcome<Hold> {
        let bad = Failed(status::BAD_PAGE);
        let seen = self.lookup(id, gfn).ok_or(bad)?;
        if !seen.kind.is_ram() || (!readonly && seen.kind != Kind::Ram) {
            return Err(bad);
        }
        self.frames.hold(seen.mfn, id, !readonly).map_err(|_| bad)
    }

    pub(super) fn end_use(&mut self, granter: DomId, reference: u32, readonly: bool, hold: Hold) {
        self.let_go(hold);
        if let Some(domain) = self.domains.get_mut(&granter) {
            domain.grants.unpin(&self.platform, reference, readonly);
        }
    }

    /// Changes the version of a domain's table, which loses all entries but the reserved ones.
    pub fn set_grant_version(&mut self, id: DomId, version: u32) -> Result<()> {
        let table = &self.domain(id)?.grants;
        if version != 1 && version != 2 {
            return Err(Errno::EINVAL);
        }
        if table.version() == version {
            return Ok(());
        }
        if table.is_used_beyond(reserved::COUNT) {
            return Err(Errno::EBUSY);
        }
        let kept = self.reserved_entries(id)?;
        if version == 2 {
            let words = GrantTable::status_frames(table_len(&self.domain(id)?.grants));
            self.grow(id, true, words)?;
        } else {
            self.drop_status_frames(id)?;
        }
        let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
        for (frame, _) in domain.grants.frames(false) {
            self.platform.clear_frame(frame.mfn().address());
        }
        domain.grants.set_version(version);
        for (reference, entry) in kept.into_iter().enumerate() {
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

    /// The reserved entries in the layout of version 1: [`Errno::ERANGE`] if one cannot be said in it.
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
                    let kind = full.flags & flag::TYPE_MASK;
                    if kind == flag::TRANSITIVE
                        || (kind == flag::PERMIT_ACCESS && full.frame >> 32 != 0)
                    {
                        return Err(Errno::ERANGE);
                    }
                    if kind == flag::PERMIT_ACCESS {
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

    /// Takes the status frames away, also where the domain sees them (XSA-379: it must not go on seeing them). If another
    /// domain sees one, none is taken.
    fn drop_status_frames(&mut self, id: DomId) -> Result<()> {
        let mut frames = self.domain(id)?.grants.frames(true).iter();
        if frames.any(|(frame, _)| self.is_shown_elsewhere(frame.mfn())) {
            return Err(Errno::EBUSY);
        }
        while let Some((frame, place)) = self.domain_mut(id)?.grants.frames_mut(true).pop() {
            if let Some(gfn) = place {
                if self
                    .lookup(id, gfn)
                    .is_some_and(|seen| seen.mfn == frame.mfn())
                {
                    self.hide_granted(id, gfn)?;
                }
            }
            self.frames.free(frame);
        }
        Ok(())
    }

    /// Exchanges two entries that nobody uses.
    pub fn swap_grants(&mut self, id: DomId, a: u32, b: u32) -> Outcome<()> {
        let table = &self.domain(id).map_err(|_| GENERAL)?.grants;
        let bad = Failed(status::BAD_GNTREF);
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
            return Err(Failed(status::EAGAIN));
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
