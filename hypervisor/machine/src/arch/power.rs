// SPDX-License-Identifier: GPL-2.0

//! Turning the machine off: by the ACPI control registers, with the values that dom0 read from its tables
//! (ACPI 6.5, 4.8.3.2.1).

use spin::Once;
use x86_64::instructions::port::Port;

use super::acpi::Acpi;

/// SLP_EN: the transition takes place.
const ENABLE: u16 = 1 << 13;

static CONTROL: Once<[u16; 2]> = Once::new();

/// Remembers the registers' ports.
pub fn init(acpi: &Acpi) {
    CONTROL.call_once(|| acpi.pm1_control);
}

/// Enters the sleep state of two values of the control registers. Returns if the machine does not.
pub fn enter(values: [u16; 2]) {
    let ports = CONTROL.get().copied().unwrap_or([0; 2]);
    for (port, value) in ports.into_iter().zip(values) {
        if port != 0 {
            // SAFETY: the firmware names the port as the register that puts the machine to sleep; dom0 may write it
            // itself, too.
            unsafe { Port::<u16>::new(port).write(value | ENABLE) };
        }
    }
}
