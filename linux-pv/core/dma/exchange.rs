// SPDX-License-Identifier: GPL-2.0

//! Exchanging memory for such that is contiguous in the machine: in which pieces, and below which address.

use core::ops::RangeInclusive;

/// Exchanges a pool piece by piece, as low in the machine as can be had.
///
/// `try_piece` is called with a piece's number and with how many bits its machine addresses may have; it says whether
/// the hypervisor had such memory. The first piece starts with the fewest bits there are; since a piece that was not
/// to be had so low means that later ones are not either, the number never goes down.
///
/// # Errors
///
/// What `try_piece` said last, if a piece was not to be had with the most bits either. Pieces before it stay exchanged.
pub fn exchange_pool<E>(
    pieces: u64,
    bits: RangeInclusive<u32>,
    mut try_piece: impl FnMut(u64, u32) -> Result<(), E>,
) -> Result<(), E> {
    let most = *bits.end();
    let mut now = *bits.start();
    for piece in 0..pieces {
        while let Err(error) = try_piece(piece, now) {
            if now >= most {
                return Err(error);
            }
            now += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn bits_grow_when_low_memory_is_gone() {
        let mut tried = Vec::new();
        // Three pieces below 2^20, any number below 2^22.
        let mut low = 3;
        let done = exchange_pool(5, 18..=32, |piece, bits| {
            tried.push((piece, bits));
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
        let done = exchange_pool(2, 18..=32, |piece, bits| {
            count += 1;
            if piece == 1 {
                return Err(bits);
            }
            Ok(())
        });
        assert_eq!((done, count), (Err(32), 1 + 15));
        assert_eq!(exchange_pool(0, 18..=32, |_, _| Err(())), Ok(()));
    }
}
