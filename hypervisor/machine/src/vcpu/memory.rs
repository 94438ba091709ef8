// SPDX-License-Identifier: GPL-2.0

//! The paging mode of the guest, and the instruction that it is at.

use paravane::mem::walk::Paging;

use super::SvmVcpu;
use crate::platform::system;

/// CR0.PG: paging is enabled.
const CR0_PG: u64 = 1 << 31;
/// CR0.WP: read-only pages are write-protected for supervisors.
const CR0_WP: u64 = 1 << 16;
/// CR4.LA57: five levels of page tables.
const CR4_LA57: u64 = 1 << 12;

impl SvmVcpu {
    /// The paging mode, from the guest's control registers.
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

    /// The bytes of the instruction that the guest is at, and how many could be read.
    pub fn fetch_instruction(&mut self) -> ([u8; 15], usize) {
        let wide = self.long_mode();
        let base = if wide { 0 } else { self.vmcb().cs.base };
        let at = base.wrapping_add(self.vmcb().rip);
        let paging = self.paging();
        let id = self.vcpu.id.domain;
        let mut system = system();
        let mut bytes = [0; 15];
        // If not all 15 bytes are mapped, the instruction may end with the page.
        if system.read_virtual(id, &paging, at, &mut bytes).is_ok() {
            return (bytes, 15);
        }
        let room = (4096 - at % 4096).min(15) as usize;
        let got = system.read_virtual(id, &paging, at, &mut bytes[..room]);
        (bytes, if got.is_ok() { room } else { 0 })
    }
}
