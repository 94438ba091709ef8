// SPDX-License-Identifier: GPL-2.0

//! RDMSR and WRMSR: the domain's policy decides about each MSR ([`crate::domain::policy`]); here are those that are state of the vCPU.

use core::sync::atomic::Ordering;

use paravane::hypercall::page::hypercall_page;
use paravane::mistake::Mistake;
use paravane::msr::MsrPolicy;

use super::SvmVcpu;
use crate::arch::svm::{EFER, EFER_SVME};
use crate::arch::{cpu, msr, time};
use crate::platform::system;

const TSC: u32 = 0x10;
const APIC_BASE: u32 = 0x1b;
const DEBUGCTL: u32 = 0x1d9;
const PAT: u32 = 0x277;
const TSC_DEADLINE: u32 = 0x6e0;
const X2APIC_FIRST: u32 = 0x800;
const X2APIC_COMMAND: u32 = 0x830;

impl SvmVcpu {
    /// Emulates RDMSR, an instruction of `length` bytes.
    pub fn read_msr(&mut self, length: u64) {
        let number = self.context.registers.rcx as u32;
        match self.msr_value(number) {
            Some(value) => {
                self.vmcb().rax = value & 0xffff_ffff;
                self.context.registers.rdx = value >> 32;
                self.advance_rip(length);
            }
            None => {
                self.report(Mistake::Msr, format_args!("rdmsr {number:#x}"));
                self.inject_gp();
            }
        }
    }

    fn msr_value(&mut self, number: u32) -> Option<u64> {
        match self.domain.policy.msr(number) {
            MsrPolicy::Guest => self.vcpu_msr(number),
            MsrPolicy::Apic => self.apic_msr(number),
            MsrPolicy::Constant(value) => Some(value),
            MsrPolicy::HostReadOnly => msr::read(number),
            MsrPolicy::Ignored => Some(0),
            MsrPolicy::HypercallPage | MsrPolicy::Fault => None,
        }
    }

    /// MSRs in the VMCB that are intercepted; the guest accesses its other MSRs without an exit.
    fn vcpu_msr(&mut self, number: u32) -> Option<u64> {
        Some(match number {
            TSC => cpu::tsc().wrapping_add(self.vmcb().tsc_offset),
            DEBUGCTL => self.vmcb().dbgctl,
            PAT => self.vmcb().g_pat,
            EFER => self.vmcb().efer & !EFER_SVME,
            _ => return None,
        })
    }

    fn apic_msr(&mut self, number: u32) -> Option<u64> {
        let apic = self.vcpu.apic.lock();
        match number {
            APIC_BASE => Some(apic.base),
            TSC_DEADLINE => Some(apic.tsc_deadline()),
            _ if !apic.x2apic() => None,
            X2APIC_COMMAND => Some(apic.icr()),
            _ => apic
                .read((number - X2APIC_FIRST) << 4, time::now())
                .map(u64::from),
        }
    }

    /// Emulates WRMSR, an instruction of `length` bytes.
    pub fn write_msr(&mut self, length: u64) {
        let number = self.context.registers.rcx as u32;
        let value = self.context.registers.rdx << 32 | self.vmcb().rax & 0xffff_ffff;
        if self.set_msr(number, value) {
            self.advance_rip(length);
        } else {
            self.report(Mistake::Msr, format_args!("wrmsr {number:#x}, {value:#x}"));
            self.inject_gp();
        }
    }

    /// Writes an MSR; false for a #GP.
    fn set_msr(&mut self, number: u32, value: u64) -> bool {
        match self.domain.policy.msr(number) {
            MsrPolicy::Guest => self.set_vcpu_msr(number, value),
            MsrPolicy::Apic => self.set_apic_msr(number, value),
            // A constant may be written back.
            MsrPolicy::Constant(constant) => value == constant,
            MsrPolicy::HypercallPage => self.write_hypercall_page(value),
            MsrPolicy::Ignored => true,
            MsrPolicy::HostReadOnly | MsrPolicy::Fault => false,
        }
    }

    fn set_vcpu_msr(&mut self, number: u32, value: u64) -> bool {
        match number {
            TSC => {
                let offset = value.wrapping_sub(cpu::tsc());
                self.vmcb().tsc_offset = offset;
                self.vcpu.tsc_offset.store(offset, Ordering::Relaxed);
                system().update_system_time(self.vcpu.id);
            }
            DEBUGCTL if value & !3 == 0 => self.vmcb().dbgctl = value,
            PAT => {
                let types = value.to_le_bytes();
                if !types
                    .iter()
                    .all(|memory_type| matches!(memory_type, 0 | 1 | 4..=7))
                {
                    return false;
                }
                self.vmcb().g_pat = value;
            }
            EFER => {
                let written = self.update_control(|regs, allowed| regs.set_efer(value, allowed));
                return written.is_ok();
            }
            _ => return false,
        }
        true
    }

    fn set_apic_msr(&mut self, number: u32, value: u64) -> bool {
        match number {
            APIC_BASE => self.vcpu.apic.lock().set_base(value),
            TSC_DEADLINE => {
                let counter = value.wrapping_sub(self.vmcb().tsc_offset);
                let mut apic = self.vcpu.apic.lock();
                apic.set_tsc_deadline(value, time::at(counter));
                true
            }
            _ => self.set_x2apic(number, value),
        }
    }

    fn set_x2apic(&mut self, number: u32, value: u64) -> bool {
        let mut apic = self.vcpu.apic.lock();
        if !apic.x2apic() {
            return false;
        }
        let effect = if number == X2APIC_COMMAND {
            Some(apic.write_icr(value))
        } else {
            let offset = (number - X2APIC_FIRST) << 4;
            u32::try_from(value)
                .ok()
                .and_then(|value| apic.write(offset, value, time::now()))
        };
        drop(apic);
        match effect {
            Some(effect) => {
                self.apply_effect(effect);
                true
            }
            None => false,
        }
    }

    /// Fills a hypercall page. It is the first thing that a guest sets up, so its code tells how what it shares is laid out.
    fn write_hypercall_page(&mut self, value: u64) -> bool {
        let bytes = hypercall_page();
        let (id, abi) = (self.vcpu.id.domain, self.abi());
        let mut system = system();
        system.set_shared_abi(id, abi);
        system.write_physical(id, value & !0xfff, &bytes).is_ok()
    }
}
