// SPDX-License-Identifier: GPL-2.0

//! The event channels of one domain: what its ports are bound to ([`ports`]), and where the memory is in which they are
//! marked pending, in the 2-level ABI ([`two_level`]) or the FIFO ABI ([`fifo`]). How they are marked is in crate
//! [`xen_event`], which has the guest's half too.
//!
//! Channels between domains are in [`crate::system`]. Guest memory is changed by atomic operations at machine addresses
//! and never trusted: whatever a guest writes there, only its own events suffer.

pub mod fifo;
pub mod ports;
pub mod two_level;

use crate::error::{Errno, Result};
use crate::mem::{MachineMemory, PageRef};
use alloc::boxed::Box;
use alloc::vec::Vec;
pub use fifo::Fifo;
pub use ports::{Binding, Port, Ports};
use xen_abi::compat::{self, Abi};
use xen_abi::event_channel::NR_CHANNELS_2L;
use xen_abi::event_channel::fifo::NR_CHANNELS;
use xen_abi::vcpu::VcpuInfo;
use xen_event::Raised;
use xen_event::fifo::Priority;

/// vCPUs that have a `vcpu_info` in the shared info page (`XEN_LEGACY_MAX_VCPUS`).
const LEGACY_VCPUS: u32 = 32;

/// Machine addresses of the memory that a domain shares with the hypervisor.
#[derive(Clone, Debug, Default)]
pub struct SharedAreas {
    /// The shared info page.
    pub shared_info: u64,
    /// Each vCPU's `vcpu_info`. `None` for a vCPU from the 33rd on that has not registered one: the shared info page
    /// has room for 32.
    pub vcpu_info: Vec<Option<u64>>,
    /// How both are laid out (`has_32bit_shinfo` in Xen). The guest's code decides it when it sets up what it shares:
    /// [`crate::system::System::set_shared_abi`].
    pub abi: Abi,
}

impl SharedAreas {
    /// The areas of a domain none of whose vCPUs has registered a `vcpu_info`.
    pub fn new(shared_info: u64, vcpus: u32) -> Self {
        let in_page =
            |vcpu: u32| (vcpu < LEGACY_VCPUS).then(|| Self::in_shared_info(shared_info, vcpu));
        Self {
            shared_info,
            vcpu_info: (0..vcpus).map(in_page).collect(),
            abi: Abi::Bits64,
        }
    }

    /// Number of ports of the 2-level ABI.
    fn ports(&self) -> u32 {
        match self.abi {
            Abi::Bits64 => NR_CHANNELS_2L,
            Abi::Bits32 => compat::vcpu::NR_CHANNELS_2L,
        }
    }

    fn in_shared_info(shared_info: u64, vcpu: u32) -> u64 {
        shared_info + u64::from(vcpu) * size_of::<VcpuInfo>() as u64
    }
}

/// Result of setting a port pending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetPending {
    /// The port was not pending before: vCPUs that poll for it have to be woken.
    pub newly_pending: bool,
    /// The vCPU to notify, if any.
    pub notify: Option<u32>,
}

impl SetPending {
    /// The result for a port that notifies a vCPU.
    fn of(raised: Raised, vcpu: u32) -> Self {
        Self {
            newly_pending: raised.newly_pending,
            notify: raised.notify.then_some(vcpu),
        }
    }
}

/// A domain's event channels.
pub struct Events {
    ports: Ports,
    fifo: Option<Box<Fifo>>,
}

impl Events {
    /// Without ports, in the 2-level ABI. `max_port` is the highest port that the domain may have.
    pub fn new(max_port: u32) -> Self {
        Self {
            ports: Ports::new(max_port),
            fifo: None,
        }
    }

    /// Number of ports of the present ABI.
    pub fn limit(&self, areas: &SharedAreas) -> u32 {
        if self.fifo.is_some() {
            NR_CHANNELS
        } else {
            areas.ports()
        }
    }

    /// The FIFO state, if the domain uses that ABI.
    pub fn fifo(&self) -> Option<&Fifo> {
        self.fifo.as_deref()
    }

    /// The ports of the domain.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// A port, free or not. [`Errno::EINVAL`] if it was never used.
    pub fn port(&self, port: u32) -> Result<&Port> {
        self.ports.get(port).ok_or(Errno::EINVAL)
    }

    /// A port, mutably.
    pub fn port_mut(&mut self, port: u32) -> Result<&mut Port> {
        self.ports.get_mut(port).ok_or(Errno::EINVAL)
    }

    /// Binds the lowest free port. [`Errno::ENOSPC`] if there is none. A port whose event word is still linked in a
    /// queue of the guest is not free.
    pub fn bind(
        &mut self,
        memory: &impl MachineMemory,
        areas: &SharedAreas,
        binding: Binding,
        vcpu: u32,
    ) -> Result<u32> {
        let limit = self.limit(areas);
        let fifo = self.fifo.as_deref();
        let busy = |port: u32| fifo.is_some_and(|fifo| fifo.is_linked(memory, port));
        self.ports.bind(limit, busy, binding, vcpu)
    }

    /// Frees a port and clears its pending bit.
    pub fn free(&mut self, memory: &impl MachineMemory, areas: &SharedAreas, port: u32) {
        match &self.fifo {
            Some(fifo) => fifo.clear_pending(memory, port),
            None => two_level::clear_pending(memory, areas, port),
        }
        self.ports.free(port);
    }

    /// Sets a port pending for a vCPU.
    pub fn set_pending(
        &mut self,
        memory: &impl MachineMemory,
        areas: &SharedAreas,
        port: u32,
        vcpu: u32,
    ) -> SetPending {
        let Some(state) = self.ports.get_mut(port) else {
            return SetPending::default();
        };
        match self.fifo.as_deref_mut() {
            Some(fifo) => fifo.set_pending(memory, port, state, vcpu),
            None => two_level::set_pending(memory, areas, port, vcpu),
        }
    }

    /// Unmasks a port, and delivers it if it is pending.
    pub fn unmask(
        &mut self,
        memory: &impl MachineMemory,
        areas: &SharedAreas,
        port: u32,
    ) -> Result<SetPending> {
        let state = self.ports.get_mut(port).ok_or(Errno::EINVAL)?;
        let vcpu = state.vcpu;
        Ok(match self.fifo.as_deref_mut() {
            Some(fifo) => fifo.unmask(memory, port, state, vcpu),
            None => two_level::unmask(memory, areas, port, vcpu),
        })
    }

    /// Whether a port is pending, masked or not.
    pub fn is_pending(&self, memory: &impl MachineMemory, areas: &SharedAreas, port: u32) -> bool {
        match &self.fifo {
            Some(fifo) => fifo.is_pending(memory, port),
            None => two_level::is_pending(memory, areas, port),
        }
    }

    /// Sets a port's priority. The 2-level ABI has none: [`Errno::ENOSYS`].
    pub fn set_priority(&mut self, port: u32, priority: u32) -> Result<()> {
        let state = self.ports.get_mut(port).ok_or(Errno::EINVAL)?;
        if self.fifo.is_none() {
            return Err(Errno::ENOSYS);
        }
        state.queue.priority = Priority::new(priority).ok_or(Errno::EINVAL)?;
        Ok(())
    }

    /// Sets the control block of a vCPU, and switches to the FIFO ABI if it is the first. The page is returned if the
    /// vCPU has a control block already. `vcpus` is how many vCPUs the domain has.
    pub fn init_control(
        &mut self,
        memory: &impl MachineMemory,
        areas: &SharedAreas,
        vcpu: u32,
        (page, offset): (PageRef, u32),
        vcpus: u32,
    ) -> core::result::Result<(), PageRef> {
        if let Some(fifo) = self.fifo.as_deref_mut() {
            return fifo.set_control(vcpu, page, offset);
        }
        let mut fifo = Box::new(Fifo::new(vcpus));
        fifo.set_control(vcpu, page, offset)?;
        // A port that is pending in the 2-level ABI is set pending again once its event word exists.
        for (port, state) in self.ports.bound_mut() {
            state.queue.pending = two_level::is_pending(memory, areas, port);
            state.queue.priority = Priority::DEFAULT;
        }
        self.fifo = Some(fifo);
        Ok(())
    }

    /// Adds a page to the event array. Returns the ports that became pending before they had a word; the caller sets
    /// them pending.
    pub fn expand(&mut self, page: PageRef) -> core::result::Result<Vec<u32>, (Errno, PageRef)> {
        let Some(fifo) = self.fifo.as_deref_mut() else {
            return Err((Errno::EOPNOTSUPP, page));
        };
        let new = fifo.expand(page).map_err(|page| (Errno::ENOSPC, page))?;
        let waiting = |(port, state): (u32, &mut Port)| {
            (new.contains(&port) && state.queue.pending).then_some(port)
        };
        Ok(self.ports.bound_mut().filter_map(waiting).collect())
    }

    /// Switches back to the 2-level ABI and returns the pages, for the caller to put. All ports are closed by then, so
    /// no event is lost. No event finds a page that was freed, since the pages leave the structure first.
    pub fn leave_fifo(&mut self) -> Vec<PageRef> {
        self.fifo
            .take()
            .map(|fifo| fifo.into_pages())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
