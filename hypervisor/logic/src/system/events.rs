// SPDX-License-Identifier: GPL-2.0

//! Event channels across domains: binding, sending, and the upcall of the vCPU that a port notifies.

use super::{Callback, Errno, Platform, Result, System, Upcall, VcpuInfo, domid, offset_of};
use crate::event::{Binding, Port, SetPending};
use crate::mem::frames::DomId;
use crate::mem::{Gfn, PAGE_SIZE};
use crate::system::vcpu::{NR_VIRQS, VcpuId, virq_is_global};
use crate::trace::TraceEvent;
use core::ops::Range;
use xen_abi::event_channel::{FifoControlBlock, Status, status};

/// Ports that a part of a reset closes.
const RESET_BATCH: u32 = 256;

impl<P: Platform> System<P> {
    /// Sets a port pending, and notifies the vCPU that it is bound to.
    pub(super) fn set_pending(&mut self, id: DomId, port: u32) {
        let vcpu = self
            .domain(id)
            .and_then(|d| d.events.port(port))
            .map(|port| port.vcpu);
        if let Ok(vcpu) = vcpu {
            self.set_pending_on(id, port, vcpu);
        }
    }

    fn set_pending_on(&mut self, id: DomId, port: u32, vcpu: u32) {
        let to = VcpuId { domain: id, vcpu };
        self.platform.trace(TraceEvent::EventSent { to, port });
        if let Some(domain) = self.domains.get_mut(&id) {
            let set = domain
                .events
                .set_pending(&self.platform, &domain.areas, port, vcpu);
            self.after_set_pending(id, port, set);
        }
    }

    /// Marks events pending for the vCPU that has to be notified, and wakes vCPUs that poll for the port.
    fn after_set_pending(&mut self, id: DomId, port: u32, set: SetPending) {
        if let Some(vcpu) = set.notify {
            self.mark_events_pending(VcpuId { domain: id, vcpu });
        }
        if !set.newly_pending {
            return;
        }
        let Some(domain) = self.domains.get_mut(&id) else {
            return;
        };
        for (number, vcpu) in domain.vcpus.iter_mut().enumerate() {
            if vcpu
                .poll
                .take_if(|poll| poll.ports.contains(&port))
                .is_some()
            {
                let vcpu = number as u32;
                self.platform.vcpu_unblock(VcpuId { domain: id, vcpu });
            }
        }
    }

    /// Sets a vCPU's `evtchn_upcall_pending` and, if it was clear, interrupts the vCPU.
    pub fn mark_events_pending(&mut self, vcpu: VcpuId) {
        let Ok(domain) = self.domain(vcpu.domain) else {
            return;
        };
        let Some(Some(info)) = domain.areas.vcpu_info.get(vcpu.vcpu as usize).copied() else {
            return;
        };
        let flag = info + offset_of!(VcpuInfo, evtchn_upcall_pending) as u64;
        if self.platform.swap_u8(flag, 1) == 0 {
            self.assert_evtchn_irq(vcpu);
        }
    }

    /// Delivers an upcall to a vCPU, by the vector that the guest has chosen.
    pub fn assert_evtchn_irq(&mut self, vcpu: VcpuId) {
        let Ok(domain) = self.domain(vcpu.domain) else {
            return;
        };
        let chosen = domain.vcpu(vcpu.vcpu).and_then(|vcpu| vcpu.upcall_vector);
        let how = match (chosen, domain.callback) {
            (Some(vector), _) => Upcall::LapicVector(vector),
            (None, Callback::Vector(vector)) => Upcall::CallbackVector(vector),
            (None, _) => Upcall::WakeOnly,
        };
        self.platform.upcall(vcpu, how);
    }

    /// Delivers an upcall anew if one is pending and comes by a vector of the local APIC, which the guest has enabled. While
    /// `evtchn_upcall_pending` is set no other event interrupts the vCPU, so one that INIT has removed from the APIC would be
    /// the last: a processor is unplugged with interrupts disabled, and events may have come since.
    pub fn vlapic_enabled(&mut self, vcpu: VcpuId) {
        let has_vector = self
            .vcpu_mut(vcpu)
            .is_ok_and(|vcpu| vcpu.upcall_vector.is_some());
        if has_vector && self.evtchn_upcall_pending(vcpu) {
            self.assert_evtchn_irq(vcpu);
        }
    }

    /// Whether a vCPU's `evtchn_upcall_pending` is set. As long as it is, the machine injects
    /// [`Upcall::CallbackVector`] whenever the vCPU takes interrupts.
    pub fn evtchn_upcall_pending(&self, vcpu: VcpuId) -> bool {
        let areas = self.domain(vcpu.domain).map(|domain| &domain.areas);
        let info = areas
            .ok()
            .and_then(|areas| *areas.vcpu_info.get(vcpu.vcpu as usize)?);
        info.is_some_and(|info| {
            let mut flag = [0];
            let at = info + offset_of!(VcpuInfo, evtchn_upcall_pending) as u64;
            self.platform.read(at, &mut flag);
            flag[0] != 0
        })
    }

    /// Sends a virq to one vCPU. Nothing happens if the guest has not bound it.
    pub fn send_vcpu_virq(&mut self, vcpu: VcpuId, virq: u32) {
        let state = self
            .domain(vcpu.domain)
            .ok()
            .and_then(|domain| domain.vcpu(vcpu.vcpu));
        let port = state
            .and_then(|state| state.virqs.get(virq as usize))
            .copied();
        if let Some(port) = port.filter(|port| *port != 0) {
            self.set_pending_on(vcpu.domain, port, vcpu.vcpu);
        }
    }

    /// Sends a global virq, which is bound to vCPU 0. Nothing happens if the guest has not bound it.
    pub fn send_global_virq(&mut self, id: DomId, virq: u32) {
        let state = self.domain(id).ok().and_then(|domain| domain.vcpu(0));
        let port = state
            .and_then(|state| state.virqs.get(virq as usize))
            .copied();
        if let Some(port) = port.filter(|port| *port != 0) {
            self.set_pending(id, port);
        }
    }

    /// Allocates a port of a domain to which `remote` may bind. [`Errno::EINVAL`] if the domain is being destroyed.
    pub fn alloc_unbound(&mut self, id: DomId, remote: DomId) -> Result<u32> {
        self.living_domain(id)?;
        let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
        domain
            .events
            .bind(&self.platform, &domain.areas, Binding::Unbound(remote), 0)
    }

    /// Binds a port of a domain to an unbound port of `remote`.
    pub fn bind_interdomain(&mut self, id: DomId, remote: DomId, remote_port: u32) -> Result<u32> {
        self.domain(remote)?;
        self.living_domain(id)?;
        let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
        let binding = Binding::Interdomain(remote, remote_port);
        let local = domain
            .events
            .bind(&self.platform, &domain.areas, binding, 0)?;
        // The new port is not unbound, so a domain cannot bind a port to itself.
        let far = self
            .domains
            .get_mut(&remote)
            .map(|domain| domain.events.port_mut(remote_port));
        match far {
            Some(Ok(port)) if port.binding == Binding::Unbound(id) => {
                port.binding = Binding::Interdomain(id, local);
            }
            _ => {
                self.free_port(id, local);
                return Err(Errno::EINVAL);
            }
        }
        // Events that were sent to the port while it was unbound are lost; this one stands for them, as in Xen.
        self.set_pending(id, local);
        Ok(local)
    }

    fn free_port(&mut self, id: DomId, port: u32) {
        if let Some(domain) = self.domains.get_mut(&id) {
            domain.events.free(&self.platform, &domain.areas, port);
        }
    }

    /// Binds a virq to a port.
    pub fn bind_virq(&mut self, id: DomId, virq: u32, vcpu: u32) -> Result<u32> {
        if virq as usize >= NR_VIRQS || (virq_is_global(virq) && vcpu != 0) {
            return Err(Errno::EINVAL);
        }
        let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
        let state = domain.vcpus.get_mut(vcpu as usize).ok_or(Errno::ENOENT)?;
        let slot = &mut state.virqs[virq as usize];
        if *slot != 0 {
            return Err(Errno::EEXIST);
        }
        *slot = domain
            .events
            .bind(&self.platform, &domain.areas, Binding::Virq(virq), vcpu)?;
        Ok(*slot)
    }

    /// Allocates a port for IPIs to a vCPU of the same domain.
    pub fn bind_ipi(&mut self, id: DomId, vcpu: u32) -> Result<u32> {
        let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
        domain.vcpu(vcpu).ok_or(Errno::ENOENT)?;
        domain
            .events
            .bind(&self.platform, &domain.areas, Binding::Ipi, vcpu)
    }

    /// Closes a port. The far end of an interdomain channel becomes unbound.
    pub fn close(&mut self, id: DomId, port: u32) -> Result<()> {
        let domain = self.domain_mut(id)?;
        let Port { binding, vcpu, .. } = *domain.events.port(port)?;
        match binding {
            Binding::Free | Binding::Reserved => return Err(Errno::EINVAL),
            Binding::Unbound(_) | Binding::Ipi | Binding::Console => {}
            Binding::Virq(virq) => {
                let vcpu = if virq_is_global(virq) { 0 } else { vcpu };
                if let Some(state) = domain.vcpus.get_mut(vcpu as usize) {
                    state.virqs[virq as usize] = 0;
                }
            }
            Binding::Interdomain(remote, remote_port) => {
                if let Ok(far) = self
                    .domain_mut(remote)
                    .and_then(|d| d.events.port_mut(remote_port))
                {
                    far.binding = Binding::Unbound(id);
                }
            }
        }
        self.free_port(id, port);
        Ok(())
    }

    /// Sends an event through a port.
    pub fn send(&mut self, id: DomId, port: u32) -> Result<()> {
        match self.domain(id)?.events.port(port)?.binding {
            Binding::Interdomain(remote, remote_port) => self.set_pending(remote, remote_port),
            Binding::Ipi => self.set_pending(id, port),
            Binding::Console => self.serve_console(id),
            // Nothing is bound to it yet: the event is lost.
            Binding::Unbound(_) => {}
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    /// Fills in what a port is bound to.
    pub fn evtchn_status(&self, id: DomId, port: u32, into: &mut Status) -> Result<()> {
        let port = self.domain(id)?.events.port(port)?;
        into.vcpu = port.vcpu;
        into.status = match port.binding {
            Binding::Free | Binding::Reserved => status::CLOSED,
            Binding::Unbound(remote) => {
                // The domid is the low half of the word; the high half keeps the caller's value.
                into.detail = (into.detail & 0xffff_0000) | u32::from(remote);
                status::UNBOUND
            }
            Binding::Interdomain(remote, remote_port) => {
                into.detail = (into.detail & 0xffff_0000) | u32::from(remote);
                into.remote_port = remote_port;
                status::INTERDOMAIN
            }
            Binding::Virq(virq) => {
                into.detail = virq;
                status::VIRQ
            }
            Binding::Ipi => status::IPI,
            // To the guest it looks like a channel to the console's daemon, as elsewhere.
            Binding::Console => {
                into.detail &= 0xffff_0000;
                into.remote_port = 0;
                status::INTERDOMAIN
            }
        };
        Ok(())
    }

    /// Binds a port's notifications to another vCPU.
    pub fn bind_vcpu(&mut self, id: DomId, port: u32, vcpu: u32) -> Result<()> {
        let domain = self.domain_mut(id)?;
        domain.vcpu(vcpu).ok_or(Errno::ENOENT)?;
        let port = domain.events.port_mut(port)?;
        match port.binding {
            Binding::Virq(virq) if virq_is_global(virq) => {}
            Binding::Unbound(_) | Binding::Interdomain(..) | Binding::Console => {}
            _ => return Err(Errno::EINVAL),
        }
        port.vcpu = vcpu;
        Ok(())
    }

    /// Unmasks a port, and delivers what is pending on it.
    pub fn unmask(&mut self, id: DomId, port: u32) -> Result<()> {
        let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
        let set = domain.events.unmask(&self.platform, &domain.areas, port)?;
        self.after_set_pending(id, port, set);
        Ok(())
    }

    /// Closes ports of a domain, and when none is left switches it back to the 2-level ABI. Returns whether that is done;
    /// otherwise it is to be called again.
    pub fn evtchn_reset(&mut self, id: DomId) -> Result<bool> {
        let mut from = 1;
        for _ in 0..RESET_BATCH {
            let Some(port) = self.domain(id)?.events.ports().next_bound(from) else {
                break;
            };
            self.items_done += 1;
            self.close(id, port)?;
            from = port + 1;
        }
        if self.domain(id)?.events.ports().bound() > 0 {
            return Ok(false);
        }
        self.leave_fifo(id)?;
        Ok(true)
    }

    /// Closes those of a range of ports that are bound.
    pub(super) fn close_ports(&mut self, id: DomId, ports: Range<u32>) {
        for port in ports {
            // Free ports are not an error here.
            let _ = self.close(id, port);
        }
    }

    /// Switches a domain whose ports are closed back to the 2-level ABI, and puts the pages of the FIFO ABI.
    pub(super) fn leave_fifo(&mut self, id: DomId) -> Result<()> {
        for page in self.domain_mut(id)?.events.leave_fifo() {
            self.put_page(page);
        }
        Ok(())
    }

    /// Sets the FIFO control block of a vCPU. The first one switches the domain to the FIFO ABI.
    pub fn init_control(&mut self, id: DomId, vcpu: u32, gfn: u64, offset: u32) -> Result<()> {
        let vcpus = self.domain(id)?.vcpus.len() as u32;
        if vcpu >= vcpus {
            return Err(Errno::ENOENT);
        }
        if offset > PAGE_SIZE as u32 - size_of::<FifoControlBlock>() as u32 || offset % 8 != 0 {
            return Err(Errno::EINVAL);
        }
        let page = self.get_shared_page(id, Gfn(gfn))?;
        let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
        let control = (page, offset);
        let result =
            domain
                .events
                .init_control(&self.platform, &domain.areas, vcpu, control, vcpus);
        result.map_err(|page| {
            self.put_page(page);
            Errno::EINVAL
        })
    }

    /// Adds a page to the event array, and sets those ports pending whose events came before they had a word.
    pub fn expand_array(&mut self, id: DomId, gfn: u64) -> Result<()> {
        if self.domain(id)?.events.fifo().is_none() {
            return Err(Errno::EOPNOTSUPP);
        }
        if self
            .domain(id)?
            .events
            .fifo()
            .is_some_and(|fifo| fifo.is_full())
        {
            return Err(Errno::ENOSPC);
        }
        let page = self.get_shared_page(id, Gfn(gfn))?;
        match self.domain_mut(id)?.events.expand(page) {
            Ok(waiting) => {
                waiting
                    .into_iter()
                    .for_each(|port| self.set_pending(id, port));
                Ok(())
            }
            Err((error, page)) => {
                self.put_page(page);
                Err(error)
            }
        }
    }

    /// Whether a port is pending, for `SCHEDOP_poll`. [`Errno::EINVAL`] if it is not bound.
    pub fn poll_port(&self, id: DomId, port: u32) -> Result<bool> {
        let domain = self.domain(id)?;
        if !domain.events.port(port)?.is_bound() {
            return Err(Errno::EINVAL);
        }
        Ok(domain
            .events
            .is_pending(&self.platform, &domain.areas, port))
    }

    /// The domid that an argument names, where `DOMID_SELF` is the caller.
    pub fn remote(caller: DomId, remote: DomId) -> DomId {
        if remote == domid::SELF {
            caller
        } else {
            remote
        }
    }
}
