//! ACPI for a PVH dom0: which of the machine's tables it sees, and those that are made for it, as bytes: MADT, XSDT,
//! RSDP (ACPI specification 6.5, chapters 5.2.5 to 5.2.12).

pub mod madt;

use alloc::vec::Vec;

/// Bytes of a table's header.
pub const HEADER: usize = 36;
/// Place of the checksum in it.
const CHECKSUM: usize = 9;
/// Place of the length in it.
const LENGTH: usize = 4;
/// Bytes of the RSDP of revision 2, and of its first part, which has a checksum of its own.
const RSDP: usize = 36;
const RSDP_FIRST: usize = 20;

/// The signature of a table.
pub type Signature = [u8; 4];

/// Tables of the machine that dom0 sees. What describes processors, interrupts, memory, timers or the I/O MMU is the
/// hypervisor's (MADT, SRAT, SLIT, HPET, DMAR, IVRS, …); the list is Xen's, which this is compared with.
const ALLOWED: [&Signature; 15] = [
    b"DSDT", b"FACP", b"FACS", b"PSDT", b"SSDT", b"SBST", b"MCFG", b"SLIC", b"MSDM", b"WDAT",
    b"FPDT", b"S3PT", b"TCPA", b"TPM2", b"VFCT",
];

/// Whether dom0 sees a table of the machine.
pub fn is_allowed(signature: Signature) -> bool {
    ALLOWED.contains(&&signature) || signature.starts_with(b"OEM")
}

/// Whether a table that dom0 sees is listed in the XSDT: the DSDT and the FACS are found by way of the FADT.
pub fn is_listed(signature: Signature) -> bool {
    is_allowed(signature) && !matches!(&signature, b"DSDT" | b"FACS")
}

/// What makes the sum of all bytes zero.
pub fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte))
}

/// Whether a table is whole: its length is what it says and its sum zero.
pub fn is_valid(table: &[u8]) -> bool {
    let length = table
        .get(LENGTH..LENGTH + 4)
        .and_then(|bytes| bytes.try_into().ok());
    let length = length.map(|bytes: [u8; 4]| u32::from_le_bytes(bytes) as usize);
    table.len() >= HEADER && length == Some(table.len()) && checksum(table) == 0
}

/// Who made the machine's tables, which those made for dom0 go on saying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maker {
    /// OEM's name.
    pub oem: [u8; 6],
    /// Name of the table.
    pub table: [u8; 8],
    /// Its revision.
    pub revision: u32,
}

impl Maker {
    /// From the header of one of the machine's tables.
    pub fn of(table: &[u8]) -> Option<Self> {
        Some(Self {
            oem: table.get(10..16)?.try_into().ok()?,
            table: table.get(16..24)?.try_into().ok()?,
            revision: u32::from_le_bytes(table.get(24..28)?.try_into().ok()?),
        })
    }
}

/// Makes a table: a header around what is in it.
pub fn table(signature: Signature, revision: u8, maker: &Maker, content: &[u8]) -> Vec<u8> {
    let mut table = Vec::with_capacity(HEADER + content.len());
    table.extend(signature);
    table.extend(((HEADER + content.len()) as u32).to_le_bytes());
    table.extend([revision, 0]);
    table.extend(maker.oem);
    table.extend(maker.table);
    table.extend(maker.revision.to_le_bytes());
    table.extend(*b"PVNE");
    table.extend(1u32.to_le_bytes());
    table.extend(content);
    table[CHECKSUM] = checksum(&table);
    table
}

/// Makes the XSDT: the addresses of tables, that of the MADT made for dom0 first.
pub fn xsdt(maker: &Maker, tables: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let content: Vec<u8> = tables.into_iter().flat_map(u64::to_le_bytes).collect();
    table(*b"XSDT", 1, maker, &content)
}

/// Makes the RSDP that points at an XSDT.
pub fn rsdp(maker: &Maker, xsdt: u64) -> [u8; RSDP] {
    let mut rsdp = [0; RSDP];
    rsdp[..8].copy_from_slice(b"RSD PTR ");
    rsdp[9..15].copy_from_slice(&maker.oem);
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

    pub const MAKER: Maker = Maker {
        oem: *b"BOCHS ",
        table: *b"BXPC    ",
        revision: 1,
    };

    #[test]
    fn the_rsdps_two_sums_are_zero() {
        let rsdp = rsdp(&MAKER, 0x1234_5678_9abc);
        assert_eq!((checksum(&rsdp[..20]), checksum(&rsdp)), (0, 0));
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
            let made = table(*b"TEST", 3, &MAKER, &content);
            prop_assert!(is_valid(&made));
            prop_assert_eq!(Maker::of(&made), Some(MAKER));
            prop_assert!(!is_valid(&made[..made.len() - 1]));
        }

        #[test]
        fn reading_a_table_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            is_valid(&bytes);
            Maker::of(&bytes);
            madt::overrides(&bytes);
        }
    }
}
