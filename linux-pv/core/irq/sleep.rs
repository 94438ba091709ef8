// SPDX-License-Identifier: GPL-2.0

//! ACPI sleep states: dom0 passes the values of the control registers to the hypervisor, which
//! writes them.

use xen_abi::platform::{
    EnterAcpiSleep,
    ACPI_SLEEP_EXTENDED, //
};

/// The registers that put a machine to sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SleepRegisters {
    /// PM1a and PM1b control, of 16 bits (ACPI 6, 4.8.3.2).
    Pm1,
    /// Sleep control and sleep status, of 8 bits (ACPI 6, 4.8.3.7).
    SleepControl,
}

/// The argument of `XENPF_enter_acpi_sleep` for the values of two registers.
///
/// # Errors
///
/// The width of the registers in bits, if a value does not fit.
pub fn argument(
    state: u8,
    a: u32,
    b: u32,
    registers: SleepRegisters,
) -> Result<EnterAcpiSleep, u32> {
    let (bits, flags) = match registers {
        SleepRegisters::Pm1 => (16, 0),
        SleepRegisters::SleepControl => (8, ACPI_SLEEP_EXTENDED),
    };
    match (a | b) >> bits {
        0 => Ok(EnterAcpiSleep {
            val_a: a as u16,
            val_b: b as u16,
            sleep_state: state.into(),
            flags,
        }),
        _ => Err(bits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_reach_the_registers_they_fit_into() {
        let pm1 = argument(5, 0x2000, 0xffff, SleepRegisters::Pm1).unwrap();
        assert_eq!(
            (pm1.val_a, pm1.val_b, pm1.sleep_state, pm1.flags),
            (0x2000, 0xffff, 5, 0)
        );
        let extended = argument(3, 0xff, 0, SleepRegisters::SleepControl).unwrap();
        assert_eq!(
            (extended.val_a, extended.sleep_state, extended.flags),
            (0xff, 3, 1)
        );
        assert_eq!(argument(5, 0x1_0000, 0, SleepRegisters::Pm1), Err(16));
        assert_eq!(argument(5, 0, 0x100, SleepRegisters::SleepControl), Err(8));
        // Both registers get the same in most machines.
        assert_eq!(
            argument(5, 0x1_0000, 0x1_0000, SleepRegisters::Pm1),
            Err(16)
        );
        assert_eq!(
            argument(5, 0x100, 0x100, SleepRegisters::SleepControl),
            Err(8)
        );
    }
}
