// SPDX-License-Identifier: GPL-2.0

//! Nested page faults: registers of a device that are mapped now, or emulated registers.

use iced_x86::Instruction;

use super::SvmVcpu;
use crate::arch::time;
use crate::io::decode::{self, Access};
use crate::platform::system;
use paravane::irq::vlapic::{self, Effect};
use paravane::mistake::Mistake;
use paravane::system::gfn_access::NestedAccess;

/// Bit of the error code: the access is a write (APM volume 2, 15.25.6).
const WRITE: u64 = 1 << 1;
/// Bit of the error code: the access is the fetch of an instruction.
const FETCH: u64 = 1 << 4;

/// RFLAGS.CF: carry.
const RFLAGS_CF: u64 = 1 << 0;

impl SvmVcpu {
    /// Handles a nested page fault at a guest-physical address.
    pub fn nested_page_fault(&mut self, error: u64, gpa: u64) {
        let apic = !self.vcpu.apic.lock().x2apic() && gpa & !0xfff == vlapic::ADDRESS;
        // The walk for a fetch writes too, to the guest's page tables.
        let access = match error {
            _ if error & WRITE != 0 => NestedAccess::Write,
            _ if error & FETCH != 0 => NestedAccess::Execute,
            _ => NestedAccess::Read,
        };
        if !apic && self.domain.policy.map_on_access(&self.domain, gpa, access) {
            return;
        }
        if error & FETCH != 0 {
            // There is nothing to execute.
            self.inject_gp();
            return;
        }
        let (bytes, len) = self.fetch_instruction();
        let bits = self.bits();
        let rip = self.vmcb().rip;
        let Some(instruction) = decode::decode(&bytes[..len], rip, bits) else {
            // Another vCPU has changed it since it exited: it is executed anew.
            return;
        };
        let Some(access) = decode::access(&instruction) else {
            let instruction = &bytes[..instruction.len()];
            self.report(
                Mistake::Instruction,
                format_args!("{instruction:02x?} at {gpa:#x} is not emulated"),
            );
            self.inject_gp();
            return;
        };
        self.emulate_access(access, gpa, error & WRITE != 0, &instruction);
    }

    /// Emulates a move from or to a register, or the test of a bit.
    fn emulate_access(&mut self, access: Access, gpa: u64, write: bool, instruction: &Instruction) {
        match access {
            Access::Load { to, size, signed } if !write => {
                let value = self.read_device(gpa, size);
                let shift = 64 - 8 * size.clamp(1, 8) as u32;
                let value = if signed {
                    ((value << shift) as i64 >> shift) as u64
                } else {
                    value << shift >> shift
                };
                self.set_register(to, value);
            }
            Access::BitTest {
                register,
                immediate,
                size,
            } if !write => {
                let number = match register {
                    Some(register) => self.register(register),
                    None => immediate.into(),
                };
                let value = self.read_device(gpa, size);
                let bit = value >> (number % (8 * size.clamp(1, 8) as u64)) & 1;
                let vmcb = self.vmcb();
                vmcb.rflags = vmcb.rflags & !RFLAGS_CF | bit;
            }
            Access::StoreRegister { from, size } if write => {
                let value = self.register(from);
                self.write_device(gpa, size, value);
            }
            Access::StoreImmediate { value, size } if write => self.write_device(gpa, size, value),
            // Another vCPU has changed the instruction since it exited: it is executed anew.
            _ => return,
        }
        self.advance_rip(instruction.len() as u64);
    }

    fn read_device(&mut self, gpa: u64, size: usize) -> u64 {
        if gpa & !0xfff == vlapic::ADDRESS {
            let apic = self.vcpu.apic.lock();
            let word = apic.read((gpa & 0xff0) as u32, time::now()).unwrap_or(0);
            return u64::from(word) >> (8 * (gpa & 3));
        }
        self.domain.policy.read_mmio(&self.domain, gpa, size)
    }

    fn write_device(&mut self, gpa: u64, size: usize, value: u64) {
        if gpa & !0xfff == vlapic::ADDRESS {
            let effect =
                self.vcpu
                    .apic
                    .lock()
                    .write((gpa & 0xff0) as u32, value as u32, time::now());
            self.apply_effect(effect.unwrap_or(Effect::None));
        } else {
            self.domain
                .policy
                .write_mmio(&self.domain, gpa, size, value);
        }
    }

    /// Applies the effect of a write to the vLAPIC: sends an IPI, signals an EOI to the I/O APICs, or delivers an upcall.
    pub fn apply_effect(&mut self, effect: Effect) {
        match effect {
            Effect::None => {}
            Effect::SendIpi(icr) => self.domain.send_ipi(&self.vcpu, icr),
            Effect::LevelEoi(vector) => self.domain.eoi_level(&self.vcpu, vector),
            Effect::Enabled => system().vlapic_enabled(self.vcpu.id),
        }
    }
}
