// SPDX-License-Identifier: GPL-2.0

//! AMD's secure virtual machine (SVM; APM volume 2, chapter 15): enabling it, and entering guests.

pub mod enter;
pub mod extended;
pub mod maps;
pub mod vmcb;

use core::arch::asm;
use core::sync::atomic::Ordering;

use paravane::asid::CpuAsids;

use super::frames::Frames;
use super::percpu::PerCpu;
use super::{cpu, msr};

/// EFER (volume 2, 3.1.7).
pub const EFER: u32 = 0xc000_0080;
/// Secure virtual machine enable, a bit of EFER.
pub const EFER_SVME: u64 = 1 << 12;
const VM_CR: u32 = 0xc001_0114;
const VM_CR_SVMDIS: u64 = 1 << 4;
const VM_HSAVE_PA: u32 = 0xc001_0117;

/// Whether the VMCB has the address of the instruction behind an intercepted one (NRIPS).
pub fn has_next_rip() -> bool {
    cpu::id().get_svm_info().is_some_and(|svm| svm.has_nrip())
}

/// Enables SVM on the calling processor, whose data `cpu` are. Returns the number of ASIDs.
///
/// # Errors
///
/// A message about what is missing.
pub fn init(cpu: &PerCpu) -> Result<u32, &'static str> {
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
    // SAFETY: EFER.SVME only enables SVM's instructions.
    let on = unsafe { msr::write(EFER, efer | EFER_SVME) };
    // SAFETY: the host save area is a frame that was just allocated and leaked.
    let saves = unsafe { msr::write(VM_HSAVE_PA, area) };
    if !on || !saves {
        return Err("the processor refuses to turn SVM on");
    }
    let host = Frames::one().ok_or("no memory for the host's VMCB")?.leak();
    // SAFETY: SVM is enabled, and the VMCB is a frame that was just allocated and leaked.
    unsafe { asm!("vmsave rax", in("rax") host, options(nostack, preserves_flags)) };
    cpu.host_vmcb.store(host, Ordering::Relaxed);
    let asids = svm.supported_asids();
    *cpu.asids.lock() = CpuAsids::new(asids);
    Ok(asids)
}
