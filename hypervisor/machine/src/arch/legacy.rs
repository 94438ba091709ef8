// SPDX-License-Identifier: GPL-2.0

//! The ports of the PC's timer, its gate and the battery-backed clock, which the hypervisor uses before dom0 runs.

use x86_64::instructions::port::Port;

fn check(port: u16) {
    assert!(
        matches!(port, 0x40..=0x43 | 0x61 | 0x70 | 0x71),
        "port {port:#x} is none of the timer's or the clock's"
    );
}

/// Reads a byte.
pub fn input(port: u16) -> u8 {
    check(port);
    // SAFETY: these devices reach no memory, and nobody else uses them.
    unsafe { Port::new(port).read() }
}

/// Writes a byte.
pub fn output(port: u16, value: u8) {
    check(port);
    // SAFETY: as above.
    unsafe { Port::new(port).write(value) };
}
