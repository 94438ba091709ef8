// SPDX-License-Identifier: GPL-2.0

//! What the guest is interrupted by at its next entry: exceptions, non-maskable interrupts, interrupts.

use core::sync::atomic::Ordering;

use super::{RFLAGS_IF, Runner};
use crate::arch::svm::vmcb::{event, int_ctl, intercept1};
use crate::platform::system;

/// The exception of an instruction that there is not.
pub const UNDEFINED: u8 = 6;
/// General protection.
const PROTECTION: u8 = 13;
/// The vector of non-maskable interrupts.
const NMI: u64 = 2;

/// Whether the guest takes a non-maskable interrupt: not while it deals with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nmi {
    /// It does.
    Open,
    /// It deals with one and has not come to its IRET.
    Busy,
    /// It is about to execute the IRET at this address: from anywhere else it takes the next one.
    Returns(u64),
}

impl Runner {
    /// The interrupt to deliver next: the vector, and whether it comes from the local APIC.
    fn pending(&self) -> Option<(u8, bool)> {
        if self.vcpu.direct.load(Ordering::SeqCst) != 0 {
            // Under the system's lock, under which it is set.
            let system = system();
            let vector = self.vcpu.direct.load(Ordering::SeqCst);
            if system.upcall_pending(self.vcpu.id) {
                return Some((vector, false));
            }
            self.vcpu.direct.store(0, Ordering::SeqCst);
        }
        self.vcpu.apic.lock().pending().map(|vector| (vector, true))
    }

    /// Whether something waits to be delivered.
    pub fn has_interrupt(&self) -> bool {
        self.exception.is_some() || self.nmi_waits() || self.pending().is_some()
    }

    /// Injects what is to be injected, or asks to exit when the guest can take it (15.20, 15.21.4).
    pub fn inject(&mut self) {
        let priority = self.vcpu.apic.lock().task_priority() >> 4;
        let first = self.exception.take().or_else(|| self.nmi());
        let pending = self.pending();
        let vmcb = self.context.vmcb();
        vmcb.eventinj = first.unwrap_or(0);
        vmcb.int_ctl = int_ctl::V_INTR_MASKING | priority;
        vmcb.intercept_1 &= !intercept1::VINTR;
        let Some((vector, from_apic)) = pending else {
            return;
        };
        let open =
            vmcb.rflags & RFLAGS_IF != 0 && vmcb.interrupt_shadow & 1 == 0 && first.is_none();
        if open {
            vmcb.eventinj = event::VALID | event::INTERRUPT | u64::from(vector);
            if from_apic {
                self.vcpu.apic.lock().accept(vector);
            }
        } else {
            vmcb.int_ctl |= int_ctl::V_IRQ | int_ctl::V_IGN_TPR | 0xf << 16;
            vmcb.int_vector = 0;
            vmcb.intercept_1 |= intercept1::VINTR;
        }
    }

    /// Has the guest take an exception.
    pub fn raise(&mut self, vector: u8, error: Option<u32>) {
        let code = error.map_or(0, |error| event::ERROR_VALID | u64::from(error) << 32);
        self.exception = Some(event::VALID | event::EXCEPTION | u64::from(vector) | code);
    }

    pub fn general_protection(&mut self) {
        self.raise(PROTECTION, Some(0));
    }

    /// The non-maskable interrupt that is to be delivered now, if there is one and the guest takes it.
    fn nmi(&mut self) -> Option<u64> {
        if let Nmi::Returns(rip) = self.nmi {
            if self.vmcb().rip != rip {
                self.nmi = Nmi::Open;
            }
        }
        if self.nmi != Nmi::Open || self.vmcb().interrupt_shadow & 1 != 0 || !self.nmi_waits() {
            return None;
        }
        self.vcpu.nmi.store(false, Ordering::SeqCst);
        self.context.vmcb().intercept_1 |= intercept1::IRET;
        self.nmi = Nmi::Busy;
        Some(event::VALID | event::NMI | NMI)
    }

    /// The guest returns from a non-maskable interrupt; the instruction is executed at the next entry.
    pub fn nmi_ends(&mut self) {
        let vmcb = self.context.vmcb();
        vmcb.intercept_1 &= !intercept1::IRET;
        self.nmi = Nmi::Returns(vmcb.rip);
    }

    /// Whether a non-maskable interrupt waits, from a local APIC or from `VCPUOP_send_nmi`.
    fn nmi_waits(&self) -> bool {
        if self.vcpu.checks_nmi.swap(false, Ordering::SeqCst) {
            let mut system = system();
            let vcpu = system.vcpu_mut(self.vcpu.id);
            if vcpu.is_ok_and(|vcpu| core::mem::take(&mut vcpu.nmi_pending)) {
                self.vcpu.nmi.store(true, Ordering::SeqCst);
            }
        }
        self.vcpu.nmi.load(Ordering::SeqCst)
    }
}
