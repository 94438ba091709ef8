// SPDX-License-Identifier: GPL-2.0

//! A domain's grant table: the frames that it shares with the hypervisor, and its grants that are in use. What it has
//! mapped of other domains' grants is in [`maptrack`]; operations on two domains are in [`crate::system`].
//!
//! Entries lie in memory that the guest changes at any time. An entry is read once, checked, and its status bits are
//! set by an atomic operation. What it granted at that time is kept as an [`ActiveEntry`] and holds as long as the
//! grant is in use.

pub mod maptrack;

use crate::mem::frames::DomId;
use crate::mem::{Gfn, HypFrames, MachineMemory, Mfn, PAGE_SIZE};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::mem::offset_of;
use maptrack::Maptrack;
use xen_abi::grant_table::{EntryV1, EntryV2, EntryV2SubPage, flag, status};

/// Bytes of an entry of version 1.
const ENTRY_V1: u64 = size_of::<EntryV1>() as u64;
/// Bytes of an entry of version 2.
const ENTRY_V2: u64 = size_of::<EntryV2>() as u64;
/// Bytes of a status word.
const STATUS: u64 = 2;
/// Attempts at an entry that the guest keeps changing.
const MAX_ATTEMPTS: u32 = 5;

/// The status of an operation that failed (`GNTST_*`, negative).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GntStatus(pub i16);

/// Result of an operation on a grant.
pub type GnttabResult<T> = core::result::Result<T, GntStatus>;

/// A frame of the table, and the gfn at which the domain maps it.
pub type TableFrame = (HypFrames, Option<Gfn>);

/// A grant in use (`struct active_grant_entry` in Xen).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveEntry {
    /// The domain that uses it.
    pub user: DomId,
    /// The granted frame.
    pub mfn: Mfn,
    /// Offset of the first byte that is granted.
    pub start: u16,
    /// Number of bytes that are granted.
    pub length: u16,
    /// Less than a page is granted: it can be copied, but not mapped.
    pub sub_page: bool,
    /// Number of read-only uses.
    pub readers: u32,
    /// Number of writable uses.
    pub writers: u32,
}

/// What an entry grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The frame, by the granter's gfn.
    pub gfn: Gfn,
    /// Offset of the first byte.
    pub start: u16,
    /// Number of bytes.
    pub length: u16,
    /// Less than a page is granted.
    pub sub_page: bool,
}

/// The grant table of a domain.
pub struct GrantTable {
    version: u32,
    shared: Vec<TableFrame>,
    status: Vec<TableFrame>,
    max_frames: u32,
    active: BTreeMap<u32, ActiveEntry>,
    /// What the domain has mapped of other domains' grants.
    pub maptrack: Maptrack,
}

impl GrantTable {
    /// An empty table of version 1, with the limits of the domain's configuration.
    pub fn new(max_frames: u32, max_maptrack_frames: u32) -> Self {
        Self {
            version: 1,
            shared: Vec::new(),
            status: Vec::new(),
            max_frames,
            active: BTreeMap::new(),
            maptrack: Maptrack::new(max_maptrack_frames),
        }
    }

    /// The table's version, 1 or 2.
    pub fn version(&self) -> u32 {
        self.version
    }

    pub(crate) fn set_version(&mut self, version: u32) {
        self.version = version;
    }

    /// The frames of entries or, if `status`, of status words.
    pub fn frames(&self, status: bool) -> &Vec<TableFrame> {
        if status { &self.status } else { &self.shared }
    }

    pub(crate) fn frames_mut(&mut self, status: bool) -> &mut Vec<TableFrame> {
        if status {
            &mut self.status
        } else {
            &mut self.shared
        }
    }

    /// Most frames of entries or, if `status`, of status words.
    pub fn max_frames(&self, status: bool) -> u32 {
        if status {
            Self::status_frames(self.max_frames)
        } else {
            self.max_frames
        }
    }

    /// Number of frames of status words for `frames` frames of entries of version 2.
    pub fn status_frames(frames: u32) -> u32 {
        frames.div_ceil((ENTRY_V2 / STATUS) as u32)
    }

    /// Number of grant references that the table has.
    pub fn entries(&self) -> u32 {
        let size = if self.version == 1 {
            ENTRY_V1
        } else {
            ENTRY_V2
        };
        (self.shared.len() as u64 * PAGE_SIZE / size) as u32
    }

    /// The domain no longer maps a frame of the table at a gfn.
    pub fn clear_frame_gfn(&mut self, gfn: Gfn) {
        for (_, mapped_at) in self.shared.iter_mut().chain(&mut self.status) {
            if *mapped_at == Some(gfn) {
                *mapped_at = None;
            }
        }
    }

    fn at(frames: &[TableFrame], index: u64, size: u64) -> Option<u64> {
        let offset = index * size;
        let (frame, _) = frames.get((offset / PAGE_SIZE) as usize)?;
        Some(frame.mfn().address() + offset % PAGE_SIZE)
    }

    /// Machine address of an entry.
    pub(crate) fn entry(&self, reference: u32) -> Option<u64> {
        let size = if self.version == 1 {
            ENTRY_V1
        } else {
            ENTRY_V2
        };
        Self::at(&self.shared, reference.into(), size)
    }

    /// Machine address of an entry's status word: in version 1 its flags.
    pub(crate) fn status_word(&self, reference: u32) -> Option<u64> {
        match self.version {
            1 => self.entry(reference),
            _ => Self::at(&self.status, reference.into(), STATUS),
        }
    }

    /// A grant that is in use.
    pub fn active(&self, reference: u32) -> Option<&ActiveEntry> {
        self.active.get(&reference)
    }

    /// Whether a grant beyond the reserved ones is in use.
    pub(crate) fn is_used_beyond(&self, reserved: u32) -> bool {
        self.active.range(reserved..).next().is_some()
    }

    /// Checks that an entry allows a use, and sets its status bits. Returns what it grants, or `None` if the grant is
    /// in use already and its status bits need no change.
    ///
    /// `map` tells that the use is a mapping, which a sub-page grant does not allow.
    ///
    /// # Errors
    ///
    /// The `GNTST_*` status for the caller.
    pub(crate) fn set_status(
        &self,
        memory: &impl MachineMemory,
        reference: u32,
        user: DomId,
        readonly: bool,
        map: bool,
    ) -> GnttabResult<Option<Granted>> {
        let failed = GntStatus(status::GENERAL_ERROR);
        let entry = self.entry(reference).filter(|_| reference < self.entries());
        let entry = entry.ok_or(GntStatus(status::BAD_GNTREF))?;
        let active = self.active.get(&reference);
        if let Some(active) = active {
            let full =
                active.readers == u32::from(u16::MAX) || active.writers == u32::from(u16::MAX);
            if active.user != user || full || (map && active.sub_page) {
                return Err(failed);
            }
            if readonly || active.writers > 0 {
                return Ok(None);
            }
        }
        let flags = if self.version == 1 {
            self.set_status_v1(memory, entry, active.is_some(), user, readonly, map)?
        } else {
            let word = self.status_word(reference).ok_or(failed)?;
            self.set_status_v2(memory, entry, word, active.is_some(), user, readonly, map)?
        };
        Ok(Some(self.read_frame(memory, entry, flags)))
    }

    /// Whether the first word of an entry allows a new use.
    fn allows(flags: u16, domain: DomId, user: DomId, map: bool) -> bool {
        let mask = flag::TYPE_MASK | if map { flag::SUB_PAGE } else { 0 };
        flags & mask == flag::PERMIT_ACCESS && domain == user
    }

    fn set_status_v1(
        &self,
        memory: &impl MachineMemory,
        entry: u64,
        in_use: bool,
        user: DomId,
        readonly: bool,
        map: bool,
    ) -> GnttabResult<u16> {
        let mut word = memory.load_u32(entry);
        for _ in 0..MAX_ATTEMPTS {
            let (flags, domain) = (word as u16, (word >> 16) as u16);
            if !in_use && !Self::allows(flags, domain, user, map) {
                return Err(GntStatus(status::GENERAL_ERROR));
            }
            if !readonly && flags & flag::READONLY != 0 {
                return Err(GntStatus(status::GENERAL_ERROR));
            }
            let status_bits = flag::READING | if readonly { 0 } else { flag::WRITING };
            match memory.compare_exchange_u32(entry, word, word | u32::from(status_bits)) {
                Ok(_) => return Ok(flags),
                Err(now) => word = now,
            }
        }
        Err(GntStatus(status::GENERAL_ERROR))
    }

    /// Sets the status bits first and checks the entry again: the guest revokes by clearing the entry and then reading
    /// the status.
    #[allow(
        clippy::too_many_arguments,
        reason = "all of them describe the one use"
    )]
    fn set_status_v2(
        &self,
        memory: &impl MachineMemory,
        entry: u64,
        word: u64,
        in_use: bool,
        user: DomId,
        readonly: bool,
        map: bool,
    ) -> GnttabResult<u16> {
        let status_bits = flag::READING | if readonly { 0 } else { flag::WRITING };
        let allowed = |value: u32| {
            let (flags, domain) = (value as u16, (value >> 16) as u16);
            (in_use || Self::allows(flags, domain, user, map))
                && (readonly || flags & flag::READONLY == 0)
        };
        if !allowed(memory.load_u32(entry)) {
            return Err(GntStatus(status::GENERAL_ERROR));
        }
        memory.fetch_or_u16(word, status_bits);
        let now = memory.load_u32(entry);
        if !allowed(now) {
            let clear = if in_use {
                flag::WRITING
            } else {
                flag::READING | flag::WRITING
            };
            memory.fetch_clear_u16(word, clear);
            return Err(GntStatus(status::GENERAL_ERROR));
        }
        Ok(now as u16)
    }

    fn read_frame(&self, memory: &impl MachineMemory, entry: u64, flags: u16) -> Granted {
        let whole = |gfn| Granted {
            gfn: Gfn(gfn),
            start: 0,
            length: PAGE_SIZE as u16,
            sub_page: false,
        };
        if self.version == 1 {
            return whole(
                memory
                    .load_u32(entry + offset_of!(EntryV1, frame) as u64)
                    .into(),
            );
        }
        let gfn = memory.load_u64(entry + offset_of!(EntryV2, frame) as u64);
        if flags & flag::SUB_PAGE == 0 {
            return whole(gfn);
        }
        // Offset and length in one read, so that they belong together.
        let part = memory.load_u32(entry + offset_of!(EntryV2SubPage, page_off) as u64);
        Granted {
            gfn: Gfn(gfn),
            start: part as u16,
            length: (part >> 16) as u16,
            sub_page: true,
        }
    }

    /// Counts a use. `new` becomes the active entry of a grant that was not in use.
    pub(crate) fn pin(&mut self, reference: u32, readonly: bool, new: ActiveEntry) -> ActiveEntry {
        let active = self.active.entry(reference).or_insert(new);
        if readonly {
            active.readers += 1;
        } else {
            active.writers += 1;
        }
        *active
    }

    /// Ends a use, and clears the status bits that no other use needs.
    pub(crate) fn unpin(&mut self, memory: &impl MachineMemory, reference: u32, readonly: bool) {
        if let Some(active) = self.active.get_mut(&reference) {
            let count = if readonly {
                &mut active.readers
            } else {
                &mut active.writers
            };
            *count = count.saturating_sub(1);
        }
        self.reduce_status_for_pin(memory, reference);
    }

    /// Clears those status bits of an entry that no use needs.
    pub(crate) fn reduce_status_for_pin(&mut self, memory: &impl MachineMemory, reference: u32) {
        let (readers, writers) = self
            .active
            .get(&reference)
            .map_or((0, 0), |a| (a.readers, a.writers));
        let mut clear = 0;
        if writers == 0 {
            clear |= flag::WRITING;
        }
        if writers == 0 && readers == 0 {
            clear |= flag::READING;
            self.active.remove(&reference);
        }
        if let Some(word) = self.status_word(reference).filter(|_| clear != 0) {
            memory.fetch_clear_u16(word, clear);
        }
    }
}

#[cfg(test)]
mod tests;
