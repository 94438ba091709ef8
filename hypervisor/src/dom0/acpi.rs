// SPDX-License-Identifier: GPL-2.0

//! dom0's ACPI tables: the firmware's, by a root table of our own that leaves out what the hypervisor keeps, and
//! a MADT that names dom0's vCPUs in place of the machine's processors.

use alloc::vec::Vec;

use crate::arch::acpi::Acpi;

/// Tables dom0 does not get: processors and timers are the hypervisor's, its IOMMUs too; what describes processors' memory
/// would name processors that dom0 does not have.
const HIDDEN: [&[u8; 4]; 11] = [
    b"APIC", b"HPET", b"DMAR", b"IVRS", b"SRAT", b"SLIT", b"MSCT", b"PMTT", b"MPST", b"DSDT",
    b"BOOT",
];

/// The tables, for one place.
pub struct Tables {
    /// All bytes.
    pub bytes: Vec<u8>,
    /// Address of the RSDP.
    pub rsdp: u64,
}

/// A table with its checksum right.
fn sealed(mut table: Vec<u8>, at: usize) -> Vec<u8> {
    table[at] = 0;
    table[at] = 0u8.wrapping_sub(
        table
            .iter()
            .fold(0, |sum: u8, byte| sum.wrapping_add(*byte)),
    );
    table
}

fn header(signature: &[u8; 4], revision: u8, body: &[u8]) -> Vec<u8> {
    let mut table = Vec::with_capacity(36 + body.len());
    table.extend_from_slice(signature);
    table.extend_from_slice(&(36 + body.len() as u32).to_le_bytes());
    table.extend_from_slice(&[revision, 0]);
    table.extend_from_slice(b"PARVNEPARAVANE ");
    table.truncate(24);
    table.extend_from_slice(&1u32.to_le_bytes());
    table.extend_from_slice(b"PRVN");
    table.extend_from_slice(&1u32.to_le_bytes());
    table.extend_from_slice(body);
    sealed(table, 9)
}

/// The MADT for a number of vCPUs: their APIC ids are twice their numbers.
fn madt(acpi: &Acpi, vcpus: usize) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&0xfee0_0000u32.to_le_bytes());
    // No PC interrupt controllers.
    body.extend_from_slice(&0u32.to_le_bytes());
    for id in 0..vcpus as u32 {
        if id * 2 < 255 {
            body.extend_from_slice(&[0, 8, id as u8, id as u8 * 2, 1, 0, 0, 0]);
        } else {
            body.extend_from_slice(&[9, 16, 0, 0]);
            [id * 2, 1, id]
                .iter()
                .for_each(|value| body.extend_from_slice(&value.to_le_bytes()));
        }
    }
    for entry in &acpi.io_apics {
        body.extend_from_slice(&[1, 12, entry.id, 0]);
        body.extend_from_slice(&(entry.address as u32).to_le_bytes());
        body.extend_from_slice(&entry.gsi_base.to_le_bytes());
    }
    for entry in &acpi.overrides {
        body.extend_from_slice(&[2, 10, 0, entry.irq]);
        body.extend_from_slice(&entry.gsi.to_le_bytes());
        body.extend_from_slice(&entry.flags.to_le_bytes());
    }
    header(b"APIC", 4, &body)
}

/// Builds the tables for dom0 at an address.
///
/// # Errors
///
/// If they do not fit into `room` bytes.
pub fn build(acpi: &Acpi, vcpus: usize, at: u64, room: usize) -> Result<Tables, &'static str> {
    let madt = madt(acpi, vcpus);
    let mut pointers = alloc::vec![at];
    let shown = acpi
        .tables
        .iter()
        .filter(|table| !HIDDEN.contains(&&table.signature));
    pointers.extend(shown.map(|table| table.at));
    let body: Vec<u8> = pointers
        .iter()
        .flat_map(|pointer| pointer.to_le_bytes())
        .collect();
    let xsdt = header(b"XSDT", 1, &body);

    let mut bytes = madt;
    bytes.resize(bytes.len().next_multiple_of(16), 0);
    let xsdt_at = at + bytes.len() as u64;
    bytes.extend_from_slice(&xsdt);
    bytes.resize(bytes.len().next_multiple_of(16), 0);
    let rsdp = at + bytes.len() as u64;

    let mut root = Vec::from(*b"RSD PTR ");
    root.push(0);
    root.extend_from_slice(b"PARVNE");
    root.push(2);
    root.extend_from_slice(&0u32.to_le_bytes());
    root = sealed(root, 8);
    root.extend_from_slice(&36u32.to_le_bytes());
    root.extend_from_slice(&xsdt_at.to_le_bytes());
    root.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&sealed(root, 32));
    if bytes.len() > room {
        return Err("dom0's ACPI tables do not fit");
    }
    Ok(Tables { bytes, rsdp })
}
