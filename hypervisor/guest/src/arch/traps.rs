// SPDX-License-Identifier: GPL-2.0

//! Exceptions. An access that may fault sets where to continue; any other exception is a bug of the guest.

use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicU64, Ordering};

use crate::report;

/// The address at which to continue after a fault; 0 for none.
pub(super) static RECOVER: AtomicU64 = AtomicU64::new(0);
/// Vector of the last fault, or [`NONE`].
static FAULT: AtomicU64 = AtomicU64::new(NONE);
const NONE: u64 = u64::MAX;
/// How many debug exceptions there were.
static DEBUG_EXCEPTIONS: AtomicU64 = AtomicU64::new(0);

/// What the stub below and the processor push.
#[repr(C)]
struct Frame {
    vector: u64,
    error: u64,
    rip: u64,
}

global_asm!(
    r#"
    .section .text.traps, "ax"
    .balign 16
    .global trap_stubs
trap_stubs:
    .set vector_number, 0
    .rept 32
    .balign 16
    .if (vector_number == 8) || ((vector_number >= 10) && (vector_number <= 14)) || (vector_number == 17) || (vector_number == 21) || (vector_number == 29) || (vector_number == 30)
    .else
    push 0
    .endif
    .byte 0x6a, vector_number
    jmp trap_common
    .set vector_number, vector_number + 1
    .endr

trap_common:
    push rax
    push rcx
    push rdx
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    push rbp
    cld
    lea rdi, [rsp + 80]
    mov rbp, rsp
    and rsp, -16
    call {handle}
    mov rsp, rbp
    pop rbp
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rax
    add rsp, 16
    iretq
    "#,
    handle = sym handle
);

unsafe extern "C" {
    static trap_stubs: u8;
}

#[repr(C, align(16))]
struct Table([[u64; 2]; 32]);

static mut TABLE: Table = Table([[0; 2]; 32]);

#[repr(C, packed)]
struct Pointer {
    limit: u16,
    base: u64,
}

/// Loads the IDT. Called once.
pub(super) fn load() {
    let first = (&raw const trap_stubs) as u64;
    let table = &raw mut TABLE;
    for vector in 0..32u64 {
        let at = first + vector * 16;
        // An interrupt gate of ring 0, code segment 8 (AMD APM volume 2, 4.8.4).
        let low = at & 0xffff | 8 << 16 | 0x8e << 40 | (at >> 16 & 0xffff) << 48;
        // SAFETY: there is one processor and the IDT is not loaded yet, so nothing else accesses it.
        unsafe { (*table).0[vector as usize] = [low, at >> 32] };
    }
    lidt(&Pointer {
        limit: 32 * 16 - 1,
        base: table as u64,
    });
}

fn lidt(pointer: &Pointer) {
    // SAFETY: the IDT is a static whose gates lead to the stubs, or an empty one, after which the next exception ends
    // the guest.
    unsafe { asm!("lidt [{}]", in(reg) pointer, options(readonly, nostack)) };
}

extern "C" fn handle(frame: &mut Frame) {
    // An NMI that a random hypercall has sent, or a debug exception: one that was meant, or of random debug registers.
    if matches!(frame.vector, 1 | 2) {
        DEBUG_EXCEPTIONS.fetch_add(frame.vector & 1, Ordering::Relaxed);
        return;
    }
    FAULT.store(frame.vector, Ordering::Relaxed);
    match RECOVER.swap(0, Ordering::Relaxed) {
        0 => report::failed(format_args!(
            "exception {} at {:#x}, error {:#x}",
            frame.vector, frame.rip, frame.error
        )),
        at => frame.rip = at,
    }
}

/// Runs something that may fault. Returns whether it did.
pub(super) fn faults(work: impl FnOnce()) -> bool {
    FAULT.store(NONE, Ordering::Relaxed);
    work();
    RECOVER.store(0, Ordering::Relaxed);
    FAULT.load(Ordering::Relaxed) != NONE
}

/// How many debug exceptions there were so far.
pub(super) fn debug_exceptions() -> u64 {
    DEBUG_EXCEPTIONS.load(Ordering::Relaxed)
}

/// Halts for ever.
pub fn halt() -> ! {
    loop {
        // SAFETY: halting has no effect on memory; interrupts are off.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}

/// Raises an exception with an empty IDT: a triple fault.
pub fn triple_fault() -> ! {
    lidt(&Pointer { limit: 0, base: 0 });
    // SAFETY: the exception cannot be delivered, so nothing is executed behind it.
    unsafe { asm!("ud2", options(noreturn)) }
}
