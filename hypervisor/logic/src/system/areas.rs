// SPDX-License-Identifier: GPL-2.0

//! Memory of a guest that the hypervisor keeps up to date: `vcpu_info`, runstate and time areas, and the wall clock in
//! the shared info page.

use super::{Errno, Platform, Result, System, VcpuInfo, offset_of};
use crate::mem::frames::DomId;
use crate::mem::p2m::P2mType;
use crate::mem::walk::Paging;
use crate::mem::{Gfn, PAGE_SIZE, PageRef};
use crate::pvclock::write_wall_clock;
use crate::system::vcpu::{GuestArea, Runstate, VcpuId};
use xen_abi::compat::{self, Abi, Argument};
use xen_abi::vcpu::{RUNSTATE_UPDATE_BIT, RunstateInfo, TimeInfo};
use zerocopy::IntoBytes;

impl<P: Platform> System<P> {
    /// Moves a vCPU's `vcpu_info` into a page of the domain (`VCPUOP_register_vcpu_info`), once.
    pub fn register_vcpu_info(&mut self, vcpu: VcpuId, gfn: u64, offset: u32) -> Result<()> {
        let state = self
            .domain(vcpu.domain)?
            .vcpu(vcpu.vcpu)
            .ok_or(Errno::ENOENT)?;
        // A gfn of more than 52 bits has no address.
        if gfn >> 52 != 0 {
            return Err(Errno::EINVAL);
        }
        // An offset beyond the page would name another page.
        if u64::from(offset) >= PAGE_SIZE {
            return Err(Errno::EINVAL);
        }
        if state.vcpu_info.is_some() {
            return Err(Errno::EBUSY);
        }
        let page = self.get_area_page(
            vcpu.domain,
            gfn << 12 | u64::from(offset),
            size_of::<VcpuInfo>(),
        )?;
        let address = page.mfn().address() + u64::from(offset);
        let domain = self.domains.get_mut(&vcpu.domain).ok_or(Errno::ESRCH)?;
        // The contents move along; a vCPU that had no `vcpu_info` starts with upcalls masked.
        let mut info = [0; size_of::<VcpuInfo>()];
        match domain.areas.vcpu_info[vcpu.vcpu as usize] {
            Some(old) => self.platform.read(old, &mut info),
            None => info[offset_of!(VcpuInfo, evtchn_upcall_mask)] = 1,
        }
        self.platform.write(address, &info);
        domain.areas.vcpu_info[vcpu.vcpu as usize] = Some(address);
        domain.vcpus[vcpu.vcpu as usize].vcpu_info = Some((page, offset));
        // Events may have been set pending in the old area meanwhile: the guest scans all of them once more.
        match domain.areas.abi {
            Abi::Bits64 => {
                let selector = offset_of!(VcpuInfo, evtchn_pending_sel) as u64;
                self.platform.store_u64(address + selector, u64::MAX);
            }
            Abi::Bits32 => {
                let selector = offset_of!(compat::vcpu::VcpuInfo, evtchn_pending_sel) as u64;
                self.platform.store_u32(address + selector, u32::MAX);
            }
        }
        self.mark_events_pending(vcpu);
        self.update_system_time(vcpu);
        Ok(())
    }

    /// Takes a reference to the page of an area, which is aligned, does not cross the page's end, and is writable
    /// memory of the domain.
    fn get_area_page(&mut self, id: DomId, gpa: u64, size: usize) -> Result<PageRef> {
        let end = gpa.checked_add(size as u64 - 1).ok_or(Errno::ENXIO)?;
        if Gfn::of(gpa) != Gfn::of(end) || gpa % 8 != 0 {
            return Err(Errno::ENXIO);
        }
        let entry = self.get_gfn(id, Gfn::of(gpa), true).ok_or(Errno::EINVAL)?;
        if entry.p2mt != P2mType::RamRw {
            return Err(Errno::EACCES);
        }
        self.frames
            .get_page(entry.mfn, id, true)
            .map_err(|_| Errno::EINVAL)
    }

    /// Registers an area at a guest-physical address; an address of all ones stands for none.
    pub fn physical_area(&mut self, id: DomId, gpa: u64, size: usize) -> Result<GuestArea> {
        if gpa == u64::MAX {
            return Ok(GuestArea::None);
        }
        let page = self.get_area_page(id, gpa, size)?;
        Ok(GuestArea::Physical(page, (gpa & 0xfff) as u32))
    }

    /// Unregisters an area, and drops the reference to its page.
    pub fn unmap_guest_area(&mut self, area: GuestArea) {
        if let GuestArea::Physical(page, _) = area {
            self.put_page(page);
        }
    }

    /// Writes a vCPU's clock to its `vcpu_info` and to its time area, if that is at a physical address. To be called
    /// when the vCPU starts to run on a CPU with another clock, and when its clock changes.
    pub fn update_system_time(&mut self, vcpu: VcpuId) {
        let Ok(domain) = self.domain(vcpu.domain) else {
            return;
        };
        let clock = self.platform.clock(vcpu);
        if let Some(Some(info)) = domain.areas.vcpu_info.get(vcpu.vcpu as usize) {
            clock.write(&self.platform, info + offset_of!(VcpuInfo, time) as u64);
        }
        if let Some(GuestArea::Physical(page, offset)) =
            domain.vcpu(vcpu.vcpu).map(|vcpu| &vcpu.time_area)
        {
            clock.write(&self.platform, page.mfn().address() + u64::from(*offset));
        }
    }

    /// Writes a running vCPU's clock to its time area, if that is at a virtual address.
    pub fn update_secondary_system_time(&mut self, vcpu: VcpuId, paging: &Paging) {
        let state = self
            .domain(vcpu.domain)
            .ok()
            .and_then(|domain| domain.vcpu(vcpu.vcpu));
        let Some(GuestArea::Virtual(address)) = state.map(|state| &state.time_area) else {
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
        let odd = info.version.to_le_bytes();
        let even = info.version.wrapping_add(1).to_le_bytes();
        // The version is odd before anything else changes, and even after that.
        for bytes in [&odd[..], info.as_bytes(), &even[..]] {
            let written = self.write_virtual(vcpu.domain, paging, address, bytes);
            if written.is_err() {
                return;
            }
        }
    }

    /// The code of a domain has set up what it shares with the hypervisor: from now on that is laid out as this code
    /// does it (`hvm_latch_shinfo_size` in Xen). What stands there already stays where it is, except for the wall clock.
    pub fn set_shared_abi(&mut self, id: DomId, abi: Abi) {
        if let Some(domain) = self.domains.get_mut(&id) {
            domain.areas.abi = abi;
        }
        self.update_wall_clock(id);
    }

    /// Writes the wall clock to a domain's shared info page.
    pub fn update_wall_clock(&mut self, id: DomId) {
        if let Some(domain) = self.domains.get(&id) {
            let base = self.platform.wall_clock() as i64;
            let off = domain.time_offset.saturating_mul(1_000_000_000);
            let nanoseconds = base.saturating_add(off).max(0) as u64;
            write_wall_clock(&self.platform, &domain.areas, nanoseconds);
        }
    }

    /// Sets the wall clock of all domains: the nanoseconds since 1970 at which system time was zero.
    pub fn set_wall_clock(&mut self, nanoseconds: u64) {
        self.platform.set_wall_clock(nanoseconds);
        let ids: alloc::vec::Vec<DomId> = self.domains.keys().copied().collect();
        ids.into_iter().for_each(|id| self.update_wall_clock(id));
    }

    /// Changes a vCPU's runstate. `paging` is the paging mode of the vCPU, if it is the running one: only then a
    /// runstate area at a virtual address can be written.
    pub fn runstate_change(&mut self, vcpu: VcpuId, state: Runstate, paging: Option<&Paging>) {
        let now = self.platform.now();
        let Ok(known) = self.vcpu_mut(vcpu) else {
            return;
        };
        known.runstate.enter(state, now);
        self.update_runstate_area(vcpu, paging);
    }

    /// A vCPU was woken at a system time, and a CPU has picked it since: it was runnable meanwhile.
    pub fn runnable_since(&mut self, vcpu: VcpuId, at: u64) {
        if let Ok(known) = self.vcpu_mut(vcpu) {
            if matches!(
                known.runstate.state(),
                Runstate::Blocked | Runstate::Offline
            ) {
                known.runstate.enter(Runstate::Runnable, at);
            }
        }
    }

    /// Writes a vCPU's runstate to the area that the guest has registered.
    pub fn update_runstate_area(&mut self, vcpu: VcpuId, paging: Option<&Paging>) {
        let Ok(domain) = self.domain(vcpu.domain) else {
            return;
        };
        let Some(state) = domain.vcpu(vcpu.vcpu) else {
            return;
        };
        let info = state.runstate.info();
        // A guest that has not enabled the flag does not know the bit.
        let update_bit = if domain.runstate_update_flag {
            1 << RUNSTATE_UPDATE_BIT
        } else {
            0
        };
        let abi = state.runstate_abi;
        match (&state.runstate_area, paging) {
            (GuestArea::Physical(page, offset), _) if abi == Abi::Bits32 => {
                let address = page.mfn().address() + u64::from(*offset);
                self.store_runstate_32(address, &info, update_bit);
            }
            (GuestArea::Physical(page, offset), _) => {
                let address = page.mfn().address() + u64::from(*offset);
                let entry = address + offset_of!(RunstateInfo, state_entry_time) as u64;
                self.platform
                    .store_u64(entry, info.state_entry_time | update_bit);
                self.platform.store_u32(address, info.state);
                for (index, time) in info.time.iter().enumerate() {
                    let at = offset_of!(RunstateInfo, time) + index * 8;
                    self.platform.store_u64(address + at as u64, *time);
                }
                self.platform.store_u64(entry, info.state_entry_time);
            }
            (GuestArea::Virtual(address), Some(paging)) => {
                let address = *address;
                let mut updating = info;
                updating.state_entry_time |= update_bit;
                // The bit is in the last byte of the time. That byte alone is written before and after everything else,
                // so that the guest never sees the bit clear with a time that is half written.
                let entry = match abi {
                    Abi::Bits64 => offset_of!(RunstateInfo, state_entry_time),
                    Abi::Bits32 => offset_of!(compat::vcpu::RunstateInfo, state_entry_time),
                };
                let last = address.wrapping_add(entry as u64 + 7);
                let byte = |info: &RunstateInfo| info.state_entry_time.to_le_bytes()[7];
                let id = vcpu.domain;
                // The guest may have unmapped the area, or a part of it, which is not written then.
                if update_bit != 0 {
                    let _ = self.write_virtual(id, paging, last, &[byte(&updating)]);
                }
                let _ = match (abi, updating.to_compat()) {
                    (Abi::Bits32, Some(compat)) => {
                        self.write_virtual(id, paging, address, compat.as_bytes())
                    }
                    _ => self.write_virtual(id, paging, address, updating.as_bytes()),
                };
                if update_bit != 0 {
                    let _ = self.write_virtual(id, paging, last, &[byte(&info)]);
                }
            }
            _ => {}
        }
    }

    /// Writes a runstate to an area of 32-bit code, whose times are aligned to four bytes. The bit that says that an
    /// update is under way is in the upper half of the time, which is written first and last.
    fn store_runstate_32(&self, address: u64, info: &RunstateInfo, update_bit: u64) {
        let store = |at: u64, time: u64| {
            self.platform.store_u32(at, time as u32);
            self.platform.store_u32(at + 4, (time >> 32) as u32);
        };
        let entry = address + offset_of!(compat::vcpu::RunstateInfo, state_entry_time) as u64;
        let updating = info.state_entry_time | update_bit;
        self.platform.store_u32(entry + 4, (updating >> 32) as u32);
        self.platform.store_u32(address, info.state);
        for (index, time) in info.time.iter().enumerate() {
            let at = offset_of!(compat::vcpu::RunstateInfo, time) + index * 8;
            store(address + at as u64, *time);
        }
        store(entry, info.state_entry_time);
    }
}
