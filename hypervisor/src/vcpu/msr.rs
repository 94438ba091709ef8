// SPDX-License-Identifier: GPL-2.0

//! Model-specific registers that exit. One that is not known is a general-protection fault, as on hardware.

use core::sync::atomic::Ordering;

use super::{Runner, cpuid};
use crate::arch::svm::{EFER, EFER_SVME};
use crate::arch::{cpu, time};
use crate::platform::system;

const TSC: u32 = 0x10;
const APIC_BASE: u32 = 0x1b;
const PATCH_LEVEL: u32 = 0x8b;
const DEBUGCTL: u32 = 0x1d9;
const PAT: u32 = 0x277;
const TSC_DEADLINE: u32 = 0x6e0;
const X2APIC_FIRST: u32 = 0x800;
const X2APIC_LAST: u32 = 0x8ff;
const X2APIC_COMMAND: u32 = 0x830;
const SYSCFG: u32 = 0xc001_0010;
const HWCR: u32 = 0xc001_0015;
const VM_CR: u32 = 0xc001_0114;
const DE_CFG: u32 = 0xc001_1029;

/// Bits of EFER a guest may set: SCE, LME, LMA (ignored), NXE, FFXSR, TCE.
const EFER_GUEST: u64 = 1 << 0 | 1 << 8 | 1 << 10 | 1 << 11 | 1 << 14 | 1 << 15;
const EFER_LMA: u64 = 1 << 10;
const EFER_LME: u64 = 1 << 8;

impl Runner {
    /// RDMSR.
    pub fn read_msr(&mut self) {
        let number = self.context.registers.rcx as u32;
        match self.msr_value(number) {
            Some(value) => {
                self.vmcb().rax = value & 0xffff_ffff;
                self.context.registers.rdx = value >> 32;
                let length = self.length();
                self.skip(length);
            }
            None => {
                log::debug!("d0v{}: rdmsr {number:#x}", self.vcpu.id.vcpu);
                self.general_protection();
            }
        }
    }

    fn msr_value(&mut self, number: u32) -> Option<u64> {
        Some(match number {
            TSC => cpu::tsc().wrapping_add(self.vmcb().tsc_offset),
            APIC_BASE => self.vcpu.apic.lock().base,
            PATCH_LEVEL => 0,
            DEBUGCTL => self.vmcb().dbgctl,
            PAT => self.vmcb().g_pat,
            TSC_DEADLINE => self.vcpu.apic.lock().tsc_deadline(),
            X2APIC_COMMAND => {
                let apic = self.vcpu.apic.lock();
                return apic.x2apic().then(|| apic.command());
            }
            X2APIC_FIRST..=X2APIC_LAST => {
                let apic = self.vcpu.apic.lock();
                let offset = (number - X2APIC_FIRST) << 4;
                return if apic.x2apic() {
                    apic.read(offset, time::now()).map(u64::from)
                } else {
                    None
                };
            }
            EFER => self.vmcb().efer & !EFER_SVME,
            SYSCFG => 0,
            // The TSC runs at the rate of P0, for kernels that ask.
            HWCR => 1 << 24,
            // SVM is off and locked.
            VM_CR => 1 << 4,
            // LFENCE serialises, as the machine's does (APM volume 3, LFENCE).
            DE_CFG => 1 << 1,
            _ => return None,
        })
    }

    /// WRMSR.
    pub fn write_msr(&mut self) {
        let number = self.context.registers.rcx as u32;
        let value = self.context.registers.rdx << 32 | self.vmcb().rax & 0xffff_ffff;
        if self.set_msr(number, value) {
            let length = self.length();
            self.skip(length);
        } else {
            log::debug!("d0v{}: wrmsr {number:#x}, {value:#x}", self.vcpu.id.vcpu);
            self.general_protection();
        }
    }

    /// False for a fault.
    fn set_msr(&mut self, number: u32, value: u64) -> bool {
        match number {
            TSC => {
                let offset = value.wrapping_sub(cpu::tsc());
                self.vmcb().tsc_offset = offset;
                self.vcpu.tsc_offset.store(offset, Ordering::Relaxed);
                system().update_clock(self.vcpu.id);
            }
            APIC_BASE => return self.vcpu.apic.lock().set_base(value),
            // Microcode is the hypervisor's affair; a write is ignored, as Xen does.
            PATCH_LEVEL => {}
            DEBUGCTL if value & !3 == 0 => self.vmcb().dbgctl = value,
            PAT => {
                let valid = value
                    .to_le_bytes()
                    .iter()
                    .all(|kind| matches!(kind, 0 | 1 | 4..=7));
                if valid {
                    self.vmcb().g_pat = value;
                }
                return valid;
            }
            TSC_DEADLINE => {
                let counter = value.wrapping_sub(self.vmcb().tsc_offset);
                self.vcpu
                    .apic
                    .lock()
                    .set_tsc_deadline(value, time::at(counter));
            }
            X2APIC_FIRST..=X2APIC_LAST => return self.set_x2apic(number, value),
            EFER => return self.set_efer(value),
            // What cannot be changed may be written back as it is.
            HWCR | DE_CFG | SYSCFG => return self.msr_value(number) == Some(value),
            cpuid::HYPERCALL_PAGE => return self.write_hypercall_page(value),
            _ => return false,
        }
        true
    }

    fn set_x2apic(&mut self, number: u32, value: u64) -> bool {
        let mut apic = self.vcpu.apic.lock();
        if !apic.x2apic() {
            return false;
        }
        let effect = if number == X2APIC_COMMAND {
            Some(apic.write_command(value))
        } else {
            let offset = (number - X2APIC_FIRST) << 4;
            u32::try_from(value)
                .ok()
                .and_then(|value| apic.write(offset, value, time::now()))
        };
        drop(apic);
        match effect {
            Some(effect) => {
                self.apply(effect);
                true
            }
            None => false,
        }
    }

    fn set_efer(&mut self, value: u64) -> bool {
        let paged = self.vmcb().cr0 & 1 << 31 != 0;
        let old = self.vmcb().efer;
        // Long mode is turned on and off only while paging is off.
        if value & !EFER_GUEST != 0 || (paged && (old ^ value) & EFER_LME != 0) {
            return false;
        }
        self.vmcb().efer = value & !EFER_LMA | old & EFER_LMA | EFER_SVME;
        true
    }

    /// Fills the page the guest names with one stub a hypercall: `mov eax, N; vmmcall; ret`.
    fn write_hypercall_page(&mut self, value: u64) -> bool {
        let mut bytes = [0xcc; 4096];
        for (number, stub) in (0u32..).zip(bytes.chunks_exact_mut(32)) {
            stub[0] = 0xb8;
            stub[1..5].copy_from_slice(&number.to_le_bytes());
            stub[5..9].copy_from_slice(&[0x0f, 0x01, 0xd9, 0xc3]);
        }
        let id = self.vcpu.id.domain;
        system().write_physical(id, value & !0xfff, &bytes).is_ok()
    }
}
