// SPDX-License-Identifier: GPL-2.0

//! The last words: what happened, where, with which registers, and who called.

use core::fmt::Write;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use super::serial::{self, Console};
use super::traps::Frame;
use crate::boot::image;

const NAMES: [&str; 22] = [
    "divide error",
    "debug",
    "NMI",
    "breakpoint",
    "overflow",
    "bound range",
    "invalid opcode",
    "no coprocessor",
    "double fault",
    "coprocessor overrun",
    "invalid TSS",
    "segment not present",
    "stack fault",
    "general protection",
    "page fault",
    "reserved",
    "x87",
    "alignment check",
    "machine check",
    "SIMD",
    "virtualisation",
    "control protection",
];

/// Callers that are printed.
const DEPTH: usize = 24;

static CRASHED: AtomicBool = AtomicBool::new(false);
/// Halt after a crash instead of starting again: `noreboot`.
pub static STAY: AtomicBool = AtomicBool::new(false);

/// Reports a Rust panic and stops the machine.
pub fn panic(info: &PanicInfo<'_>) -> ! {
    begin();
    let _ = writeln!(Console, "(PV) *** Paravane stops: {info}");
    let base: u64;
    // SAFETY: reading a register.
    unsafe {
        core::arch::asm!("mov {}, rbp", out(reg) base, options(nomem, nostack, preserves_flags))
    };
    callers(base);
    end()
}

/// Reports an exception in the hypervisor and stops the machine.
pub fn exception(frame: &Frame) -> ! {
    begin();
    let name = NAMES.get(frame.vector as usize).unwrap_or(&"exception");
    let fault = x86_64::registers::control::Cr2::read_raw();
    let _ = writeln!(
        Console,
        "(PV) *** Paravane stops: {name} (vector {}, error {:#x}) at {:#018x}",
        frame.vector, frame.error, frame.rip
    );
    let registers = [
        ("rax", frame.rax, "rbx", frame.rbx, "rcx", frame.rcx),
        ("rdx", frame.rdx, "rsi", frame.rsi, "rdi", frame.rdi),
        ("rbp", frame.rbp, "rsp", frame.rsp, "r8 ", frame.r8),
        ("r9 ", frame.r9, "r10", frame.r10, "r11", frame.r11),
        ("r12", frame.r12, "r13", frame.r13, "r14", frame.r14),
        ("r15", frame.r15, "cr2", fault, "flg", frame.rflags),
    ];
    for (a, x, b, y, c, z) in registers {
        let _ = writeln!(Console, "(PV) {a} {x:016x}  {b} {y:016x}  {c} {z:016x}");
    }
    let _ = writeln!(Console, "(PV)   {:#018x}", frame.rip);
    callers(frame.rbp);
    end()
}

/// Prints the return addresses along the chain of frame pointers, as far as it stays within the hypervisor's half
/// of the address space and goes upward.
fn callers(mut base: u64) {
    let code = image::start()..image::text_end();
    let _ = writeln!(
        Console,
        "(PV) called from (`addr2line -e hypervisor -f` names them):"
    );
    for _ in 0..DEPTH {
        if base < 0xffff_8000_0000_0000 || base % 8 != 0 {
            return;
        }
        // SAFETY: a frame pointer on a stack of ours: the value before and the return address stand there.
        let [before, back] = unsafe { *(base as *const [u64; 2]) };
        if !code.contains(&back) {
            return;
        }
        let _ = writeln!(Console, "(PV)   {back:#018x}");
        if before <= base {
            return;
        }
        base = before;
    }
}

fn begin() {
    x86_64::instructions::interrupts::disable();
    if CRASHED.swap(true, Ordering::SeqCst) {
        // A crash while reporting one, or a second processor's: the first report is the one that counts.
        super::halt_forever();
    }
    serial::break_lock();
    super::smp::stop_others();
}

fn end() -> ! {
    if STAY.load(Ordering::Relaxed) {
        let _ = writeln!(Console, "(PV) *** the machine is halted");
        super::halt_forever()
    }
    let _ = writeln!(Console, "(PV) *** the machine starts again");
    super::cpu::reboot()
}
