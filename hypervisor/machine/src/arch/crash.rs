// SPDX-License-Identifier: GPL-2.0

//! The last words: what happened, where, with which registers, and who called.

use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use paravane::symbols::Table;

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
    let _ = write!(Console, "(PV) *** Paravane stops: {}", info.message());
    if let Some(place) = info.location() {
        let _ = write!(Console, " ({}:{})", place.file(), place.line());
    }
    let _ = writeln!(Console);
    let base: u64;
    // SAFETY: reading a register.
    unsafe {
        core::arch::asm!("mov {}, rbp", out(reg) base, options(nomem, nostack, preserves_flags))
    };
    callers(base);
    end()
}

/// Says that dom0 is at its end by its own doing, and ends the machine with it: nothing of the hypervisor's went wrong, so
/// there are no registers and no callers of its.
pub fn dom0_crashed(why: &str) -> ! {
    begin();
    let _ = writeln!(Console, "(PV) *** Hardware Dom0 crashed: {why}");
    end()
}

/// `crash-test`: a fault of the hypervisor's own, to see its report. Nobody else has a reason to call this.
#[inline(never)]
pub fn test() {
    log::warn!("crash-test: Paravane is told to crash");
    let constants = image::text_end() as *mut u64;
    // SAFETY: constants cannot be written to. So this changes nothing, and faults.
    unsafe { constants.write_volatile(0) };
    log::error!("crash-test: constants can be written to");
}

/// Reports an exception in the hypervisor and stops the machine.
pub fn exception(frame: &Frame) -> ! {
    begin();
    let name = NAMES.get(frame.vector as usize).unwrap_or(&"exception");
    let fault = x86_64::registers::control::Cr2::read_raw();
    let _ = writeln!(
        Console,
        "(PV) *** Paravane stops: {name} (vector {}, error {:#x}) at {:#018x} {}",
        frame.vector,
        frame.error,
        frame.rip,
        Name(frame.rip)
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
    callers(frame.rbp);
    end()
}

/// Prints the return addresses along the chain of frame pointers, as far as it stays within the hypervisor's half
/// of the address space and goes upward.
fn callers(mut base: u64) {
    let code = image::start()..image::text_end();
    let _ = writeln!(Console, "(PV) called from:");
    for _ in 0..DEPTH {
        if base < 0xffff_8000_0000_0000 || base % 8 != 0 {
            return;
        }
        // SAFETY: a frame pointer on a stack of ours: the value before and the return address stand there.
        let [before, back] = unsafe { *(base as *const [u64; 2]) };
        if !code.contains(&back) {
            return;
        }
        // A call may be a function's last instruction: the one before the return address is in it for sure.
        let _ = writeln!(Console, "(PV)   {back:#018x} {}", Name(back - 1));
        if before <= base {
            return;
        }
        base = before;
    }
}

/// An address's function and the place in it.
struct Name(u64);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset = self.0.checked_sub(image::start()).map(u32::try_from);
        let table = Table::new(image::symbols());
        match (table, offset) {
            (Some(table), Some(Ok(offset))) => match table.find(offset) {
                Some((name, at)) => write!(f, "{name}+{at:#x}"),
                None => f.write_str("?"),
            },
            _ => f.write_str("?"),
        }
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
