//! The vCPU that makes a hypercall, and its memory by virtual addresses.

use super::{Domain, Errno, Platform, Result, System};
use core::ops::Range;

use crate::mem::access::{GuestMemory, by_page};
use crate::mem::frames::DomId;
use crate::mem::p2m::Kind;
use crate::mem::walk::{Access, Paging, TableMemory, walk};
use crate::mem::{Gfn, PAGE_SIZE};
use crate::strings::PageFault;
use crate::system::vcpu::VcpuId;

/// A vCPU in a hypercall.
pub struct Caller<'a, P> {
    /// Everything.
    pub system: &'a mut System<P>,
    /// Who calls.
    pub vcpu: VcpuId,
    /// What its control registers say about paging.
    pub paging: Paging,
}

/// A domain's memory as its page-table walks see it.
struct Walked<'a, P> {
    system: &'a mut System<P>,
    domain: DomId,
}

impl<P: Platform> TableMemory for Walked<'_, P> {
    fn load(&mut self, gpa: u64) -> Option<u64> {
        let address = self.system.machine_address(self.domain, gpa, false)?;
        Some(self.system.platform.load_u64(address))
    }

    fn replace(&mut self, gpa: u64, old: u64, new: u64) -> bool {
        match self.system.machine_address(self.domain, gpa, true) {
            Some(address) => self
                .system
                .platform
                .compare_exchange_u64(address, old, new)
                .is_ok(),
            None => false,
        }
    }
}

impl<P: Platform> System<P> {
    /// The machine address of a guest-physical one, if there is memory (not a device) that may be read or written.
    pub fn machine_address(&mut self, domain: DomId, gpa: u64, write: bool) -> Option<u64> {
        let seen = self.lookup(domain, Gfn::of(gpa))?;
        let memory = seen.kind != Kind::Mmio && seen.mfn.0 < self.frames.end();
        let allowed = memory && (!write || seen.kind.writable());
        allowed.then(|| seen.mfn.address() | (gpa & 0xfff))
    }

    /// Finds the machine address of a virtual one.
    fn translate(
        &mut self,
        domain: DomId,
        paging: &Paging,
        address: u64,
        write: bool,
    ) -> Result<u64> {
        let found = self.find(domain, paging, address, Access::supervisor(write));
        found.ok().flatten().ok_or(Errno::EFAULT)
    }

    /// Copies from a domain's virtual memory.
    pub fn read_virtual(
        &mut self,
        domain: DomId,
        paging: &Paging,
        address: u64,
        to: &mut [u8],
    ) -> Result<()> {
        by_page(address, to.len(), |at, range| {
            let machine = self.translate(domain, paging, at, false)?;
            self.platform.read(machine, &mut to[range]);
            Ok(())
        })
    }

    /// Copies to a domain's virtual memory.
    pub fn write_virtual(
        &mut self,
        domain: DomId,
        paging: &Paging,
        address: u64,
        from: &[u8],
    ) -> Result<()> {
        by_page(address, from.len(), |at, range| {
            let machine = self.translate(domain, paging, at, true)?;
            self.platform.write(machine, &from[range]);
            Ok(())
        })
    }

    /// Finds the machine address of a virtual one for an instruction of the domain's. `None` if there is no memory, which no
    /// page fault tells of.
    fn find(
        &mut self,
        domain: DomId,
        paging: &Paging,
        address: u64,
        access: Access,
    ) -> core::result::Result<Option<u64>, PageFault> {
        let mut walked = Walked {
            system: self,
            domain,
        };
        let gpa = walk(paging, address, access, &mut walked).map_err(|fault| PageFault {
            address,
            code: fault.code(access),
        })?;
        Ok(self.machine_address(domain, gpa, access.write))
    }

    /// Has an instruction of the domain's access `length` bytes, page by page: `each` gets a machine address, or none where
    /// there is no memory, and which of the bytes are there. Nothing is done if any of the pages faults.
    pub fn access_virtual(
        &mut self,
        domain: DomId,
        paging: &Paging,
        address: u64,
        length: usize,
        access: Access,
        mut each: impl FnMut(&P, Option<u64>, Range<usize>),
    ) -> core::result::Result<(), PageFault> {
        // As on a processor, a fault in the second page comes before the first one is changed.
        for first in [true, false] {
            let mut done = 0;
            while done < length {
                let at = address.wrapping_add(done as u64);
                let piece = (PAGE_SIZE - at % PAGE_SIZE).min((length - done) as u64) as usize;
                let machine = self.find(domain, paging, at, access)?;
                if !first {
                    each(&self.platform, machine, done..done + piece);
                }
                done += piece;
            }
        }
        Ok(())
    }

    /// Copies from a domain's physical memory.
    pub fn read_physical(&mut self, domain: DomId, gpa: u64, to: &mut [u8]) -> Result<()> {
        by_page(gpa, to.len(), |at, range| {
            let machine = self
                .machine_address(domain, at, false)
                .ok_or(Errno::EFAULT)?;
            self.platform.read(machine, &mut to[range]);
            Ok(())
        })
    }

    /// Copies to a domain's physical memory.
    pub fn write_physical(&mut self, domain: DomId, gpa: u64, from: &[u8]) -> Result<()> {
        by_page(gpa, from.len(), |at, range| {
            let machine = self
                .machine_address(domain, at, true)
                .ok_or(Errno::EFAULT)?;
            self.platform.write(machine, &from[range]);
            Ok(())
        })
    }
}

impl<P: Platform> GuestMemory for Caller<'_, P> {
    fn copy_in(&mut self, address: u64, to: &mut [u8]) -> Result<()> {
        self.system
            .read_virtual(self.vcpu.domain, &self.paging, address, to)
    }

    fn copy_out(&mut self, address: u64, from: &[u8]) -> Result<()> {
        self.system
            .write_virtual(self.vcpu.domain, &self.paging, address, from)
    }
}

impl<P: Platform> Caller<'_, P> {
    /// The domain that calls.
    pub fn domain(&self) -> Result<&Domain> {
        self.system.domain(self.vcpu.domain)
    }

    /// The same, to be changed.
    pub fn domain_mut(&mut self) -> Result<&mut Domain> {
        self.system.domain_mut(self.vcpu.domain)
    }

    /// Whether it may control the machine and other domains.
    pub fn is_privileged(&self) -> bool {
        self.domain().is_ok_and(|domain| domain.config.privileged)
    }

    /// The domain that a number in an argument means: itself, or another one that it may control.
    /// [`Errno::ESRCH`] if there is none, [`Errno::EPERM`] if it may not.
    pub fn target(&self, id: DomId) -> Result<DomId> {
        let id = self.named(id)?;
        if id == self.vcpu.domain || self.is_privileged() {
            Ok(id)
        } else {
            Err(Errno::EPERM)
        }
    }

    /// The domain that a number in an argument means.
    pub fn named(&self, id: DomId) -> Result<DomId> {
        if id == xen_abi::xen::domid::SELF {
            return Ok(self.vcpu.domain);
        }
        self.system.domain(id).map(Domain::id)
    }
}

#[cfg(test)]
mod tests;
