// SPDX-License-Identifier: GPL-2.0

//! AMD's secure virtual machine (APM volume 2, chapter 15): turned on, and a guest entered and left.

pub mod enter;
pub mod extended;
pub mod maps;
pub mod vmcb;

use super::frames::Frames;
use super::{cpu, msr};

/// EFER (volume 2, 3.1.7).
pub const EFER: u32 = 0xc000_0080;
/// Secure virtual machine enable, a bit of EFER.
pub const EFER_SVME: u64 = 1 << 12;
const VM_CR: u32 = 0xc001_0114;
const VM_CR_SVMDIS: u64 = 1 << 4;
const VM_HSAVE_PA: u32 = 0xc001_0117;

/// Whether the VMCB tells where the instruction after an intercepted one starts.
pub fn has_next_rip() -> bool {
    cpu::id().get_svm_info().is_some_and(|svm| svm.has_nrip())
}

/// Turns SVM on for the calling processor. Returns how many address-space identifiers it has.
///
/// # Errors
///
/// Says what is missing.
pub fn init() -> Result<u32, &'static str> {
    let id = cpu::id();
    let Some(svm) = id.get_svm_info() else {
        return Err("the processor has no SVM (AMD-V); Intel's VMX is not supported yet");
    };
    if !svm.has_nested_paging() {
        return Err("the processor has SVM but no nested paging");
    }
    if msr::read(VM_CR).is_some_and(|value| value & VM_CR_SVMDIS != 0) {
        return Err("SVM is turned off in the firmware's setup");
    }
    let area = Frames::one()
        .ok_or("no memory for the host save area")?
        .leak();
    let efer = msr::read(EFER).ok_or("the processor has no EFER")?;
    // SAFETY: SVME only makes the instructions of SVM valid.
    let on = unsafe { msr::write(EFER, efer | EFER_SVME) };
    // SAFETY: the save area is a frame kept for ever.
    let saves = unsafe { msr::write(VM_HSAVE_PA, area) };
    if !on || !saves {
        return Err("the processor refuses to turn SVM on");
    }
    Ok(svm.supported_asids())
}
