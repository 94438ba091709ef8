// SPDX-License-Identifier: GPL-2.0

//! ACPI tables of a PVH guest that the hypervisor builds itself: those that libxl gives such guests. They announce
//! "reduced hardware", which has no fixed registers, and no devices.

use super::{Oem, madt, rsdp, table, xsdt};
use alloc::vec;
use alloc::vec::Vec;

/// Bytes of the FADT behind its header, of revision 5.
const FADT: usize = 268 - super::HEADER;
/// Offsets in the FADT (ACPI 6.5, 5.2.9), from its beginning.
const BOOT_ARCHITECTURE: usize = 109;
const FLAGS: usize = 112;
const X_DSDT: usize = 140;
/// IAPC_BOOT_ARCH: there are no VGA and no real-time clock. An 8042 and legacy devices would have to be announced.
const NO_VGA: u16 = 1 << 2;
const NO_CMOS_RTC: u16 = 1 << 5;
/// Flags: WBINVD works, there are no fixed power and sleep buttons, and none of the fixed hardware.
const WBINVD: u32 = 1 << 0;
const NO_POWER_BUTTON: u32 = 1 << 4;
const NO_SLEEP_BUTTON: u32 = 1 << 5;
const HW_REDUCED_ACPI: u32 = 1 << 20;

/// The OEM fields of the tables.
const OEM: Oem = Oem {
    id: *b"PARVNE",
    table: *b"PARAVANE",
    revision: 1,
};

/// Tables for an address.
pub struct GuestTables {
    /// Their bytes.
    pub bytes: Vec<u8>,
    /// Address of the RSDP.
    pub rsdp: u64,
}

/// Builds the tables of a guest with a number of vCPUs, for the guest-physical address `at`. How long they are does not
/// depend on it.
pub fn build(vcpus: u32, at: u64) -> GuestTables {
    let mut bytes = Vec::new();
    let mut append = |table: &[u8]| {
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        let address = at + bytes.len() as u64;
        bytes.extend_from_slice(table);
        address
    };
    let dsdt = append(&table(*b"DSDT", 2, &OEM, &[]));
    let fadt = append(&fadt(dsdt));
    let madt = append(&madt::madt(&OEM, vcpus, &[], &[]));
    let xsdt = append(&xsdt(&OEM, [fadt, madt]));
    let rsdp = append(&rsdp(&OEM, xsdt));
    GuestTables { bytes, rsdp }
}

fn fadt(dsdt: u64) -> Vec<u8> {
    let mut content = vec![0; FADT];
    let mut put = |offset: usize, bytes: &[u8]| {
        let at = offset - super::HEADER;
        content[at..at + bytes.len()].copy_from_slice(bytes);
    };
    put(BOOT_ARCHITECTURE, &(NO_VGA | NO_CMOS_RTC).to_le_bytes());
    let flags = WBINVD | NO_POWER_BUTTON | NO_SLEEP_BUTTON | HW_REDUCED_ACPI;
    put(FLAGS, &flags.to_le_bytes());
    put(X_DSDT, &dsdt.to_le_bytes());
    table(*b"FACP", 5, &OEM, &content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acpi::{checksum, is_valid};

    /// The table at an address of tables that were built for `base`.
    fn at(tables: &GuestTables, base: u64, address: u64) -> &[u8] {
        let from = &tables.bytes[(address - base) as usize..];
        let length = u32::from_le_bytes(from[4..8].try_into().unwrap()) as usize;
        &from[..length]
    }

    fn word(bytes: &[u8], offset: usize) -> u64 {
        u64::from_le_bytes(bytes[offset..offset + 8].try_into().unwrap())
    }

    #[test]
    fn the_rsdp_leads_to_valid_tables() {
        let base = 0x1234_5000;
        let tables = build(3, base);
        assert_eq!(build(3, 0).bytes.len(), tables.bytes.len());
        let rsdp = &tables.bytes[(tables.rsdp - base) as usize..][..36];
        assert_eq!((&rsdp[..8], checksum(rsdp)), (&b"RSD PTR "[..], 0));
        let xsdt = at(&tables, base, word(rsdp, 24));
        let [fadt, madt] = [36, 44].map(|offset| at(&tables, base, word(xsdt, offset)));
        let dsdt = at(&tables, base, word(fadt, X_DSDT));
        for (table, name) in [
            (xsdt, b"XSDT"),
            (fadt, b"FACP"),
            (madt, b"APIC"),
            (dsdt, b"DSDT"),
        ] {
            assert!(is_valid(table) && table.starts_with(name));
        }
        assert_eq!(xsdt.len(), 52, "there are no others");
        assert_eq!((fadt.len(), fadt[8]), (268, 5));
        assert_ne!(fadt[FLAGS + 2] & 0x10, 0, "the hardware is reduced");
        assert_eq!(madt::processors(madt), [0, 2, 4]);
        assert!(madt::io_apics(madt).is_empty());
    }
}
