// SPDX-License-Identifier: GPL-2.0

//! Entering ACPI sleep states by the PM1 control registers, with values that dom0 has read from its tables (ACPI 6.5,
//! 4.8.3.2.1).

use spin::Once;
use x86_64::instructions::port::Port;

use super::acpi::Acpi;

/// SLP_EN: enters the sleep state.
const ENABLE: u16 = 1 << 13;

static CONTROL: Once<[u16; 2]> = Once::new();

/// Stores the ports of the registers.
pub fn init(acpi: &Acpi) {
    CONTROL.call_once(|| acpi.pm1_control);
}

/// Writes the two control registers with SLP_EN. Returns if the machine does not enter the state.
pub fn enter(values: [u16; 2]) {
    let ports = CONTROL.get().copied().unwrap_or([0; 2]);
    for (port, value) in ports.into_iter().zip(values) {
        if port != 0 {
            // SAFETY: by the FADT the port is that of a PM1 control register; entering a sleep state does not affect
            // memory safety.
            unsafe { Port::<u16>::new(port).write(value | ENABLE) };
        }
    }
}
