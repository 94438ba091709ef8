// SPDX-License-Identifier: GPL-2.0

//! Debug exceptions of the guest's own: by ICEBP, single steps and a data breakpoint. Each returns how many there were.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use super::traps::debug_exceptions;

/// DR7 after a reset, without breakpoints; and with the first one, for writes of 8 bytes (AMD APM volume 2, 13.1.1.4).
const NO_BREAKPOINTS: u64 = 0x400;
const WRITES: u64 = NO_BREAKPOINTS | 2 | 1 << 16 | 2 << 18;
/// DR6 after a reset.
const DR6_RESET: u64 = 0xffff_0ff0;

/// What is written to under a breakpoint.
static WATCHED: AtomicU64 = AtomicU64::new(0);

/// ICEBP, which raises the exception behind itself.
pub fn icebp() -> u64 {
    let before = debug_exceptions();
    // SAFETY: the exception's handler returns to the next instruction.
    unsafe { asm!(".byte 0xf1") };
    debug_exceptions() - before
}

/// Three instructions with the trap flag set: two of them are followed by an exception, and so is the one that clears it.
pub fn single_steps() -> u64 {
    let before = debug_exceptions();
    // SAFETY: the exception's handler returns, and the flags are as before afterwards.
    unsafe {
        asm!(
            "pushfq",
            "or qword ptr [rsp], 0x100",
            "popfq",
            "nop",
            "pushfq",
            "and qword ptr [rsp], ~0x100",
            "popfq",
        );
    }
    debug_exceptions() - before
}

/// A write to a watched address. The second value is DR6, which tells of the breakpoint.
pub fn watched_write() -> (u64, u64) {
    let before = debug_exceptions();
    let at = WATCHED.as_ptr() as u64;
    // SAFETY: the breakpoint is on a static of this file, and the exception's handler returns.
    unsafe {
        asm!("mov dr6, {}", "mov dr0, {}", "mov dr7, {}", in(reg) DR6_RESET, in(reg) at, in(reg) WRITES, options(nostack));
    }
    WATCHED.store(before, Ordering::SeqCst);
    let status: u64;
    // SAFETY: reading DR6 and removing the breakpoint have no other effect.
    unsafe {
        asm!("mov {}, dr6", "mov dr7, {}", out(reg) status, in(reg) NO_BREAKPOINTS, options(nostack));
    }
    (debug_exceptions() - before, status)
}
