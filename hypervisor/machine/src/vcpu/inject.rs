// SPDX-License-Identifier: GPL-2.0

//! Event injection at the next VMRUN: exceptions and NMIs, and virtual interrupts.
//!
//! An interrupt that the guest can take is no injected event (EVENTINJ) but a virtual interrupt (V_IRQ), which it takes at
//! its first instruction. QEMU's emulation (TCG, as of version 11) keeps the vector of an injected interrupt as if it were
//! an exception of the processor, until the next exit (`helper_vmrun` sets `exception_index`, which nobody clears). If
//! another processor changes the machine's memory map meanwhile, as by enabling a BAR, it delivers the vector once more,
//! wherever the guest is, interrupts disabled or not.

use core::sync::atomic::Ordering;

use super::{RFLAGS_IF, SvmVcpu};
use crate::arch::svm::vmcb::{event, int_ctl, intercept1};
use crate::arch::traps::FIRST_INTERRUPT;
use crate::platform::system;

/// Vector of #DB.
pub const DEBUG: u8 = 1;
/// Vector of #AC.
pub const ALIGNMENT_CHECK: u8 = 17;
/// Vector of #UD.
pub const INVALID_OPCODE: u8 = 6;
/// Vector of #GP.
const GENERAL_PROTECTION: u8 = 13;
/// Vector of NMIs.
const NMI: u64 = 2;

/// An interrupt that the guest is to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingInterrupt {
    vector: u8,
    /// It comes from the vLAPIC.
    from_apic: bool,
}

/// Whether NMIs of the guest are masked, as they are while it handles one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NmiState {
    /// They are not.
    Unmasked,
    /// It handles an NMI and has not reached IRET.
    Masked,
    /// It is at the IRET at this address: once RIP differs, NMIs are unmasked.
    Iret(u64),
}

impl SvmVcpu {
    /// The next interrupt.
    fn pending_interrupt(&self) -> Option<PendingInterrupt> {
        if self.vcpu.callback_vector.load(Ordering::SeqCst) != 0 {
            // Read again under the system's lock, under which it is set.
            let system = system();
            let vector = self.vcpu.callback_vector.load(Ordering::SeqCst);
            if system.evtchn_upcall_pending(self.vcpu.id) {
                return Some(PendingInterrupt {
                    vector,
                    from_apic: false,
                });
            }
            self.vcpu.callback_vector.store(0, Ordering::SeqCst);
        }
        let vector = self.vcpu.apic.lock().pending_irq()?;
        Some(PendingInterrupt {
            vector,
            from_apic: true,
        })
    }

    /// Whether an event can be injected.
    pub fn has_interrupt(&self) -> bool {
        self.exception.is_some() || self.nmi_pending() || self.pending_interrupt().is_some()
    }

    /// Injects the next event. Has the guest take the next interrupt, or requests an interrupt window if it cannot now (APM
    /// volume 2, 15.20, 15.21.4).
    pub fn inject(&mut self) {
        let priority = self.vcpu.apic.lock().tpr() >> 4;
        let first = self.exception.take().or_else(|| self.nmi());
        let pending = self.pending_interrupt();
        self.offered = None;
        let vmcb = self.context.vmcb();
        vmcb.eventinj = first.unwrap_or(0);
        vmcb.int_ctl = int_ctl::V_INTR_MASKING | priority;
        vmcb.intercept_1 &= !intercept1::VINTR;
        let Some(interrupt) = pending else {
            return;
        };
        let open =
            vmcb.rflags & RFLAGS_IF != 0 && vmcb.interrupt_shadow & 1 == 0 && first.is_none();
        vmcb.int_ctl |= int_ctl::V_IRQ | int_ctl::V_IGN_TPR | int_ctl::V_INTR_PRIO;
        if open {
            vmcb.int_vector = interrupt.vector.into();
            self.offered = pending;
        } else {
            vmcb.int_vector = 0;
            vmcb.intercept_1 |= intercept1::VINTR;
        }
    }

    /// After an exit: notes whether the guest has taken its interrupt, and has an event whose delivery the exit interrupted
    /// injected again.
    pub fn note_delivery(&mut self) {
        let vmcb = self.context.vmcb();
        let (left, interrupted) = (vmcb.int_ctl & int_ctl::V_IRQ != 0, vmcb.exitintinfo);
        // If an exit came first, it is offered anew.
        if let Some(interrupt) = self.offered.take().filter(|_| !left) {
            if interrupt.from_apic {
                self.vcpu.apic.lock().ack_pending_irq(interrupt.vector);
            }
        }
        // QEMU takes a virtual interrupt whose delivery was interrupted for an exception. It is still offered then.
        let is_offered =
            interrupted & event::KIND == event::EXCEPTION && interrupted as u8 >= FIRST_INTERRUPT;
        if interrupted & event::VALID != 0 && !is_offered {
            self.exception = Some(interrupted);
        }
    }

    /// Injects an exception at the next VMRUN.
    pub fn inject_exception(&mut self, vector: u8, error: Option<u32>) {
        let code = error.map_or(0, |error| event::ERROR_VALID | u64::from(error) << 32);
        self.exception = Some(event::VALID | event::EXCEPTION | u64::from(vector) | code);
    }

    /// Injects a #GP with error code 0.
    pub fn inject_gp(&mut self) {
        self.inject_exception(GENERAL_PROTECTION, Some(0));
    }

    /// The NMI to inject, if one is pending and the guest can take it.
    fn nmi(&mut self) -> Option<u64> {
        if let NmiState::Iret(rip) = self.nmi {
            if self.vmcb().rip != rip {
                self.nmi = NmiState::Unmasked;
            }
        }
        if self.nmi != NmiState::Unmasked
            || self.vmcb().interrupt_shadow & 1 != 0
            || !self.nmi_pending()
        {
            return None;
        }
        self.vcpu.nmi.store(false, Ordering::SeqCst);
        self.context.vmcb().intercept_1 |= intercept1::IRET;
        self.nmi = NmiState::Masked;
        Some(event::VALID | event::NMI | NMI)
    }

    /// The guest is at the IRET of its NMI handler, which is executed at the next VMRUN.
    pub fn nmi_iret(&mut self) {
        let vmcb = self.context.vmcb();
        vmcb.intercept_1 &= !intercept1::IRET;
        self.nmi = NmiState::Iret(vmcb.rip);
    }

    /// Whether an NMI is pending, of an IPI or of `VCPUOP_send_nmi`.
    fn nmi_pending(&self) -> bool {
        if self.vcpu.check_nmi.swap(false, Ordering::SeqCst) {
            let mut system = system();
            let vcpu = system.vcpu_mut(self.vcpu.id);
            if vcpu.is_ok_and(|vcpu| core::mem::take(&mut vcpu.nmi_pending)) {
                self.vcpu.nmi.store(true, Ordering::SeqCst);
            }
        }
        self.vcpu.nmi.load(Ordering::SeqCst)
    }
}
