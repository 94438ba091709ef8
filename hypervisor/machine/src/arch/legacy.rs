// SPDX-License-Identifier: GPL-2.0

//! The I/O ports of the PIT, its gate and the RTC, which the hypervisor uses before dom0 runs.

use x86_64::instructions::port::Port;

fn check(port: u16) {
    assert!(
        matches!(port, 0x40..=0x43 | 0x61 | 0x70 | 0x71),
        "port {port:#x} is not of the PIT or the RTC"
    );
}

/// Reads a byte.
pub fn input(port: u16) -> u8 {
    check(port);
    // SAFETY: `check` allows ports of the PIT and the RTC only. They do no DMA, and no domain may access them yet.
    unsafe { Port::new(port).read() }
}

/// Writes a byte.
pub fn output(port: u16, value: u8) {
    check(port);
    // SAFETY: `check` allows ports of the PIT and the RTC only. They do no DMA, and no domain may access them yet.
    unsafe { Port::new(port).write(value) };
}
