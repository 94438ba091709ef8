// SPDX-License-Identifier: GPL-2.0

//! Putting the machine to sleep: the hypervisor writes ACPI's control registers in dom0's stead.

use xen_abi::platform::{EnterAcpiSleep, ACPI_SLEEP_EXTENDED};

/// Which registers a machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registers {
    /// PM1a and PM1b, of 16 bits (ACPI 6, 4.8.3.2).
    Usual,
    /// Sleep control and status, of 8 bits (ACPI 6, 4.8.3.7).
    Extended,
}

/// The argument of the call, for the values that the registers are to get. If a value does not fit into its register: how many
/// bits that has.
pub fn argument(state: u8, a: u32, b: u32, registers: Registers) -> Result<EnterAcpiSleep, u32> {
    let (bits, flags) = match registers {
        Registers::Usual => (16, 0),
        Registers::Extended => (8, ACPI_SLEEP_EXTENDED),
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
        let usual = argument(5, 0x2000, 0xffff, Registers::Usual).unwrap();
        assert_eq!(
            (usual.val_a, usual.val_b, usual.sleep_state, usual.flags),
            (0x2000, 0xffff, 5, 0)
        );
        let extended = argument(3, 0xff, 0, Registers::Extended).unwrap();
        assert_eq!(
            (extended.val_a, extended.sleep_state, extended.flags),
            (0xff, 3, 1)
        );
        assert_eq!(argument(5, 0x1_0000, 0, Registers::Usual), Err(16));
        assert_eq!(argument(5, 0, 0x100, Registers::Extended), Err(8));
        // Both registers get the same in most machines.
        assert_eq!(argument(5, 0x1_0000, 0x1_0000, Registers::Usual), Err(16));
        assert_eq!(argument(5, 0x100, 0x100, Registers::Extended), Err(8));
    }
}
