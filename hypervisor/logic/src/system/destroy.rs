// SPDX-License-Identifier: GPL-2.0

//! Destroying a domain. All its resources are freed, step by step, except pages that others hold references to and
//! grant table frames that others map: with these it stays as a zombie until they are unmapped.

use super::{Errno, P2mTables, Platform, Result, SharedAreas, System};
use crate::mem::frames::{DomId, Released};
use crate::mem::p2m::P2mType;
use crate::mem::{Gfn, Mfn, Owner, PageRef};
use crate::system::domain::{DestroyStep, Domain, LifeStage};
use crate::system::vcpu::GuestArea;
use alloc::vec::Vec;
use xen_abi::xen::virq;

/// Ports that are closed before the hypercall is preempted.
const CLOSE_BATCH: u32 = 256;
/// Handles whose grants are unmapped before the hypercall is preempted.
const UNMAP_BATCH: u32 = 128;
/// p2m tables that are freed before the hypercall is preempted.
const TABLE_BATCH: u32 = 4;
/// Machine frames that are looked at before the hypercall is preempted.
const SCAN_BATCH: u64 = 32768;
/// Pages that are released before the hypercall is preempted.
const RELEASE_BATCH: u32 = 512;

/// How far [`System::destroy_domain`] has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DestroyProgress {
    /// It is to be called again.
    Preempted,
    /// The domain is gone, or a zombie.
    Done,
}

impl<P: Platform> System<P> {
    /// Destroys a domain, or continues to. Each call does a small part, so that interrupts are taken in between; the
    /// domain keeps in [`LifeStage::Dying`] what is next. A call for a zombie does nothing.
    ///
    /// # Errors
    ///
    /// [`Errno::ESRCH`] if there is no such domain.
    pub fn destroy_domain(&mut self, id: DomId) -> Result<DestroyProgress> {
        let step = match self.domain(id)?.life {
            LifeStage::Building | LifeStage::Alive => DestroyStep::StopVcpus,
            LifeStage::Dying(step) => step,
            LifeStage::Dead => return Ok(DestroyProgress::Done),
        };
        // What is claimed for it is free, and that never fails.
        self.frames.set_claim(id, 0);
        // From here on nothing is given to it, and its vCPUs are kept from running.
        self.domain_mut(id)?.life = LifeStage::Dying(step);
        self.update_runnable(id);
        if let Some(next) = self.destroy_step(id, step)? {
            self.domain_mut(id)?.life = LifeStage::Dying(next);
            return Ok(DestroyProgress::Preempted);
        }
        self.domain_mut(id)?.life = LifeStage::Dead;
        self.send_dom_exc(id);
        self.reap_domain(id);
        Ok(DestroyProgress::Done)
    }

    /// Performs a step, or a part of it, and returns the next one; `None` after the last.
    fn destroy_step(&mut self, id: DomId, step: DestroyStep) -> Result<Option<DestroyStep>> {
        Ok(Some(match step {
            DestroyStep::StopVcpus if self.has_running_vcpus(id) => step,
            DestroyStep::StopVcpus => {
                // No CPU enters the guest any more, so what is freed from here on is in no TLB.
                self.platform.flush_tlb(id);
                self.platform.domain_destroy(&mut self.frames, id);
                DestroyStep::CloseEvents(1)
            }
            DestroyStep::CloseEvents(start) => {
                let end = self.domain(id)?.events.ports().len();
                let next = start.saturating_add(CLOSE_BATCH).min(end);
                self.close_ports(id, start..next);
                if next < end {
                    DestroyStep::CloseEvents(next)
                } else {
                    self.leave_fifo(id)?;
                    DestroyStep::UnmapGrants(0)
                }
            }
            DestroyStep::UnmapGrants(start) => {
                let end = self.domain(id)?.grants.maptrack.end();
                let next = start.saturating_add(UNMAP_BATCH).min(end);
                for handle in start..next {
                    let mapping = self.domain_mut(id)?.grants.maptrack.remove(handle);
                    if let Some(mapping) = mapping {
                        self.release_grant(
                            mapping.granter,
                            mapping.reference,
                            mapping.readonly,
                            mapping.page,
                        );
                    }
                }
                if next < end {
                    DestroyStep::UnmapGrants(next)
                } else {
                    DestroyStep::PutAreas
                }
            }
            DestroyStep::PutAreas => {
                for page in self.take_areas(id)? {
                    self.put_page(page);
                }
                DestroyStep::TeardownP2m
            }
            DestroyStep::TeardownP2m => {
                if self.teardown_p2m(id)? {
                    DestroyStep::EmptyPodCache
                } else {
                    step
                }
            }
            DestroyStep::EmptyPodCache => {
                if self.empty_pod_cache(id)? {
                    DestroyStep::ReleasePages(0)
                } else {
                    step
                }
            }
            DestroyStep::ReleasePages(start) => match self.release_pages(id, start) {
                Some(next) => DestroyStep::ReleasePages(next),
                None => return Ok(None),
            },
        }))
    }

    /// Takes the references to pages that the hypervisor writes to for a domain. What it still writes goes to the
    /// shared info page.
    fn take_areas(&mut self, id: DomId) -> Result<Vec<PageRef>> {
        let domain = self.domain_mut(id)?;
        domain.areas = SharedAreas::new(domain.areas.shared_info, domain.config.max_vcpus);
        let mut pages = Vec::new();
        for vcpu in &mut domain.vcpus {
            pages.extend(vcpu.vcpu_info.take().map(|(page, _)| page));
            for area in [&mut vcpu.runstate_area, &mut vcpu.time_area] {
                if let GuestArea::Physical(page, _) = core::mem::take(area) {
                    pages.push(page);
                }
            }
        }
        Ok(pages)
    }

    /// Frees some of a domain's p2m tables, and puts the foreign frames that they map. Returns whether only the topmost
    /// table is left.
    fn teardown_p2m(&mut self, id: DomId) -> Result<bool> {
        let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
        let mut tables = P2mTables {
            frames: &mut self.frames,
            memory: &self.platform,
            pool: &mut domain.paging_pool,
        };
        let mut foreign = Vec::new();
        let done = domain
            .p2m
            .teardown(&mut tables, TABLE_BATCH, &mut |gfn, entry| {
                if matches!(entry.p2mt, P2mType::MapForeignRw | P2mType::MapForeignRo) {
                    foreign.push((gfn, entry.mfn));
                }
            });
        for (gfn, mfn) in foreign {
            self.put_foreign(id, gfn, mfn)?;
        }
        Ok(done)
    }

    /// Drops the reference to a foreign frame that a domain mapped at a gfn, or counts a resource frame less.
    pub(super) fn put_foreign(&mut self, id: DomId, gfn: Gfn, mfn: Mfn) -> Result<()> {
        match self.domain_mut(id)?.foreign.remove(&gfn.0) {
            Some(page) => self.put_page(page),
            None => self.put_resource_frame(mfn),
        }
        Ok(())
    }

    /// Releases a part of the frames that a domain owns, mapped or not, from a machine frame on. Returns where to
    /// continue.
    fn release_pages(&mut self, id: DomId, start: u64) -> Option<u64> {
        let end = self.frames.end().min(start.saturating_add(SCAN_BATCH));
        let mut released = 0;
        for frame in start..end {
            if self.frames.owner(Mfn(frame)) != Owner::Domain(id) {
                continue;
            }
            if let Ok(Released::Now(page)) = self.frames.release(Mfn(frame), id) {
                self.frames.free(page);
            }
            released += 1;
            if released == RELEASE_BATCH {
                return Some(frame + 1);
            }
        }
        (end < self.frames.end()).then_some(end)
    }

    /// Removes a zombie if nobody uses anything of it any more. Its domid may be given to another domain then.
    pub(super) fn reap_domain(&mut self, id: DomId) {
        let is_used = |domain: &Domain| {
            let grants = &domain.grants;
            let mut of_table = grants.frames(false).iter().chain(grants.frames(true));
            self.frames.tot_pages(id) > 0
                || of_table.any(|(frame, _)| self.has_resource_mappings(frame.mfn()))
        };
        match self.domains.get(&id) {
            Some(domain) if domain.life == LifeStage::Dead && !is_used(domain) => {}
            _ => return,
        }
        self.remove_domain(id);
        self.send_dom_exc(id);
    }

    /// Removes a domain that has nothing left but the hypervisor's own pages for it.
    pub(super) fn remove_domain(&mut self, id: DomId) {
        let Some(mut domain) = self.domains.remove(&id) else {
            return;
        };
        let mut tables = P2mTables {
            frames: &mut self.frames,
            memory: &self.platform,
            pool: &mut domain.paging_pool,
        };
        domain.p2m.destroy(&mut tables);
        self.heap_budget.give(domain.grants.charged());
        domain.paging_pool.release(&mut self.frames);
        for status in [false, true] {
            let frames = core::mem::take(domain.grants.frames_mut(status));
            frames
                .into_iter()
                .for_each(|(frame, _)| self.frames.free(frame));
        }
        self.frames.free(domain.shared_info.0);
    }

    /// Removes all zombies of which nobody uses anything any more.
    pub(super) fn reap_dead_domains(&mut self) {
        let dead = self.domains.values().filter(|d| d.life == LifeStage::Dead);
        let dead: Vec<DomId> = dead.map(Domain::id).collect();
        dead.into_iter().for_each(|id| self.reap_domain(id));
    }

    /// Tells the toolstack that a domain has changed its state.
    pub(super) fn send_dom_exc(&mut self, id: DomId) {
        if id != 0 {
            self.send_global_virq(0, virq::DOM_EXC);
        }
    }
}
