// SPDX-License-Identifier: GPL-2.0

//! The memory of the guest that exited, by its own addresses: each byte copied once, after both translations.

use paravane::error::{Errno, Result};
use paravane::mem::access::by_page;
use paravane::mem::walk::{Access, NotMapped, Paging, TableMemory, walk};
use paravane::mem::{GuestMemory, MachineMemory};

use super::Runner;
use crate::arch::phys::Machine;
use crate::domain::Domain;

/// A guest's virtual memory as its page tables are now.
pub struct Virtual {
    domain: &'static Domain,
    paging: Paging,
    user: bool,
}

/// A guest's memory by guest-physical address.
pub struct Physical(pub &'static Domain);

impl TableMemory for Physical {
    fn load(&mut self, gpa: u64) -> Option<u64> {
        self.0
            .machine_address(gpa, false)
            .map(|address| Machine.load_u64(address))
    }

    fn replace(&mut self, gpa: u64, old: u64, new: u64) -> bool {
        let address = self.0.machine_address(gpa, true);
        address.is_some_and(|address| Machine.compare_exchange_u64(address, old, new).is_ok())
    }
}

impl Virtual {
    /// The guest-physical address behind a virtual one.
    pub fn physical(&self, address: u64, write: bool) -> Result<u64> {
        let access = Access {
            write,
            user: self.user,
        };
        walk(&self.paging, address, access, &mut Physical(self.domain))
            .map_err(|NotMapped| Errno::EFAULT)
    }

    fn translate(&self, address: u64, write: bool) -> Result<u64> {
        let gpa = self.physical(address, write)?;
        self.domain.machine_address(gpa, write).ok_or(Errno::EFAULT)
    }
}

impl GuestMemory for Virtual {
    fn copy_in(&mut self, address: u64, to: &mut [u8]) -> Result<()> {
        by_page(address, to.len(), |at, piece| {
            let machine = self.translate(at, false)?;
            Machine.read(machine, to.get_mut(piece).ok_or(Errno::EFAULT)?);
            Ok(())
        })
    }

    fn copy_out(&mut self, address: u64, from: &[u8]) -> Result<()> {
        by_page(address, from.len(), |at, piece| {
            let machine = self.translate(at, true)?;
            Machine.write(machine, from.get(piece).ok_or(Errno::EFAULT)?);
            Ok(())
        })
    }
}

impl Runner {
    /// The guest kernel's memory.
    pub fn memory(&mut self) -> Virtual {
        let domain = self.domain;
        let vmcb = self.vmcb();
        let paged = vmcb.cr0 & 1 << 31 != 0;
        let levels = if paged { 4 } else { 0 };
        let paging = Paging {
            cr3: vmcb.cr3,
            levels,
            write_protect: vmcb.cr0 & 1 << 16 != 0,
        };
        Virtual {
            domain,
            paging,
            user: vmcb.cpl == 3,
        }
    }

    /// The bytes of the instruction the guest is at; fewer than 15 where its memory ends.
    pub fn fetch(&mut self) -> ([u8; 15], usize) {
        let wide = self.wide();
        let base = if wide { 0 } else { self.vmcb().cs.base };
        let at = base.wrapping_add(self.vmcb().rip);
        let mut memory = self.memory();
        let mut bytes = [0; 15];
        // Often all of it lies in one page; else the part up to its end may be all there is.
        if memory.copy_in(at, &mut bytes).is_ok() {
            return (bytes, 15);
        }
        let room = (4096 - at % 4096).min(15) as usize;
        let got = memory.copy_in(at, &mut bytes[..room]).is_ok();
        (bytes, if got { room } else { 0 })
    }
}
