// SPDX-License-Identifier: GPL-2.0

//! `event_channel_op` with the 2-level ABI, as far as a domain alone on the machine needs it.

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use paravane::error::{Errno, Result};
use paravane::mem::{GuestMemory, MachineMemory};
use xen_abi::event_channel::{self as abi, op, status};
use xen_abi::xen::virq;

use super::Call;
use crate::arch::phys::Machine;
use crate::domain::{Domain, Vcpu};

/// Offset of the pending bits in the shared page.
const PENDING: u64 = 2048;
/// Offset of the mask bits in the shared page.
const MASK: u64 = 2560;
/// Virtual interrupts there can be.
const VIRQS: u32 = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Closed,
    Unbound(u16),
    Virq(u32),
    Ipi,
}

#[derive(Clone, Copy, Debug)]
struct Port {
    bound: Bound,
    vcpu: u32,
}

/// A domain's event channels; port 0 is never used.
#[derive(Debug)]
pub struct Events {
    ports: Vec<Port>,
}

impl Events {
    /// None bound.
    pub fn new() -> Self {
        Self {
            ports: alloc::vec![Port {
                bound: Bound::Closed,
                vcpu: 0
            }],
        }
    }

    fn bind(&mut self, bound: Bound, vcpu: u32) -> Result<u32> {
        let port = Port { bound, vcpu };
        let free = (1..)
            .zip(self.ports.iter().skip(1))
            .find(|(_, port)| port.bound == Bound::Closed);
        match free {
            Some((index, _)) => {
                self.ports[index] = port;
                Ok(index as u32)
            }
            None if self.ports.len() < abi::NR_CHANNELS_2L as usize => {
                self.ports.push(port);
                Ok(self.ports.len() as u32 - 1)
            }
            None => Err(Errno::ENOSPC),
        }
    }

    fn get(&mut self, port: u32) -> Result<&mut Port> {
        self.ports
            .get_mut(port as usize)
            .filter(|port| port.bound != Bound::Closed)
            .ok_or(Errno::EINVAL)
    }

    /// Sets a port pending and tells its vCPU, unless it is masked or was pending.
    fn raise(&self, domain: &Domain, port: u32) {
        let Some(entry) = self.ports.get(port as usize) else {
            return;
        };
        let Some(vcpu) = domain.vcpus.get(entry.vcpu as usize) else {
            return;
        };
        let (shared, word, bit) = (
            domain.shared_info.start(),
            u64::from(port / 64),
            1u64 << (port % 64),
        );
        if Machine.fetch_or_u64(shared + PENDING + word * 8, bit) & bit != 0 {
            return;
        }
        if Machine.load_u64(shared + MASK + word * 8) & bit == 0 {
            Self::tell(domain, vcpu, word);
        }
    }

    fn tell(domain: &Domain, vcpu: &Vcpu, word: u64) {
        let info = vcpu.info.load(Ordering::SeqCst);
        if Machine.fetch_or_u64(info + 8, 1 << word) & 1 << word == 0
            && Machine.swap_u8(info, 1) == 0
        {
            domain.notify(vcpu);
        }
    }

    /// Raises a virtual interrupt of a vCPU, if it is bound.
    pub fn raise_virq(&self, domain: &Domain, vcpu: &Vcpu, virq: u32) {
        let bound = |port: &&Port| port.bound == Bound::Virq(virq) && port.vcpu == vcpu.id;
        if let Some(port) = self.ports.iter().position(|port| bound(&port)) {
            self.raise(domain, port as u32);
        }
    }
}

/// Carries out a command.
pub fn call(call: &mut Call, command: u32, argument: u64) -> Result<u64> {
    let domain = call.domain;
    let vcpu_exists = |id: u32| {
        if (id as usize) < domain.vcpus.len() {
            Ok(())
        } else {
            Err(Errno::ENOENT)
        }
    };
    let mut events = domain.events.lock();
    match command {
        op::BIND_VIRQ => {
            let mut bind: abi::BindVirq = call.memory.get(argument)?;
            vcpu_exists(bind.vcpu)?;
            if bind.virq >= VIRQS
                || (!matches!(
                    bind.virq,
                    virq::TIMER | virq::DEBUG | virq::XENOPROF | virq::XENPMU
                ) && bind.vcpu != 0)
            {
                return Err(Errno::EINVAL);
            }
            if events
                .ports
                .iter()
                .any(|port| port.bound == Bound::Virq(bind.virq) && port.vcpu == bind.vcpu)
            {
                return Err(Errno::EEXIST);
            }
            bind.port = events.bind(Bound::Virq(bind.virq), bind.vcpu)?;
            call.memory.put(argument, &bind)?;
        }
        op::BIND_IPI => {
            let mut bind: abi::BindIpi = call.memory.get(argument)?;
            vcpu_exists(bind.vcpu)?;
            bind.port = events.bind(Bound::Ipi, bind.vcpu)?;
            call.memory.put(argument, &bind)?;
        }
        op::ALLOC_UNBOUND => {
            let mut bind: abi::AllocUnbound = call.memory.get(argument)?;
            if bind.dom != xen_abi::xen::domid::SELF && bind.dom != 0 {
                return Err(Errno::ESRCH);
            }
            bind.port = events.bind(Bound::Unbound(bind.remote_dom), 0)?;
            call.memory.put(argument, &bind)?;
        }
        op::CLOSE => {
            let wanted: abi::Port = call.memory.get(argument)?;
            events.get(wanted.port)?.bound = Bound::Closed;
            let at = domain.shared_info.start() + PENDING + u64::from(wanted.port / 64) * 8;
            Machine.fetch_clear_u64(at, 1 << (wanted.port % 64));
        }
        op::SEND => {
            let wanted: abi::Port = call.memory.get(argument)?;
            match events.get(wanted.port)?.bound {
                Bound::Ipi => events.raise(domain, wanted.port),
                // Nobody is at the other end yet: the event is lost, as in Xen.
                Bound::Unbound(_) => {}
                _ => return Err(Errno::EINVAL),
            }
        }
        op::UNMASK => {
            let wanted: abi::Port = call.memory.get(argument)?;
            let vcpu = events.get(wanted.port)?.vcpu;
            let (word, bit) = (u64::from(wanted.port / 64), 1 << (wanted.port % 64));
            let shared = domain.shared_info.start();
            let was_masked = Machine.fetch_clear_u64(shared + MASK + word * 8, bit) & bit != 0;
            if was_masked && Machine.load_u64(shared + PENDING + word * 8) & bit != 0 {
                if let Some(vcpu) = domain.vcpus.get(vcpu as usize) {
                    Events::tell(domain, vcpu, word);
                }
            }
        }
        op::BIND_VCPU => {
            let wanted: abi::BindVcpu = call.memory.get(argument)?;
            vcpu_exists(wanted.vcpu)?;
            let port = events.get(wanted.port)?;
            match port.bound {
                Bound::Virq(virq::TIMER | virq::DEBUG | virq::XENOPROF | virq::XENPMU)
                | Bound::Ipi => {
                    return Err(Errno::EINVAL);
                }
                _ => port.vcpu = wanted.vcpu,
            }
        }
        op::STATUS => {
            let mut wanted: abi::Status = call.memory.get(argument)?;
            let port = *events
                .ports
                .get(wanted.port as usize)
                .ok_or(Errno::EINVAL)?;
            wanted.vcpu = port.vcpu;
            (wanted.status, wanted.detail) = match port.bound {
                Bound::Closed => (status::CLOSED, 0),
                Bound::Unbound(domain) => (status::UNBOUND, u32::from(domain)),
                Bound::Virq(number) => (status::VIRQ, number),
                Bound::Ipi => (status::IPI, 0),
            };
            call.memory.put(argument, &wanted)?;
        }
        _ => return Err(Errno::ENOSYS),
    }
    Ok(0)
}
