// SPDX-License-Identifier: GPL-2.0

//! Memory that has held the [secret] and is free again.

use std::thread::sleep;
use std::time::Duration;

use crate::secret;

/// Bytes at a time.
const PIECE: usize = 4 << 20;

/// Fills memory with the secret, gives it back, and begins again.
pub fn fill_for_ever() {
    loop {
        let mut memory = vec![0; PIECE];
        secret::fill(&mut memory);
        drop(std::hint::black_box(memory));
        sleep(Duration::from_millis(500));
    }
}
