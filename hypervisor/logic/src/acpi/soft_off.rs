// SPDX-License-Identifier: GPL-2.0

//! How the machine is turned off: the sleep types of S5, which the DSDT has in its object `_S5` (ACPI 6.5, 7.4.2). Without
//! an interpreter of AML only a literal package is found, which is what firmware writes there.

/// Opcodes of AML (ACPI 6.5, 20.3).
const ZERO: u8 = 0x00;
const ONE: u8 = 0x01;
const NAME: u8 = 0x08;
const BYTE_PREFIX: u8 = 0x0a;
const PACKAGE: u8 = 0x12;
const ROOT: u8 = b'\\';

/// Sleep types of S5 for the two power control registers: bits 12 to 10 of what is written there.
pub fn sleep_types(dsdt: &[u8]) -> Option<[u8; 2]> {
    let name = b"_S5_";
    let places = dsdt.windows(name.len()).enumerate();
    places
        .filter(|(_, window)| window == name)
        .find_map(|(at, _)| {
            let is_defined = matches!(dsdt[..at], [.., NAME] | [.., NAME, ROOT]);
            is_defined.then(|| package(&dsdt[at + name.len()..]))?
        })
}

/// The first two elements of a package of small numbers.
fn package(aml: &[u8]) -> Option<[u8; 2]> {
    let (&PACKAGE, rest) = aml.split_first()? else {
        return None;
    };
    // The two highest bits of the length's first byte say how many follow.
    let more = usize::from(*rest.first()? >> 6);
    let (&count, mut rest) = rest.get(1 + more..)?.split_first()?;
    let mut number = || {
        let (&code, after) = rest.split_first()?;
        let (value, after) = match code {
            ZERO | ONE => (code, after),
            BYTE_PREFIX => after.split_first().map(|(value, after)| (*value, after))?,
            _ => return None,
        };
        rest = after;
        (value < 8).then_some(value)
    };
    match count {
        0 => None,
        // Both registers get the same.
        1 => number().map(|value| [value; 2]),
        _ => Some([number()?, number()?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packages_of_firmware_are_read() {
        // QEMU's q35: Name (_S5, Package (4) { Zero, Zero, Zero, Zero }), with the root's prefix.
        let q35 = b"\x08_S4_\x12\x06\x04\x02\x02\0\0\x08\\_S5_\x12\x06\x04\0\0\0\0";
        assert_eq!(sleep_types(q35), Some([0, 0]));
        let laptop = b"junk_S5_\x08_S5_\x12\x40\x01\x04\x0a\x07\x0a\x05\0\0";
        assert_eq!(sleep_types(laptop), Some([7, 5]));
        assert_eq!(sleep_types(b"\x08_S5_\x12\x03\x01\x01"), Some([1, 1]));
    }

    #[test]
    fn what_is_no_package_of_sleep_types_is_not_used() {
        for aml in [
            &b"_S5_\x12\x06\x04\0\0\0\0"[..],
            b"\x08_S5_\x0a\x05",
            b"\x08_S5_\x12\x06\x04\x0a\x08\0\0\0",
            b"\x08_S5_\x12\x06\x04\0",
            b"\x08_S5_\x12\x02\0",
        ] {
            assert_eq!(sleep_types(aml), None, "{aml:02x?}");
        }
    }

    proptest! {
        #[test]
        fn no_table_panics(before in any::<[u8; 2]>(), after in proptest::collection::vec(any::<u8>(), 0..12)) {
            sleep_types(&[&before[..], b"\x08_S5_", &after].concat());
        }
    }
}
