// SPDX-License-Identifier: GPL-2.0

//! Addresses and frame numbers for hypercalls. The guest's page tables map all memory below 4 GiB at its own address,
//! and this window:
//!
//! | pages | what |
//! |---|---|
//! | 0, 1 | read-only memory |
//! | 2 to 13 | memory |
//! | 14 and 15 | not mapped |
//! | 16 | a frame with the hypervisor's code |
//! | 17 | a frame without RAM |
//!
//! An address shortly before a boundary is straddling. Arguments never point to other memory of the guest, so
//! hypercalls do not change the guest itself. Nor do they name its frames: so no words of the window are read across each
//! other, as 0x13 behind the high byte of another word, a zero, would be frame 0x1300.

use crate::random::Random;

/// Address of the window.
pub const START: u64 = 0x40_0000_0000;
/// Bytes in a page.
pub const PAGE: u64 = 4096;
/// Bytes in a word.
const WORD: u64 = 8;
/// Number of read-only pages at the window's start.
pub const READ_ONLY: u64 = 2;
/// Number of pages with RAM, read-only ones included.
pub const MEMORY: u64 = 14;
/// The page with the hypervisor's code.
pub const HYPERVISORS: u64 = 16;
/// The page without RAM.
pub const NOTHING: u64 = 17;
/// Pages in all.
pub const PAGES: u64 = 18;

/// The frame of the hypervisor's code: it is loaded at 2 MiB (hypervisor.ld).
pub const HYPERVISORS_FRAME: u64 = 0x200;
/// A frame without RAM on any machine: below the firmware.
pub const NO_FRAME: u64 = 0xfe00_0000 >> 12;

/// The parameters of the window.
#[derive(Clone, Copy, Debug)]
pub struct Scratch {
    /// The first frame of the window's memory; the others follow.
    pub first_frame: u64,
    /// The machine's memory, in frames: the last ones are the hypervisor's.
    pub frames: u64,
}

/// The address of a page of the window.
pub const fn page(index: u64) -> u64 {
    START + index * PAGE
}

impl Scratch {
    /// An address in memory that can be written to, with room for `room` bytes behind it.
    pub fn good(random: &mut Random, room: u64) -> u64 {
        let span = (MEMORY - READ_ONLY) * PAGE - room;
        page(READ_ONLY) + random.below(span) / WORD * WORD
    }

    /// An invalid address, or one that becomes invalid within the argument. If whole words can be read from it, it is
    /// aligned.
    pub fn bad(random: &mut Random) -> u64 {
        let near = 1 + random.below(64);
        let words = near.next_multiple_of(WORD);
        match random.below(10) {
            0 => near,
            // Across the end of readable or of writable memory.
            1 => page(MEMORY) - words,
            2 => page(MEMORY) - near % WORD,
            3 => page(READ_ONLY) - words,
            4 => page(random.below(READ_ONLY)) + random.below(PAGE) / WORD * WORD,
            5 => page(MEMORY) + random.below(2 * PAGE),
            6 => page(HYPERVISORS) + random.below(PAGE),
            7 => page(NOTHING) + random.below(PAGE),
            // Non-canonical ones, and the last ones of the address space.
            8 => 0x8000_0000_0000 | random.next() >> 17,
            _ => u64::MAX - near,
        }
    }

    /// A frame number: of the window, of the hypervisor, without RAM, or out of range.
    pub fn frame(&self, random: &mut Random) -> u64 {
        match random.below(8) {
            0..=3 => self.first_frame + random.below(MEMORY),
            4 => HYPERVISORS_FRAME + random.below(64),
            5 => self.frames - 1 - random.below(256),
            6 => NO_FRAME,
            _ => random.next() | 1 << 40,
        }
    }

    /// A plausible number for an argument.
    pub fn value(&self, random: &mut Random) -> u64 {
        match random.below(16) {
            0..=4 => random.below(33),
            5 | 6 => Self::good(random, 8),
            7 | 8 => Self::bad(random),
            9 | 10 => self.frame(random),
            // DOMID_SELF and what follows it.
            11 => 0x7ff0 + random.below(6),
            12 => 1 << random.below(64),
            13 => (random.below(33)).wrapping_neg(),
            // Below 2 GiB would be the guest's own memory.
            14 => random.next() >> 32 | 1 << 31,
            _ => random.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_addresses_are_memory_and_bad_ones_are_not_written_to() {
        let mut random = Random::new(3);
        let memory = page(READ_ONLY)..page(MEMORY);
        for _ in 0..10_000 {
            let good = Scratch::good(&mut random, 64);
            assert!(memory.contains(&good) && memory.contains(&(good + 63)));
            let bad = Scratch::bad(&mut random);
            // Those that begin in memory end outside.
            assert!(
                !memory.contains(&bad) || bad >= page(MEMORY) - 64,
                "{bad:#x}"
            );
            let readable = page(0)..page(MEMORY) - (WORD - 1);
            assert!(
                !readable.contains(&bad) || bad % WORD == 0,
                "words are read across each other at {bad:#x}"
            );
        }
    }

    #[test]
    fn frames_are_never_the_guests_own() {
        let scratch = Scratch {
            first_frame: 0x1380,
            frames: 0x4_0000,
        };
        let own = 0x1300..0x1380;
        let mut random = Random::new(4);
        for _ in 0..100_000 {
            assert!(!own.contains(&scratch.frame(&mut random)));
        }
        // A power of two is no address of the guest's either.
        assert!(
            (0..64).all(|bit| !own.contains(&(1u64 << bit)) && !own.contains(&(1 << bit >> 12)))
        );
    }
}
