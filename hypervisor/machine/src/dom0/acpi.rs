// SPDX-License-Identifier: GPL-2.0

//! dom0's ACPI tables: the firmware's, by a root table of our own that leaves out what the hypervisor keeps, and
//! a MADT that names dom0's vCPUs in place of the machine's processors. Which and how is the library's.

use alloc::vec::Vec;

use paravane::acpi::{self, Maker, madt};

use crate::arch::acpi::Acpi;

/// The tables, for one place.
pub struct Tables {
    /// All bytes.
    pub bytes: Vec<u8>,
    /// Address of the RSDP.
    pub rsdp: u64,
}

/// Builds the tables for dom0 at an address.
///
/// # Errors
///
/// If they do not fit into `room` bytes.
pub fn build(tables: &Acpi, vcpus: usize, at: u64, room: usize) -> Result<Tables, &'static str> {
    let maker = tables.maker.unwrap_or(Maker {
        oem: *b"PARVNE",
        table: *b"PARAVANE",
        revision: 1,
    });
    let mut bytes = madt::madt(&maker, vcpus as u32, &tables.io_apics, &tables.overrides);
    let listed = tables
        .tables
        .iter()
        .filter(|table| acpi::is_listed(table.signature));
    let pointers = core::iter::once(at).chain(listed.map(|table| table.at));
    let mut append = |table: &[u8]| {
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        let place = at + bytes.len() as u64;
        bytes.extend_from_slice(table);
        place
    };
    let xsdt = append(&acpi::xsdt(&maker, pointers));
    let rsdp = append(&acpi::rsdp(&maker, xsdt));
    if bytes.len() > room {
        return Err("dom0's ACPI tables do not fit");
    }
    Ok(Tables { bytes, rsdp })
}
