// SPDX-License-Identifier: GPL-2.0

//! INS and OUTS that are tried, and their expected results.

use crate::random::Random;
use crate::scratch::{HYPERVISORS, MEMORY, PAGE, READ_ONLY, page};

/// An INS or OUTS instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortString {
    /// The port.
    pub port: u16,
    /// Bytes of an element.
    pub size: u32,
    /// It is INS.
    pub input: bool,
    /// It has a REP prefix.
    pub repeated: bool,
    /// Addresses go down (RFLAGS.DF).
    pub down: bool,
    /// Number of elements, with REP.
    pub count: u64,
    /// Address of the first element.
    pub address: u64,
}

/// Ports that the hypervisor intercepts: they read as ones, and writes are ignored. Of the interrupt controllers, the
/// PIT, the console.
const INTERCEPTED: [u16; 6] = [0x21, 0xa1, 0x4d0, 0x40, 0x3f8, 0x3fd];

impl PortString {
    /// A random one in writable memory.
    pub fn good(random: &mut Random) -> Self {
        let size = random.one_of(&[1, 2, 4]);
        let count = random.below(300);
        let down = random.one_in(2);
        // With room on both sides, which has to stay as it is.
        let span = (MEMORY - READ_ONLY) * PAGE;
        let first = page(READ_ONLY) + 8 + random.below(span - 300 * 4 - 16);
        let last = count.saturating_sub(1) * u64::from(size);
        Self {
            port: random.one_of(&INTERCEPTED),
            size,
            input: random.one_in(2),
            repeated: !random.one_in(4),
            down,
            count,
            address: if down { first + last } else { first },
        }
    }

    /// A random one that leaves accessible memory before its last element, and faults there.
    pub fn bad(random: &mut Random) -> Self {
        let good = Self::good(random);
        let (input, address) = match random.below(4) {
            // Up to the end of memory, and down to read-only memory.
            0 => (good.input, page(MEMORY) - random.below(64)),
            1 => (true, page(READ_ONLY) + random.below(64)),
            2 => (true, page(random.below(READ_ONLY)) + random.below(PAGE - 8)),
            _ => (good.input, 0x8000_0000_0000 - random.below(64)),
        };
        Self {
            input,
            address,
            repeated: true,
            down: address < page(READ_ONLY) + 64,
            count: 100,
            ..good
        }
    }

    /// An OUTS from memory of the hypervisor, to a port whose value can be read back.
    pub fn from_hypervisor(random: &mut Random) -> Self {
        Self {
            port: 0xcf8,
            size: 4,
            input: false,
            repeated: false,
            down: false,
            count: 0,
            address: page(HYPERVISORS) + random.below(PAGE - 8),
        }
    }

    /// Number of its elements.
    pub fn elements(&self) -> u64 {
        if self.repeated { self.count } else { 1 }
    }

    /// Count and address after `elements` elements.
    pub fn after(&self, elements: u64) -> (u64, u64) {
        let bytes = elements * u64::from(self.size);
        let address = match self.down {
            true => self.address.wrapping_sub(bytes),
            false => self.address.wrapping_add(bytes),
        };
        let count = self.count - if self.repeated { elements } else { 0 };
        (count, address)
    }

    /// The lowest address that it accesses, and the number of bytes.
    pub fn bytes(&self) -> (u64, u64) {
        let bytes = self.elements() * u64::from(self.size);
        match self.down {
            true => (self.address + u64::from(self.size) - bytes, bytes),
            false => (self.address, bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_ones_stay_in_memory_with_their_neighbours() {
        let mut random = Random::new(5);
        for _ in 0..10_000 {
            let good = PortString::good(&mut random);
            let (start, bytes) = good.bytes();
            assert!(
                start - 8 >= page(READ_ONLY) && start + bytes + 8 <= page(MEMORY),
                "{good:?}"
            );
        }
    }

    #[test]
    fn bad_ones_do_not_end_before_they_fault() {
        let mut random = Random::new(6);
        for _ in 0..10_000 {
            let bad = PortString::bad(&mut random);
            let (start, bytes) = bad.bytes();
            let memory = if bad.input { page(READ_ONLY) } else { page(0) }..page(MEMORY);
            let whole = memory.contains(&start) && memory.contains(&(start + bytes - 1));
            assert!(!whole, "{bad:?}");
        }
    }

    #[test]
    fn elements_are_counted() {
        let one = PortString {
            port: 0x21,
            size: 2,
            input: true,
            repeated: true,
            down: true,
            count: 3,
            address: 0x1004,
        };
        assert_eq!(one.bytes(), (0x1000, 6));
        assert_eq!(one.after(3), (0, 0xffe));
        let once = PortString {
            repeated: false,
            ..one
        };
        assert_eq!((once.bytes(), once.after(1)), ((0x1004, 2), (3, 0x1002)));
    }
}
