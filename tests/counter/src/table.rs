// SPDX-License-Identifier: GPL-2.0

//! Blocks of instructions and their numbers.
//!
//! The emulator translates a block again when its code buffer was emptied, and translates a block for each place in
//! memory that it is found at: two kernels at the same virtual address are two blocks here. A block keeps its number.

use std::collections::{HashMap, HashSet};

/// PAUSE.
const PAUSE: &[u8] = &[0xf3, 0x90];

/// Finds the loops that wait. The emulator ends a block at a PAUSE: what is behind it, the look at what is waited for
/// and the way back, is a block of its own.
#[derive(Debug, Default)]
pub struct Loops {
    /// Where blocks that end with a PAUSE end.
    ends: HashSet<u64>,
}

impl Loops {
    /// What a block is counted as, given its address and the bytes of each of its instructions. A block with a PAUSE is
    /// asked for before the one behind it, as it is executed before.
    pub fn event<'b>(
        &mut self,
        address: u64,
        instructions: impl IntoIterator<Item = &'b [u8]>,
    ) -> Event {
        let (mut end, mut pauses) = (address, false);
        for bytes in instructions {
            end = end.wrapping_add(bytes.len() as u64);
            pauses |= bytes == PAUSE;
        }
        if pauses {
            self.ends.insert(end);
        }
        match pauses || self.ends.contains(&address) {
            true => Event::Waiting,
            false => Event::Instruction,
        }
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Event {
    /// Instructions of a block.
    Instruction,
    /// Instructions of a block with a PAUSE, or of one behind it: they wait for another processor, as long as that takes.
    Waiting,
    /// Entries into a guest: VMRUN.
    Entry,
    /// VMMCALL, which is a PVH guest's hypercall.
    Vmmcall,
    /// SYSCALL, which is a program's system call, or a PV kernel's hypercall.
    Syscall,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Instruction,
        Self::Waiting,
        Self::Entry,
        Self::Vmmcall,
        Self::Syscall,
    ];

    /// The event that is an instruction of these bytes, besides that it is one.
    pub fn of(instruction: &[u8]) -> Option<Self> {
        match instruction {
            [0x0f, 0x01, 0xd8] => Some(Self::Entry),
            [0x0f, 0x01, 0xd9] => Some(Self::Vmmcall),
            [0x0f, 0x05] => Some(Self::Syscall),
            _ => None,
        }
    }

    /// How a record writes it.
    pub fn letter(self) -> char {
        match self {
            Self::Instruction => 'i',
            Self::Waiting => 'w',
            Self::Entry => 'e',
            Self::Vmmcall => 'v',
            Self::Syscall => 's',
        }
    }
}

/// What has a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Block {
    /// What is counted there.
    pub event: Event,
    /// The virtual address of the block, or of the instruction that is an event.
    pub address: u64,
    /// The page of memory that it is in, by a number that tells pages apart and grows by one from page to page of the
    /// machine's memory. 0 if it is in no memory, such as a device's.
    pub page: u64,
}

/// A block, and what was known when it was seen first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The block.
    pub block: Block,
    /// The epoch.
    pub epoch: u32,
    /// The block that the same processor executed just before, if there was one. What calls it, most often; or the
    /// hypervisor, which has gone back to it.
    pub before: Option<Block>,
}

/// Blocks by numbers from 0 on, at most a given number of them.
#[derive(Debug)]
pub struct Table {
    numbers: HashMap<Block, u32>,
    seen: Vec<Seen>,
    max: u32,
    epoch: u32,
    lost: u64,
}

impl Table {
    /// An empty table of at most `max` blocks.
    pub fn new(max: u32) -> Self {
        Self {
            numbers: HashMap::new(),
            seen: Vec::new(),
            max,
            epoch: 0,
            lost: 0,
        }
    }

    /// The number of a block; none if the table is full. `before` is the number of the block that was executed before.
    pub fn number(&mut self, block: Block, before: Option<u32>) -> Option<u32> {
        if let Some(number) = self.numbers.get(&block) {
            return Some(*number);
        }
        let next = u32::try_from(self.seen.len()).ok();
        let Some(number) = next.filter(|number| *number < self.max) else {
            self.lost += 1;
            return None;
        };
        self.numbers.insert(block, number);
        let before = before.and_then(|number| self.seen.get(number as usize));
        self.seen.push(Seen {
            block,
            epoch: self.epoch,
            before: before.map(|seen| seen.block),
        });
        Some(number)
    }

    /// All blocks in the order of their numbers.
    pub fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// Begins the next epoch.
    pub fn next_epoch(&mut self) {
        self.epoch += 1;
    }

    /// How often a block got no number.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(address: u64, page: u64) -> Block {
        Block {
            event: Event::Instruction,
            address,
            page,
        }
    }

    #[test]
    fn a_block_keeps_what_was_known_first() {
        let mut table = Table::new(3);
        assert_eq!(table.number(block(1, 1), None), Some(0));
        table.next_epoch();
        assert_eq!(table.number(block(1, 2), Some(0)), Some(1));
        assert_eq!(table.number(block(1, 1), Some(1)), Some(0));
        let seen = |block, epoch, before| Seen {
            block,
            epoch,
            before,
        };
        let expected = [
            seen(block(1, 1), 0, None),
            seen(block(1, 2), 1, Some(block(1, 1))),
        ];
        assert_eq!(table.seen(), expected);
    }

    #[test]
    fn a_full_table_counts_what_it_does_not_take() {
        let mut table = Table::new(1);
        assert_eq!(table.number(block(1, 1), None), Some(0));
        assert_eq!(table.number(block(2, 1), Some(0)), None);
        assert_eq!(table.number(block(1, 1), Some(7)), Some(0));
        assert_eq!(table.lost(), 1);
    }

    #[test]
    fn events_are_known_by_their_bytes() {
        assert_eq!(Event::of(&[0x0f, 0x01, 0xd8]), Some(Event::Entry));
        assert_eq!(Event::of(&[0x0f, 0x01, 0xd9]), Some(Event::Vmmcall));
        assert_eq!(Event::of(&[0x0f, 0x05]), Some(Event::Syscall));
        assert_eq!(Event::of(&[0x0f, 0x05, 0x90]), None);
        assert_eq!(Event::of(&[0x90]), None);
    }

    #[test]
    fn a_loop_that_waits_is_the_pause_and_what_is_behind_it() {
        let mut loops = Loops::default();
        let mut event =
            |address, bytes: &[&'static [u8]]| loops.event(address, bytes.iter().copied());
        assert_eq!(
            event(0x12, &[&[0x39, 0xc8], &[0x75, 0xfa]]),
            Event::Instruction
        );
        assert_eq!(event(0x10, &[&[0xf3, 0x90]]), Event::Waiting);
        assert_eq!(event(0x12, &[&[0x39, 0xc8], &[0x75, 0xfa]]), Event::Waiting);
        assert_eq!(event(0x16, &[&[0xc3]]), Event::Instruction);
    }
}
