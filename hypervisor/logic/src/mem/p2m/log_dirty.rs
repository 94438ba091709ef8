// SPDX-License-Identifier: GPL-2.0

//! The types of a p2m's leaves as a log of writes: memory of type [`P2mType::RamLogdirty`] is clean, and memory of type
//! [`P2mType::RamRw`] was written to since it was made clean. So the log needs no memory of its own.

use super::{ADDRESS, Gfn, MapError, P2m, P2mMemory, P2mType, PRESENT, index, leaf};

impl P2m {
    /// Makes memory that is logged as clean writable again, for one gfn: its first write was noticed. No TLB has to be
    /// flushed, since a processor that finds a write forbidden walks the tables again.
    ///
    /// # Errors
    ///
    /// [`MapError::NoMemory`] if splitting a superpage needs a table that cannot be allocated.
    pub fn set_dirty(&mut self, memory: &mut impl P2mMemory, gfn: Gfn) -> Result<(), MapError> {
        let Some(found) = self.lookup(memory, gfn) else {
            return Ok(());
        };
        if found.p2mt != P2mType::RamLogdirty {
            return Ok(());
        }
        let flush = self.needs_flush;
        let set = self.set(memory, gfn.0, 0, Some(leaf(found.mfn.0, P2mType::RamRw, 0)));
        // All that has changed is that the frame can be written to.
        self.needs_flush = flush;
        set
    }

    /// Makes memory that is dirty clean again, for one gfn: the next write is noticed.
    ///
    /// # Errors
    ///
    /// [`MapError::NoMemory`] if splitting a superpage needs a table that cannot be allocated.
    pub fn set_clean(&mut self, memory: &mut impl P2mMemory, gfn: Gfn) -> Result<(), MapError> {
        match self.lookup(memory, gfn) {
            Some(found) if found.p2mt == P2mType::RamRw => {
                let clean = leaf(found.mfn.0, P2mType::RamLogdirty, 0);
                self.set(memory, gfn.0, 0, Some(clean))
            }
            _ => Ok(()),
        }
    }

    /// Makes the whole leaf around a gfn writable, if it is logged as clean.
    pub fn set_leaf_dirty(&mut self, memory: &mut impl P2mMemory, gfn: Gfn) {
        self.retype_leaf(memory, gfn, P2mType::RamLogdirty, P2mType::RamRw);
    }

    /// Changes the type of the leaf around a gfn, if it has the type `from`.
    pub fn retype_leaf(
        &mut self,
        memory: &mut impl P2mMemory,
        gfn: Gfn,
        from: P2mType,
        to: P2mType,
    ) {
        let (at, entry, level) = self.find_at(memory, gfn.0);
        if entry & PRESENT == 0 || P2mType::of(entry) != from {
            return;
        }
        let first = (entry & ADDRESS) >> 12;
        memory.store(at, index(gfn.0, level), leaf(first, to, level));
        // What could be written to and no longer can may be in a TLB.
        self.needs_flush |= from.writable() && !to.writable();
    }
}
