//! Event channels: what a domain's ports are bound to ([`ports`]), and how an event reaches the guest, by the
//! 2-level ABI ([`two_level`]) or by queues ([`fifo`]).
//!
//! Everything here is about one domain; what connects two of them is in [`crate::system`]. Guest memory is changed by
//! atomic operations at machine addresses and is never trusted: whatever a guest writes there, only its own events
//! suffer.

pub mod fifo;
pub mod ports;
pub mod two_level;

use crate::error::{Errno, Result};
use crate::mem::{Hold, MachineMemory};
use alloc::boxed::Box;
use alloc::vec::Vec;
pub use fifo::Fifo;
pub use ports::{Binding, Port, Ports};
use xen_abi::event_channel::NR_CHANNELS_2L;
use xen_abi::event_channel::fifo::{NR_CHANNELS, PRIORITY_MIN};
use xen_abi::vcpu::VcpuInfo;

/// vCPUs whose info is in the shared info page at first (`XEN_LEGACY_MAX_VCPUS`).
const LEGACY_VCPUS: u32 = 32;

/// Where the words lie that a domain and the hypervisor share, by machine address.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The shared info page.
    pub shared_info: u64,
    /// Each vCPU's info; `None` if the vCPU has none yet, for only the first 32 have one in the shared info page.
    pub vcpu_info: Vec<Option<u64>>,
}

impl Places {
    /// The places of a domain none of whose vCPUs has registered another one.
    pub fn new(shared_info: u64, vcpus: u32) -> Self {
        let in_page =
            |vcpu: u32| (vcpu < LEGACY_VCPUS).then(|| Self::in_shared_info(shared_info, vcpu));
        Self {
            shared_info,
            vcpu_info: (0..vcpus).map(in_page).collect(),
        }
    }

    fn in_shared_info(shared_info: u64, vcpu: u32) -> u64 {
        shared_info + u64::from(vcpu) * size_of::<VcpuInfo>() as u64
    }
}

/// What came of raising an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raised {
    /// It was not pending before: who polls for it is to be woken.
    pub newly: bool,
    /// The vCPU has to be told.
    pub tell: Option<u32>,
}

/// A domain's event channels.
pub struct Events {
    ports: Ports,
    fifo: Option<Box<Fifo>>,
}

impl Events {
    /// No ports, 2-level ABI. `max_port` is the highest port the domain may have.
    pub fn new(max_port: u32) -> Self {
        Self {
            ports: Ports::new(max_port),
            fifo: None,
        }
    }

    /// Number of ports that the present ABI has.
    pub fn limit(&self) -> u32 {
        if self.fifo.is_some() {
            NR_CHANNELS
        } else {
            NR_CHANNELS_2L
        }
    }

    /// The queues, if the domain uses them.
    pub fn fifo(&self) -> Option<&Fifo> {
        self.fifo.as_deref()
    }

    /// The ports.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// A port that exists, be it free.
    pub fn port(&self, port: u32) -> Result<&Port> {
        self.ports.get(port).ok_or(Errno::EINVAL)
    }

    /// The same, to be changed.
    pub fn port_mut(&mut self, port: u32) -> Result<&mut Port> {
        self.ports.get_mut(port).ok_or(Errno::EINVAL)
    }

    /// Binds the lowest free port: [`Errno::ENOSPC`] if there is none. A port that is still on a queue of the guest
    /// is not free.
    pub fn bind(
        &mut self,
        memory: &impl MachineMemory,
        binding: Binding,
        vcpu: u32,
    ) -> Result<u32> {
        let limit = self.limit();
        let fifo = self.fifo.as_deref();
        let busy = |port: u32| fifo.is_some_and(|fifo| fifo.is_linked(memory, port));
        self.ports.bind(limit, busy, binding, vcpu)
    }

    /// Frees a port and forgets that it is pending.
    pub fn free(&mut self, memory: &impl MachineMemory, places: &Places, port: u32) {
        match &self.fifo {
            Some(fifo) => fifo.clear_pending(memory, port),
            None => two_level::clear_pending(memory, places, port),
        }
        self.ports.free(port);
    }

    /// Raises an event on a port, towards a vCPU.
    pub fn raise(
        &mut self,
        memory: &impl MachineMemory,
        places: &Places,
        port: u32,
        vcpu: u32,
    ) -> Raised {
        let Some(state) = self.ports.get_mut(port) else {
            return Raised::default();
        };
        match self.fifo.as_deref_mut() {
            Some(fifo) => fifo.raise(memory, port, state, vcpu),
            None => two_level::raise(memory, places, port, vcpu),
        }
    }

    /// Unmasks a port; an event that waited is delivered.
    pub fn unmask(
        &mut self,
        memory: &impl MachineMemory,
        places: &Places,
        port: u32,
    ) -> Result<Raised> {
        let state = self.ports.get_mut(port).ok_or(Errno::EINVAL)?;
        let vcpu = state.vcpu;
        Ok(match self.fifo.as_deref_mut() {
            Some(fifo) => fifo.unmask(memory, port, state, vcpu),
            None => two_level::unmask(memory, places, port, vcpu),
        })
    }

    /// Whether an event waits on a port, masked or not.
    pub fn is_pending(&self, memory: &impl MachineMemory, places: &Places, port: u32) -> bool {
        match &self.fifo {
            Some(fifo) => fifo.is_pending(memory, port),
            None => port < NR_CHANNELS_2L && two_level::is_pending(memory, places, port),
        }
    }

    /// Sets a port's priority. The 2-level ABI has none: [`Errno::ENOSYS`].
    pub fn set_priority(&mut self, port: u32, priority: u32) -> Result<()> {
        let state = self.ports.get_mut(port).ok_or(Errno::EINVAL)?;
        if self.fifo.is_none() {
            return Err(Errno::ENOSYS);
        }
        if priority > PRIORITY_MIN {
            return Err(Errno::EINVAL);
        }
        state.priority = priority as u8;
        Ok(())
    }

    /// Gives a vCPU its control block, and switches to queues if it is the first. `hold` is handed back if the vCPU
    /// has one already. `vcpus` is how many the domain has.
    pub fn init_control(
        &mut self,
        memory: &impl MachineMemory,
        places: &Places,
        vcpu: u32,
        (hold, offset): (Hold, u32),
        vcpus: u32,
    ) -> core::result::Result<(), Hold> {
        if let Some(fifo) = self.fifo.as_deref_mut() {
            return fifo.set_control(vcpu, hold, offset);
        }
        let mut fifo = Box::new(Fifo::new(vcpus));
        fifo.set_control(vcpu, hold, offset)?;
        // What is pending in the old ABI will be raised when the port's word comes into being.
        for (port, state) in self.ports.bound_mut() {
            state.pending = port < NR_CHANNELS_2L && two_level::is_pending(memory, places, port);
            state.priority = xen_abi::event_channel::fifo::PRIORITY_DEFAULT as u8;
        }
        self.fifo = Some(fifo);
        Ok(())
    }

    /// Adds a page of event words. Returns the ports whose events waited for it; the caller raises them.
    pub fn expand(&mut self, hold: Hold) -> core::result::Result<Vec<u32>, (Errno, Hold)> {
        let Some(fifo) = self.fifo.as_deref_mut() else {
            return Err((Errno::EOPNOTSUPP, hold));
        };
        let new = fifo.expand(hold).map_err(|hold| (Errno::ENOSPC, hold))?;
        let waiting = |(port, state): (u32, &mut Port)| {
            (new.contains(&port) && state.pending).then_some(port)
        };
        Ok(self.ports.bound_mut().filter_map(waiting).collect())
    }

    /// Goes back to the 2-level ABI: returns the pages to let go of. All ports are closed by then, so nothing is
    /// lost; and since the pages leave the structure before they are let go of, no event finds one that is gone.
    pub fn leave_fifo(&mut self) -> Vec<Hold> {
        self.fifo
            .take()
            .map(|fifo| fifo.into_holds())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
