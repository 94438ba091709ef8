// SPDX-License-Identifier: GPL-2.0

//! Maptrack: what a domain has mapped of other domains' grants, by the handle that it got for each mapping.

use crate::mem::frames::DomId;
use crate::mem::{Gfn, PageRef};
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

/// The maptrack entries of a domain.
pub struct Maptrack {
    entries: Vec<Option<GrantMapping>>,
    max_entries: u32,
    /// Handles below `entries.len()` that are free.
    free: Vec<u32>,
}

impl Maptrack {
    /// Without entries. `max_frames` is the limit of the domain's configuration.
    pub fn new(max_frames: u32) -> Self {
        Self {
            entries: Vec::new(),
            max_entries: max_frames.saturating_mul(MAPTRACK_PER_FRAME),
            free: Vec::new(),
        }
    }

    /// Whether another mapping can be added.
    pub fn has_free_handle(&self) -> bool {
        !self.free.is_empty() || (self.entries.len() as u32) < self.max_entries
    }

    /// Adds a mapping and returns its handle. The caller has checked [`Maptrack::has_free_handle`].
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
