// SPDX-License-Identifier: GPL-2.0

//! Writes of CR0, CR4 and EFER, which are intercepted: the library decides what the guest may set
//! ([`paravane::control`]).

use iced_x86::{Instruction, Mnemonic, OpKind, Register};
use paravane::control::{ControlRegs, GeneralProtection, TlbEffect, cr0};

use super::SvmVcpu;
use crate::arch::svm::EFER_SVME;
use crate::platform::system;

/// Bits of CR0 that LMSW writes: PE, MP, EM, TS.
const LMSW: u64 = 0xf;

impl SvmVcpu {
    /// Emulates an instruction that writes CR0 or CR4: MOV, LMSW or CLTS. Another one was put there by another vCPU since
    /// it exited, and is executed anew.
    pub fn write_control_register(&mut self, instruction: &Instruction) {
        let result = match (instruction.mnemonic(), instruction.op0_register()) {
            (Mnemonic::Mov, Register::CR0) => {
                let value = self.register(instruction.op1_register());
                self.update_control(|regs, _| regs.set_cr0(value))
            }
            (Mnemonic::Mov, Register::CR4) => {
                let value = self.register(instruction.op1_register());
                self.update_control(|regs, allowed| regs.set_cr4(value, allowed))
            }
            (Mnemonic::Lmsw, _) => match self.lmsw_operand(instruction) {
                // PE can be set, but not cleared.
                Some(word) => self.update_control(|regs, _| {
                    let value = u64::from(word) & LMSW | regs.cr0 & cr0::PE;
                    regs.set_cr0(regs.cr0 & !LMSW | value)
                }),
                None => Err(GeneralProtection),
            },
            (Mnemonic::Clts, _) => self.update_control(|regs, _| regs.set_cr0(regs.cr0 & !cr0::TS)),
            _ => return,
        };
        match result {
            Ok(()) => self.advance_rip(instruction.len() as u64),
            Err(GeneralProtection) => self.inject_gp(),
        }
    }

    /// The operand of LMSW, from a register or from memory.
    fn lmsw_operand(&mut self, instruction: &Instruction) -> Option<u16> {
        if instruction.op0_kind() == OpKind::Register {
            return Some(self.register(instruction.op0_register()) as u16);
        }
        let address = instruction.virtual_address(0, 0, |register, _, _| {
            let vmcb = self.context.vmcb();
            Some(match register {
                Register::ES => vmcb.es.base,
                Register::CS => vmcb.cs.base,
                Register::SS => vmcb.ss.base,
                Register::DS => vmcb.ds.base,
                Register::FS => vmcb.fs.base,
                Register::GS => vmcb.gs.base,
                _ => self.register(register),
            })
        })?;
        let (paging, id) = (self.paging(), self.vcpu.id.domain);
        let mut word = [0; 2];
        let read = system().read_virtual(id, &paging, address, &mut word);
        read.ok().map(|()| u16::from_le_bytes(word))
    }

    /// Changes control registers by one write.
    ///
    /// # Errors
    ///
    /// [`GeneralProtection`] if the guest may not; nothing has changed then.
    pub fn update_control(
        &mut self,
        write: impl FnOnce(
            &mut ControlRegs,
            &paravane::control::AllowedBits,
        ) -> Result<TlbEffect, GeneralProtection>,
    ) -> Result<(), GeneralProtection> {
        let mut regs = self.control_regs();
        let effect = write(&mut regs, &self.allowed_bits)?;
        let vmcb = self.context.vmcb();
        (vmcb.cr0, vmcb.cr4, vmcb.efer) = (regs.cr0, regs.cr4, regs.efer | EFER_SVME);
        if effect == TlbEffect::Flush {
            self.asid.invalidate();
        }
        Ok(())
    }
}
