// SPDX-License-Identifier: GPL-2.0

//! Model-specific registers that exit: the library says what each is to a guest ([`cpuid::msr`]), here are those that
//! hold something of the vCPU's.

use core::sync::atomic::Ordering;

use paravane::cpuid::{self, Msr};

use super::Runner;
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
        match cpuid::msr(number) {
            Msr::Guest => self.own_msr(number),
            Msr::Apic => self.apic_msr(number),
            Msr::Constant(value) => Some(value),
            Msr::HostReadOnly => msr::read(number),
            Msr::Ignored => Some(0),
            Msr::HypercallPage | Msr::Fault => None,
        }
    }

    /// What the VMCB keeps; the others of the guest's own do not exit.
    fn own_msr(&mut self, number: u32) -> Option<u64> {
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
            X2APIC_COMMAND => Some(apic.command()),
            _ => apic
                .read((number - X2APIC_FIRST) << 4, time::now())
                .map(u64::from),
        }
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
        match cpuid::msr(number) {
            Msr::Guest => self.set_own_msr(number, value),
            Msr::Apic => self.set_apic_msr(number, value),
            // What cannot be changed may be written back as it is.
            Msr::Constant(constant) => value == constant,
            Msr::HypercallPage => self.write_hypercall_page(value),
            Msr::Ignored => true,
            Msr::HostReadOnly | Msr::Fault => false,
        }
    }

    fn set_own_msr(&mut self, number: u32, value: u64) -> bool {
        match number {
            TSC => {
                let offset = value.wrapping_sub(cpu::tsc());
                self.vmcb().tsc_offset = offset;
                self.vcpu.tsc_offset.store(offset, Ordering::Relaxed);
                system().update_clock(self.vcpu.id);
            }
            DEBUGCTL if value & !3 == 0 => self.vmcb().dbgctl = value,
            PAT => {
                let kinds = value.to_le_bytes();
                if !kinds.iter().all(|kind| matches!(kind, 0 | 1 | 4..=7)) {
                    return false;
                }
                self.vmcb().g_pat = value;
            }
            EFER => return self.set_efer(value),
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
