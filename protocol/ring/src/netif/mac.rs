// SPDX-License-Identifier: GPL-2.0

//! The interface's Ethernet address, as the node `mac` has it: six bytes in hexadecimal with
//! colons between.
//!
//! C's netfront takes `1234:…` for `34:…` and anything that `strtoul` knows how to skip, and an
//! address that no interface can have is refused by the network stack only when the interface is
//! brought up, with an error that names no cause. Here it is one or two digits a byte, and such an
//! address is refused with the cause.

use super::ETH_ALEN;
use core::fmt;

/// Why a text is not the address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadMac {
    /// It is not six bytes in hexadecimal with colons between.
    Form,
    /// It is all zeroes.
    Zero,
    /// It is the address of a group.
    Multicast,
}

impl fmt::Display for BadMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadMac::Form => "it is not of the form 00:16:3e:xx:xx:xx",
            BadMac::Zero => "it is all zeroes",
            BadMac::Multicast => "it is a multicast address: the first byte is odd",
        })
    }
}

impl core::error::Error for BadMac {}

/// Parses an address. White space around it is allowed, and the NUL some clients write.
pub fn parse(text: &[u8]) -> Result<[u8; ETH_ALEN], BadMac> {
    let text = text.strip_suffix(b"\0").unwrap_or(text).trim_ascii();
    let mut parts = text.split(|byte| *byte == b':');
    let mut address = [0; ETH_ALEN];
    for byte in &mut address {
        *byte = parts.next().and_then(hexadecimal).ok_or(BadMac::Form)?;
    }
    match address {
        _ if parts.next().is_some() => Err(BadMac::Form),
        [first, ..] if first & 1 != 0 => Err(BadMac::Multicast),
        [0, 0, 0, 0, 0, 0] => Err(BadMac::Zero),
        _ => Ok(address),
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    if !(1..=2).contains(&digits.len()) {
        return None;
    }
    digits.iter().try_fold(0u8, |byte, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(byte.wrapping_mul(16).wrapping_add(digit as u8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_six_bytes_with_colons_between() {
        let address = [0x00, 0x16, 0x3e, 0x0a, 0xbc, 0xde];
        let texts: [&[u8]; 4] = [
            b"00:16:3e:0a:bc:de",
            b"0:16:3E:a:BC:De",
            b" 00:16:3e:0a:bc:de\n",
            b"00:16:3e:0a:bc:de\0",
        ];
        for text in texts {
            assert_eq!(parse(text), Ok(address));
        }
        let others: [&[u8]; 11] = [
            b"",
            b"00:16:3e:0a:bc",
            b"00:16:3e:0a:bc:",
            b"00:16:3e:0a:bc:de:",
            b"00:16:3e:0a:bc:de:f0",
            b"00:16:3e:0a:bc:def",
            b"00:16:3e:0a:bc:+e",
            b"00:16:3e:0a:bc:0x1",
            b"00:16:3e:0a::de",
            b"00-16-3e-0a-bc-de",
            b"00:16:3e:0a:bc:g0",
        ];
        for text in others {
            assert_eq!(parse(text), Err(BadMac::Form), "{text:?}");
        }
    }

    #[test]
    fn an_address_that_no_interface_can_have_is_refused_with_the_cause() {
        assert_eq!(parse(b"00:00:00:00:00:00"), Err(BadMac::Zero));
        assert_eq!(parse(b"01:00:5e:00:00:01"), Err(BadMac::Multicast));
        assert_eq!(parse(b"ff:ff:ff:ff:ff:ff"), Err(BadMac::Multicast));
    }
}
