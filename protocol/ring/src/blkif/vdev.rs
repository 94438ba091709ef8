// SPDX-License-Identifier: GPL-2.0

//! Virtual device numbers (`virtual-device`) and the Linux disks they become, as the manual page
//! `xen-vbd-interface(7)` lays down and Linux's blkfront does it.
//!
//! Three forms: `1 << 28 | disk << 8 | partition` (extended); Linux's major 202 with 16 minors a
//! disk; and the majors and minors of IDE and SCSI disks. All of them are named `xvd…` in the
//! guest and share one row of letters: `sdb`'s and `hdb`'s numbers both become `xvdb`.

use core::fmt;
use xen_abi::io::blkif::major;

/// Linux's major number for all of these disks (`XENVBD_MAJOR`).
pub const XENVBD_MAJOR: u32 = 202;

const EXTENDED: u32 = 1 << 28;
/// Minors of a disk with a number of the legacy forms.
const MINORS: u32 = 16;
/// Minors of a disk with an extended number.
const EXTENDED_MINORS: u32 = 256;
/// Linux's minor numbers have 20 bits (`MINORBITS`).
const MINOR_LIMIT: u32 = 1 << 20;

/// The place of a virtual device among the disks of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Its first minor number, below 2²⁰.
    pub first_minor: u32,
    /// How many minors it has: 16 or 256 for a disk, one for a device that is a partition.
    pub minors: u32,
    /// Number of the disk, which its letters come of.
    disk: u32,
    /// Number of the partition, if the device is one rather than a disk.
    partition: Option<u32>,
}

/// A number that places no device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadNumber {
    /// It has bits above the extended form's.
    AboveExtended,
    /// Its major number is none of a disk.
    UnknownMajor(u32),
    /// Its minor number exceeds what Linux has.
    MinorOutOfRange(u32),
}

impl fmt::Display for BadNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadNumber::AboveExtended => f.write_str("it is above the extended range"),
            BadNumber::UnknownMajor(major) => write!(f, "major {major} is not a disk's"),
            BadNumber::MinorOutOfRange(minor) => write!(f, "minor {minor:#x} is out of range"),
        }
    }
}

impl core::error::Error for BadNumber {}

impl Placement {
    /// The placement of a device, from its number in the xenstore (`virtual-device`).
    pub fn of(vdevice: u32) -> Result<Placement, BadNumber> {
        if vdevice >> 28 > 1 {
            return Err(BadNumber::AboveExtended);
        }
        let (minor, minors) = if vdevice & EXTENDED != 0 {
            (vdevice & !EXTENDED, EXTENDED_MINORS)
        } else {
            (legacy_minor(vdevice >> 8, vdevice & 0xff)?, MINORS)
        };
        if minor >= MINOR_LIMIT {
            return Err(BadNumber::MinorOutOfRange(minor));
        }
        let partition = minor % minors;
        Ok(Placement {
            first_minor: minor,
            minors: if partition == 0 { minors } else { 1 },
            disk: minor / minors,
            partition: (partition != 0).then_some(partition),
        })
    }

    /// The name of the disk, at most [`DiskName::MAX`] bytes.
    pub fn name(&self) -> DiskName {
        let mut name = DiskName {
            bytes: [0; DiskName::MAX],
            start: DiskName::MAX,
        };
        if let Some(partition) = self.partition {
            let mut rest = partition;
            while rest > 0 {
                name.prepend(b'0' + (rest % 10) as u8);
                rest /= 10;
            }
        }
        // Letters count like digits without a zero: z is followed by aa.
        let mut rest = self.disk;
        loop {
            name.prepend(b'a' + (rest % 26) as u8);
            rest = match (rest / 26).checked_sub(1) {
                Some(rest) => rest,
                None => break,
            };
        }
        for byte in b"xvd".iter().rev() {
            name.prepend(*byte);
        }
        name
    }
}

/// The minor under major 202 that a legacy number's device gets.
fn legacy_minor(major: u32, minor: u32) -> Result<u32, BadNumber> {
    // IDE has 64 minors a disk, `xvd` has 16, so the partition's number is dropped, as Linux does.
    // SCSI has 16 minors a disk and 16 disks a major.
    Ok(match major {
        XENVBD_MAJOR => minor,
        major::IDE0 => minor / 64 * MINORS,
        major::IDE1 => (minor / 64 + 2) * MINORS,
        major::SCSI_DISK0 => minor,
        major::SCSI_DISK1..=major::SCSI_DISK7 => minor + (major - major::SCSI_DISK1 + 1) * 256,
        major::SCSI_DISK8..=major::SCSI_DISK15 => minor + (major - major::SCSI_DISK8 + 8) * 256,
        _ => return Err(BadNumber::UnknownMajor(major)),
    })
}

/// A disk's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskName {
    bytes: [u8; DiskName::MAX],
    start: usize,
}

impl DiskName {
    /// Longest name in bytes: `xvd`, three letters for 4,096 disks, three digits. It fits Linux's
    /// `DISK_NAME_LEN` of 32.
    pub const MAX: usize = 9;

    /// The name, without a final NUL.
    pub fn as_str(&self) -> &str {
        let used = self.bytes.get(self.start..).unwrap_or(&[]);
        core::str::from_utf8(used).unwrap_or("")
    }

    fn prepend(&mut self, byte: u8) {
        self.start = self.start.saturating_sub(1);
        if let Some(place) = self.bytes.get_mut(self.start) {
            *place = byte;
        }
    }
}

impl fmt::Display for DiskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::string::{String, ToString};

    fn placed(vdevice: u32) -> (String, u32, u32) {
        let placement = Placement::of(vdevice).expect("a device");
        let name = placement.name().to_string();
        (name, placement.first_minor, placement.minors)
    }

    #[test]
    fn names_are_those_of_the_manual_page() {
        // xen-vbd-interface(7), and what xl and blkfront make of them.
        let expected = [
            (202 << 8, "xvda", 0, 16),
            (202 << 8 | 15 << 4 | 15, "xvdp15", 255, 1),
            (202 << 8 | 1, "xvda1", 1, 1),
            (1 << 28 | 16 << 8, "xvdq", 4096, 256),
            (1 << 28 | 25 << 8 | 5, "xvdz5", 6405, 1),
            (1 << 28 | 26 << 8, "xvdaa", 6656, 256),
            (1 << 28 | 702 << 8, "xvdaaa", 179_712, 256),
            (8 << 8, "xvda", 0, 16),
            (8 << 8 | 15 << 4 | 3, "xvdp3", 243, 1),
            (65 << 8, "xvdq", 256, 16),
            (71 << 8 | 15 << 4, "xvddx", 2032, 16),
            (128 << 8, "xvddy", 2048, 16),
            (135 << 8 | 15 << 4, "xvdiv", 4080, 16),
            (3 << 8, "xvda", 0, 16),
            (3 << 8 | 64, "xvdb", 16, 16),
            (22 << 8, "xvdc", 32, 16),
            (22 << 8 | 64, "xvdd", 48, 16),
        ];
        for (vdevice, name, minor, minors) in expected {
            assert_eq!(
                placed(vdevice),
                (name.to_string(), minor, minors),
                "{vdevice:#x}"
            );
        }
    }

    #[test]
    fn numbers_that_place_nothing_are_refused() {
        assert_eq!(Placement::of(1 << 29), Err(BadNumber::AboveExtended));
        assert_eq!(Placement::of(u32::MAX), Err(BadNumber::AboveExtended));
        assert_eq!(Placement::of(0), Err(BadNumber::UnknownMajor(0)));
        assert_eq!(Placement::of(72 << 8), Err(BadNumber::UnknownMajor(72)));
        let beyond = 1 << 20;
        assert_eq!(
            Placement::of(1 << 28 | beyond),
            Err(BadNumber::MinorOutOfRange(beyond))
        );
    }

    #[test]
    fn every_extended_number_has_a_name_of_its_own() {
        let mut seen = BTreeMap::new();
        for minor in 0..MINOR_LIMIT {
            let (name, first_minor, minors) = placed(EXTENDED | minor);
            assert_eq!(first_minor, minor);
            let whole = name.ends_with(|c: char| c.is_ascii_lowercase());
            assert_eq!(minors, if whole { 256 } else { 1 });
            if let Some(other) = seen.insert(name, minor) {
                panic!("minors {minor} and {other} share a name");
            }
        }
    }
}
