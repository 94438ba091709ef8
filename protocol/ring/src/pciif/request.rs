// SPDX-License-Identifier: GPL-2.0

//! What a front end asks for.

use super::Address;
use xen_abi::io::pciif::{op, MAX_VECTORS};

/// Bytes in an access to configuration space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Width {
    /// 8 bits.
    Byte = 1,
    /// 16 bits.
    Word = 2,
    /// 32 bits.
    Dword = 4,
}

impl Width {
    /// The width of so many bytes, if there is one.
    pub fn of(bytes: u32) -> Option<Self> {
        [Self::Byte, Self::Word, Self::Dword]
            .into_iter()
            .find(|width| *width as u32 == bytes)
    }

    /// The bits a value of this width has.
    pub(super) fn mask(self) -> u32 {
        u32::MAX >> (32 - 8 * self as u32)
    }
}

/// A place in configuration space that an access of its width fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register {
    offset: u16,
    width: Width,
}

impl Register {
    /// Bytes of a function's configuration space, the extended part of PCI Express included.
    pub const SPACE: u16 = 4096;

    /// A register, if it is aligned to its width and in configuration space. `offset` is in bytes.
    pub fn new(offset: u32, width: Width) -> Option<Self> {
        let offset = u16::try_from(offset).ok()?;
        (offset < Self::SPACE && offset % width as u16 == 0).then_some(Self { offset, width })
    }

    /// Offset in bytes.
    pub fn offset(self) -> u16 {
        self.offset
    }

    /// Width of the access.
    pub fn width(self) -> Width {
        self.width
    }
}

/// An operation on a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Reads a register.
    Read(Register),
    /// Writes a register. Bits beyond its width are not sent.
    Write(Register, u32),
    /// Has the device interrupt by MSI, with one vector.
    EnableMsi,
    /// Undoes that.
    DisableMsi,
    /// Has the device interrupt by MSI-X, with a vector for each of these entries of its table.
    EnableMsix(&'a [u16]),
    /// Undoes that.
    DisableMsix,
}

impl Request<'_> {
    /// Whether the page can hold the operation: for MSI-X there have to be entries, and not too many.
    pub fn fits(&self) -> bool {
        match self {
            Request::EnableMsix(entries) => (1..=MAX_VECTORS).contains(&entries.len()),
            _ => true,
        }
    }

    pub(super) fn command(&self) -> u32 {
        match self {
            Request::Read(_) => op::CONF_READ,
            Request::Write(..) => op::CONF_WRITE,
            Request::EnableMsi => op::ENABLE_MSI,
            Request::DisableMsi => op::DISABLE_MSI,
            Request::EnableMsix(_) => op::ENABLE_MSIX,
            Request::DisableMsix => op::DISABLE_MSIX,
        }
    }

    /// The operation's words in the page, but for the vectors: command, error, domain, bus, function,
    /// offset, size, value, info.
    pub(super) fn words(&self, at: Address) -> [u32; 9] {
        let (offset, size, value) = match self {
            Request::Read(register) => (register.offset, register.width as u32, 0),
            Request::Write(register, value) => (
                register.offset,
                register.width as u32,
                value & register.width.mask(),
            ),
            Request::EnableMsix(entries) => (0, 0, entries.len() as u32),
            _ => (0, 0, 0),
        };
        [
            self.command(),
            0,
            at.root.domain.into(),
            at.root.bus.into(),
            at.devfn.into(),
            offset.into(),
            size,
            value,
            0,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_aligned_and_in_configuration_space() {
        for (offset, width, good) in [
            (0, Width::Dword, true),
            (4092, Width::Dword, true),
            (4094, Width::Word, true),
            (4095, Width::Byte, true),
            (4096, Width::Byte, false),
            (2, Width::Dword, false),
            (1, Width::Word, false),
            (u32::MAX, Width::Byte, false),
            (0x1_0000, Width::Dword, false),
        ] {
            assert_eq!(Register::new(offset, width).is_some(), good, "{offset}");
        }
    }

    #[test]
    fn a_width_is_one_two_or_four_bytes() {
        assert_eq!(Width::of(2), Some(Width::Word));
        for bytes in [0, 3, 5, 8, u32::MAX] {
            assert_eq!(Width::of(bytes), None);
        }
    }

    #[test]
    fn an_operation_has_one_to_128_vectors() {
        assert!(!Request::EnableMsix(&[]).fits());
        assert!(Request::EnableMsix(&[0; 128]).fits());
        assert!(!Request::EnableMsix(&[0; 129]).fits());
    }
}
