// SPDX-License-Identifier: GPL-2.0

//! ACPI tables that mislead, for a machine whose firmware is wrong about its interrupts (QEMU's `-acpitable`).
//!
//! - A second MADT, which Xen and dom0 use because of their command lines: it says that GSI [`OVERRIDDEN`] is level-triggered and
//!   active low. No
//!   device has that GSI.
//! - An SSDT with a device that does not exist, on a GSI of PCI devices, which it calls edge-triggered and active low. Linux
//!   requests the GSIs of such devices before those of PCI devices.
//!
//! Another SSDT says what QEMU's tables do not: that the processors have two speeds, for the module that tells Xen of them.

use std::fs;
use std::path::Path;

use anyhow::Result;

/// The GSI that the second MADT overrides. By QEMU's own it is edge-triggered and active high.
pub const OVERRIDDEN: u32 = 7;

/// The GSI that the SSDT is wrong about: pin A of every fourth device of QEMU's Q35 machine.
pub const DISPUTED: u32 = 21;

/// Words for Xen's command line and for dom0's: the MADT to use is the second.
pub const SECOND_MADT: &str = "acpi_apic_instance=2";

/// Makes the tables in a machine's folder.
pub(crate) fn make_files(dir: &Path, cpus: u32) -> Result<()> {
    fs::write(dir.join("madt"), madt(cpus))?;
    fs::write(dir.join("ssdt-line"), wrong_line())?;
    fs::write(dir.join("ssdt-speeds"), speeds(cpus))?;
    Ok(())
}

/// QEMU's arguments; it makes the tables' headers.
pub(crate) fn arguments() -> [&'static str; 6] {
    [
        "-acpitable",
        "sig=APIC,rev=3,data=/vm/run/madt",
        "-acpitable",
        "sig=SSDT,rev=2,data=/vm/run/ssdt-line",
        "-acpitable",
        "sig=SSDT,rev=2,data=/vm/run/ssdt-speeds",
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

/// A piece of AML that begins with its own length (ACPI 6, 20.2.4): an opcode, the length, and `body`.
fn package(opcode: &[u8], body: &[u8]) -> Vec<u8> {
    let mut bytes = opcode.to_vec();
    match body.len() + 1 {
        short @ ..64 => bytes.push(short as u8),
        _ => {
            let len = body.len() + 2;
            assert!(len < 1 << 12, "two bytes of length are not enough");
            bytes.extend([1 << 6 | len as u8 & 0xf, (len >> 4) as u8]);
        }
    }
    bytes.extend(body);
    bytes
}

/// `Name (name, value)`.
fn name(name: &str, value: &[u8]) -> Vec<u8> {
    [b"\x08", name.as_bytes(), value].concat()
}

/// `Buffer () { bytes }`, of fewer than 256 bytes.
fn buffer(bytes: &[u8]) -> Vec<u8> {
    package(&[0x11], &[&[0x0a, bytes.len() as u8], bytes].concat())
}

/// `Package () { elements }`.
fn list(elements: &[Vec<u8>]) -> Vec<u8> {
    let mut body = vec![elements.len() as u8];
    body.extend(elements.concat());
    package(&[0x12], &body)
}

/// A number.
fn number(value: u32) -> Vec<u8> {
    [&[0x0c][..], &value.to_le_bytes()].concat()
}

/// The end of a list of resources.
const END: [u8; 2] = [0x79, 0];

/// The first SSDT after its header: `Device (\_SB.PVTI) { Name (_HID, EISAID ("PNP0C02")) Name (_CRS, …) }`.
fn wrong_line() -> Vec<u8> {
    /// Edge-triggered, active low, consumed by the device, not shared.
    const FLAGS: u8 = 0b0111;
    // An extended interrupt descriptor (6.4.3.6).
    let mut resources = vec![0x89, 6, 0, FLAGS, 1];
    resources.extend(DISPUTED.to_le_bytes());
    resources.extend(END);
    let body = [
        b"\\\x2e_SB_PVTI".to_vec(),
        // The letters are packed.
        name("_HID", b"\x0c\x41\xd0\x0c\x02"),
        name("_CRS", &buffer(&resources)),
    ];
    package(&[0x5b, 0x82], &body.concat())
}

/// The second: `Scope (\_SB.CPUS.Cnnn) { Name (_PPC, 0) Name (_PCT, …) Name (_PSS, …) }` for each processor (8.4.5).
fn speeds(cpus: u32) -> Vec<u8> {
    let scope = |cpu| {
        // A register that only the processor's maker knows (6.4.3.7).
        let mut register = vec![0x82, 12, 0, 0x7f, 64, 0, 0];
        register.extend([0; 8]);
        register.extend(END);
        // MHz, mW, two latencies in µs, and what the registers get and have.
        let state = |fields: [u32; 6]| list(&fields.map(number));
        let fast = state([2000, 10_000, 10, 10, 0, 0]);
        let slow = state([1000, 5_000, 10, 10, 1, 1]);
        let body = [
            format!("\\\x2f\x03_SB_CPUSC{cpu:03X}").into_bytes(),
            name("_PPC", &number(0)),
            name("_PCT", &list(&[buffer(&register), buffer(&register)])),
            name("_PSS", &list(&[fast, slow])),
        ];
        package(&[0x10], &body.concat())
    };
    (0..cpus).flat_map(scope).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_say_how_long_they_are() {
        assert_eq!(package(&[0x12], &[7; 62])[..2], [0x12, 63]);
        // The low four bits, then the others; both bytes count.
        assert_eq!(package(&[0x12], &[7; 63])[..3], [0x12, 1 << 6 | 1, 4]);
        let ssdt = wrong_line();
        assert_eq!(usize::from(ssdt[2]), ssdt.len() - 2);
        let at = ssdt
            .windows(5)
            .position(|part| part == b"_CRS\x11")
            .unwrap()
            + 5;
        assert_eq!(usize::from(ssdt[at]), ssdt.len() - at);
        // The size of the buffer.
        assert_eq!(usize::from(ssdt[at + 2]), ssdt.len() - at - 3);
        assert_eq!(speeds(2).len(), 2 * speeds(1).len());
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
