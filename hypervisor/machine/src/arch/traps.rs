// SPDX-License-Identifier: GPL-2.0

//! Interrupts and exceptions while the hypervisor runs. An exception is a bug of the hypervisor and leads to a crash
//! report, except at the few instructions that have a fixup. An interrupt goes to the handler of its vector.

use core::arch::global_asm;
use core::sync::atomic::{AtomicUsize, Ordering};

use spin::Once;
use x86_64::VirtAddr;
use x86_64::instructions::tables::lidt;
use x86_64::structures::DescriptorTablePointer;

use super::{halt_forever, lapic, msr, probe};

/// The registers at a trap, in the order in which the stub below pushes them.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Frame {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rbp: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rbx: u64,
    pub rax: u64,
    pub vector: u64,
    pub error: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

global_asm!(
    r#"
    .section .text.traps, "ax"
    .balign 16
    .global trap_stubs
trap_stubs:
    .set vector_number, 0
    .rept 256
    .balign 16
    # The processor pushes an error code for some exceptions; for the others the stub pushes 0.
    .if (vector_number == 8) || ((vector_number >= 10) && (vector_number <= 14)) || (vector_number == 17) || (vector_number == 21) || (vector_number == 29) || (vector_number == 30)
    .else
    push 0
    .endif
    # push imm32, spelled out because the assembler would take the name for an address.
    .byte 0x68
    .long vector_number
    jmp trap_common
    .set vector_number, vector_number + 1
    .endr

trap_common:
    push rax
    push rbx
    push rcx
    push rdx
    push rsi
    push rdi
    push rbp
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    cld
    mov rdi, rsp
    mov rbp, rsp
    and rsp, -16
    call {handle}
    mov rsp, rbp
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rbp
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rbx
    pop rax
    add rsp, 16
    iretq
    "#,
    handle = sym handle
);

unsafe extern "C" {
    static trap_stubs: u8;
}

/// Distance of two stubs in bytes.
const STUB: u64 = 16;

/// A gate of the interrupt table (AMD APM volume 2, 4.8.4).
#[derive(Clone, Copy)]
#[repr(C, align(16))]
struct Gate {
    low: u64,
    high: u64,
}

/// The IDT, which only the processor reads.
struct Idt(#[allow(dead_code)] [Gate; 256]);

static IDT: Once<Idt> = Once::new();

/// Loads the IDT on the calling processor.
pub fn load() {
    let table = IDT.call_once(|| {
        let mut gates = [Gate { low: 0, high: 0 }; 256];
        let first = (&raw const trap_stubs) as u64;
        for (vector, gate) in (0u64..).zip(&mut gates) {
            let at = first + vector * STUB;
            let stack = match vector {
                8 => 1,
                2 => 2,
                18 => 3,
                _ => 0,
            };
            // An interrupt gate of ring 0, code segment 8, with the stack of the TSS's interrupt stack table.
            gate.low =
                (at & 0xffff) | 8 << 16 | stack << 32 | 0x8e << 40 | (at >> 16 & 0xffff) << 48;
            gate.high = at >> 32;
        }
        Idt(gates)
    });
    let pointer = DescriptorTablePointer {
        limit: 256 * 16 - 1,
        base: VirtAddr::from_ptr(table),
    };
    // SAFETY: `IDT` is a static that is never changed after `call_once`, and each gate points to one of the stubs
    // above.
    unsafe { lidt(&pointer) };
}

/// Vector of #GP.
const GENERAL_PROTECTION: u8 = 13;
/// Vector of #PF.
const PAGE_FAULT: u8 = 14;
/// First vector that is not an exception.
pub const FIRST_INTERRUPT: u8 = 32;

/// The handler of exceptions that are bugs of the hypervisor; it reports the crash.
pub type ExceptionHandler = fn(&Frame) -> !;

static EXCEPTION_HANDLER: Once<ExceptionHandler> = Once::new();

/// Sets the handler of exceptions, once. Before that an exception halts the processor.
pub fn set_exception_handler(handler: ExceptionHandler) {
    EXCEPTION_HANDLER.call_once(|| handler);
}

/// The handler of an interrupt; it gets the vector. It runs with interrupts off and signals the EOI itself.
pub type Handler = fn(u8);

static HANDLERS: [AtomicUsize; 256] = [const { AtomicUsize::new(0) }; 256];

/// Sets the handler of a vector.
pub fn set_handler(vector: u8, handler: Handler) {
    HANDLERS[usize::from(vector)].store(handler as usize, Ordering::Release);
}

/// Calls the handler of an interrupt. Spurious interrupts have none.
fn interrupt(vector: u8) {
    let handler = HANDLERS[usize::from(vector)].load(Ordering::Acquire);
    if handler == 0 {
        if vector != lapic::SPURIOUS {
            log::warn!("interrupt {vector:#x} has no handler");
            lapic::eoi();
        }
        return;
    }
    // SAFETY: the value is not 0, and `set_handler`, which alone stores other values to `HANDLERS`, stores a `Handler`.
    let handler = unsafe { core::mem::transmute::<usize, Handler>(handler) };
    handler(vector);
}

extern "C" fn handle(frame: &mut Frame) {
    let vector = frame.vector as u8;
    if vector >= FIRST_INTERRUPT {
        interrupt(vector);
        return;
    }
    let fixup = match vector {
        GENERAL_PROTECTION => msr::fixup(frame.rip).or_else(|| probe::fixup(frame.rip)),
        PAGE_FAULT => probe::fixup(frame.rip),
        _ => None,
    };
    if let Some(at) = fixup {
        frame.rip = at;
        return;
    }
    match EXCEPTION_HANDLER.get() {
        Some(handler) => handler(frame),
        None => halt_forever(),
    }
}

/// Takes the interrupts that are pending, and returns.
pub fn take_pending() {
    // SAFETY:
    // - `load` has loaded the IDT: this is called by the loop that runs vCPUs only.
    // - That loop holds no lock here, so handlers may take any.
    unsafe { core::arch::asm!("sti", "nop", "cli", options(nostack)) };
}

/// Halts until the next interrupt and takes it.
pub fn wait() {
    // SAFETY:
    // - `load` has loaded the IDT: this is called by the idle loop only.
    // - That loop holds no lock here, so handlers may take any.
    unsafe { core::arch::asm!("sti", "hlt", "cli", options(nostack)) };
}
