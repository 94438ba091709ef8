//! Events between domains, from the hypervisor, and how a vCPU is told of them.

use super::{Callback, Errno, Platform, Result, System, Upcall, VcpuInfo, domid, offset_of};
use crate::event::{Binding, Port, Raised};
use crate::mem::frames::DomId;
use crate::mem::{Gfn, PAGE_SIZE};
use crate::system::vcpu::{NR_VIRQS, VcpuId, virq_is_global};
use xen_abi::event_channel::{FifoControlBlock, Status, status};

impl<P: Platform> System<P> {
    /// Raises an event on a domain's port, for the vCPU it is bound to.
    fn raise(&mut self, id: DomId, port: u32) {
        let vcpu = self
            .domain(id)
            .and_then(|d| d.events.port(port))
            .map(|port| port.vcpu);
        if let Ok(vcpu) = vcpu {
            self.raise_for(id, port, vcpu);
        }
    }

    fn raise_for(&mut self, id: DomId, port: u32, vcpu: u32) {
        if let Some(domain) = self.domains.get_mut(&id) {
            let raised = domain
                .events
                .raise(&self.platform, &domain.places, port, vcpu);
            self.deliver(id, port, raised);
        }
    }

    fn deliver(&mut self, id: DomId, port: u32, raised: Raised) {
        if let Some(vcpu) = raised.tell {
            self.mark_pending(VcpuId { domain: id, vcpu });
        }
        if !raised.newly {
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
                self.platform.wake(VcpuId { domain: id, vcpu });
            }
        }
    }

    /// Says in a vCPU's info that an event is pending, and tells it if that is news.
    pub fn mark_pending(&mut self, vcpu: VcpuId) {
        let Ok(domain) = self.domain(vcpu.domain) else {
            return;
        };
        let Some(Some(info)) = domain.places.vcpu_info.get(vcpu.vcpu as usize).copied() else {
            return;
        };
        let flag = info + offset_of!(VcpuInfo, evtchn_upcall_pending) as u64;
        if self.platform.swap_u8(flag, 1) == 0 {
            self.assert_upcall(vcpu);
        }
    }

    /// Interrupts a vCPU as it has asked for.
    pub fn assert_upcall(&mut self, vcpu: VcpuId) {
        let Ok(domain) = self.domain(vcpu.domain) else {
            return;
        };
        let chosen = domain.vcpu(vcpu.vcpu).and_then(|vcpu| vcpu.upcall_vector);
        let how = match (chosen, domain.callback) {
            (Some(vector), _) => Upcall::Lapic(vector),
            (None, Callback::Vector(vector)) => Upcall::Direct(vector),
            (None, _) => Upcall::WakeOnly,
        };
        self.platform.upcall(vcpu, how);
    }

    /// Whether a vCPU's info says that an event is pending: as long as it does, [`Upcall::Direct`] is to be injected
    /// whenever the vCPU takes interrupts.
    pub fn upcall_pending(&self, vcpu: VcpuId) -> bool {
        let places = self.domain(vcpu.domain).map(|domain| &domain.places);
        let info = places
            .ok()
            .and_then(|places| *places.vcpu_info.get(vcpu.vcpu as usize)?);
        info.is_some_and(|info| {
            let mut flag = [0];
            let at = info + offset_of!(VcpuInfo, evtchn_upcall_pending) as u64;
            self.platform.read(at, &mut flag);
            flag[0] != 0
        })
    }

    /// Raises a vCPU's own virtual interrupt. Nothing happens if the guest has not bound it.
    pub fn raise_vcpu_virq(&mut self, vcpu: VcpuId, virq: u32) {
        let state = self
            .domain(vcpu.domain)
            .ok()
            .and_then(|domain| domain.vcpu(vcpu.vcpu));
        let port = state
            .and_then(|state| state.virqs.get(virq as usize))
            .copied();
        if let Some(port) = port.filter(|port| *port != 0) {
            self.raise_for(vcpu.domain, port, vcpu.vcpu);
        }
    }

    /// Raises a virtual interrupt of a whole domain.
    pub fn raise_virq(&mut self, id: DomId, virq: u32) {
        let state = self.domain(id).ok().and_then(|domain| domain.vcpu(0));
        let port = state
            .and_then(|state| state.virqs.get(virq as usize))
            .copied();
        if let Some(port) = port.filter(|port| *port != 0) {
            self.raise(id, port);
        }
    }

    /// Makes a port of a domain to which another may connect.
    pub fn alloc_unbound(&mut self, id: DomId, remote: DomId) -> Result<u32> {
        let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
        domain
            .events
            .bind(&self.platform, Binding::Unbound(remote), 0)
    }

    /// Connects a domain to a port that waits for it.
    pub fn bind_interdomain(&mut self, id: DomId, remote: DomId, remote_port: u32) -> Result<u32> {
        self.domain(remote)?;
        let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
        let local =
            domain
                .events
                .bind(&self.platform, Binding::Interdomain(remote, remote_port), 0)?;
        // A port of its own that was just made is not waiting, so a domain cannot connect a port to itself.
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
        // Events that were sent to the port while it waited were lost: this one makes up for them.
        self.raise(id, local);
        Ok(local)
    }

    fn free_port(&mut self, id: DomId, port: u32) {
        if let Some(domain) = self.domains.get_mut(&id) {
            domain.events.free(&self.platform, &domain.places, port);
        }
    }

    /// Binds a virtual interrupt.
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
            .bind(&self.platform, Binding::Virq(virq), vcpu)?;
        Ok(*slot)
    }

    /// Makes a port by which a domain's vCPUs interrupt one of them.
    pub fn bind_ipi(&mut self, id: DomId, vcpu: u32) -> Result<u32> {
        let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
        domain.vcpu(vcpu).ok_or(Errno::ENOENT)?;
        domain.events.bind(&self.platform, Binding::Ipi, vcpu)
    }

    /// Closes a port; the far end of a connection waits for the domain again.
    pub fn close(&mut self, id: DomId, port: u32) -> Result<()> {
        let domain = self.domain_mut(id)?;
        let Port { binding, vcpu, .. } = *domain.events.port(port)?;
        match binding {
            Binding::Free | Binding::Reserved => return Err(Errno::EINVAL),
            Binding::Unbound(_) | Binding::Ipi => {}
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

    /// Sends an event by a port.
    pub fn send(&mut self, id: DomId, port: u32) -> Result<()> {
        match self.domain(id)?.events.port(port)?.binding {
            Binding::Interdomain(remote, remote_port) => self.raise(remote, remote_port),
            Binding::Ipi => self.raise(id, port),
            // Nobody is there to hear it.
            Binding::Unbound(_) => {}
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    /// Tells what a port is bound to.
    pub fn port_status(&self, id: DomId, port: u32, into: &mut Status) -> Result<()> {
        let port = self.domain(id)?.events.port(port)?;
        into.vcpu = port.vcpu;
        into.status = match port.binding {
            Binding::Free | Binding::Reserved => status::CLOSED,
            Binding::Unbound(remote) => {
                // Half of the word: the rest stays what the caller had there.
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
        };
        Ok(())
    }

    /// Has a port tell another vCPU.
    pub fn bind_vcpu(&mut self, id: DomId, port: u32, vcpu: u32) -> Result<()> {
        let domain = self.domain_mut(id)?;
        domain.vcpu(vcpu).ok_or(Errno::ENOENT)?;
        let port = domain.events.port_mut(port)?;
        match port.binding {
            Binding::Virq(virq) if virq_is_global(virq) => {}
            Binding::Unbound(_) | Binding::Interdomain(..) => {}
            _ => return Err(Errno::EINVAL),
        }
        port.vcpu = vcpu;
        Ok(())
    }

    /// Unmasks a port.
    pub fn unmask(&mut self, id: DomId, port: u32) -> Result<()> {
        let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
        let raised = domain.events.unmask(&self.platform, &domain.places, port)?;
        self.deliver(id, port, raised);
        Ok(())
    }

    /// Closes all of a domain's ports and goes back to the 2-level ABI.
    pub fn reset_events(&mut self, id: DomId) -> Result<()> {
        let count = self.domain(id)?.events.ports().len();
        for port in 1..count {
            // Free ones are not an error here.
            let _ = self.close(id, port);
        }
        for hold in self.domain_mut(id)?.events.leave_fifo() {
            self.let_go(hold);
        }
        Ok(())
    }

    /// Gives a vCPU its control block of the FIFO ABI.
    pub fn init_control(&mut self, id: DomId, vcpu: u32, gfn: u64, offset: u32) -> Result<()> {
        let vcpus = self.domain(id)?.vcpus.len() as u32;
        if vcpu >= vcpus {
            return Err(Errno::ENOENT);
        }
        if offset > PAGE_SIZE as u32 - size_of::<FifoControlBlock>() as u32 || offset % 8 != 0 {
            return Err(Errno::EINVAL);
        }
        let hold = self.hold_shared(id, Gfn(gfn))?;
        let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
        let given = (hold, offset);
        let result = domain
            .events
            .init_control(&self.platform, &domain.places, vcpu, given, vcpus);
        result.map_err(|hold| {
            self.let_go(hold);
            Errno::EINVAL
        })
    }

    /// Adds a page of event words, and raises what has waited for it.
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
        let hold = self.hold_shared(id, Gfn(gfn))?;
        match self.domain_mut(id)?.events.expand(hold) {
            Ok(waiting) => {
                waiting.into_iter().for_each(|port| self.raise(id, port));
                Ok(())
            }
            Err((error, hold)) => {
                self.let_go(hold);
                Err(error)
            }
        }
    }

    /// Whether an event waits on a port, for a poll: [`Errno::EINVAL`] if there is no such port.
    pub fn poll_port(&self, id: DomId, port: u32) -> Result<bool> {
        let domain = self.domain(id)?;
        if !domain.events.port(port)?.is_bound() {
            return Err(Errno::EINVAL);
        }
        Ok(domain
            .events
            .is_pending(&self.platform, &domain.places, port))
    }

    /// The remote domain an argument names, where `DOMID_SELF` is the caller.
    pub fn remote(caller: DomId, remote: DomId) -> DomId {
        if remote == domid::SELF {
            caller
        } else {
            remote
        }
    }
}
