// SPDX-License-Identifier: GPL-2.0

//! Numbers as they stand in nodes.
//!
//! Anyone with access to the node can write anything there. Linux reads it with `sscanf`, which
//! takes `12abc` for 12 and wraps what overflows; here a node is a number or it is not. White
//! space around it is allowed, as `xenstore-write` from a shell script may leave it.

/// Parses a decimal number.
pub fn decimal(text: &[u8]) -> Option<u64> {
    digits(trim(text), 10)
}

/// Parses a number the way C's `%i` does: hexadecimal after `0x`, octal after `0`, else decimal.
/// `virtual-device` is one. No sign is allowed.
pub fn integer(text: &[u8]) -> Option<u64> {
    match trim(text) {
        [b'0', b'x' | b'X', hex @ ..] => digits(hex, 16),
        [b'0', octal @ ..] if !octal.is_empty() => digits(octal, 8),
        decimal => digits(decimal, 10),
    }
}

fn trim(text: &[u8]) -> &[u8] {
    // A value read from the wire may carry the NUL some clients write.
    text.strip_suffix(b"\0").unwrap_or(text).trim_ascii()
}

fn digits(text: &[u8], radix: u32) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| {
        let digit = char::from(*byte).to_digit(radix)?;
        number.checked_mul(radix.into())?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_a_number_or_it_is_not() {
        let numbers: [(&[u8], u64); 5] = [
            (b"0", 0),
            (b"007", 7),
            (b" 42\n", 42),
            (b"51712\0", 51712),
            (b"18446744073709551615", u64::MAX),
        ];
        for (text, number) in numbers {
            assert_eq!(decimal(text), Some(number));
        }
        let others: [&[u8]; 9] = [
            b"",
            b" ",
            b"\0",
            b"-1",
            b"+1",
            b"12abc",
            b"0x10",
            b"1 2",
            b"18446744073709551616",
        ];
        for text in others {
            assert_eq!(decimal(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_integer_may_be_hexadecimal_or_octal() {
        assert_eq!(integer(b"51712"), Some(51712));
        assert_eq!(integer(b"0xca00"), Some(51712));
        assert_eq!(integer(b"0145000"), Some(51712));
        assert_eq!(integer(b"0"), Some(0));
        assert_eq!(integer(b"0x"), None);
        assert_eq!(integer(b"08"), None);
        assert_eq!(integer(b"0x10000000000000000"), None);
    }
}
