// SPDX-License-Identifier: GPL-2.0

//! A domain's grant table: the frames that it shares with the hypervisor, and its grants that are in use. What it has
//! mapped of other domains' grants is in [`maptrack`]; operations on two domains are in [`crate::system`].
//!
//! Entries lie in memory that the guest changes at any time. How one is checked and its use marked is in
//! [`xen_grant::hypervisor`]; here is where it lies, and the [`ActiveEntry`], which holds what it granted when it was
//! checked, as long as the grant is in use.

pub mod maptrack;
mod table;

use crate::error::{Errno, Result};
use crate::mem::frames::DomId;
use crate::mem::{Gfn, HypFrames, MachineMemory, Mfn, PAGE_SIZE};
use crate::system::HeapBudget;
use alloc::vec::Vec;
use maptrack::Maptrack;
use table::TableMemory;
use xen_grant::Version;
use xen_grant::hypervisor::{self, InUseBy, Use};
use xen_grant::layout::STATUS_SIZE;

pub use xen_grant::hypervisor::{GntStatus, Granted, Pins};

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
    /// The uses.
    pub pins: Pins,
}

/// The grant table of a domain.
pub struct GrantTable {
    version: Version,
    shared: Vec<TableFrame>,
    status: Vec<TableFrame>,
    max_frames: u32,
    /// The grants in use, by reference. There is room for all references of the table.
    active: Vec<Option<ActiveEntry>>,
    /// Bytes that were taken from a budget for them.
    charged: usize,
    /// What the domain has mapped of other domains' grants.
    pub maptrack: Maptrack,
}

impl GrantTable {
    /// An empty table of version 1, with the limits of the domain's configuration.
    pub fn new(max_frames: u32, max_maptrack_frames: u32) -> Self {
        Self {
            version: Version::V1,
            shared: Vec::new(),
            status: Vec::new(),
            max_frames,
            active: Vec::new(),
            charged: 0,
            maptrack: Maptrack::new(max_maptrack_frames),
        }
    }

    /// The table's version, 1 or 2.
    pub fn version(&self) -> u32 {
        self.version.number()
    }

    pub(crate) fn set_version(&mut self, version: Version) {
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
        Version::V2.status_frames(frames)
    }

    /// Number of grant references that the table has.
    pub fn entries(&self) -> u32 {
        self.version.entries(self.shared.len() as u32)
    }

    /// The domain no longer maps a frame of the table at a gfn.
    pub fn clear_frame_gfn(&mut self, gfn: Gfn) {
        for (_, mapped_at) in self.shared.iter_mut().chain(&mut self.status) {
            if *mapped_at == Some(gfn) {
                *mapped_at = None;
            }
        }
    }

    fn at(frames: &[TableFrame], index: u32, size: usize) -> Option<u64> {
        let offset = u64::from(index) * size as u64;
        let (frame, _) = frames.get((offset / PAGE_SIZE) as usize)?;
        Some(frame.mfn().address() + offset % PAGE_SIZE)
    }

    /// Machine address of an entry.
    pub(crate) fn entry(&self, reference: u32) -> Option<u64> {
        Self::at(&self.shared, reference, self.version.entry_size())
    }

    /// Machine address of an entry's status word: in version 1 its flags.
    pub(crate) fn status_word(&self, reference: u32) -> Option<u64> {
        match self.version {
            Version::V1 => self.entry(reference),
            Version::V2 => Self::at(&self.status, reference, STATUS_SIZE),
        }
    }

    /// A grant that is in use.
    pub fn active(&self, reference: u32) -> Option<&ActiveEntry> {
        self.active.get(reference as usize)?.as_ref()
    }

    /// Whether a grant beyond the reserved ones is in use.
    pub(crate) fn is_used_beyond(&self, reserved: u32) -> bool {
        self.active
            .iter()
            .skip(reserved as usize)
            .any(Option::is_some)
    }

    /// Makes room for the active entries of a table of so many frames. Memory is taken from the budget, if there is one.
    ///
    /// # Errors
    ///
    /// [`Errno::ENOMEM`].
    pub(crate) fn reserve_active(
        &mut self,
        frames: usize,
        budget: Option<&mut HeapBudget>,
    ) -> Result<()> {
        // The entries of version 1 are the smaller ones.
        let wanted = frames * Version::V1.entries_per_frame() as usize;
        let missing = wanted.saturating_sub(self.active.len());
        let bytes = missing * size_of::<Option<ActiveEntry>>();
        let is_charged = budget.is_some();
        let mut unlimited = HeapBudget::new(usize::MAX);
        let budget = budget.unwrap_or(&mut unlimited);
        budget.take(bytes)?;
        if self.active.try_reserve_exact(missing).is_err() {
            budget.give(bytes);
            return Err(Errno::ENOMEM);
        }
        self.active.resize(self.active.len() + missing, None);
        self.charged += if is_charged { bytes } else { 0 };
        Ok(())
    }

    /// Bytes that were taken from a budget for what it keeps.
    pub fn charged(&self) -> usize {
        self.charged + self.maptrack.charged()
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
        let table = TableMemory::new(self, memory);
        let wanted = Use {
            user,
            readonly,
            map,
        };
        let active = self.active(reference).map(|active| InUseBy {
            user: active.user,
            sub_page: active.sub_page,
            pins: active.pins,
        });
        hypervisor::set_status(&table, reference, wanted, active)
    }

    /// Counts a use. `new` becomes the active entry of a grant that was not in use. The table has the reference.
    pub(crate) fn pin(&mut self, reference: u32, readonly: bool, new: ActiveEntry) -> ActiveEntry {
        let active = self.active[reference as usize].get_or_insert(new);
        active.pins.pin(readonly);
        *active
    }

    /// Ends a use, and clears the status bits that no other use needs.
    pub(crate) fn unpin(&mut self, memory: &impl MachineMemory, reference: u32, readonly: bool) {
        if let Some(Some(active)) = self.active.get_mut(reference as usize) {
            active.pins.unpin(readonly);
        }
        self.reduce_status_for_pin(memory, reference);
    }

    /// Clears those status bits of an entry that no use needs, and forgets an active entry without uses.
    pub(crate) fn reduce_status_for_pin(&mut self, memory: &impl MachineMemory, reference: u32) {
        let pins = self
            .active(reference)
            .map_or(Pins::default(), |active| active.pins);
        if let Some(active) = self.active.get_mut(reference as usize) {
            *active = active.filter(|active| !active.pins.is_idle());
        }
        hypervisor::reduce_status(&TableMemory::new(self, memory), reference, pins);
    }
}

#[cfg(test)]
mod tests;
