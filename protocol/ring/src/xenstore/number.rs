// SPDX-License-Identifier: GPL-2.0

//! Numbers as they stand in nodes.
//!
//! Anyone with access to the node can write anything there. Linux reads it with `sscanf`, which
//! takes `12abc` for 12 and wraps what overflows; here a node is a number or it is not. White
//! space around it is allowed, as `xenstore-write` from a shell script may leave it.

/// Parses a decimal number.
pub fn decimal(text: &[u8]) -> Option<u64> {
    let text = trim(text);
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| {
        let digit = char::from(*byte).to_digit(10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

/// Parses a number as it stands in C's source, which is how `sscanf` reads it with `%i`:
/// hexadecimal after `0x`, octal after another leading zero, otherwise decimal.
pub fn integer(text: &[u8]) -> Option<u64> {
    let text = trim(text);
    let (digits, radix) = match text {
        [b'0', b'x' | b'X', digits @ ..] => (digits, 16),
        [b'0', digits @ ..] if !digits.is_empty() => (digits, 8),
        digits => (digits, 10),
    };
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, byte| {
        let digit = char::from(*byte).to_digit(radix)?;
        number.checked_mul(radix.into())?.checked_add(digit.into())
    })
}

fn trim(text: &[u8]) -> &[u8] {
    // A value read from the wire may carry the NUL some clients write.
    text.strip_suffix(b"\0").unwrap_or(text).trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_the_base_that_they_say() {
        let numbers: [(&[u8], u64); 7] = [
            (b"51712", 51712),
            (b"0xca00", 51712),
            (b" 0XCA00\n", 51712),
            (b"0145000", 51712),
            (b"0", 0),
            (b"00", 0),
            (b"0xffffffffffffffff", u64::MAX),
        ];
        for (text, number) in numbers {
            assert_eq!(integer(text), Some(number), "{text:?}");
        }
        let others: [&[u8]; 8] = [
            b"",
            b"0x",
            b"x10",
            b"08",
            b"-1",
            b"0xg",
            b"12abc",
            b"0x10000000000000000",
        ];
        for text in others {
            assert_eq!(integer(text), None, "{text:?}");
        }
    }

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
}
