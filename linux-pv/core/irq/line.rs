// SPDX-License-Identifier: GPL-2.0

//! Trigger and polarity of an interrupt line.

use core::fmt;

/// When a line means an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// As long as it is active.
    Level,
    /// When it becomes active.
    Edge,
}

/// What of a line is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polarity {
    /// High.
    High,
    /// Low.
    Low,
}

/// Both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it means an interrupt.
    pub trigger: Trigger,
    /// What is active.
    pub polarity: Polarity,
}

/// `ACPI_EDGE_SENSITIVE`.
const ACPI_EDGE: i32 = 1;
/// `ACPI_ACTIVE_HIGH`.
const ACPI_HIGH: i32 = 0;

impl Line {
    /// What a PCI device has if nobody says anything else (PCI 3.0, 2.2.6).
    pub const PCI: Self = Self {
        trigger: Trigger::Level,
        polarity: Polarity::Low,
    };

    /// From ACPI's numbers. What is not edge is level, and what is not high is low, as with the hypervisor's callers always:
    /// "both edges" is for lines that no I/O APIC has.
    pub const fn from_acpi(trigger: i32, polarity: i32) -> Self {
        Self::new(trigger != ACPI_EDGE, polarity != ACPI_HIGH)
    }

    /// From two answers.
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

    /// The words for both.
    pub const fn name(self) -> &'static str {
        match (self.trigger, self.polarity) {
            (Trigger::Level, Polarity::High) => "level,high",
            (Trigger::Level, Polarity::Low) => "level,low",
            (Trigger::Edge, Polarity::High) => "edge,high",
            (Trigger::Edge, Polarity::Low) => "edge,low",
        }
    }

    /// Whether several devices may have it: a second edge is lost while the first is handled.
    pub const fn is_shareable(self) -> bool {
        self.is_level()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The low half of an entry of an I/O APIC's redirection table, as the hypervisor has programmed it (82093AA, 3.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Programmed {
    /// Trigger and polarity.
    pub line: Line,
    /// Whether it is masked.
    pub masked: bool,
}

impl Programmed {
    /// The register of a pin.
    pub const fn register(pin: u8) -> u32 {
        0x10 + 2 * pin as u32
    }

    /// The register's value for it, with a vector and a delivery mode of 0: the hypervisor has its own.
    pub const fn to_register(self) -> u32 {
        (self.line.is_level() as u32) << 15
            | (self.line.is_low() as u32) << 13
            | (self.masked as u32) << 16
    }

    /// From the register's value.
    pub const fn from_register(value: u32) -> Self {
        Self {
            line: Line::new(value & (1 << 15) != 0, value & (1 << 13) != 0),
            masked: value & (1 << 16) != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn acpis_numbers_are_understood() {
        assert_eq!(Line::from_acpi(0, 1), Line::PCI);
        assert_eq!(Line::from_acpi(1, 0).to_string(), "edge,high");
        assert_eq!(Line::from_acpi(0, 0).to_string(), "level,high");
        // ACPI_ACTIVE_BOTH.
        assert_eq!(Line::from_acpi(1, 2).to_string(), "edge,low");
        assert!(Line::PCI.is_shareable() && !Line::from_acpi(1, 1).is_shareable());
    }

    #[test]
    fn registers_are_read_as_the_data_sheet_says() {
        for value in [0, 1 << 13, 1 << 15, 0xa000, 0x1_a000, 0x1_0000] {
            assert_eq!(Programmed::from_register(value).to_register(), value);
        }
        assert_eq!(Programmed::register(0), 0x10);
        assert_eq!(Programmed::register(23), 0x3e);
        let pci = Programmed::from_register(0xa0c1);
        assert_eq!((pci.line, pci.masked), (Line::PCI, false));
        let isa = Programmed::from_register(0x1_0031);
        assert_eq!(
            (isa.line.to_string().as_str(), isa.masked),
            ("edge,high", true)
        );
        assert_eq!(
            Programmed::from_register(0x2000).line.to_string(),
            "edge,low"
        );
    }
}
