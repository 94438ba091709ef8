// SPDX-License-Identifier: GPL-2.0

//! The I/O ports of the PIT, its gate and the RTC, which the hypervisor uses before dom0 runs, and of the PC's
//! interrupt controllers, which it does not use.

use x86_64::instructions::port::Port;

fn check(port: u16) {
    assert!(
        matches!(port, 0x21 | 0x40..=0x43 | 0x61 | 0x70 | 0x71 | 0xa1),
        "port {port:#x} is not of the PIT, the RTC or an 8259"
    );
}

/// Reads a byte.
pub fn input(port: u16) -> u8 {
    check(port);
    // SAFETY: `check` allows ports of the PIT, the RTC and the 8259s only. They do no DMA, and no domain may access
    // them yet.
    unsafe { Port::new(port).read() }
}

/// Writes a byte.
pub fn output(port: u16, value: u8) {
    check(port);
    // SAFETY: `check` allows ports of the PIT, the RTC and the 8259s only. They do no DMA, and no domain may access
    // them yet.
    unsafe { Port::new(port).write(value) };
}

/// Masks all interrupts of both 8259s. The firmware may have left some unmasked, with vectors of exceptions; devices
/// interrupt by the I/O APICs alone.
pub fn mask_8259s() {
    const MASKS: [u16; 2] = [0x21, 0xa1];
    MASKS.into_iter().for_each(|port| output(port, 0xff));
}
