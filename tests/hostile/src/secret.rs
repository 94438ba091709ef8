// SPDX-License-Identifier: GPL-2.0

//! What the guest's memory is full of and no backend may see: the [load](crate::load) in the guest fills memory with it and
//! frees it again, and backends look for it in pages that were granted to them.

use std::io;

use crate::device::{Mapping, PAGE};
use crate::finding::finding;

/// The pattern. It occurs nowhere else.
pub const SECRET: [u8; 16] = *b"nobody's to see\0";

/// Fills memory with the pattern.
pub fn fill(memory: &mut [u8]) {
    for piece in memory.chunks_mut(SECRET.len()) {
        piece.copy_from_slice(&SECRET[..piece.len()]);
    }
}

/// Whether the pattern is somewhere in these bytes.
pub fn is_in(bytes: &[u8]) -> bool {
    bytes.windows(SECRET.len()).any(|window| window == SECRET)
}

/// Looks for the pattern in pages that were granted.
///
/// # Errors
///
/// A finding that `what` shows it.
pub fn look_for(mapping: &Mapping, what: &str) -> io::Result<()> {
    let is_shown = (0..mapping.pages()).any(|page| {
        let bytes: [u8; PAGE] = mapping.read_page(page);
        // Most pages have nothing that begins like it.
        bytes.contains(&SECRET[0]) && is_in(&bytes)
    });
    match is_shown {
        true => Err(finding(format!(
            "{what} shows what was in the guest's memory before"
        ))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_is_found_wherever_it_is() {
        let mut memory = [0; 100];
        assert!(!is_in(&memory));
        memory[77..77 + 16].copy_from_slice(&SECRET);
        assert!(is_in(&memory));
        fill(&mut memory);
        assert!(is_in(&memory[3..40]) && !is_in(&memory[3..18]));
    }
}
