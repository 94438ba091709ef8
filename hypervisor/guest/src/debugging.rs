// SPDX-License-Identifier: GPL-2.0

//! Debug exceptions reach the guest that causes them, though the hypervisor intercepts them (XSA-156).

use crate::arch;
use crate::report::{failed, say};

/// Bit of DR6: the first breakpoint.
const FIRST_BREAKPOINT: u64 = 1;

/// Causes each kind.
pub fn check() {
    let (icebp, steps) = (arch::icebp(), arch::single_steps());
    let (writes, status) = arch::watched_write();
    if icebp != 1 || steps < 3 || writes != 1 || status & FIRST_BREAKPOINT == 0 {
        failed(format_args!(
            "debug exceptions: {icebp} by ICEBP, {steps} by single steps, {writes} by a watched write (DR6 {status:#x})"
        ));
    }
    say(format_args!(
        "debug exceptions: {} came",
        icebp + steps + writes
    ));
}
