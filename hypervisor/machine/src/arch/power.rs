// SPDX-License-Identifier: GPL-2.0

//! Entering ACPI sleep states by the PM1 control registers, with values that dom0 has read from its tables (ACPI 6.5,
//! 4.8.3.2.1).

use core::sync::atomic::{AtomicU8, AtomicU16, Ordering};

use spin::Once;
use x86_64::instructions::port::Port;

use super::acpi::Acpi;

/// SLP_EN: enters the sleep state.
const ENABLE: u16 = 1 << 13;

/// Values of the two registers for S5, soft off, if the firmware's tables have them in the usual form.
static SOFT_OFF: Once<[u16; 2]> = Once::new();

/// Port of QEMU's `isa-debug-exit`; 0 for none.
static DEBUG_EXIT: AtomicU16 = AtomicU16::new(0);
/// What is written there when the hypervisor crashes.
static CRASH_CODE: AtomicU8 = AtomicU8::new(0);

static CONTROL: Once<[u16; 2]> = Once::new();

/// Stores the ports of the registers.
pub fn init(acpi: &Acpi) {
    CONTROL.call_once(|| acpi.pm1_control);
    if let Some(types) = acpi.soft_off {
        SOFT_OFF.call_once(|| types.map(|sleep_type| u16::from(sleep_type) << 10));
    }
}

/// Writes the two control registers with SLP_EN. Returns if the machine does not enter the state.
pub fn enter(values: [u16; 2]) {
    super::serial::write_deferred();
    let ports = CONTROL.get().copied().unwrap_or([0; 2]);
    for (port, value) in ports.into_iter().zip(values) {
        if port != 0 {
            // SAFETY: by the FADT the port is that of a PM1 control register; entering a sleep state does not affect
            // memory safety.
            unsafe { Port::<u16>::new(port).write(value | ENABLE) };
        }
    }
}

/// Turns the machine off, or halts if that cannot be done.
pub fn soft_off() -> ! {
    match SOFT_OFF.get() {
        // The machine may go on for a moment.
        Some(values) => enter(*values),
        None => {
            log::warn!("the machine cannot be turned off: its tables do not say how");
            super::serial::write_deferred();
        }
    }
    super::halt_forever()
}

/// Makes a port that of QEMU's `isa-debug-exit`, with what is written there when the hypervisor crashes.
pub fn set_debug_exit(port: u16, crash_code: u8) {
    CRASH_CODE.store(crash_code, Ordering::Relaxed);
    DEBUG_EXIT.store(port, Ordering::Relaxed);
}

/// Ends QEMU with the status `2 * code + 1`. Returns if there is no device for that.
pub fn debug_exit(code: u8) {
    super::serial::write_deferred();
    let port = DEBUG_EXIT.load(Ordering::Relaxed);
    if port != 0 {
        // SAFETY: the user has named the port on the command line as that of a device that ends the machine. No domain
        // has devices that the write could reach.
        unsafe { Port::<u32>::new(port).write(code.into()) };
    }
}

/// Ends QEMU with the status of a hypervisor that has crashed, if there is a device for that.
pub fn debug_exit_crashed() {
    debug_exit(CRASH_CODE.load(Ordering::Relaxed));
}
