// SPDX-License-Identifier: GPL-2.0

//! The MADT: what the firmware's has, and the one for dom0, with its vCPUs' local APICs, its I/O APICs and the
//! firmware's interrupt source overrides.

use super::{HEADER, Oem, table};
use crate::cpuid::apic_id;
use alloc::vec::Vec;

/// Address of the local APICs.
pub const LOCAL_APIC: u32 = 0xfee0_0000;
/// The revision whose structures are used (ACPI 6.1).
const REVISION: u8 = 4;
/// Bytes before the structures: address and flags.
const FIXED: usize = 8;

/// Types of structures.
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
    /// Its APIC id.
    pub id: u8,
    /// Physical address of its registers.
    pub address: u32,
    /// GSI of its first pin.
    pub gsi_base: u32,
}

/// An interrupt source override: an ISA IRQ whose GSI, trigger or polarity is not the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Override {
    /// The ISA IRQ.
    pub irq: u8,
    /// The GSI that it is connected to.
    pub gsi: u32,
    /// Polarity and trigger.
    pub flags: u16,
}

/// The structures of a MADT: type and bytes. Ends at the table's end, or where it is malformed.
fn structures(table: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = table.get(HEADER + FIXED..).unwrap_or(&[]);
    core::iter::from_fn(move || {
        let (structure_type, length) = (*rest.first()?, usize::from(*rest.get(1)?));
        // A structure of length 0 would be read for ever.
        let structure = rest.get(..length).filter(|_| length >= 2)?;
        rest = &rest[length..];
        Some((structure_type, structure))
    })
}

/// The APIC ids of the enabled processors of a MADT.
pub fn processors(table: &[u8]) -> Vec<u32> {
    let word = |b: &[u8], at: usize| {
        let bytes = b.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_le_bytes)
    };
    let read = |(structure_type, bytes): (u8, &[u8])| match structure_type {
        LOCAL if word(bytes, 4)? & ENABLED != 0 => Some(u32::from(bytes[3])),
        LOCAL_X2APIC if word(bytes, 8)? & ENABLED != 0 => word(bytes, 4),
        _ => None,
    };
    structures(table).filter_map(read).collect()
}

/// The interrupt source overrides of a MADT.
pub fn overrides(table: &[u8]) -> Vec<Override> {
    let read = |(structure_type, bytes): (u8, &[u8])| {
        if structure_type != OVERRIDE || bytes.len() < OVERRIDE_SIZE {
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

/// The I/O APICs of a MADT.
pub fn io_apics(table: &[u8]) -> Vec<IoApic> {
    let word = |b: &[u8]| u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    let read = |(structure_type, bytes): (u8, &[u8])| {
        (structure_type == IO_APIC && bytes.len() >= 12).then(|| IoApic {
            id: bytes[2],
            address: word(&bytes[4..]),
            gsi_base: word(&bytes[8..]),
        })
    };
    structures(table).filter_map(read).collect()
}

/// Builds the MADT for dom0.
pub fn madt(oem: &Oem, vcpus: u32, io_apics: &[IoApic], overrides: &[Override]) -> Vec<u8> {
    let mut content = Vec::new();
    content.extend(LOCAL_APIC.to_le_bytes());
    // No flags: there are no 8259s for dom0 to mask.
    content.extend(0u32.to_le_bytes());
    for io_apic in io_apics {
        content.extend([IO_APIC, 12, io_apic.id, 0]);
        content.extend(io_apic.address.to_le_bytes());
        content.extend(io_apic.gsi_base.to_le_bytes());
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
    table(*b"APIC", REVISION, oem, &content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acpi::{is_valid, tests::OEM};

    #[test]
    fn what_is_written_is_read() {
        let io = [IoApic {
            id: 2,
            address: 0xfec0_0000,
            gsi_base: 0,
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
        let made = madt(&OEM, 3, &io, &overrides_made);
        assert!(is_valid(&made));
        assert_eq!(overrides(&made), overrides_made);
        assert_eq!(io_apics(&made), io);
        assert_eq!(processors(&made), [0, 2, 4]);
        let local: Vec<&[u8]> = structures(&made)
            .filter(|(structure_type, _)| *structure_type == LOCAL_X2APIC)
            .map(|(_, b)| b)
            .collect();
        assert_eq!(local.len(), 3);
        assert_eq!(local[2][4], 4, "the third vCPU's APIC");
    }

    #[test]
    fn a_structure_without_a_length_ends_the_table() {
        let mut made = madt(&OEM, 1, &[], &[]);
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

    #[test]
    fn a_processor_that_is_not_enabled_is_none() {
        let mut made = madt(&OEM, 3, &[], &[]);
        // The second one's flags, behind its type, its length, two reserved bytes and its id.
        let flags = HEADER + FIXED + 16 + 8;
        assert_eq!(made[flags], 1);
        made[flags] = 2;
        assert_eq!(processors(&made), [0, 4]);
    }

    #[test]
    fn structures_shorter_than_their_types_are_left_out() {
        let io = [IoApic {
            id: 2,
            address: 0xfec0_0000,
            gsi_base: 24,
        }];
        let overrides_made = [Override {
            irq: 9,
            gsi: 20,
            flags: 0xf,
        }];
        let mut made = madt(&OEM, 0, &io, &overrides_made);
        made.extend([IO_APIC, 11].into_iter().chain([3; 9]));
        made.extend([OVERRIDE, 9].into_iter().chain([4; 7]));
        made.extend([LOCAL_X2APIC, 11].into_iter().chain([1; 9]));
        assert_eq!(io_apics(&made), io);
        assert_eq!(overrides(&made), overrides_made);
        assert!(processors(&made).is_empty());
    }
}
