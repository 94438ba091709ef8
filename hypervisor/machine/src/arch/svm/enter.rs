// SPDX-License-Identifier: GPL-2.0

//! Into a guest and back.

use core::arch::global_asm;

use super::vmcb::Vmcb;
use crate::arch::frames::Frames;
use crate::arch::phys;

/// The guest's registers that the VMCB does not keep. The assembly below knows the order.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Registers {
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
    # rdi: guest's VMCB, physical; rsi: Registers; rdx: host's VMCB, physical, for what VMSAVE keeps.
    # Interrupts are off and stay off for the caller; while the guest runs a pending one makes it exit.
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
    mov rax, rdx
    vmsave rax
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
    fn svm_enter(guest: u64, registers: *mut Registers, host: u64);
}

/// A guest processor's VMCB, the host's beside it, and the registers neither keeps.
pub struct Context {
    vmcb: Frames,
    host: Frames,
    /// The registers.
    pub registers: Registers,
}

impl Context {
    /// A VMCB of zeroes; `None` without memory.
    pub fn new() -> Option<Self> {
        Some(Self {
            vmcb: Frames::one()?,
            host: Frames::one()?,
            registers: Registers::default(),
        })
    }

    /// The VMCB. The processor reads and writes it only in [`Context::enter`], which borrows it mutably.
    pub fn vmcb(&mut self) -> &mut Vmcb {
        // SAFETY: the frame is ours, zeroed when taken, aligned, as large as the block, and reached only through
        // this exclusive borrow; any bits are a valid `Vmcb`.
        unsafe { &mut *phys::pointer(self.vmcb.start()) }
    }

    /// Runs the guest until something makes it exit. Interrupts are off before and after.
    ///
    /// What the guest can reach is what the VMCB's nested tables and permission maps allow: who fills them in
    /// (`arch` alone writes the entries) answers for it.
    pub fn enter(&mut self) {
        // SAFETY: both blocks are whole frames of ours; the assembly saves what the guest overwrites. SVM is on:
        // contexts are made after `svm::init`.
        unsafe {
            svm_enter(
                self.vmcb.start(),
                &raw mut self.registers,
                self.host.start(),
            )
        };
    }
}
