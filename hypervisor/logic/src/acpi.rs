// SPDX-License-Identifier: GPL-2.0

//! ACPI tables of a PVH dom0: which of the firmware's tables it gets, and those that are made for it, MADT, XSDT and
//! RSDP (ACPI specification 6.5, chapters 5.2.5 to 5.2.12).

pub mod guest;
pub mod madt;
pub mod soft_off;

use alloc::vec::Vec;

/// Bytes of a table's header.
pub const HEADER: usize = 36;
/// Offset of the checksum in the header.
const CHECKSUM: usize = 9;
/// Offset of the length in the header.
const LENGTH: usize = 4;
/// Bytes of the RSDP of revision 2.
const RSDP: usize = 36;
/// Bytes of the RSDP of revision 0, with which a later one begins and which have a checksum of their own.
const RSDP_FIRST: usize = 20;

/// A table's four-letter name.
pub type Signature = [u8; 4];

/// Tables of the firmware that dom0 gets, as with Xen. Those about processors, interrupts, memory, timers and IOMMUs
/// are the hypervisor's (MADT, SRAT, SLIT, HPET, DMAR, IVRS, …).
const ALLOWED: [&Signature; 15] = [
    b"DSDT", b"FACP", b"FACS", b"PSDT", b"SSDT", b"SBST", b"MCFG", b"SLIC", b"MSDM", b"WDAT",
    b"FPDT", b"S3PT", b"TCPA", b"TPM2", b"VFCT",
];

/// Whether dom0 gets a table of the firmware.
pub fn is_allowed(signature: Signature) -> bool {
    ALLOWED.contains(&&signature) || signature.starts_with(b"OEM")
}

/// Whether a table is listed in dom0's XSDT. The DSDT and the FACS are found through the FADT.
pub fn is_listed(signature: Signature) -> bool {
    is_allowed(signature) && !matches!(&signature, b"DSDT" | b"FACS")
}

/// The checksum of bytes: added to them, it makes their sum zero.
pub fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte))
}

/// Whether a table is valid: its length field and its checksum are right.
pub fn is_valid(table: &[u8]) -> bool {
    let length = table
        .get(LENGTH..LENGTH + 4)
        .and_then(|bytes| bytes.try_into().ok());
    let length = length.map(|bytes: [u8; 4]| u32::from_le_bytes(bytes) as usize);
    table.len() >= HEADER && length == Some(table.len()) && checksum(table) == 0
}

/// The OEM fields of the firmware's tables, which dom0's tables repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oem {
    /// OEM ID.
    pub id: [u8; 6],
    /// OEM table ID.
    pub table: [u8; 8],
    /// OEM revision.
    pub revision: u32,
}

impl Oem {
    /// From the header of a table.
    pub fn of(table: &[u8]) -> Option<Self> {
        Some(Self {
            id: table.get(10..16)?.try_into().ok()?,
            table: table.get(16..24)?.try_into().ok()?,
            revision: u32::from_le_bytes(table.get(24..28)?.try_into().ok()?),
        })
    }
}

/// Builds a table: a header and its content.
pub fn table(signature: Signature, revision: u8, oem: &Oem, content: &[u8]) -> Vec<u8> {
    let mut table = Vec::with_capacity(HEADER + content.len());
    table.extend(signature);
    table.extend(((HEADER + content.len()) as u32).to_le_bytes());
    table.extend([revision, 0]);
    table.extend(oem.id);
    table.extend(oem.table);
    table.extend(oem.revision.to_le_bytes());
    table.extend(*b"PVNE");
    table.extend(1u32.to_le_bytes());
    table.extend(content);
    table[CHECKSUM] = checksum(&table);
    table
}

/// Builds the XSDT, which lists the addresses of tables.
pub fn xsdt(oem: &Oem, tables: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let content: Vec<u8> = tables.into_iter().flat_map(u64::to_le_bytes).collect();
    table(*b"XSDT", 1, oem, &content)
}

/// Builds the RSDP, which has the address of the XSDT.
pub fn rsdp(oem: &Oem, xsdt: u64) -> [u8; RSDP] {
    let mut rsdp = [0; RSDP];
    rsdp[..8].copy_from_slice(b"RSD PTR ");
    rsdp[9..15].copy_from_slice(&oem.id);
    rsdp[15] = 2;
    rsdp[20..24].copy_from_slice(&(RSDP as u32).to_le_bytes());
    rsdp[24..32].copy_from_slice(&xsdt.to_le_bytes());
    rsdp[8] = checksum(&rsdp[..RSDP_FIRST]);
    rsdp[32] = checksum(&rsdp);
    rsdp
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub const OEM: Oem = Oem {
        id: *b"BOCHS ",
        table: *b"BXPC    ",
        revision: 1,
    };

    #[test]
    fn the_rsdps_two_sums_are_zero() {
        let rsdp = rsdp(&OEM, 0x1234_5678_9abc);
        assert_eq!((checksum(&rsdp[..20]), checksum(&rsdp)), (0, 0));
    }

    #[test]
    fn the_rsdp_leads_to_the_xsdt_and_that_to_the_tables() {
        let rsdp = rsdp(&OEM, 0x1234_5678_9abc);
        assert_eq!((&rsdp[..8], &rsdp[9..15]), (&b"RSD PTR "[..], &OEM.id[..]));
        // Revision 2, 36 bytes.
        assert_eq!((rsdp[15], &rsdp[20..24]), (2, &[36, 0, 0, 0][..]));
        assert_eq!(rsdp[24..32], 0x1234_5678_9abc_u64.to_le_bytes());
        let tables = [0xbffe_0000, 0x1_0000_0000_u64];
        let xsdt = xsdt(&OEM, tables);
        assert!(is_valid(&xsdt) && xsdt.starts_with(b"XSDT"));
        assert_eq!(xsdt[HEADER..], tables.map(u64::to_le_bytes).concat());
    }

    #[test]
    fn a_table_needs_a_header_its_length_and_its_checksum() {
        let good = table(*b"TEST", 3, &OEM, &[1, 2, 3, 4]);
        assert!(is_valid(&good));
        let mut damaged = good.clone();
        damaged[HEADER] += 1;
        assert!(!is_valid(&damaged), "the checksum is wrong");
        let longer = [&good[..], &[0]].concat();
        assert!(
            !is_valid(&longer),
            "the length is wrong, the checksum is not"
        );
        let mut short = vec![0; HEADER - 1];
        short[LENGTH] = HEADER as u8 - 1;
        short[CHECKSUM] = checksum(&short);
        assert!(!is_valid(&short), "there is less than a header");
        assert_eq!(checksum(&[1, 2, 0xff]), 0xfe);
    }

    #[test]
    fn processors_and_interrupts_are_the_hypervisors() {
        for signature in [
            b"APIC", b"SRAT", b"SLIT", b"HPET", b"DMAR", b"IVRS", b"ERST",
        ] {
            assert!(!is_allowed(*signature));
        }
        assert!(is_allowed(*b"SSDT") && is_listed(*b"SSDT") && is_listed(*b"OEM1"));
        assert!(is_allowed(*b"DSDT") && !is_listed(*b"DSDT"));
    }

    proptest! {
        #[test]
        fn tables_are_valid_and_keep_their_maker(content in proptest::collection::vec(any::<u8>(), 0..200)) {
            let made = table(*b"TEST", 3, &OEM, &content);
            prop_assert!(is_valid(&made));
            prop_assert_eq!(Oem::of(&made), Some(OEM));
            prop_assert!(!is_valid(&made[..made.len() - 1]));
        }

        #[test]
        fn reading_a_table_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            is_valid(&bytes);
            Oem::of(&bytes);
            madt::overrides(&bytes);
        }
    }
}
