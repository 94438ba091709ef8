//! The end of a domain: everything that was its goes back, except what others still use, which goes back with them.

use super::{Errno, Platform, Result, System, Tables};
use crate::mem::frames::{DomId, Released};
use crate::mem::p2m::Kind;
use crate::mem::{Hold, Mfn, Owner};
use crate::system::vcpu::Area;
use alloc::vec::Vec;

impl<P: Platform> System<P> {
    /// Ends a domain whose vCPUs do not run any more. [`Errno::EBUSY`] as long as another domain sees a frame of its
    /// grant table; nothing has changed then.
    ///
    /// Frames that others have mapped by grants, or as foreign ones, stay until those let go of them.
    pub fn destroy_domain(&mut self, id: DomId) -> Result<()> {
        let grants = &self.domain(id)?.grants;
        let mut of_table = grants.frames(false).iter().chain(grants.frames(true));
        if of_table.any(|(frame, _)| self.is_shown_elsewhere(frame.mfn())) {
            return Err(Errno::EBUSY);
        }
        self.platform.flush(id);
        self.reset_events(id)?;
        for hold in self.take_holds(id)? {
            self.let_go(hold);
        }
        for mapping in self.domain_mut(id)?.grants.take_mappings() {
            self.end_use(
                mapping.granter,
                mapping.reference,
                mapping.readonly,
                mapping.hold,
            );
        }
        let Some(mut domain) = self.domains.remove(&id) else {
            return Err(Errno::ESRCH);
        };
        let mut seen = Vec::new();
        let mut tables = Tables {
            frames: &mut self.frames,
            memory: &self.platform,
            owned: &mut domain.tables,
        };
        domain.p2m.for_each(&tables, |_, leaf| {
            if leaf.kind == Kind::Foreign {
                seen.push(leaf.mfn);
            }
        });
        domain.p2m.destroy(&mut tables);
        // What it saw of others' tables was counted, and only that: the holds of other foreign frames are gone.
        seen.into_iter().for_each(|mfn| self.unshow(mfn));
        for status in [false, true] {
            let frames = core::mem::take(domain.grants.frames_mut(status));
            frames
                .into_iter()
                .for_each(|(frame, _)| self.frames.free(frame));
        }
        self.frames.free(domain.shared_info.0);
        self.take_all(id);
        Ok(())
    }

    /// The holds that the hypervisor has for a domain: pages of its vCPUs, frames of others.
    fn take_holds(&mut self, id: DomId) -> Result<Vec<Hold>> {
        let domain = self.domain_mut(id)?;
        let mut holds: Vec<Hold> = core::mem::take(&mut domain.foreign).into_values().collect();
        for vcpu in &mut domain.vcpus {
            holds.extend(vcpu.info.take().map(|(hold, _)| hold));
            for area in [&mut vcpu.runstate_area, &mut vcpu.time_area] {
                if let Area::Physical(hold, _) = core::mem::take(area) {
                    holds.push(hold);
                }
            }
        }
        Ok(holds)
    }

    /// Takes all of a domain's frames, those that it has given back too.
    fn take_all(&mut self, id: DomId) {
        for frame in 0..self.frames.end() {
            if self.frames.count_of(id) == 0 {
                break;
            }
            if self.frames.owner(Mfn(frame)) == Owner::Domain(id) {
                if let Ok(Released::Now(frame)) = self.frames.take(Mfn(frame), id) {
                    self.frames.free(frame);
                }
            }
        }
    }
}
