// SPDX-License-Identifier: GPL-2.0

//! Log-dirty mode: which of a domain's pages were written to since they were last asked for, so that a domain is copied
//! while it runs. The log is the domain's p2m: see [`crate::mem::p2m`]'s types of memory.
//!
//! Writes of the hypervisor's own are noticed by [`System::get_gfn`]. What backends map for writing, or the hypervisor
//! writes to by machine address, has references that may write: such pages stay dirty. Those that the toolstack maps are
//! reported by the final call only.

use super::{Errno, Platform, Result, System};
use crate::mem::frames::DomId;
use crate::mem::p2m::{P2mEntry, P2mType};
use crate::mem::{FrameTable, Gfn, Mfn};

/// Gfns whose bits are reported before the hypercall is preempted.
pub const LOG_BATCH: u64 = 16384;
/// Leaves whose types are changed before the hypercall is preempted.
const LEAF_BATCH: u32 = 8192;

/// The state of log-dirty mode, while it is enabled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogDirty {
    /// Write faults since the log was last cleaned.
    pub fault_count: u32,
    /// The command that was preempted.
    pub unfinished: Option<UnfinishedOp>,
}

/// A command that was preempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnfinishedOp {
    /// Which.
    pub op: u32,
    /// The gfn that it continues at.
    pub next: u64,
    /// How many dirty pages it has reported.
    pub dirty_count: u32,
}

impl<P: Platform> System<P> {
    /// A page of a domain was written to, or is about to be. Nothing happens if it is not logged as clean.
    pub(super) fn mark_dirty(&mut self, id: DomId, gfn: Gfn) {
        let Ok((p2m, mut tables)) = self.tables(id) else {
            return;
        };
        if p2m.set_dirty(&mut tables, gfn).is_err() {
            // Without a page for a table, all of the superpage counts as dirty.
            p2m.set_leaf_dirty(&mut tables, gfn);
        }
    }

    /// Counts a write fault of a domain.
    pub(super) fn count_log_dirty_fault(&mut self, id: DomId) {
        if let Ok(Some(log)) = self.domain_mut(id).map(|domain| domain.log_dirty.as_mut()) {
            log.fault_count = log.fault_count.saturating_add(1);
        }
    }

    /// Makes the leaf around a gfn clean, up to a gfn, except for pages that others may write to: these stay dirty until a
    /// report finds that nobody may any more. Otherwise what is written between a report and the end of a mapping would be
    /// lost.
    fn clean_leaf(&mut self, id: DomId, at: Gfn, after: u64) -> Result<()> {
        let (p2m, tables) = self.tables(id)?;
        let Some(entry) = p2m.lookup(&tables, at) else {
            return Ok(());
        };
        let pages = 1u64 << entry.order;
        let first = Mfn(entry.mfn.0 - at.0 % pages);
        let is_written = |frames: &FrameTable, mfn| frames.page_refs(mfn).1 > 0;
        let mut mfns = first.0..first.0 + pages;
        if !mfns.any(|mfn| is_written(&self.frames, Mfn(mfn))) {
            let (p2m, mut tables) = self.tables(id)?;
            p2m.retype_leaf(&mut tables, at, P2mType::RamRw, P2mType::RamLogdirty);
            return Ok(());
        }
        // A superpage is split by this, or stays dirty as a whole.
        for gfn in at.0..after {
            let mfn = Mfn(entry.mfn.0 + (gfn - at.0));
            if is_written(&self.frames, mfn) {
                continue;
            }
            let (p2m, mut tables) = self.tables(id)?;
            if p2m.set_clean(&mut tables, Gfn(gfn)).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Reports the dirty pages of [`LOG_BATCH`] gfns from `start` on, one bit for each, and those that others map for writing
    /// if this is the final call. If `clean`, they are clean afterwards unless others may write to them. No CPU runs the domain's vCPUs.
    pub(crate) fn dirty_pages(
        &mut self,
        id: DomId,
        start: u64,
        clean: bool,
        is_final: bool,
        bits: &mut [u8; (LOG_BATCH / 8) as usize],
    ) -> Result<()> {
        bits.fill(0);
        let end = start.saturating_add(LOG_BATCH);
        let mut next = Gfn(start);
        loop {
            let (p2m, tables) = self.tables(id)?;
            let Some((at, entry)) = p2m.next_leaf(&tables, next).filter(|(at, _)| at.0 < end)
            else {
                break;
            };
            let after = (((at.0 >> entry.order) + 1) << entry.order).min(end);
            let is_dirty = entry.p2mt == P2mType::RamRw;
            for gfn in at.0..after {
                let mfn = Mfn(entry.mfn.0 + (gfn - at.0));
                let is_written = || is_final && self.frames.page_refs(mfn).1 > 0;
                if is_dirty || (entry.p2mt == P2mType::RamLogdirty && is_written()) {
                    let bit = gfn - start;
                    bits[(bit / 8) as usize] |= 1 << (bit % 8);
                }
            }
            // A larger leaf, which no guest has, stays dirty: a later call reports the rest of it.
            if is_dirty && clean && 1 << entry.order <= LOG_BATCH {
                self.clean_leaf(id, at, after)?;
            }
            next = Gfn(after);
        }
        self.flush_if_needed(id)
    }

    /// Enables log-dirty mode: all memory is clean, but what others may write to. The first call has `start` 0; returns
    /// where to continue.
    ///
    /// # Errors
    ///
    /// [`Errno::EINVAL`] if it is enabled already.
    pub(crate) fn enable_log_dirty(&mut self, id: DomId, start: u64) -> Result<Option<Gfn>> {
        let domain = self.domain_mut(id)?;
        if start == 0 && domain.log_dirty.is_some() {
            return Err(Errno::EINVAL);
        }
        domain.log_dirty.get_or_insert_default();
        self.for_some_leaves(id, start, |system, at, entry| {
            let after = ((at.0 >> entry.order) + 1) << entry.order;
            match entry.p2mt {
                P2mType::RamRw => system.clean_leaf(id, at, after),
                _ => Ok(()),
            }
        })
    }

    /// Ends log-dirty mode: all memory can be written to. Returns where to continue.
    pub(crate) fn disable_log_dirty(&mut self, id: DomId, start: u64) -> Result<Option<Gfn>> {
        let next = self.for_some_leaves(id, start, |system, at, _| {
            let (p2m, mut tables) = system.tables(id)?;
            p2m.set_leaf_dirty(&mut tables, at);
            Ok(())
        })?;
        if next.is_none() {
            self.domain_mut(id)?.log_dirty = None;
        }
        Ok(next)
    }

    /// Works on some leaves of a domain's p2m from a gfn on, and flushes TLBs if that is needed. Returns where to continue.
    fn for_some_leaves(
        &mut self,
        id: DomId,
        start: u64,
        mut each: impl FnMut(&mut Self, Gfn, P2mEntry) -> Result<()>,
    ) -> Result<Option<Gfn>> {
        let mut next = Gfn(start);
        for _ in 0..LEAF_BATCH {
            let (p2m, tables) = self.tables(id)?;
            let Some((at, entry)) = p2m.next_leaf(&tables, next) else {
                self.flush_if_needed(id)?;
                return Ok(None);
            };
            each(self, at, entry)?;
            next = Gfn(((at.0 >> entry.order) + 1) << entry.order);
        }
        self.flush_if_needed(id)?;
        Ok(Some(next))
    }
}
