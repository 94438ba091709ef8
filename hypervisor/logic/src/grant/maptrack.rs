// SPDX-License-Identifier: GPL-2.0

//! Maptrack: what a domain has mapped of other domains' grants, by the handle that it got for each mapping.

use crate::error::{Errno, Result};
use crate::mem::frames::DomId;
use crate::mem::{Gfn, PageRef};
use crate::system::HeapBudget;
use alloc::vec::Vec;

/// Maptrack entries that Xen keeps in a frame.
const MAPTRACK_PER_FRAME: u32 = 256;

/// A mapping of a grant (`struct grant_mapping` in Xen).
#[derive(Debug)]
pub struct GrantMapping {
    /// The domain that grants.
    pub granter: DomId,
    /// The grant reference.
    pub reference: u32,
    /// The mapping is read-only.
    pub readonly: bool,
    /// The gfn at which it is mapped.
    pub gfn: Gfn,
    /// The reference to the granted page.
    pub page: PageRef,
}

/// Bytes of the heap for one entry: the entry, and its place among the free handles.
const ENTRY_BYTES: usize = size_of::<Option<GrantMapping>>() + size_of::<u32>();

/// The maptrack entries of a domain.
pub struct Maptrack {
    entries: Vec<Option<GrantMapping>>,
    max_entries: u32,
    /// Entries that there is memory for. Freeing a handle allocates nothing.
    room: u32,
    /// Bytes that were taken from a budget for them.
    charged: usize,
    /// Handles below `entries.len()` that are free.
    free: Vec<u32>,
}

impl Maptrack {
    /// Without entries. `max_frames` is the limit of the domain's configuration.
    pub fn new(max_frames: u32) -> Self {
        Self {
            entries: Vec::new(),
            max_entries: max_frames.saturating_mul(MAPTRACK_PER_FRAME),
            room: 0,
            charged: 0,
            free: Vec::new(),
        }
    }

    /// Makes sure that another mapping can be added. Memory is taken from the budget, if there is one.
    ///
    /// # Errors
    ///
    /// [`Errno::ENOSPC`] if the domain has as many as it may have, [`Errno::ENOMEM`].
    pub fn reserve(&mut self, budget: Option<&mut HeapBudget>) -> Result<()> {
        let used = self.entries.len() as u32;
        if !self.free.is_empty() || used < self.room {
            return Ok(());
        }
        if used >= self.max_entries {
            return Err(Errno::ENOSPC);
        }
        let more = self.room.max(MAPTRACK_PER_FRAME);
        let more = more.min(self.max_entries - self.room);
        let bytes = more as usize * ENTRY_BYTES;
        let is_charged = budget.is_some();
        let mut unlimited = HeapBudget::new(usize::MAX);
        let budget = budget.unwrap_or(&mut unlimited);
        budget.take(bytes)?;
        let room = (self.room + more) as usize;
        let reserved = self
            .entries
            .try_reserve_exact(room - self.entries.len())
            .and_then(|()| self.free.try_reserve_exact(room - self.free.len()));
        if reserved.is_err() {
            budget.give(bytes);
            return Err(Errno::ENOMEM);
        }
        self.room += more;
        self.charged += if is_charged { bytes } else { 0 };
        Ok(())
    }

    /// Bytes that were taken from a budget.
    pub fn charged(&self) -> usize {
        self.charged
    }

    /// Adds a mapping and returns its handle. The caller has called [`Maptrack::reserve`] before.
    pub fn add(&mut self, mapping: GrantMapping) -> u32 {
        match self.free.pop() {
            Some(handle) => {
                self.entries[handle as usize] = Some(mapping);
                handle
            }
            None => {
                self.entries.push(Some(mapping));
                self.entries.len() as u32 - 1
            }
        }
    }

    /// The mapping of a handle.
    pub fn get(&self, handle: u32) -> Option<&GrantMapping> {
        self.entries.get(handle as usize)?.as_ref()
    }

    /// Removes a mapping; its handle becomes free.
    pub fn remove(&mut self, handle: u32) -> Option<GrantMapping> {
        let mapping = self.entries.get_mut(handle as usize)?.take()?;
        self.free.push(handle);
        Some(mapping)
    }

    /// The first handle that was never given away.
    pub fn end(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Number of mappings.
    pub fn count(&self) -> usize {
        self.entries.iter().flatten().count()
    }
}
