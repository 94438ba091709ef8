// SPDX-License-Identifier: GPL-2.0

//! The ports of a domain and what they are bound to.

use crate::error::{Errno, Result};
use crate::mem::frames::DomId;
use alloc::vec::Vec;
use xen_event::fifo::hypervisor::PortQueue;

/// What a port is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Nothing (`ECS_FREE`).
    Free,
    /// Port 0, which cannot be used.
    Reserved,
    /// Nothing yet; this domain may bind to it.
    Unbound(DomId),
    /// A port of a domain, which may be the same domain.
    Interdomain(DomId, u32),
    /// A virq.
    Virq(u32),
    /// IPIs to a vCPU of the domain.
    Ipi,
    /// The hypervisor, as the backend of the domain's console.
    Console,
}

/// A port.
#[derive(Clone, Copy, Debug)]
pub struct Port {
    /// What the port is bound to.
    pub binding: Binding,
    /// The vCPU that it notifies.
    pub vcpu: u32,
    /// On which queue of the FIFO ABI it is put.
    pub queue: PortQueue,
}

impl Port {
    fn new(binding: Binding, vcpu: u32) -> Self {
        Self {
            binding,
            vcpu,
            queue: PortQueue::new(),
        }
    }

    /// Whether the port is in use.
    pub fn is_bound(&self) -> bool {
        !matches!(self.binding, Binding::Free | Binding::Reserved)
    }
}

/// The ports of a domain, up to the highest that it has ever used.
pub struct Ports {
    ports: Vec<Port>,
    max: u32,
    bound: u32,
    /// No port below this one is free.
    lowest: u32,
}

impl Ports {
    pub(super) fn new(max: u32) -> Self {
        Self {
            ports: Vec::from([Port::new(Binding::Reserved, 0)]),
            max,
            bound: 0,
            lowest: 1,
        }
    }

    /// A port, free or not; `None` if it was never used.
    pub fn get(&self, port: u32) -> Option<&Port> {
        self.ports.get(port as usize)
    }

    pub(super) fn get_mut(&mut self, port: u32) -> Option<&mut Port> {
        self.ports.get_mut(port as usize)
    }

    /// Number of ports in use.
    pub fn bound(&self) -> u32 {
        self.bound
    }

    /// The first port from `from` on that is in use.
    pub fn next_bound(&self, from: u32) -> Option<u32> {
        if self.bound == 0 {
            return None;
        }
        let ports = self.ports.get(from as usize..)?;
        let index = ports.iter().position(Port::is_bound)?;
        Some(from + index as u32)
    }

    /// The highest port that was ever used, plus one.
    pub fn len(&self) -> u32 {
        self.ports.len() as u32
    }

    /// Never true: port 0 always exists.
    pub fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }

    pub(super) fn bound_mut(&mut self) -> impl Iterator<Item = (u32, &mut Port)> {
        let numbered = self.ports.iter_mut().enumerate();
        numbered
            .filter(|(_, port)| port.is_bound())
            .map(|(number, port)| (number as u32, port))
    }

    pub(super) fn bind(
        &mut self,
        limit: u32,
        busy: impl Fn(u32) -> bool,
        binding: Binding,
        vcpu: u32,
    ) -> Result<u32> {
        let end = limit.min(self.max.saturating_add(1));
        let mut port = self.lowest;
        let mut passed_busy = false;
        loop {
            if port >= end {
                return Err(Errno::ENOSPC);
            }
            match self.ports.get(port as usize) {
                None => {
                    self.ports.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
                    self.ports.push(Port::new(binding, vcpu));
                    break;
                }
                Some(free) if free.binding == Binding::Free => {
                    if !busy(port) {
                        let queue = free.queue.reset();
                        self.ports[port as usize] = Port {
                            queue,
                            ..Port::new(binding, vcpu)
                        };
                        break;
                    }
                    passed_busy = true;
                }
                Some(_) => {}
            }
            port += 1;
        }
        self.bound += 1;
        if !passed_busy {
            self.lowest = port + 1;
        }
        Ok(port)
    }

    pub(super) fn free(&mut self, port: u32) {
        if let Some(state) = self.ports.get_mut(port as usize) {
            if state.is_bound() {
                let queue = state.queue.reset();
                *state = Port {
                    queue,
                    ..Port::new(Binding::Free, 0)
                };
                self.bound -= 1;
                self.lowest = self.lowest.min(port);
            }
        }
    }
}
