// SPDX-License-Identifier: GPL-2.0

//! Trigger and polarity of an interrupt: Linux's `IRQ_TYPE_*` without "both edges".

use core::fmt;

/// Trigger mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Requested as long as the signal is active.
    Level,
    /// Requested when the signal becomes active.
    Edge,
}

/// Level at which a signal is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polarity {
    /// Active high.
    High,
    /// Active low.
    Low,
}

/// Trigger and polarity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IrqType {
    /// The trigger mode.
    pub trigger: Trigger,
    /// The polarity.
    pub polarity: Polarity,
}

/// `ACPI_EDGE_SENSITIVE`.
const ACPI_EDGE: i32 = 1;
/// `ACPI_ACTIVE_HIGH`.
const ACPI_HIGH: i32 = 0;

impl IrqType {
    /// INTx of a PCI device, unless the firmware overrides it (PCI 3.0, 2.2.6).
    pub const PCI: Self = Self {
        trigger: Trigger::Level,
        polarity: Polarity::Low,
    };

    /// From ACPI's numbers. Other values than edge are level, and other values than high are low,
    /// as in the C code: an I/O APIC cannot be programmed for `ACPI_ACTIVE_BOTH`.
    pub const fn from_acpi(trigger: i32, polarity: i32) -> Self {
        Self::new(trigger != ACPI_EDGE, polarity != ACPI_HIGH)
    }

    /// Level or edge, active low or high.
    pub const fn new(level: bool, low: bool) -> Self {
        Self {
            trigger: if level { Trigger::Level } else { Trigger::Edge },
            polarity: if low { Polarity::Low } else { Polarity::High },
        }
    }

    /// Whether it is level-triggered.
    pub const fn is_level(self) -> bool {
        matches!(self.trigger, Trigger::Level)
    }

    /// Whether it is active low.
    pub const fn is_low(self) -> bool {
        matches!(self.polarity, Polarity::Low)
    }

    /// Both, as the debugfs file shows them.
    pub const fn name(self) -> &'static str {
        match (self.trigger, self.polarity) {
            (Trigger::Level, Polarity::High) => "level,high",
            (Trigger::Level, Polarity::Low) => "level,low",
            (Trigger::Edge, Polarity::High) => "edge,high",
            (Trigger::Edge, Polarity::Low) => "edge,low",
        }
    }

    /// Whether several devices may share the interrupt: an edge is lost while another device's is
    /// handled.
    pub const fn is_shareable(self) -> bool {
        self.is_level()
    }
}

impl fmt::Display for IrqType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The low half of an entry of an I/O APIC's redirection table, as the hypervisor has programmed it
/// (82093AA, 3.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedirectionEntry {
    /// Trigger and polarity.
    pub irq_type: IrqType,
    /// Whether the pin is masked.
    pub masked: bool,
}

impl RedirectionEntry {
    /// Number of the register for a pin.
    pub const fn register(pin: u8) -> u32 {
        0x10 + 2 * pin as u32
    }

    /// Value of the register, with vector and delivery mode 0: the hypervisor fills these in.
    pub const fn to_register(self) -> u32 {
        (self.irq_type.is_level() as u32) << 15
            | (self.irq_type.is_low() as u32) << 13
            | (self.masked as u32) << 16
    }

    /// From the value of the register.
    pub const fn from_register(value: u32) -> Self {
        Self {
            irq_type: IrqType::new(value & (1 << 15) != 0, value & (1 << 13) != 0),
            masked: value & (1 << 16) != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn acpis_numbers_are_understood() {
        assert_eq!(IrqType::from_acpi(0, 1), IrqType::PCI);
        assert_eq!(IrqType::from_acpi(1, 0).to_string(), "edge,high");
        assert_eq!(IrqType::from_acpi(0, 0).to_string(), "level,high");
        // ACPI_ACTIVE_BOTH.
        assert_eq!(IrqType::from_acpi(1, 2).to_string(), "edge,low");
        assert!(IrqType::PCI.is_shareable() && !IrqType::from_acpi(1, 1).is_shareable());
    }

    #[test]
    fn registers_are_read_as_the_data_sheet_says() {
        for value in [0, 1 << 13, 1 << 15, 0xa000, 0x1_a000, 0x1_0000] {
            assert_eq!(RedirectionEntry::from_register(value).to_register(), value);
        }
        assert_eq!(RedirectionEntry::register(0), 0x10);
        assert_eq!(RedirectionEntry::register(23), 0x3e);
        let pci = RedirectionEntry::from_register(0xa0c1);
        assert_eq!((pci.irq_type, pci.masked), (IrqType::PCI, false));
        let isa = RedirectionEntry::from_register(0x1_0031);
        assert_eq!(
            (isa.irq_type.to_string().as_str(), isa.masked),
            ("edge,high", true)
        );
        assert_eq!(
            RedirectionEntry::from_register(0x2000).irq_type.to_string(),
            "edge,low"
        );
    }
}
