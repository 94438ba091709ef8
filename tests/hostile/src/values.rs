// SPDX-License-Identifier: GPL-2.0

//! What a node of the xenstore can hold that no honest backend writes.

use fastrand::Rng;

/// The longest value, in bytes: with the longest of our paths it still fits a message.
const MAX_VALUE: usize = 3500;

/// Numbers at which something begins or ends.
const LIMITS: [u64; 14] = [
    0,
    1,
    2,
    3,
    7,
    511,
    513,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_ffff,
];

/// A value for a node that should have a number.
pub fn malformed(rng: &mut Rng) -> Vec<u8> {
    match rng.u8(..12) {
        0..=4 => LIMITS[rng.usize(..LIMITS.len())].to_string().into_bytes(),
        5 => format!("-{}", rng.u32(..)).into_bytes(),
        6 => format!("{:#x}", rng.u64(..)).into_bytes(),
        7 => Vec::new(),
        8 => b"99999999999999999999999999".to_vec(),
        9 => format!(" {} {}\n", rng.u8(..), rng.u8(..)).into_bytes(),
        10 => vec![b'1'; rng.usize(1..MAX_VALUE)],
        _ => (0..rng.usize(1..64)).map(|_| rng.u8(1..)).collect(),
    }
}

/// Any state, even one that does not exist.
pub fn state(rng: &mut Rng) -> Vec<u8> {
    match rng.u8(..10) {
        0 => malformed(rng),
        1 => rng.u32(..).to_string().into_bytes(),
        _ => rng.u8(0..=9).to_string().into_bytes(),
    }
}
