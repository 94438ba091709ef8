//! The MADT made for dom0: its vCPUs' local APICs, the I/O APICs that it sees, and the machine's interrupt overrides.

use super::{HEADER, Maker, table};
use crate::cpuid::apic_id;
use alloc::vec::Vec;

/// Where local APICs are.
pub const LOCAL_APIC: u32 = 0xfee0_0000;
/// The revision whose structures are used (ACPI 6.1).
const REVISION: u8 = 4;
/// Bytes before the structures: address and flags.
const FIXED: usize = 8;

/// Kinds of structures.
const LOCAL: u8 = 0;
const IO_APIC: u8 = 1;
const OVERRIDE: u8 = 2;
const LOCAL_X2APIC: u8 = 9;
/// Bytes of an override.
const OVERRIDE_SIZE: usize = 10;
/// Flag: the processor can be used.
const ENABLED: u32 = 1;

/// An I/O APIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoApic {
    /// Its number.
    pub id: u8,
    /// Where its registers are.
    pub address: u32,
    /// Its first line's number among all.
    pub base: u32,
}

/// An ISA interrupt that is not at the line of its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Override {
    /// Its number.
    pub irq: u8,
    /// Its line.
    pub gsi: u32,
    /// Polarity and trigger.
    pub flags: u16,
}

/// The structures of a MADT: kind and bytes. Ends where the table does, or where it is malformed.
fn structures(table: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = table.get(HEADER + FIXED..).unwrap_or(&[]);
    core::iter::from_fn(move || {
        let (kind, length) = (*rest.first()?, usize::from(*rest.get(1)?));
        // A structure without a length would be read for ever.
        let structure = rest.get(..length).filter(|_| length >= 2)?;
        rest = &rest[length..];
        Some((kind, structure))
    })
}

/// The numbers of the local APICs of processors that can be used, by the machine's MADT.
pub fn processors(table: &[u8]) -> Vec<u32> {
    let word = |b: &[u8], at: usize| {
        let bytes = b.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_le_bytes)
    };
    let read = |(kind, bytes): (u8, &[u8])| match kind {
        LOCAL if word(bytes, 4)? & ENABLED != 0 => Some(u32::from(bytes[3])),
        LOCAL_X2APIC if word(bytes, 8)? & ENABLED != 0 => word(bytes, 4),
        _ => None,
    };
    structures(table).filter_map(read).collect()
}

/// The overrides of the machine's MADT.
pub fn overrides(table: &[u8]) -> Vec<Override> {
    let read = |(kind, bytes): (u8, &[u8])| {
        if kind != OVERRIDE || bytes.len() < OVERRIDE_SIZE {
            return None;
        }
        Some(Override {
            irq: bytes[3],
            gsi: u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
            flags: u16::from_le_bytes([bytes[8], bytes[9]]),
        })
    };
    structures(table).filter_map(read).collect()
}

/// The I/O APICs of the machine's MADT.
pub fn io_apics(table: &[u8]) -> Vec<IoApic> {
    let word = |b: &[u8]| u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    let read = |(kind, bytes): (u8, &[u8])| {
        (kind == IO_APIC && bytes.len() >= 12).then(|| IoApic {
            id: bytes[2],
            address: word(&bytes[4..]),
            base: word(&bytes[8..]),
        })
    };
    structures(table).filter_map(read).collect()
}

/// Makes the table.
pub fn madt(maker: &Maker, vcpus: u32, io_apics: &[IoApic], overrides: &[Override]) -> Vec<u8> {
    let mut content = Vec::new();
    content.extend(LOCAL_APIC.to_le_bytes());
    // No 8259s that dom0 would have to mask.
    content.extend(0u32.to_le_bytes());
    for io_apic in io_apics {
        content.extend([IO_APIC, 12, io_apic.id, 0]);
        content.extend(io_apic.address.to_le_bytes());
        content.extend(io_apic.base.to_le_bytes());
    }
    for vcpu in 0..vcpus {
        content.extend([LOCAL_X2APIC, 16, 0, 0]);
        content.extend(apic_id(vcpu).to_le_bytes());
        content.extend(ENABLED.to_le_bytes());
        content.extend(vcpu.to_le_bytes());
    }
    for entry in overrides {
        content.extend([OVERRIDE, OVERRIDE_SIZE as u8, 0, entry.irq]);
        content.extend(entry.gsi.to_le_bytes());
        content.extend(entry.flags.to_le_bytes());
    }
    table(*b"APIC", REVISION, maker, &content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acpi::{is_valid, tests::MAKER};

    #[test]
    fn what_is_written_is_read() {
        let io = [IoApic {
            id: 2,
            address: 0xfec0_0000,
            base: 0,
        }];
        let overrides_made = [
            Override {
                irq: 0,
                gsi: 2,
                flags: 0,
            },
            Override {
                irq: 9,
                gsi: 9,
                flags: 0xd,
            },
        ];
        let made = madt(&MAKER, 3, &io, &overrides_made);
        assert!(is_valid(&made));
        assert_eq!(overrides(&made), overrides_made);
        assert_eq!(io_apics(&made), io);
        assert_eq!(processors(&made), [0, 2, 4]);
        let local: Vec<&[u8]> = structures(&made)
            .filter(|(kind, _)| *kind == LOCAL_X2APIC)
            .map(|(_, b)| b)
            .collect();
        assert_eq!(local.len(), 3);
        assert_eq!(local[2][4], 4, "the third vCPU's APIC");
    }

    #[test]
    fn a_structure_without_a_length_ends_the_table() {
        let mut made = madt(&MAKER, 1, &[], &[]);
        made.truncate(HEADER + FIXED);
        made.extend([OVERRIDE, 0, 0, 0]);
        assert!(overrides(&made).is_empty());
        assert!(overrides(&[]).is_empty());
        made.truncate(HEADER + FIXED);
        // Local APICs of 8 bits: one that can be used, one that cannot, one that is cut off.
        made.extend([LOCAL, 8, 0, 7, 1, 0, 0, 0, LOCAL, 8, 1, 9, 0, 0, 0, 0]);
        made.extend([LOCAL, 6, 0, 5, 1, 0]);
        assert_eq!(processors(&made), [7]);
    }
}
