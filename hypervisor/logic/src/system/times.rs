//! What vCPUs are told about time, where they want to be told, and their timers.

use super::{Errno, Platform, Result, System, VcpuInfo, offset_of};
use crate::mem::Gfn;
use crate::mem::frames::DomId;
use crate::mem::p2m::Kind;
use crate::mem::walk::Paging;
use crate::pvclock::write_wall_clock;
use crate::system::vcpu::{Area, State, VcpuId};
use xen_abi::vcpu::{RUNSTATE_UPDATE_BIT, RunstateInfo, TimeInfo};
use xen_abi::xen::virq;
use zerocopy::IntoBytes;

impl<P: Platform> System<P> {
    /// Puts a vCPU's info into a frame of the domain's own, once.
    pub fn register_vcpu_info(&mut self, vcpu: VcpuId, gfn: u64, offset: u32) -> Result<()> {
        let state = self
            .domain(vcpu.domain)?
            .vcpu(vcpu.vcpu)
            .ok_or(Errno::ENOENT)?;
        // Frame numbers above 52 bits have no address.
        if gfn >> 52 != 0 {
            return Err(Errno::EINVAL);
        }
        // An offset beyond the frame would name another one.
        if u64::from(offset) >= crate::mem::PAGE_SIZE {
            return Err(Errno::EINVAL);
        }
        if state.info.is_some() {
            return Err(Errno::EBUSY);
        }
        let hold = self.hold_area(
            vcpu.domain,
            gfn << 12 | u64::from(offset),
            size_of::<VcpuInfo>(),
        )?;
        let address = hold.mfn().address() + u64::from(offset);
        let domain = self.domains.get_mut(&vcpu.domain).ok_or(Errno::ESRCH)?;
        // What the old place said goes on being said; where there was none, nothing is pending.
        let mut info = [0; size_of::<VcpuInfo>()];
        match domain.places.vcpu_info[vcpu.vcpu as usize] {
            Some(old) => self.platform.read(old, &mut info),
            None => info[offset_of!(VcpuInfo, evtchn_upcall_mask)] = 1,
        }
        self.platform.write(address, &info);
        domain.places.vcpu_info[vcpu.vcpu as usize] = Some(address);
        domain.vcpus[vcpu.vcpu as usize].info = Some((hold, offset));
        // Events that came meanwhile may have gone to the old place: everything is looked at once more.
        let selector = address + offset_of!(VcpuInfo, evtchn_pending_sel) as u64;
        self.platform.store_u64(selector, u64::MAX);
        self.mark_pending(vcpu);
        self.update_clock(vcpu);
        Ok(())
    }

    /// Holds the frame of an area that does not cross its end, is aligned, and that the domain may write.
    fn hold_area(&mut self, id: DomId, gpa: u64, size: usize) -> Result<crate::mem::Hold> {
        let end = gpa.checked_add(size as u64 - 1).ok_or(Errno::ENXIO)?;
        if Gfn::of(gpa) != Gfn::of(end) || gpa % 8 != 0 {
            return Err(Errno::ENXIO);
        }
        let seen = self.lookup(id, Gfn::of(gpa)).ok_or(Errno::EINVAL)?;
        if seen.kind != Kind::Ram {
            return Err(Errno::EACCES);
        }
        self.frames
            .hold(seen.mfn, id, true)
            .map_err(|_| Errno::EINVAL)
    }

    /// An area at a guest-physical address; all ones for none.
    pub fn physical_area(&mut self, id: DomId, gpa: u64, size: usize) -> Result<Area> {
        if gpa == u64::MAX {
            return Ok(Area::None);
        }
        let hold = self.hold_area(id, gpa, size)?;
        Ok(Area::Physical(hold, (gpa & 0xfff) as u32))
    }

    /// Forgets an area.
    pub fn drop_area(&mut self, area: Area) {
        if let Area::Physical(hold, _) = area {
            self.let_go(hold);
        }
    }

    /// Writes a vCPU's clock to its info and, if it has one in a frame, its time area. To be called when it starts to
    /// run on a CPU whose clock differs, and when the clock is set anew.
    pub fn update_clock(&mut self, vcpu: VcpuId) {
        let Ok(domain) = self.domain(vcpu.domain) else {
            return;
        };
        let clock = self.platform.clock(vcpu);
        if let Some(Some(info)) = domain.places.vcpu_info.get(vcpu.vcpu as usize) {
            clock.write(&self.platform, info + offset_of!(VcpuInfo, time) as u64);
        }
        if let Some(Area::Physical(hold, offset)) =
            domain.vcpu(vcpu.vcpu).map(|vcpu| &vcpu.time_area)
        {
            clock.write(&self.platform, hold.mfn().address() + u64::from(*offset));
        }
    }

    /// Writes a running vCPU's clock to its time area if that is at a virtual address.
    pub fn update_virtual_clock(&mut self, vcpu: VcpuId, paging: &Paging) {
        let state = self
            .domain(vcpu.domain)
            .ok()
            .and_then(|domain| domain.vcpu(vcpu.vcpu));
        let Some(Area::Virtual(address)) = state.map(|state| &state.time_area) else {
            return;
        };
        let address = *address;
        let clock = self.platform.clock(vcpu);
        let mut info = TimeInfo {
            version: 1,
            pad0: 0,
            tsc_timestamp: clock.tsc,
            system_time: clock.system_time,
            tsc_to_system_mul: clock.mul,
            tsc_shift: clock.shift,
            flags: u8::from(clock.stable),
            pad1: [0; 2],
        };
        let mut version = [0; 4];
        if self
            .read_virtual(vcpu.domain, paging, address, &mut version)
            .is_err()
        {
            return;
        }
        info.version = u32::from_le_bytes(version) | 1;
        for step in 0..2 {
            // All with the odd version, then the even one alone.
            let bytes = if step == 0 {
                info.as_bytes()
            } else {
                &info.as_bytes()[..4]
            };
            if self
                .write_virtual(vcpu.domain, paging, address, bytes)
                .is_err()
            {
                return;
            }
            info.version = info.version.wrapping_add(1);
        }
    }

    /// Writes the wall clock to a domain's shared info page.
    pub fn update_wall_clock(&mut self, id: DomId) {
        if let Some(domain) = self.domains.get(&id) {
            let base = self.platform.wall_clock() as i64;
            let off = domain.time_offset.saturating_mul(1_000_000_000);
            let nanoseconds = base.saturating_add(off).max(0) as u64;
            write_wall_clock(&self.platform, domain.places.shared_info, nanoseconds);
        }
    }

    /// Sets the wall clock of all domains: the nanoseconds since 1970 at which system time was zero.
    pub fn set_wall_clock(&mut self, nanoseconds: u64) {
        self.platform.set_wall_clock(nanoseconds);
        let ids: alloc::vec::Vec<DomId> = self.domains.keys().copied().collect();
        ids.into_iter().for_each(|id| self.update_wall_clock(id));
    }

    /// A domain shuts down: its vCPUs stop, and the toolstack is told.
    pub fn shut_down(&mut self, id: DomId, reason: u8) -> Result<()> {
        let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
        if domain.shutdown.is_some() {
            return Ok(());
        }
        // What it said before counts more than what it says now.
        let reason = domain.shutdown_code.unwrap_or(reason);
        domain.shutdown = Some(reason);
        for vcpu in 0..domain.vcpus.len() as u32 {
            self.platform.stop(VcpuId { domain: id, vcpu });
        }
        self.platform.shut_down(id, reason);
        if id != 0 {
            self.raise_virq(0, virq::DOM_EXC);
        }
        Ok(())
    }

    /// A vCPU does something else from now on. `paging` is that of the vCPU, if it is known: an area at a virtual
    /// address is written only then.
    pub fn enter_state(&mut self, vcpu: VcpuId, state: State, paging: Option<&Paging>) {
        let now = self.platform.now();
        let Ok(known) = self.vcpu_mut(vcpu) else {
            return;
        };
        known.times.enter(state, now);
        self.write_runstate(vcpu, paging);
    }

    /// Writes where a vCPU's time went to where the guest wants it.
    pub fn write_runstate(&mut self, vcpu: VcpuId, paging: Option<&Paging>) {
        let Ok(domain) = self.domain(vcpu.domain) else {
            return;
        };
        let Some(state) = domain.vcpu(vcpu.vcpu) else {
            return;
        };
        let info = state.times.info();
        // Only those that asked for it know that bit.
        let mark = if domain.runstate_flag {
            1 << RUNSTATE_UPDATE_BIT
        } else {
            0
        };
        match (&state.runstate_area, paging) {
            (Area::Physical(hold, offset), _) => {
                let address = hold.mfn().address() + u64::from(*offset);
                let entry = address + offset_of!(RunstateInfo, state_entry_time) as u64;
                self.platform.store_u64(entry, info.state_entry_time | mark);
                self.platform.store_u32(address, info.state);
                for (index, time) in info.time.iter().enumerate() {
                    let at = offset_of!(RunstateInfo, time) + index * 8;
                    self.platform.store_u64(address + at as u64, *time);
                }
                self.platform.store_u64(entry, info.state_entry_time);
            }
            (Area::Virtual(address), Some(paging)) => {
                let address = *address;
                let mut marked = info;
                marked.state_entry_time |= mark;
                // The guest may have taken the memory away; then it is not told.
                let written = self.write_virtual(vcpu.domain, paging, address, marked.as_bytes());
                let entry = address.wrapping_add(offset_of!(RunstateInfo, state_entry_time) as u64);
                if written.is_ok() {
                    let bytes = info.state_entry_time.to_le_bytes();
                    let _ = self.write_virtual(vcpu.domain, paging, entry, &bytes);
                }
            }
            _ => {}
        }
    }

    /// A vCPU's timer has fired.
    pub fn timer(&mut self, vcpu: VcpuId) {
        let now = self.platform.now();
        let Ok(state) = self.vcpu_mut(vcpu) else {
            return;
        };
        let mut fire = state.single_shot.take_if(|at| *at <= now).is_some();
        if let Some((period, next)) = state.periodic.filter(|(_, next)| *next <= now) {
            fire = true;
            // Ticks that were missed are not made up for.
            let _ = next;
            state.periodic = Some((period, now.saturating_add(period)));
        }
        let expired = |until: &Option<u64>| until.is_some_and(|until| until <= now);
        let polled = state.poll.take_if(|poll| expired(&poll.until)).is_some();
        let deadline = state.deadline();
        self.platform.set_timer(vcpu, deadline);
        if fire {
            self.raise_vcpu_virq(vcpu, virq::TIMER);
        }
        if polled {
            self.platform.wake(vcpu);
        }
    }

    /// Sets a vCPU's timers.
    pub fn change_timers(
        &mut self,
        vcpu: VcpuId,
        change: impl FnOnce(&mut crate::system::vcpu::Vcpu),
    ) -> Result<()> {
        let state = self.vcpu_mut(vcpu)?;
        change(state);
        let deadline = state.deadline();
        self.platform.set_timer(vcpu, deadline);
        Ok(())
    }
}
