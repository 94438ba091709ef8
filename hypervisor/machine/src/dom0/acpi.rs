// SPDX-License-Identifier: GPL-2.0

//! dom0's ACPI tables: an XSDT without the tables that the hypervisor keeps, and a MADT with dom0's vCPUs in place of
//! the machine's processors.

use alloc::vec::Vec;

use paravane::acpi::{self, Oem, madt};

use crate::arch::acpi::Acpi;

/// dom0's tables, for an address.
pub struct Dom0Tables {
    /// Their bytes.
    pub bytes: Vec<u8>,
    /// Address of the RSDP.
    pub rsdp: u64,
}

/// Builds the tables for dom0 at an address.
///
/// # Errors
///
/// If they do not fit into `room` bytes.
pub fn build(
    firmware: &Acpi,
    vcpus: usize,
    at: u64,
    room: usize,
) -> Result<Dom0Tables, &'static str> {
    let oem = firmware.oem.unwrap_or(Oem {
        id: *b"PARVNE",
        table: *b"PARAVANE",
        revision: 1,
    });
    let mut bytes = madt::madt(&oem, vcpus as u32, &firmware.io_apics, &firmware.overrides);
    let listed = firmware
        .tables
        .iter()
        .filter(|table| acpi::is_listed(table.signature));
    let pointers = core::iter::once(at).chain(listed.map(|table| table.at));
    let mut append = |table: &[u8]| {
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        let address = at + bytes.len() as u64;
        bytes.extend_from_slice(table);
        address
    };
    let xsdt = append(&acpi::xsdt(&oem, pointers));
    let rsdp = append(&acpi::rsdp(&oem, xsdt));
    if bytes.len() > room {
        return Err("dom0's ACPI tables do not fit");
    }
    Ok(Dom0Tables { bytes, rsdp })
}
