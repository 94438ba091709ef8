// SPDX-License-Identifier: GPL-2.0

//! VMRUN: entering a guest, and returning at the next VMEXIT.

use core::arch::global_asm;
use core::sync::atomic::Ordering;

use paravane::mem::FrameTable;

use super::vmcb::Vmcb;
use crate::arch::frames::Frames;
use crate::arch::{percpu, phys};

/// The guest's general registers that the VMCB does not hold, in the order that the assembly below uses.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
#[allow(missing_docs)]
pub struct GuestRegs {
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rbp: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
}

global_asm!(
    r#"
    .section .text.svm, "ax"
    .global svm_enter
    # rdi: guest's VMCB, physical; rsi: GuestRegs; rdx: the processor's host VMCB, physical, with what VMSAVE keeps.
    # Interrupts are off for the caller. A physical interrupt makes the guest exit and stays pending.
svm_enter:
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    push rsi
    push rdx
    push rdi
    clgi
    mov rax, rdi
    mov rbx, [rsi]
    mov rcx, [rsi + 8]
    mov rdx, [rsi + 16]
    mov rdi, [rsi + 32]
    mov rbp, [rsi + 40]
    mov r8, [rsi + 48]
    mov r9, [rsi + 56]
    mov r10, [rsi + 64]
    mov r11, [rsi + 72]
    mov r12, [rsi + 80]
    mov r13, [rsi + 88]
    mov r14, [rsi + 96]
    mov r15, [rsi + 104]
    mov rsi, [rsi + 24]
    sti
    vmload rax
    vmrun rax
    cli
    # rax is the host's again, the VMCB's address; the stack pointer too.
    vmsave rax
    mov rax, [rsp + 8]
    vmload rax
    mov rax, [rsp + 16]
    mov [rax], rbx
    mov [rax + 8], rcx
    mov [rax + 16], rdx
    mov [rax + 24], rsi
    mov [rax + 32], rdi
    mov [rax + 40], rbp
    mov [rax + 48], r8
    mov [rax + 56], r9
    mov [rax + 64], r10
    mov [rax + 72], r11
    mov [rax + 80], r12
    mov [rax + 88], r13
    mov [rax + 96], r14
    mov [rax + 104], r15
    stgi
    add rsp, 24
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret
    "#
);

unsafe extern "C" {
    fn svm_enter(guest: u64, registers: *mut GuestRegs, host: u64);
}

/// The VMCB of a vCPU, and the registers that it does not hold.
pub struct SvmContext {
    vmcb: Frames,
    /// The guest's general registers.
    pub registers: GuestRegs,
}

impl SvmContext {
    /// With a zeroed VMCB; `None` without memory.
    pub fn new(table: &mut FrameTable) -> Option<Self> {
        Some(Self {
            vmcb: Frames::alloc_in(table, 1)?,
            registers: GuestRegs::default(),
        })
    }

    /// The VMCB. The processor accesses it in [`SvmContext::vmrun`] only, which borrows `self` mutably.
    pub fn vmcb(&mut self) -> &mut Vmcb {
        // SAFETY:
        // - The frame is owned by `self`, which is borrowed exclusively; it was zeroed when it was allocated.
        // - It is aligned and as large as a `Vmcb`, for which all bit patterns are valid.
        unsafe { &mut *phys::pointer(self.vmcb.start()) }
    }

    /// Runs the guest until the next VMEXIT. Interrupts are off before and after.
    ///
    /// The nested page tables and permission maps in the VMCB decide what the guest can access.
    ///
    /// # Panics
    ///
    /// If SVM is not enabled on the calling processor.
    pub fn vmrun(&mut self) {
        let host = percpu::this().host_vmcb.load(Ordering::Relaxed);
        assert!(host != 0, "SVM is not enabled");
        // SAFETY:
        // - The guest's VMCB is a whole frame that `self` owns, and `registers` is valid for reads and writes.
        // - `svm::init` has enabled SVM, and saved in the host's VMCB of this processor all state that VMLOAD restores.
        //   The hypervisor changes none of it afterwards: segments, TSS and the MSRs of SYSCALL and SYSENTER.
        // - The assembly saves and restores the other host state that the guest overwrites.
        unsafe { svm_enter(self.vmcb.start(), &raw mut self.registers, host) };
    }
}
