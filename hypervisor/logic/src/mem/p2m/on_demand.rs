// SPDX-License-Identifier: GPL-2.0

//! Entries of a p2m that stand for memory which is populated on demand (`p2m_populate_on_demand` in Xen). They are not
//! present, so the processor exits at the first access.

use super::{GFN_LIMIT, Gfn, LARGE, MapError, P2m, P2mMemory, PRESENT, shift};

/// Bit 9 of an entry that is not present, which the processor ignores: its gfns are populated on demand
/// (`p2m_populate_on_demand`).
const ON_DEMAND: u64 = 1 << 9;

/// An entry of a level whose gfns are populated on demand.
pub(super) fn on_demand(level: u8) -> u64 {
    if level > 0 {
        ON_DEMAND | LARGE
    } else {
        ON_DEMAND
    }
}

/// Whether an entry is one of those.
pub(super) fn is_on_demand(entry: u64) -> bool {
    entry & (PRESENT | ON_DEMAND) == ON_DEMAND
}

impl P2m {
    /// Marks the `1 << order` gfns from `gfn` on as populated on demand. They are of one entry: the order is 0 or 9, and
    /// the gfn is aligned to it. What was mapped there is replaced.
    ///
    /// # Errors
    ///
    /// As [`P2m::map`]; nothing is changed then.
    pub fn mark_populate_on_demand(
        &mut self,
        memory: &mut impl P2mMemory,
        gfn: Gfn,
        order: u8,
    ) -> Result<(), MapError> {
        let level = order / 9;
        if gfn.0 >= GFN_LIMIT || gfn.0 % (1 << shift(level)) != 0 {
            return Err(MapError::OutOfReach);
        }
        let set = self.set(memory, gfn.0, level, Some(on_demand(level)));
        if set.is_err() {
            self.prune(memory, gfn.0, level);
        }
        set
    }

    /// Whether a gfn is populated on demand: binary logarithm of the number of gfns that its entry stands for.
    pub fn on_demand_order(&self, memory: &impl P2mMemory, gfn: Gfn) -> Option<u8> {
        if gfn.0 >= GFN_LIMIT {
            return None;
        }
        let (entry, level) = self.find(memory, gfn.0);
        is_on_demand(entry).then(|| shift(level) as u8)
    }

    /// Removes a gfn that is populated on demand. False if it is not.
    ///
    /// # Errors
    ///
    /// [`MapError::NoMemory`] if splitting needs a table that cannot be allocated.
    pub fn remove_on_demand(
        &mut self,
        memory: &mut impl P2mMemory,
        gfn: Gfn,
    ) -> Result<bool, MapError> {
        if self.on_demand_order(memory, gfn).is_none() {
            return Ok(false);
        }
        self.set(memory, gfn.0, 0, None)?;
        self.prune(memory, gfn.0, 0);
        Ok(true)
    }
}
