//! What each port of a domain is bound to.

use crate::error::{Errno, Result};
use crate::mem::frames::DomId;
use alloc::vec::Vec;
use xen_abi::event_channel::fifo::PRIORITY_DEFAULT;

/// What a port is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Nothing.
    Free,
    /// Port 0, which is nobody's.
    Reserved,
    /// A domain may connect to it.
    Unbound(DomId),
    /// It is connected to a port of a domain, maybe the same one.
    Interdomain(DomId, u32),
    /// A virtual interrupt.
    Virq(u32),
    /// An interrupt from one vCPU to another.
    Ipi,
}

/// A port.
#[derive(Clone, Copy, Debug)]
pub struct Port {
    /// What it is bound to.
    pub binding: Binding,
    /// The vCPU that is told.
    pub vcpu: u32,
    /// Queue it goes to.
    pub priority: u8,
    /// An event came before there was a word for it.
    pub pending: bool,
    /// The queue it was put on last: vCPU and priority.
    pub last_queue: (u32, u8),
}

impl Port {
    fn new(binding: Binding, vcpu: u32) -> Self {
        Self {
            binding,
            vcpu,
            priority: PRIORITY_DEFAULT as u8,
            pending: false,
            last_queue: (0, 0),
        }
    }

    /// Whether it is bound to anything.
    pub fn is_bound(&self) -> bool {
        !matches!(self.binding, Binding::Free | Binding::Reserved)
    }
}

/// The ports of a domain: as many as it has ever used.
pub struct Ports {
    ports: Vec<Port>,
    max: u32,
    bound: u32,
    /// No port below is free.
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

    /// A port that exists.
    pub fn get(&self, port: u32) -> Option<&Port> {
        self.ports.get(port as usize)
    }

    pub(super) fn get_mut(&mut self, port: u32) -> Option<&mut Port> {
        self.ports.get_mut(port as usize)
    }

    /// How many are bound.
    pub fn bound(&self) -> u32 {
        self.bound
    }

    /// Number of ports that exist; the highest is one less.
    pub fn len(&self) -> u32 {
        self.ports.len() as u32
    }

    /// Whether there is no port; there always is port 0.
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
                        // The queue it was on last stays known, for it may be that queue's tail.
                        let last_queue = free.last_queue;
                        self.ports[port as usize] = Port {
                            last_queue,
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
                let last_queue = state.last_queue;
                *state = Port {
                    last_queue,
                    ..Port::new(Binding::Free, 0)
                };
                self.bound -= 1;
                self.lowest = self.lowest.min(port);
            }
        }
    }
}
