// SPDX-License-Identifier: GPL-2.0

//! The vCPU that makes a hypercall, and access to a domain's memory by guest-virtual and guest-physical addresses.

use super::{Domain, Errno, Platform, Result, System};
use core::ops::Range;

use crate::mem::access::{GuestMemory, by_page, element};
use crate::mem::frames::DomId;
use crate::mem::p2m::P2mType;
use crate::mem::walk::{Access, EntrySize, GuestTables, Paging, walk};
use crate::mem::{Gfn, PAGE_SIZE};
use crate::strings::PageFault;
use crate::system::vcpu::VcpuId;
use xen_abi::compat::{Abi, Argument, size_in};
use zerocopy::{FromBytes, IntoBytes};

/// A vCPU that makes a hypercall.
pub struct Caller<'a, P> {
    /// The state of the hypervisor, locked.
    pub system: &'a mut System<P>,
    /// The vCPU that calls.
    pub vcpu: VcpuId,
    /// Its paging mode at the call.
    pub paging: Paging,
    /// How the calling code passes arguments and lays out structures.
    pub abi: Abi,
}

/// A domain's page tables, in its guest-physical memory.
struct Walked<'a, P> {
    system: &'a mut System<P>,
    domain: DomId,
}

impl<P: Platform> GuestTables for Walked<'_, P> {
    fn load(&mut self, gpa: u64, size: EntrySize) -> Option<u64> {
        let address = self.system.machine_address(self.domain, gpa, false)?;
        Some(match size {
            EntrySize::Four => self.system.platform.load_u32(address).into(),
            EntrySize::Eight => self.system.platform.load_u64(address),
        })
    }

    fn replace(&mut self, gpa: u64, size: EntrySize, old: u64, new: u64) -> bool {
        let Some(address) = self.system.machine_address(self.domain, gpa, true) else {
            return false;
        };
        let platform = &self.system.platform;
        match size {
            EntrySize::Four => platform
                .compare_exchange_u32(address, old as u32, new as u32)
                .is_ok(),
            EntrySize::Eight => platform.compare_exchange_u64(address, old, new).is_ok(),
        }
    }
}

impl<P: Platform> System<P> {
    /// Translates a guest-physical address to a machine address, if RAM is mapped there and may be read or written.
    pub fn machine_address(&mut self, domain: DomId, gpa: u64, write: bool) -> Option<u64> {
        let entry = self.get_gfn(domain, Gfn::of(gpa), write)?;
        let memory = entry.p2mt != P2mType::MmioDirect && entry.mfn.0 < self.frames.end();
        let allowed = memory && (!write || entry.p2mt.writable());
        allowed.then(|| entry.mfn.address() | (gpa & 0xfff))
    }

    /// Translates a guest-virtual address to a machine address, for a hypercall.
    fn translate(
        &mut self,
        domain: DomId,
        paging: &Paging,
        address: u64,
        write: bool,
    ) -> Result<u64> {
        let found = self.translate_access(domain, paging, address, Access::supervisor(write));
        found.ok().flatten().ok_or(Errno::EFAULT)
    }

    /// Copies from a domain's memory at a guest-virtual address.
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

    /// Copies to a domain's memory at a guest-virtual address.
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

    /// Translates a guest-virtual address to a machine address. `Ok(None)` if the page tables map it to a
    /// guest-physical address without RAM, which is no page fault.
    fn translate_access(
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

    /// Performs the memory access of an emulated instruction, page by page: `each` gets a machine address, or `None`
    /// where there is no RAM, and the range of bytes that lie there.
    ///
    /// # Errors
    ///
    /// The page fault of the first page that has one; `each` is not called then.
    pub fn access_virtual(
        &mut self,
        domain: DomId,
        paging: &Paging,
        address: u64,
        length: usize,
        access: Access,
        mut each: impl FnMut(&P, Option<u64>, Range<usize>),
    ) -> core::result::Result<(), PageFault> {
        // As on a processor, a fault in the second page is raised before the first page is changed.
        for first in [true, false] {
            let mut done = 0;
            while done < length {
                let at = address.wrapping_add(done as u64);
                let piece = (PAGE_SIZE - at % PAGE_SIZE).min((length - done) as u64) as usize;
                let machine = self.translate_access(domain, paging, at, access)?;
                if !first {
                    each(&self.platform, machine, done..done + piece);
                }
                done += piece;
            }
        }
        Ok(())
    }

    /// Copies from a domain's memory at a guest-physical address.
    pub fn read_physical(&mut self, domain: DomId, gpa: u64, to: &mut [u8]) -> Result<()> {
        by_page(gpa, to.len(), |at, range| {
            let machine = self
                .machine_address(domain, at, false)
                .ok_or(Errno::EFAULT)?;
            self.platform.read(machine, &mut to[range]);
            Ok(())
        })
    }

    /// Copies to a domain's memory at a guest-physical address.
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

/// Size of the linear addresses of 32-bit code.
const ADDRESSES_32: u64 = 1 << 32;

impl<P: Platform> GuestMemory for Caller<'_, P> {
    fn raw_copy_from_guest(&mut self, address: u64, to: &mut [u8]) -> Result<()> {
        self.check_range(address, to.len())?;
        self.system
            .read_virtual(self.vcpu.domain, &self.paging, address, to)
    }

    fn raw_copy_to_guest(&mut self, address: u64, from: &[u8]) -> Result<()> {
        self.check_range(address, from.len())?;
        self.system
            .write_virtual(self.vcpu.domain, &self.paging, address, from)
    }
}

impl<P: Platform> Caller<'_, P> {
    /// Bytes of a structure as the caller lays it out.
    pub fn size_of<A: Argument>(&self) -> u64 {
        size_in::<A>(self.abi) as u64
    }

    /// Copies a structure from the guest.
    pub fn read_arg<A: Argument>(&mut self, address: u64) -> Result<A> {
        match self.abi {
            Abi::Bits64 => self.read_as_it_stands(address),
            Abi::Bits32 => Ok(A::from_compat(self.read_as_it_stands(address)?)),
        }
    }

    /// Copies a structure to the guest. [`Errno::EOVERFLOW`] if 32-bit code has no room for a number in it.
    pub fn write_arg<A: Argument>(&mut self, address: u64, value: &A) -> Result<()> {
        match self.abi {
            Abi::Bits64 => self.raw_copy_to_guest(address, value.as_bytes()),
            Abi::Bits32 => {
                let value = value.to_compat().ok_or(Errno::EOVERFLOW)?;
                self.raw_copy_to_guest(address, value.as_bytes())
            }
        }
    }

    /// Copies one element of an array from the guest.
    pub fn read_arg_at<A: Argument>(&mut self, array: u64, index: u64) -> Result<A> {
        self.read_arg(element(array, index, size_in::<A>(self.abi))?)
    }

    /// Copies one element of an array to the guest, as [`write_arg`](Self::write_arg).
    pub fn write_arg_at<A: Argument>(&mut self, array: u64, index: u64, value: &A) -> Result<()> {
        self.write_arg(element(array, index, size_in::<A>(self.abi))?, value)
    }

    fn read_as_it_stands<T: FromBytes + IntoBytes>(&mut self, address: u64) -> Result<T> {
        let mut value = T::new_zeroed();
        self.raw_copy_from_guest(address, value.as_mut_bytes())?;
        Ok(value)
    }

    /// 32-bit code has no addresses from 4 GiB on, with or without paging.
    fn check_range(&self, address: u64, length: usize) -> Result<()> {
        let end = address.checked_add(length as u64);
        match self.abi {
            Abi::Bits32 if end.is_none_or(|end| end > ADDRESSES_32) => Err(Errno::EFAULT),
            _ => Ok(()),
        }
    }

    /// The calling domain.
    pub fn domain(&self) -> Result<&Domain> {
        self.system.domain(self.vcpu.domain)
    }

    /// The calling domain, mutably.
    pub fn domain_mut(&mut self) -> Result<&mut Domain> {
        self.system.domain_mut(self.vcpu.domain)
    }

    /// Whether it may control the machine and other domains.
    pub fn is_privileged(&self) -> bool {
        self.domain().is_ok_and(|domain| domain.config.privileged)
    }

    /// The domain that a domid in an argument names, for an operation that a domain may do on itself, and only a
    /// privileged one on others (`XSM_TARGET` in Xen).
    ///
    /// # Errors
    ///
    /// [`Errno::ESRCH`] if there is no such domain, [`Errno::EPERM`] without permission.
    pub fn target_by_any_id(&self, id: DomId) -> Result<DomId> {
        let id = self.domain_by_any_id(id)?;
        if id == self.vcpu.domain || self.is_privileged() {
            Ok(id)
        } else {
            Err(Errno::EPERM)
        }
    }

    /// The domain that a domid in an argument names, where `DOMID_SELF` is the caller. No permission is checked.
    /// [`Errno::ESRCH`] if there is none.
    pub fn domain_by_any_id(&self, id: DomId) -> Result<DomId> {
        if id == xen_abi::xen::domid::SELF {
            return Ok(self.vcpu.domain);
        }
        self.system.domain(id).map(Domain::id)
    }
}

#[cfg(test)]
mod tests;
