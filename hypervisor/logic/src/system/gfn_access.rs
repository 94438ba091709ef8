// SPDX-License-Identifier: GPL-2.0

//! Accesses to a domain's memory by gfn, by the domain itself and by hypercalls: memory that is populated on demand gets
//! its frame, and writes to memory that is logged as clean are noticed.

use super::on_demand::Demand;
use super::{Platform, System};
use crate::mem::Gfn;
use crate::mem::frames::DomId;
use crate::mem::p2m::{P2mEntry, P2mType};

/// How a domain has accessed an address that its p2m did not allow it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NestedAccess {
    /// It has read.
    Read,
    /// It has written.
    Write,
    /// It has fetched an instruction.
    Execute,
}

impl<P: Platform> System<P> {
    /// What a gfn maps to, for an access (`get_gfn_type_access` with `P2M_ALLOC` in Xen): if it is populated on demand, it
    /// gets a frame. If the access writes, memory that is logged as clean is dirty from now on.
    pub fn get_gfn(&mut self, id: DomId, gfn: Gfn, write: bool) -> Option<P2mEntry> {
        let mut entry = self.lookup(id, gfn);
        while entry.is_none() {
            match self.demand_populate(id, gfn)? {
                Demand::OutOfMemory => return None,
                Demand::Searching => {}
                Demand::Populated => entry = self.lookup(id, gfn),
            }
        }
        match entry {
            Some(P2mEntry {
                p2mt: P2mType::RamLogdirty,
                ..
            }) if write => {
                self.mark_dirty(id, gfn);
                self.lookup(id, gfn)
            }
            entry => entry,
        }
    }

    /// Handles a nested page fault. True if the domain's access is to be made again: it is allowed by now, or the domain
    /// has crashed. False if there is no memory for it.
    pub fn nested_page_fault(&mut self, id: DomId, gfn: Gfn, access: NestedAccess) -> bool {
        match self.lookup(id, gfn).map(|entry| entry.p2mt) {
            Some(P2mType::RamLogdirty) if access == NestedAccess::Write => {
                self.count_log_dirty_fault(id);
                self.mark_dirty(id, gfn);
                true
            }
            // If it is allowed, another vCPU's fault was handled in between, or another vCPU has mapped a grant there.
            Some(p2mt) => match access {
                NestedAccess::Read => true,
                NestedAccess::Write => p2mt.writable(),
                NestedAccess::Execute => p2mt.executable(),
            },
            None => self.demand_populate(id, gfn).is_some(),
        }
    }
}
