// SPDX-License-Identifier: GPL-2.0

//! Where a function is, and how the back end writes that in the xenstore.

use core::fmt;

/// A root bus: PCI domain (segment) and bus number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Root {
    /// The PCI domain.
    pub domain: u16,
    /// The bus.
    pub bus: u8,
}

impl Root {
    /// Parses a value of `root-N`: `0000:00`, both numbers hexadecimal.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut fields = text.split(|byte| *byte == b':');
        let domain = hex(fields.next()?, u16::MAX.into())?;
        let bus = hex(fields.next()?, u8::MAX.into())?;
        fields.next().is_none().then_some(Self {
            domain: domain as u16,
            bus: bus as u8,
        })
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}", self.domain, self.bus)
    }
}

/// A function of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The bus it is on.
    pub root: Root,
    /// Device number in the upper five bits, function in the lower three.
    pub devfn: u8,
}

impl Address {
    /// Parses a value of `vdev-N`: `0000:00:03.0` or, as Linux's back end writes it, `0000:00:03.00`, all
    /// numbers hexadecimal.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let dot = text.iter().rposition(|byte| *byte == b'.')?;
        let (rest, function) = (text.get(..dot)?, text.get(dot.wrapping_add(1)..)?);
        let colon = rest.iter().rposition(|byte| *byte == b':')?;
        let (root, slot) = (rest.get(..colon)?, rest.get(colon.wrapping_add(1)..)?);
        let slot = hex(slot, 0x1f)?;
        let function = hex(function, 7)?;
        Some(Self {
            root: Root::parse(root)?,
            devfn: (slot << 3 | function) as u8,
        })
    }

    /// The numbers of an operation, if they are ones of a function.
    pub(super) fn from_numbers(domain: u32, bus: u32, devfn: u32) -> Option<Self> {
        Some(Self {
            root: Root {
                domain: domain.try_into().ok()?,
                bus: bus.try_into().ok()?,
            },
            devfn: devfn.try_into().ok()?,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (slot, function) = (self.devfn >> 3, self.devfn & 7);
        write!(f, "{}:{slot:02x}.{function:x}", self.root)
    }
}

/// One to eight hexadecimal digits and nothing else, up to `max`.
fn hex(digits: &[u8], max: u32) -> Option<u32> {
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let mut number = 0_u32;
    for digit in digits {
        let value = char::from(*digit).to_digit(16)?;
        number = number.wrapping_shl(4) | value;
    }
    (number <= max).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn roots_are_what_linux_writes() {
        let root = Root { domain: 0, bus: 0 };
        assert_eq!(Root::parse(b"0000:00"), Some(root));
        let root = Root::parse(b"1a2b:c3").expect("a root");
        assert_eq!((root.domain, root.bus), (0x1a2b, 0xc3));
        assert_eq!(root.to_string(), "1a2b:c3");
    }

    #[test]
    fn anything_else_is_no_root() {
        for bad in [
            "", ":", "0:", ":0", "0", "10000:0", "0:100", "0:0:0", "0:0 ", "-1:0", "g:0",
        ] {
            assert_eq!(Root::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn functions_are_read_in_both_spellings() {
        for text in ["0000:00:03.1", "0000:00:03.01", "0:0:3.1"] {
            let at = Address::parse(text.as_bytes()).expect("a function");
            assert_eq!(at.devfn, 0x19);
            assert_eq!(at.to_string(), "0000:00:03.1");
        }
        let last = Address::parse(b"ffff:ff:1f.7").expect("a function");
        assert_eq!(last.devfn, 0xff);
    }

    #[test]
    fn anything_else_is_no_function() {
        for bad in [
            "",
            "0000:00:03",
            "0:0:20.0",
            "0:0:0.8",
            "0:0.0",
            "0:0:0:0.0",
            "0:0:0.0\0",
        ] {
            assert_eq!(Address::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn numbers_that_are_none_of_a_function_are_refused() {
        assert!(Address::from_numbers(0xffff, 0xff, 0xff).is_some());
        for (domain, bus, devfn) in [(0x1_0000, 0, 0), (0, 0x100, 0), (0, 0, 0x100)] {
            assert_eq!(Address::from_numbers(domain, bus, devfn), None);
        }
    }
}
