//! A domain's grant table: the frames that it shares with the hypervisor, what others use of what it grants, and what
//! it has mapped of others' grants. What it means for two domains is in [`crate::system`].
//!
//! Entries lie in memory that the guest changes at any time. An entry is read once, checked, and marked as used by an
//! atomic operation; what was granted then is remembered here and counts as long as somebody uses it.

use crate::mem::frames::DomId;
use crate::mem::{Gfn, Hold, HypFrames, MachineMemory, Mfn, PAGE_SIZE};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::mem::offset_of;
use xen_abi::grant_table::{EntryV1, EntryV2, EntryV2SubPage, flag, status};

/// Bytes of an entry of version 1.
const ENTRY_V1: u64 = size_of::<EntryV1>() as u64;
/// Bytes of an entry of version 2.
const ENTRY_V2: u64 = size_of::<EntryV2>() as u64;
/// Bytes of a status word.
const STATUS: u64 = 2;
/// Mappings that Xen tracks in a frame.
const TRACKED_PER_FRAME: u32 = 256;
/// Tries at an entry that the guest keeps changing.
const TRIES: u32 = 5;

/// A status of an operation (`GNTST_*`), as the error that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed(pub i16);

/// Outcome of an operation on a grant.
pub type Outcome<T> = core::result::Result<T, Failed>;

/// A frame of the table and where the domain sees it.
pub type Shown = (HypFrames, Option<Gfn>);

/// A grant in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Active {
    /// Who uses it.
    pub user: DomId,
    /// The frame.
    pub mfn: Mfn,
    /// First byte that is granted, and how many.
    pub start: u16,
    /// Bytes that are granted.
    pub length: u16,
    /// Only a part is granted, so it can be copied and not mapped.
    pub sub_page: bool,
    /// Uses for reading only.
    pub readers: u32,
    /// Uses for writing.
    pub writers: u32,
}

/// A mapping of another domain's grant.
#[derive(Debug)]
pub struct Mapping {
    /// Who grants.
    pub granter: DomId,
    /// The grant.
    pub reference: u32,
    /// It is read only.
    pub readonly: bool,
    /// Where it is.
    pub gfn: Gfn,
    /// The use of the frame.
    pub hold: Hold,
}

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The frame, where the granter sees it.
    pub gfn: Gfn,
    /// First byte.
    pub start: u16,
    /// Bytes.
    pub length: u16,
    /// It is less than a page.
    pub sub_page: bool,
}

/// The table.
pub struct GrantTable {
    version: u32,
    shared: Vec<Shown>,
    status: Vec<Shown>,
    max_frames: u32,
    max_mappings: u32,
    active: BTreeMap<u32, Active>,
    mappings: Vec<Option<Mapping>>,
    free: Vec<u32>,
}

impl GrantTable {
    /// An empty table of version 1.
    pub fn new(max_frames: u32, max_maptrack_frames: u32) -> Self {
        Self {
            version: 1,
            shared: Vec::new(),
            status: Vec::new(),
            max_frames,
            max_mappings: max_maptrack_frames.saturating_mul(TRACKED_PER_FRAME),
            active: BTreeMap::new(),
            mappings: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Its version, 1 or 2.
    pub fn version(&self) -> u32 {
        self.version
    }

    pub(crate) fn set_version(&mut self, version: u32) {
        self.version = version;
    }

    /// Frames of entries, or of status words.
    pub fn frames(&self, status: bool) -> &Vec<Shown> {
        if status { &self.status } else { &self.shared }
    }

    pub(crate) fn frames_mut(&mut self, status: bool) -> &mut Vec<Shown> {
        if status {
            &mut self.status
        } else {
            &mut self.shared
        }
    }

    /// Frames of entries, or of status words, that it may have.
    pub fn most_frames(&self, status: bool) -> u32 {
        if status {
            Self::status_frames(self.max_frames)
        } else {
            self.max_frames
        }
    }

    /// Frames of status words for so many frames of entries of version 2.
    pub fn status_frames(frames: u32) -> u32 {
        frames.div_ceil((ENTRY_V2 / STATUS) as u32)
    }

    /// Number of entries.
    pub fn entries(&self) -> u32 {
        let size = if self.version == 1 {
            ENTRY_V1
        } else {
            ENTRY_V2
        };
        (self.shared.len() as u64 * PAGE_SIZE / size) as u32
    }

    /// Forgets that the domain sees one of the table's frames at a place.
    pub fn forget_place(&mut self, gfn: Gfn) {
        for (_, place) in self.shared.iter_mut().chain(&mut self.status) {
            if *place == Some(gfn) {
                *place = None;
            }
        }
    }

    fn at(frames: &[Shown], index: u64, size: u64) -> Option<u64> {
        let offset = index * size;
        let (frame, _) = frames.get((offset / PAGE_SIZE) as usize)?;
        Some(frame.mfn().address() + offset % PAGE_SIZE)
    }

    /// Address of an entry.
    pub(crate) fn entry(&self, reference: u32) -> Option<u64> {
        let size = if self.version == 1 {
            ENTRY_V1
        } else {
            ENTRY_V2
        };
        Self::at(&self.shared, reference.into(), size)
    }

    /// Address of the word that says how an entry is used.
    pub(crate) fn status_word(&self, reference: u32) -> Option<u64> {
        match self.version {
            1 => self.entry(reference),
            _ => Self::at(&self.status, reference.into(), STATUS),
        }
    }

    /// A grant in use.
    pub fn active(&self, reference: u32) -> Option<&Active> {
        self.active.get(&reference)
    }

    /// Whether a grant beyond the reserved ones is in use.
    pub(crate) fn is_used_beyond(&self, reserved: u32) -> bool {
        self.active.range(reserved..).next().is_some()
    }

    /// Checks that an entry allows a use and marks it as used. What is in use already needs no mark, unless it is
    /// written for the first time.
    ///
    /// `map` says that it is to be mapped, for which a part of a page does not do.
    pub(crate) fn claim(
        &self,
        memory: &impl MachineMemory,
        reference: u32,
        user: DomId,
        readonly: bool,
        map: bool,
    ) -> Outcome<Option<Granted>> {
        let failed = Failed(status::GENERAL_ERROR);
        let entry = self.entry(reference).filter(|_| reference < self.entries());
        let entry = entry.ok_or(Failed(status::BAD_GNTREF))?;
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
            self.mark_v1(memory, entry, active.is_some(), user, readonly, map)?
        } else {
            let word = self.status_word(reference).ok_or(failed)?;
            self.mark_v2(memory, entry, word, active.is_some(), user, readonly, map)?
        };
        Ok(Some(self.read_frame(memory, entry, flags)))
    }

    /// What must hold of an entry's first word for a new use.
    fn allows(flags: u16, domain: DomId, user: DomId, map: bool) -> bool {
        let mask = flag::TYPE_MASK | if map { flag::SUB_PAGE } else { 0 };
        flags & mask == flag::PERMIT_ACCESS && domain == user
    }

    fn mark_v1(
        &self,
        memory: &impl MachineMemory,
        entry: u64,
        in_use: bool,
        user: DomId,
        readonly: bool,
        map: bool,
    ) -> Outcome<u16> {
        let mut word = memory.load_u32(entry);
        for _ in 0..TRIES {
            let (flags, domain) = (word as u16, (word >> 16) as u16);
            if !in_use && !Self::allows(flags, domain, user, map) {
                return Err(Failed(status::GENERAL_ERROR));
            }
            if !readonly && flags & flag::READONLY != 0 {
                return Err(Failed(status::GENERAL_ERROR));
            }
            let marks = flag::READING | if readonly { 0 } else { flag::WRITING };
            match memory.compare_exchange_u32(entry, word, word | u32::from(marks)) {
                Ok(_) => return Ok(flags),
                Err(now) => word = now,
            }
        }
        Err(Failed(status::GENERAL_ERROR))
    }

    /// Marks first and looks again then: the guest takes a grant back by clearing the entry and looking at the mark.
    #[allow(clippy::too_many_arguments, reason = "they are one another's context")]
    fn mark_v2(
        &self,
        memory: &impl MachineMemory,
        entry: u64,
        word: u64,
        in_use: bool,
        user: DomId,
        readonly: bool,
        map: bool,
    ) -> Outcome<u16> {
        let marks = flag::READING | if readonly { 0 } else { flag::WRITING };
        let allowed = |value: u32| {
            let (flags, domain) = (value as u16, (value >> 16) as u16);
            (in_use || Self::allows(flags, domain, user, map))
                && (readonly || flags & flag::READONLY == 0)
        };
        if !allowed(memory.load_u32(entry)) {
            return Err(Failed(status::GENERAL_ERROR));
        }
        memory.fetch_or_u16(word, marks);
        let now = memory.load_u32(entry);
        if !allowed(now) {
            let clear = if in_use {
                flag::WRITING
            } else {
                flag::READING | flag::WRITING
            };
            memory.fetch_clear_u16(word, clear);
            return Err(Failed(status::GENERAL_ERROR));
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
        // Offset and length in one word, so that they belong together.
        let part = memory.load_u32(entry + offset_of!(EntryV2SubPage, page_off) as u64);
        Granted {
            gfn: Gfn(gfn),
            start: part as u16,
            length: (part >> 16) as u16,
            sub_page: true,
        }
    }

    /// Counts a use. `new` is what the entry said, if it was looked at.
    pub(crate) fn pin(&mut self, reference: u32, readonly: bool, new: Active) -> Active {
        let active = self.active.entry(reference).or_insert(new);
        if readonly {
            active.readers += 1;
        } else {
            active.writers += 1;
        }
        *active
    }

    /// Ends a use that was counted, and clears the marks that nobody needs any more.
    pub(crate) fn unpin(&mut self, memory: &impl MachineMemory, reference: u32, readonly: bool) {
        if let Some(active) = self.active.get_mut(&reference) {
            let count = if readonly {
                &mut active.readers
            } else {
                &mut active.writers
            };
            *count = count.saturating_sub(1);
        }
        self.clear_marks(memory, reference);
    }

    /// Clears the marks of an entry that say more than its uses.
    pub(crate) fn clear_marks(&mut self, memory: &impl MachineMemory, reference: u32) {
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

    /// Room for another mapping.
    pub(crate) fn has_handle(&self) -> bool {
        !self.free.is_empty() || (self.mappings.len() as u32) < self.max_mappings
    }

    /// Remembers a mapping; there is room.
    pub(crate) fn add_mapping(&mut self, mapping: Mapping) -> u32 {
        match self.free.pop() {
            Some(handle) => {
                self.mappings[handle as usize] = Some(mapping);
                handle
            }
            None => {
                self.mappings.push(Some(mapping));
                self.mappings.len() as u32 - 1
            }
        }
    }

    /// A mapping by its handle.
    pub fn mapping(&self, handle: u32) -> Option<&Mapping> {
        self.mappings.get(handle as usize)?.as_ref()
    }

    pub(crate) fn remove_mapping(&mut self, handle: u32) -> Option<Mapping> {
        let mapping = self.mappings.get_mut(handle as usize)?.take()?;
        self.free.push(handle);
        Some(mapping)
    }

    /// Takes all mappings.
    pub(crate) fn take_mappings(&mut self) -> Vec<Mapping> {
        self.free.clear();
        core::mem::take(&mut self.mappings)
            .into_iter()
            .flatten()
            .collect()
    }

    /// Number of mappings.
    pub fn mapped(&self) -> usize {
        self.mappings.iter().flatten().count()
    }
}

#[cfg(test)]
mod tests;
