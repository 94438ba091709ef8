// SPDX-License-Identifier: GPL-2.0

//! Walks in every paging mode, compared with what AMD's manual says (volume 2, chapter 5), written down again.

use super::*;
use proptest::prelude::*;

/// What the manual says of a walk through one entry a level, topmost first: the result, and the entries afterwards.
fn expected(
    mode: PagingMode,
    entries: &[u64],
    address: u64,
    access: Access,
    write_protect: bool,
) -> (Result<u64, WalkFault>, Vec<u64>) {
    let mut after = entries.to_vec();
    let (mut writable, mut user) = (true, true);
    let levels = entries.len();
    for (index, &entry) in entries.iter().enumerate() {
        let has = |bit: u32| entry >> bit & 1 != 0;
        let level = levels - index;
        if !has(0) {
            return (Err(WalkFault::NotMapped), after);
        }
        let offset_bits = match (mode, level) {
            (_, 1) => Some(12),
            (PagingMode::Legacy { large_pages: true }, 2) if has(7) => Some(22),
            (PagingMode::Pae | PagingMode::Long { .. }, 2) if has(7) => Some(21),
            (PagingMode::Long { .. }, 3) if has(7) => Some(30),
            _ => None,
        };
        let pointer = mode == PagingMode::Pae && level == 3;
        let reserved = match mode {
            PagingMode::Pae if pointer => [1, 2, 6, 7, 8].into_iter().any(has),
            PagingMode::Long { .. } => level > 3 && has(7),
            PagingMode::Legacy { .. } => offset_bits == Some(22) && has(21),
            _ => false,
        };
        if reserved {
            return (Err(WalkFault::Reserved), after);
        }
        if !pointer {
            writable &= has(1);
            user &= has(2);
        }
        if let Some(bits) = offset_bits {
            let refused_write = access.write && !writable && (access.user || write_protect);
            if access.user && !user || access.smap && user || refused_write {
                return (Err(WalkFault::Forbidden), after);
            }
            after[index] |= 1 << 5 | u64::from(access.write) << 6;
            let frame = match (mode, bits) {
                (PagingMode::Legacy { .. }, 22) => entry & 0xffc0_0000 | (entry >> 13 & 0xff) << 32,
                _ => entry >> bits << bits,
            };
            return (Ok(frame | address % (1 << bits)), after);
        }
        if !pointer {
            after[index] |= 1 << 5;
        }
    }
    unreachable!("the last level maps a page")
}

proptest! {
    #[test]
    fn every_mode_walks_as_the_manual_says(
        mode in prop::sample::select(std::vec![
            PagingMode::Legacy { large_pages: false },
            PagingMode::Legacy { large_pages: true },
            PagingMode::Pae,
            PagingMode::Long { levels: 4 },
            PagingMode::Long { levels: 5 },
        ]),
        linear: u64,
        flags in prop::collection::vec((0u64..0x200, 0..8u8, 0..4u8), 5),
        frames in prop::collection::vec(1u64..0xf_ffff, 5),
        (write, user, smap, write_protect) in any::<(bool, bool, bool, bool)>(),
    ) {
        let (levels, index_bits, size) = match mode {
            PagingMode::Legacy { .. } => (2, 10, 4),
            PagingMode::Pae => (3, 9, 8),
            PagingMode::Long { levels } => (usize::from(levels), 9, 8),
            PagingMode::Unpaged => unreachable!("it has no tables"),
        };
        // A canonical address; the other modes ignore the upper half.
        let (address, used) = match mode {
            PagingMode::Long { .. } => {
                let unused = 64 - 12 - 9 * levels as u32;
                let address = (((linear << unused) as i64) >> unused) as u64;
                (address, address)
            }
            _ => (linear, linear & 0xffff_ffff),
        };
        // Entries are present, and may be used, in most cases: else no walk would come far.
        let entries: Vec<u64> = (0..levels)
            .map(|index| {
                let (bits, present, plain) = flags[index];
                let bits = bits & !1 | u64::from(present != 0);
                let plain = match plain {
                    0 => bits,
                    _ if mode == PagingMode::Pae && index == 0 => bits & 0x39,
                    _ => bits & !(1 << 7) | 0b110,
                };
                frames[index] << 12 | plain
            })
            .collect();
        let cr3 = 0x5000;
        let mut words = Words::default();
        let mut places = Vec::new();
        let mut table = cr3;
        for (index, &entry) in entries.iter().enumerate() {
            let shift = 12 + index_bits * (levels - index - 1) as u32;
            let place = table + (used >> shift) % (1 << index_bits) * size;
            places.push(place);
            words.0.insert(place, entry);
            table = entry >> 12 << 12;
        }
        // Tables that lie in each other would be another test.
        let mut distinct = places.clone();
        distinct.sort_unstable();
        distinct.dedup();
        prop_assume!(distinct.len() == levels);
        let paging = Paging { cr3, mode, write_protect };
        let access = Access { write, user, smap: smap && !user };
        let (result, after) = expected(mode, &entries, used, access, write_protect);
        prop_assert_eq!(walk(&paging, address, access, &mut words), result);
        for (place, entry) in places.into_iter().zip(after) {
            prop_assert_eq!(words.0[&place], entry);
        }
    }
}
