// SPDX-License-Identifier: GPL-2.0

//! Accesses to guest-physical addresses without a mapping: a device of dom0's that is mapped now, one that the
//! hypervisor stands in for, or nothing.

use iced_x86::Instruction;

use super::Runner;
use crate::arch::time;
use crate::io::decode::{self, Access};
use paravane::irq::vlapic::{self, Effect};

/// Bit of the error code: a write (APM volume 2, 15.25.6).
const WRITE: u64 = 1 << 1;

impl Runner {
    /// A nested page fault at a guest-physical address.
    pub fn nested_fault(&mut self, error: u64, gpa: u64) {
        let apic = !self.vcpu.apic.lock().x2apic() && gpa & !0xfff == vlapic::ADDRESS;
        if !apic && self.domain.map_device(gpa) {
            return;
        }
        let (bytes, len) = self.fetch();
        let bits = self.bits();
        let rip = self.vmcb().rip;
        let Some(instruction) = decode::decode(&bytes[..len], rip, bits) else {
            self.stop("an instruction on a device's registers cannot be read");
        };
        let Some(access) = decode::access(&instruction) else {
            log::error!(
                "d0v{}: {:02x?} at {gpa:#x}",
                self.vcpu.id.vcpu,
                &bytes[..instruction.len()]
            );
            self.stop("an instruction on a device's registers is none that is carried out");
        };
        self.carry_out(access, gpa, error & WRITE != 0, &instruction);
    }

    fn carry_out(&mut self, access: Access, gpa: u64, write: bool, instruction: &Instruction) {
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
            Access::StoreRegister { from, size } if write => {
                let value = self.register(from);
                self.write_device(gpa, size, value);
            }
            Access::StoreValue { value, size } if write => self.write_device(gpa, size, value),
            _ => self.stop("an access to a device's registers is not what its instruction says"),
        }
        self.skip(instruction.len() as u64);
    }

    fn read_device(&mut self, gpa: u64, size: usize) -> u64 {
        if gpa & !0xfff == vlapic::ADDRESS {
            let apic = self.vcpu.apic.lock();
            let word = apic.read((gpa & 0xff0) as u32, time::now()).unwrap_or(0);
            return u64::from(word) >> (8 * (gpa & 3));
        }
        if let Some((index, offset)) = self.domain.io_apic_at(gpa) {
            return u64::from(self.domain.read_io_apic(index, offset));
        }
        let table = self.domain.pci.lock().read_table(gpa, size);
        table.unwrap_or_else(|| {
            log::debug!("d0v{}: nothing to read at {gpa:#x}", self.vcpu.id.vcpu);
            !0
        })
    }

    fn write_device(&mut self, gpa: u64, size: usize, value: u64) {
        if gpa & !0xfff == vlapic::ADDRESS {
            let effect =
                self.vcpu
                    .apic
                    .lock()
                    .write((gpa & 0xff0) as u32, value as u32, time::now());
            self.apply(effect.unwrap_or(Effect::None));
        } else if let Some((index, offset)) = self.domain.io_apic_at(gpa) {
            self.domain.write_io_apic(index, offset, value as u32);
        } else if self
            .domain
            .pci
            .lock()
            .write_table(gpa, size, value)
            .is_none()
        {
            log::debug!("d0v{}: nothing to write at {gpa:#x}", self.vcpu.id.vcpu);
        }
    }

    /// Does what a write to the local APIC asks of the rest of the machine.
    pub fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::None => {}
            Effect::Send(command) => self.domain.command(self.vcpu, command),
            Effect::LevelEnded(vector) => self.domain.level_ended(self.vcpu, vector),
        }
    }
}
