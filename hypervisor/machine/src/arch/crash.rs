// SPDX-License-Identifier: GPL-2.0

//! Crash reports: what happened and where, the registers, and the call trace.

use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use paravane::symbols::SymbolTable;

use super::image;
use super::serial::{self, Console};
use super::traps::Frame;
use super::{lapic, paging, percpu, probe};

/// Names of the exceptions, by vector.
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

/// Most callers that are printed.
const MAX_CALLERS: usize = 24;

static CRASHED: AtomicBool = AtomicBool::new(false);
/// Halt after a crash instead of rebooting (`noreboot`).
pub static NO_REBOOT: AtomicBool = AtomicBool::new(false);

/// Reports a Rust panic and stops the machine.
pub fn panic(info: &PanicInfo<'_>) -> ! {
    begin();
    let _ = write!(Console, "(PVN) *** Paravane stops: {}", info.message());
    if let Some(place) = info.location() {
        let _ = write!(Console, " ({}:{})", place.file(), place.line());
    }
    let _ = writeln!(Console);
    let base: u64;
    // SAFETY: reading RBP has no side effect.
    unsafe {
        core::arch::asm!("mov {}, rbp", out(reg) base, options(nomem, nostack, preserves_flags))
    };
    print_callers(base);
    end()
}

/// Reports that dom0 has crashed, and stops the machine with it. The hypervisor itself did not fail, so there is no
/// call trace.
pub fn dom0_crashed(why: &str) -> ! {
    begin();
    let _ = writeln!(Console, "(PVN) *** Hardware Dom0 crashed: {why}");
    end()
}

/// Reports that the guest in the place of dom0 has ended by a fault of its own, and stops the machine with it.
pub fn guest_crashed(how: &str) -> ! {
    begin();
    let _ = writeln!(Console, "(PVN) *** the guest has {how}");
    halt_or_reboot()
}

/// `crash-test`: provokes an exception in the hypervisor, to show its report.
#[inline(never)]
pub fn test() {
    log::warn!("crash-test: Paravane is told to crash");
    let constants = image::text_end() as *mut u64;
    // SAFETY: the constants are mapped read-only (`paging::init`), so the write faults and changes nothing.
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
        "(PVN) *** Paravane stops: {name} (vector {}, error {:#x}) at {:#018x} {}",
        frame.vector,
        frame.error,
        frame.rip,
        Symbol(frame.rip)
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
        let _ = writeln!(Console, "(PVN) {a} {x:016x}  {b} {y:016x}  {c} {z:016x}");
    }
    print_callers(frame.rbp);
    end()
}

/// Prints the return addresses along the chain of frame pointers, as long as they rise within stacks.
fn print_callers(mut base: u64) {
    let code = image::start()..image::text_end();
    let _ = writeln!(Console, "(PVN) called from:");
    for _ in 0..MAX_CALLERS {
        if base % 8 != 0 || !paging::may_be_stack(base) || !paging::may_be_stack(base + 8) {
            return;
        }
        // SAFETY: `may_be_stack` has made sure that no device is mapped at either address.
        let words = [base, base + 8].map(|at| unsafe { probe::read(at) });
        // A frame pointer may point to a guard page: nothing is mapped there.
        let [Some(before), Some(back)] = words else {
            return;
        };
        if !code.contains(&back) {
            return;
        }
        // A call may be the last instruction of a function: only the byte before the return address is surely in it.
        let _ = writeln!(Console, "(PVN)   {back:#018x} {}", Symbol(back - 1));
        if before <= base {
            return;
        }
        base = before;
    }
}

/// Prints the function of an address and the offset in it.
struct Symbol(u64);

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset = self.0.checked_sub(image::start()).map(u32::try_from);
        let table = SymbolTable::new(image::symbols());
        match (table, offset) {
            (Some(table), Some(Ok(offset))) => match table.find(offset) {
                Some((name, at)) => write!(f, "{name}+{at:#x}"),
                None => f.write_str("?"),
            },
            _ => f.write_str("?"),
        }
    }
}

/// Stops the other processors and takes the console.
fn begin() {
    x86_64::instructions::interrupts::disable();
    if CRASHED.swap(true, Ordering::SeqCst) {
        // Another processor crashes too, or the report itself does: only the first report is printed.
        super::halt_forever();
    }
    serial::break_lock();
    if percpu::all().len() > 1 {
        lapic::send_nmi_to_others();
    }
}

/// Ends QEMU if it has a device for that, else halts or reboots.
fn end() -> ! {
    super::power::debug_exit_crashed();
    halt_or_reboot()
}

fn halt_or_reboot() -> ! {
    if NO_REBOOT.load(Ordering::Relaxed) {
        let _ = writeln!(Console, "(PVN) *** the machine is halted");
        super::halt_forever()
    }
    let _ = writeln!(Console, "(PVN) *** the machine starts again");
    super::cpu::reboot()
}
