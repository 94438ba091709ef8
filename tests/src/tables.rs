// SPDX-License-Identifier: GPL-2.0

//! ACPI tables that mislead, for a machine whose firmware is wrong about its interrupts (QEMU's `-acpitable`).
//!
//! - A second MADT, which Xen and dom0 are told to use: it says that line [`OVERRIDDEN`] is level-triggered and active low. No
//!   device has that line.
//! - An SSDT with a device that does not exist, on a line of PCI devices, which calls that line edge-triggered and active low.
//!   Linux asks for the lines of such devices before it asks for those of PCI devices.

use std::fs;
use std::path::Path;

use anyhow::Result;

/// The line that the MADT overrides. By QEMU's own it is edge-triggered and active high.
pub const OVERRIDDEN: u32 = 7;

/// The line that the SSDT is wrong about: that of pin A of every fourth device of QEMU's Q35 machine.
pub const DISPUTED: u32 = 21;

/// Words for Xen's command line and for dom0's: the MADT to use is the second.
pub const SECOND_MADT: &str = "acpi_apic_instance=2";

/// Makes the tables in a machine's folder.
pub(crate) fn make_files(dir: &Path, cpus: u32) -> Result<()> {
    fs::write(dir.join("madt"), madt(cpus))?;
    fs::write(dir.join("ssdt"), ssdt())?;
    Ok(())
}

/// What QEMU is told; it makes the tables' headers.
pub(crate) fn arguments() -> [&'static str; 4] {
    [
        "-acpitable",
        "sig=APIC,rev=3,data=/vm/run/madt",
        "-acpitable",
        "sig=SSDT,rev=2,data=/vm/run/ssdt",
    ]
}

/// The MADT after its header (ACPI 6, 5.2.12).
fn madt(cpus: u32) -> Vec<u8> {
    /// "As the bus has it".
    const CONFORMS: u16 = 0;
    /// Level-triggered, active high.
    const LEVEL_HIGH: u16 = 0b1101;
    /// Level-triggered, active low.
    const LEVEL_LOW: u16 = 0b1111;
    let mut table = 0xfee0_0000_u32.to_le_bytes().to_vec();
    // There are two 8259.
    table.extend(1_u32.to_le_bytes());
    for cpu in 0..cpus as u8 {
        table.extend([0, 8, cpu, cpu, 1, 0, 0, 0]);
    }
    table.extend([1, 12, 0, 0]);
    table.extend(0xfec0_0000_u32.to_le_bytes());
    table.extend(0_u32.to_le_bytes());
    let overrides = [
        (0, 2, CONFORMS),
        (5, 5, LEVEL_HIGH),
        (OVERRIDDEN as u8, OVERRIDDEN, LEVEL_LOW),
        (9, 9, LEVEL_HIGH),
        (10, 10, LEVEL_HIGH),
        (11, 11, LEVEL_HIGH),
    ];
    for (irq, line, flags) in overrides {
        table.extend([2, 10, 0, irq]);
        table.extend(line.to_le_bytes());
        table.extend(flags.to_le_bytes());
    }
    // LINT1 of every processor is its NMI.
    table.extend([4, 6, 0xff, 0, 0, 1]);
    table
}

/// The SSDT after its header: `Device (\_SB.PVTI) { Name (_HID, EISAID ("PNP0C02")) Name (_CRS, …) }` (ACPI 6, 20.2).
fn ssdt() -> Vec<u8> {
    /// Edge-triggered, active low, consumed by the device, not shared.
    const FLAGS: u8 = 0b0111;
    // An extended interrupt descriptor (6.4.3.6), and the end of the list.
    let mut resources = vec![0x89, 6, 0, FLAGS, 1];
    resources.extend(DISPUTED.to_le_bytes());
    resources.extend([0x79, 0]);
    let mut buffer = vec![0x0a, resources.len() as u8];
    buffer.extend(resources);
    let mut body = b"\\\x2e_SB_PVTI".to_vec();
    // Name (_HID, PNP0C02): a double word with the letters packed.
    body.extend(b"\x08_HID\x0c\x41\xd0\x0c\x02");
    body.extend(b"\x08_CRS\x11");
    body.push(buffer.len() as u8 + 1);
    body.extend(buffer);
    let mut table = vec![0x5b, 0x82, body.len() as u8 + 1];
    table.extend(body);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_have_the_length_they_say() {
        let ssdt = ssdt();
        // One byte holds at most 63.
        assert!(ssdt.len() < 64 + 2);
        assert_eq!(usize::from(ssdt[2]), ssdt.len() - 2);
        let at = ssdt
            .windows(5)
            .position(|part| part == b"_CRS\x11")
            .unwrap()
            + 5;
        assert_eq!(usize::from(ssdt[at]), ssdt.len() - at);
        // BufferOp's size.
        assert_eq!(usize::from(ssdt[at + 2]), ssdt.len() - at - 3);
    }

    #[test]
    fn every_structure_of_the_madt_ends_where_the_next_begins() {
        let madt = madt(2);
        let (mut at, mut kinds) = (8, Vec::new());
        while at < madt.len() {
            kinds.push(madt[at]);
            at += usize::from(madt[at + 1]);
        }
        assert_eq!(at, madt.len());
        assert_eq!(kinds, [0, 0, 1, 2, 2, 2, 2, 2, 2, 4]);
    }
}
