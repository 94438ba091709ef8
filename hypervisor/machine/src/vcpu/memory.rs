// SPDX-License-Identifier: GPL-2.0

//! The paging mode of the guest, and the instruction that it is at.

use paravane::control::ControlRegs;
use paravane::mem::walk::Paging;

use super::SvmVcpu;
use crate::arch::svm::EFER_SVME;
use crate::platform::system;

impl SvmVcpu {
    /// The guest's control registers.
    pub fn control_regs(&mut self) -> ControlRegs {
        let cs_long = self.long_mode();
        let vmcb = self.vmcb();
        ControlRegs {
            cr0: vmcb.cr0,
            cr3: vmcb.cr3,
            cr4: vmcb.cr4,
            efer: vmcb.efer & !EFER_SVME,
            cs_long,
        }
    }

    /// How the guest translates addresses.
    pub fn paging(&mut self) -> Paging {
        Paging::of(&self.control_regs())
    }

    /// The bytes of the instruction that the guest is at, and how many could be read.
    pub fn fetch_instruction(&mut self) -> ([u8; 15], usize) {
        let at = match self.long_mode() {
            true => self.vmcb().rip,
            // Linear addresses have 32 bits then.
            false => self.vmcb().cs.base.wrapping_add(self.vmcb().rip) & 0xffff_ffff,
        };
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
