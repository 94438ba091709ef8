// SPDX-License-Identifier: GPL-2.0

//! The memory of the guest that exited, by its own addresses.

use paravane::mem::walk::Paging;

use super::Runner;
use crate::platform::system;

/// CR0: paging, and write protection of read-only pages.
const CR0_PG: u64 = 1 << 31;
const CR0_WP: u64 = 1 << 16;
/// CR4: five levels of page tables.
const CR4_LA57: u64 = 1 << 12;

impl Runner {
    /// What the guest's control registers say of its page tables.
    pub fn paging(&mut self) -> Paging {
        let vmcb = self.vmcb();
        let levels = match (vmcb.cr0 & CR0_PG != 0, vmcb.cr4 & CR4_LA57 != 0) {
            (false, _) => 0,
            (true, false) => 4,
            (true, true) => 5,
        };
        Paging {
            cr3: vmcb.cr3,
            levels,
            write_protect: vmcb.cr0 & CR0_WP != 0,
        }
    }

    /// The bytes of the instruction the guest is at; fewer than 15 where its memory ends.
    pub fn fetch(&mut self) -> ([u8; 15], usize) {
        let wide = self.wide();
        let base = if wide { 0 } else { self.vmcb().cs.base };
        let at = base.wrapping_add(self.vmcb().rip);
        let paging = self.paging();
        let id = self.vcpu.id.domain;
        let mut system = system();
        let mut bytes = [0; 15];
        // Often all of it lies in one page; else the part up to its end may be all there is.
        if system.read_virtual(id, &paging, at, &mut bytes).is_ok() {
            return (bytes, 15);
        }
        let room = (4096 - at % 4096).min(15) as usize;
        let got = system.read_virtual(id, &paging, at, &mut bytes[..room]);
        (bytes, if got.is_ok() { room } else { 0 })
    }
}
