// SPDX-License-Identifier: GPL-2.0

//! Where the guest points hypercalls at. Its page tables map all memory below 4 GiB at its own address, and this window:
//!
//! | pages | what |
//! |---|---|
//! | 0, 1 | memory that can only be read |
//! | 2 to 13 | memory |
//! | 14 and 15 | nothing |
//! | 16 | a frame with the hypervisor's code |
//! | 17 | a frame that is no memory |
//!
//! An address shortly before a change is a straddling one. Nothing else of the guest's is ever pointed at, so what
//! hypercalls write does not change the guest.

use crate::random::Random;

/// Where the window begins.
pub const START: u64 = 0x40_0000_0000;
/// Bytes in a page.
pub const PAGE: u64 = 4096;
/// Pages that can only be read, at the window's start.
pub const READ_ONLY: u64 = 2;
/// Pages with memory.
pub const MEMORY: u64 = 14;
/// The page with the hypervisor's code.
pub const HYPERVISORS: u64 = 16;
/// The page that is no memory.
pub const NOTHING: u64 = 17;
/// Pages in all.
pub const PAGES: u64 = 18;

/// The frame of the hypervisor's code: it is loaded at 2 MiB (hypervisor.ld).
pub const HYPERVISORS_FRAME: u64 = 0x200;
/// A frame that no machine has memory at: below the firmware.
pub const NO_FRAME: u64 = 0xfe00_0000 >> 12;

/// What pointers and frame numbers are made of.
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
        page(READ_ONLY) + random.below(span) / 8 * 8
    }

    /// An address with which something is wrong, sooner or later.
    pub fn bad(random: &mut Random) -> u64 {
        let near = 1 + random.below(64);
        match random.below(9) {
            0 => near,
            // Across the end of what can be read, or written to.
            1 => page(MEMORY) - near,
            2 => page(READ_ONLY) - near,
            3 => page(random.below(READ_ONLY)) + random.below(PAGE),
            4 => page(MEMORY) + random.below(2 * PAGE),
            5 => page(HYPERVISORS) + random.below(PAGE),
            6 => page(NOTHING) + random.below(PAGE),
            // Not canonical, and the last ones there are.
            7 => 0x8000_0000_0000 | random.next() >> 17,
            _ => u64::MAX - near,
        }
    }

    /// A frame number: of the window, the hypervisor's, nobody's, or far beyond.
    pub fn frame(&self, random: &mut Random) -> u64 {
        match random.below(8) {
            0..=3 => self.first_frame + random.below(MEMORY),
            4 => HYPERVISORS_FRAME + random.below(64),
            5 => self.frames - 1 - random.below(256),
            6 => NO_FRAME,
            _ => random.next() | 1 << 40,
        }
    }

    /// A number that might mean something.
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
