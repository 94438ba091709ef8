//! What a domain sees where: its own memory, devices, frames of the hypervisor, frames of other domains.

use super::{
    Callback, Config, Domain, Errno, Events, GrantTable, Places, Platform, Result, System, Tables,
};
use crate::mem::frames::{DomId, Released};
use crate::mem::p2m::{GFN_LIMIT, Kind, MapError, P2m, Seen};
use crate::mem::{Gfn, Hold, HypFrames, Mfn, Owner};
use crate::system::vcpu::{Times, Vcpu, VcpuId};
use alloc::collections::BTreeMap;

impl From<MapError> for Errno {
    fn from(error: MapError) -> Self {
        match error {
            MapError::NoMemory => Errno::ENOMEM,
            MapError::OutOfReach => Errno::EINVAL,
        }
    }
}

impl<P: Platform> System<P> {
    /// Makes a domain without memory, whose vCPUs are down.
    pub fn create_domain(&mut self, config: Config) -> Result<()> {
        if self.domains.contains_key(&config.id) {
            return Err(Errno::EEXIST);
        }
        let shared_info = self.frames.alloc(0, None).ok_or(Errno::ENOMEM)?;
        self.platform.clear_frame(shared_info.mfn().address());
        let mut tables = BTreeMap::new();
        let mut memory = Tables {
            frames: &mut self.frames,
            memory: &self.platform,
            owned: &mut tables,
        };
        let Some(p2m) = P2m::new(&mut memory) else {
            self.frames.free(shared_info);
            return Err(Errno::ENOMEM);
        };
        let now = self.platform.now();
        let address = shared_info.mfn().address();
        let vcpu = |_| Vcpu {
            down: true,
            times: Times::new(now),
            ..Vcpu::default()
        };
        let domain = Domain {
            p2m,
            tables,
            events: Events::new(config.max_port),
            grants: GrantTable::new(config.max_grant_frames, config.max_maptrack_frames),
            vcpus: (0..config.vcpus).map(vcpu).collect(),
            places: Places::new(address, config.vcpus),
            shared_info: (shared_info, None),
            foreign: BTreeMap::new(),
            absent: 0,
            params: [0; xen_abi::hvm::params::COUNT as usize],
            callback: Callback::None,
            max_gfn: 0,
            shutdown: None,
            shutdown_code: None,
            pauses: 0,
            runstate_flag: false,
            time_offset: 0,
            config,
        };
        let id = domain.id();
        self.domains.insert(id, domain);
        self.update_wall_clock(id);
        self.grow_grants(id, 1)
    }

    /// A domain by its number.
    pub fn domain(&self, id: DomId) -> Result<&Domain> {
        self.domains.get(&id).ok_or(Errno::ESRCH)
    }

    /// The same, to be changed.
    pub fn domain_mut(&mut self, id: DomId) -> Result<&mut Domain> {
        self.domains.get_mut(&id).ok_or(Errno::ESRCH)
    }

    /// A vCPU.
    pub fn vcpu_mut(&mut self, id: VcpuId) -> Result<&mut Vcpu> {
        self.domain_mut(id.domain)?.vcpu_mut(id.vcpu)
    }

    /// A domain's tables, and the memory they are in.
    fn tables(&mut self, id: DomId) -> Result<(&mut P2m, Tables<'_, P>)> {
        let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
        let tables = Tables {
            frames: &mut self.frames,
            memory: &self.platform,
            owned: &mut domain.tables,
        };
        Ok((&mut domain.p2m, tables))
    }

    /// What a domain sees at a frame.
    pub fn lookup(&mut self, id: DomId, gfn: Gfn) -> Option<Seen> {
        let (p2m, tables) = self.tables(id).ok()?;
        p2m.lookup(&tables, gfn)
    }

    /// Lets a domain see frames, and its CPUs forget what was there before.
    fn show(&mut self, id: DomId, gfn: Gfn, mfn: Mfn, count: u64, kind: Kind) -> Result<()> {
        let (p2m, mut tables) = self.tables(id)?;
        let result = p2m.map(&mut tables, gfn, mfn, count, kind);
        if p2m.take_stale() {
            self.platform.flush(id);
        }
        let domain = self.domain_mut(id)?;
        domain.max_gfn = domain.max_gfn.max(gfn.0.saturating_add(count - 1));
        Ok(result?)
    }

    /// Lets a domain no longer see a frame, in its tables alone.
    fn hide(&mut self, id: DomId, gfn: Gfn) -> Result<Option<Seen>> {
        let (p2m, mut tables) = self.tables(id)?;
        let seen = p2m.unmap(&mut tables, gfn)?;
        if p2m.take_stale() {
            self.platform.flush(id);
        }
        Ok(seen)
    }

    /// Gives frames to a domain and lets it see them.
    pub fn give_memory(&mut self, id: DomId, gfn: Gfn, frames: HypFrames) -> Result<()> {
        let (mfn, count) = (frames.mfn(), frames.count());
        self.frames.give(frames, id);
        self.show(id, gfn, mfn, count, Kind::Ram)
    }

    /// Lets a domain see device memory: [`Errno::EPERM`] if some of it is memory or the hypervisor's device.
    pub fn map_mmio(&mut self, id: DomId, gfn: Gfn, mfn: Mfn, count: u64) -> Result<()> {
        let end = mfn.0.checked_add(count).ok_or(Errno::EINVAL)?;
        if count == 0 || end > GFN_LIMIT {
            return Err(Errno::EINVAL);
        }
        if !self.frames.is_mmio(mfn.0..end) {
            return Err(Errno::EPERM);
        }
        self.show(id, gfn, mfn, count, Kind::Mmio)
    }

    /// Lets a domain no longer see device memory. Nothing happens if it sees none there.
    pub fn unmap_mmio(&mut self, id: DomId, gfn: Gfn) -> Result<()> {
        match self.lookup(id, gfn) {
            Some(seen) if seen.kind == Kind::Mmio => self.hide(id, gfn).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Takes what a domain sees at a frame away. Its own memory goes back to the hypervisor, unless it is directly
    /// mapped; of what is others' only the view goes. [`Errno::ENOENT`] if there is nothing, [`Errno::EPERM`] for
    /// devices and grants, which have calls of their own.
    pub fn remove_page(&mut self, id: DomId, gfn: Gfn) -> Result<()> {
        let seen = self.lookup(id, gfn).ok_or(Errno::ENOENT)?;
        match seen.kind {
            Kind::Mmio | Kind::Grant | Kind::GrantReadOnly => return Err(Errno::EPERM),
            Kind::Foreign | Kind::ForeignReadOnly => {
                self.hide(id, gfn)?;
                match self.domain_mut(id)?.foreign.remove(&gfn.0) {
                    Some(hold) => self.let_go(hold),
                    None => self.unshow(seen.mfn),
                }
                return Ok(());
            }
            Kind::Ram | Kind::RamReadOnly => {}
        }
        self.hide(id, gfn)?;
        match self.frames.owner(seen.mfn) {
            Owner::Domain(owner) if owner == id => {
                let domain = self.domain_mut(id)?;
                // Also what it has moved: a device may go on using the address that the frame had before.
                if domain.config.direct_mapped {
                    domain.absent += 1;
                } else if let Ok(Released::Now(frame)) = self.frames.take(seen.mfn, id) {
                    self.frames.free(frame);
                }
            }
            // The shared info page or a grant table: unhooked, and free to be seen elsewhere.
            _ => {
                let domain = self.domain_mut(id)?;
                if domain.shared_info.1 == Some(gfn) {
                    domain.shared_info.1 = None;
                }
                domain.grants.forget_place(gfn);
            }
        }
        Ok(())
    }

    /// Ends a use of a frame.
    pub fn let_go(&mut self, hold: Hold) {
        if let Some(frame) = self.frames.let_go(hold) {
            self.frames.free(frame);
        }
    }

    /// Makes room at a frame for something else.
    fn vacate(&mut self, id: DomId, gfn: Gfn) -> Result<()> {
        if gfn.0 >= GFN_LIMIT {
            return Err(Errno::EINVAL);
        }
        match self.remove_page(id, gfn) {
            Err(Errno::ENOENT) => Ok(()),
            result => result,
        }
    }

    /// Lets a domain see a frame of the hypervisor that is shared with it, in one place at a time.
    pub fn show_special(&mut self, id: DomId, gfn: Gfn, mfn: Mfn, old: Option<Gfn>) -> Result<()> {
        self.vacate(id, gfn)?;
        if let Some(old) = old.filter(|old| *old != gfn) {
            // The guest may have put something else there meanwhile.
            if self.lookup(id, old).is_some_and(|seen| seen.mfn == mfn) {
                self.hide(id, old)?;
            }
        }
        self.show(id, gfn, mfn, 1, Kind::Ram)
    }

    /// Moves one of a domain's own frames to another place.
    pub fn move_page(&mut self, id: DomId, from: Gfn, to: Gfn) -> Result<()> {
        let seen = self.lookup(id, from).ok_or(Errno::EACCES)?;
        if seen.kind != Kind::Ram {
            return Err(Errno::EACCES);
        }
        if self.frames.owner(seen.mfn) != Owner::Domain(id) {
            return Err(Errno::EINVAL);
        }
        if from == to {
            return Ok(());
        }
        self.vacate(id, to)?;
        self.hide(id, from)?;
        self.show(id, to, seen.mfn, 1, Kind::Ram)
    }

    /// Lets a domain see a frame of another one.
    pub fn map_foreign(&mut self, id: DomId, gfn: Gfn, of: DomId, foreign: Gfn) -> Result<()> {
        let seen = self.lookup(of, foreign).ok_or(Errno::EINVAL)?;
        if !seen.kind.is_ram() {
            return Err(Errno::EINVAL);
        }
        let writable = seen.kind.writable();
        let hold = match self.frames.hold(seen.mfn, of, writable) {
            Ok(hold) => hold,
            Err(_) => return Err(Errno::EINVAL),
        };
        let kind = if writable {
            Kind::Foreign
        } else {
            Kind::ForeignReadOnly
        };
        let result = self
            .vacate(id, gfn)
            .and_then(|()| self.show(id, gfn, seen.mfn, 1, kind));
        match result {
            Ok(()) => {
                self.domain_mut(id)?.foreign.insert(gfn.0, hold);
            }
            Err(_) => self.let_go(hold),
        }
        result
    }

    /// Gives a domain `1 << order` frames where it wants to see them. A directly mapped domain gets back what it has
    /// given there, and nothing else.
    pub fn populate(&mut self, id: DomId, gfn: Gfn, order: u8, below: Option<u64>) -> Result<()> {
        let count = 1u64 << order;
        let domain = self.domain(id)?;
        let end = gfn
            .checked_add(count)
            .filter(|end| end.0 <= GFN_LIMIT)
            .ok_or(Errno::EINVAL)?;
        if domain.config.direct_mapped {
            return self.repopulate(id, gfn.0..end.0);
        }
        if self.frames.count_of(id) + count > domain.config.max_pages {
            return Err(Errno::ENOMEM);
        }
        for frame in gfn.0..end.0 {
            self.vacate(id, Gfn(frame))?;
        }
        let frames = self.frames.alloc(order, below).ok_or(Errno::ENOMEM)?;
        for frame in 0..count {
            self.platform
                .clear_frame(Mfn(frames.mfn().0 + frame).address());
        }
        self.give_memory(id, gfn, frames)
    }

    fn repopulate(&mut self, id: DomId, range: core::ops::Range<u64>) -> Result<()> {
        let own =
            |frames: &crate::mem::FrameTable, frame| frames.owner(Mfn(frame)) == Owner::Domain(id);
        if !range.clone().all(|frame| own(&self.frames, frame)) {
            return Err(Errno::EINVAL);
        }
        for frame in range {
            match self.lookup(id, Gfn(frame)) {
                // It is there already: nothing was given back.
                Some(seen) if seen.mfn.0 == frame && seen.kind == Kind::Ram => continue,
                Some(_) => self.vacate(id, Gfn(frame))?,
                None => {}
            }
            self.show(id, Gfn(frame), Mfn(frame), 1, Kind::Ram)?;
            let domain = self.domain_mut(id)?;
            domain.absent = domain.absent.saturating_sub(1);
        }
        Ok(())
    }

    /// Holds a frame that a domain shares with the hypervisor: memory of its own that it may write.
    pub fn hold_shared(&mut self, id: DomId, gfn: Gfn) -> Result<Hold> {
        let seen = self
            .lookup(id, gfn)
            .filter(|seen| seen.kind == Kind::Ram)
            .ok_or(Errno::EINVAL)?;
        self.frames
            .hold(seen.mfn, id, true)
            .map_err(|_| Errno::EINVAL)
    }

    /// Frames that a domain sees of its own.
    pub fn current_pages(&self, domain: &Domain) -> u64 {
        self.frames
            .count_of(domain.id())
            .saturating_sub(domain.absent)
    }
}

impl<P: Platform> System<P> {
    /// Lets a domain see a granted frame.
    pub(super) fn show_granted(&mut self, id: DomId, gfn: Gfn, mfn: Mfn, kind: Kind) -> Result<()> {
        self.vacate(id, gfn)?;
        self.show(id, gfn, mfn, 1, kind)
    }

    /// Lets a domain no longer see a granted frame.
    pub(super) fn hide_granted(&mut self, id: DomId, gfn: Gfn) -> Result<()> {
        self.hide(id, gfn).map(|_| ())
    }

    /// Lets a domain see a frame of the hypervisor that belongs to another domain's table. It is counted, so that the
    /// frame is not freed meanwhile.
    pub(super) fn show_hypervisors(&mut self, id: DomId, gfn: Gfn, mfn: Mfn) -> Result<()> {
        self.vacate(id, gfn)?;
        self.show(id, gfn, mfn, 1, Kind::Foreign)?;
        *self.shown.entry(mfn.0).or_default() += 1;
        Ok(())
    }

    /// Whether another domain sees a frame of the hypervisor.
    pub(super) fn is_shown_elsewhere(&self, mfn: Mfn) -> bool {
        self.shown.contains_key(&mfn.0)
    }

    pub(super) fn unshow(&mut self, mfn: Mfn) {
        if let Some(count) = self.shown.get_mut(&mfn.0) {
            *count -= 1;
            if *count == 0 {
                self.shown.remove(&mfn.0);
            }
        }
    }
}
