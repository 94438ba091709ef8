// SPDX-License-Identifier: GPL-2.0

//! Exchanging memory for contiguous memory of the machine: which segments, below which address.

use core::ops::RangeInclusive;

/// Exchanges a pool segment by segment, for memory as low in the machine as the hypervisor has.
///
/// `try_segment` is called with the number of a segment and the width of its machine addresses in
/// bits. The first segment starts with the lower end of `bits`. The width never decreases: if the
/// hypervisor has no memory of a width for a segment, it has none for later segments.
///
/// # Errors
///
/// The last error of `try_segment`, if it failed with the upper end of `bits`. Segments before that
/// one stay exchanged.
pub fn exchange_pool<E>(
    segments: u64,
    bits: RangeInclusive<u32>,
    mut try_segment: impl FnMut(u64, u32) -> Result<(), E>,
) -> Result<(), E> {
    let max = *bits.end();
    let mut current = *bits.start();
    for segment in 0..segments {
        while let Err(error) = try_segment(segment, current) {
            if current >= max {
                return Err(error);
            }
            current += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn bits_grow_when_low_memory_is_gone() {
        let mut tried = Vec::new();
        // Three pieces below 2^20, any number below 2^22.
        let mut low = 3;
        let done = exchange_pool(5, 18..=32, |segment, bits| {
            tried.push((segment, bits));
            match bits {
                ..20 => Err(()),
                20..22 if low == 0 => Err(()),
                20..22 => {
                    low -= 1;
                    Ok(())
                }
                _ => Ok(()),
            }
        });
        assert!(done.is_ok());
        let expected = [
            (0, 18),
            (0, 19),
            (0, 20),
            (1, 20),
            (2, 20),
            (3, 20),
            (3, 21),
            (3, 22),
            (4, 22),
        ];
        assert_eq!(tried, expected);
    }

    #[test]
    fn what_cannot_be_had_ends_it() {
        let mut count = 0;
        let done = exchange_pool(2, 18..=32, |segment, bits| {
            count += 1;
            if segment == 1 {
                return Err(bits);
            }
            Ok(())
        });
        assert_eq!((done, count), (Err(32), 1 + 15));
        assert_eq!(exchange_pool(0, 18..=32, |_, _| Err(())), Ok(()));
    }
}
