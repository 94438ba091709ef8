// SPDX-License-Identifier: GPL-2.0

//! Destroying a domain: all its resources are freed, except frames that others still hold references to.

use super::{Errno, P2mTables, Platform, Result, System};
use crate::mem::frames::{DomId, Released};
use crate::mem::p2m::P2mType;
use crate::mem::{Mfn, Owner, PageRef};
use crate::system::vcpu::GuestArea;
use alloc::vec::Vec;

impl<P: Platform> System<P> {
    /// Destroys a domain whose vCPUs no longer run. Frames that others have mapped, by grants or as foreign frames, are
    /// freed when the last of them is unmapped.
    ///
    /// # Errors
    ///
    /// [`Errno::EBUSY`] as long as another domain maps a frame of its grant table; nothing has changed then.
    pub fn destroy_domain(&mut self, id: DomId) -> Result<()> {
        let grants = &self.domain(id)?.grants;
        let mut of_table = grants.frames(false).iter().chain(grants.frames(true));
        if of_table.any(|(frame, _)| self.has_resource_mappings(frame.mfn())) {
            return Err(Errno::EBUSY);
        }
        self.platform.flush_tlb(id);
        self.evtchn_reset(id)?;
        for page in self.take_page_refs(id)? {
            self.put_page(page);
        }
        for mapping in self.domain_mut(id)?.grants.maptrack.take_all() {
            self.release_grant(
                mapping.granter,
                mapping.reference,
                mapping.readonly,
                mapping.page,
            );
        }
        let Some(mut domain) = self.domains.remove(&id) else {
            return Err(Errno::ESRCH);
        };
        let mut resources = Vec::new();
        let mut tables = P2mTables {
            frames: &mut self.frames,
            memory: &self.platform,
            owned: &mut domain.tables,
        };
        domain.p2m.for_each(&tables, |_, leaf| {
            if leaf.p2mt == P2mType::MapForeignRw {
                resources.push(leaf.mfn);
            }
        });
        domain.p2m.destroy(&mut tables);
        // References to foreign frames of domains were put above; resource frames are counted in `resource_mappings`.
        resources
            .into_iter()
            .for_each(|mfn| self.put_resource_frame(mfn));
        for status in [false, true] {
            let frames = core::mem::take(domain.grants.frames_mut(status));
            frames
                .into_iter()
                .for_each(|(frame, _)| self.frames.free(frame));
        }
        self.frames.free(domain.shared_info.0);
        self.release_all_pages(id);
        Ok(())
    }

    /// Takes the references that the hypervisor pages for a domain: to pages of its vCPUs, and to foreign frames.
    fn take_page_refs(&mut self, id: DomId) -> Result<Vec<PageRef>> {
        let domain = self.domain_mut(id)?;
        let mut pages: Vec<PageRef> = core::mem::take(&mut domain.foreign).into_values().collect();
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

    /// Releases all frames that a domain owns, mapped or not.
    fn release_all_pages(&mut self, id: DomId) {
        for frame in 0..self.frames.end() {
            if self.frames.tot_pages(id) == 0 {
                break;
            }
            if self.frames.owner(Mfn(frame)) == Owner::Domain(id) {
                if let Ok(Released::Now(frame)) = self.frames.release(Mfn(frame), id) {
                    self.frames.free(frame);
                }
            }
        }
    }
}
