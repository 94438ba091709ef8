// SPDX-License-Identifier: GPL-2.0

//! Which large buffers are on loan to devices.
//!
//! Mappings are made and ended in interrupts, on all processors at a time: the table takes no lock. Only the one who made
//! a mapping may end it, so a loan never changes while its owner asks for it; asking for an address that is not in the
//! table, which every driver does that ends a mapping of another kind, meets the others' loans while they come and go.
//! A slot's generation tells such a reader that what it read does not belong together.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{fence, AtomicU64, AtomicUsize};

use crate::{Bus, Phys};

/// A buffer that a device uses in place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loan {
    /// Where the device sees it.
    pub bus: Bus,
    /// Its size in bytes, at least 1.
    pub size: u64,
    /// The buffer it stands for.
    pub original: Phys,
    /// The buffer itself, at its first byte that is used.
    pub buffer: Phys,
}

/// A generation is free, being changed, or live, by its remainder of 4.
const FREE: u64 = 0;
const CHANGING: u64 = 1;
const LIVE: u64 = 2;
/// From one generation of a slot to the next.
const NEXT: u64 = 4;

struct Slot {
    generation: AtomicU64,
    bus: AtomicU64,
    size: AtomicU64,
    original: AtomicU64,
    buffer: AtomicU64,
}

impl Slot {
    /// What each one begins as: a constant only to make many.
    #[allow(clippy::declare_interior_mutable_const)]
    const NEW: Self = Self {
        generation: AtomicU64::new(FREE),
        bus: AtomicU64::new(0),
        size: AtomicU64::new(0),
        original: AtomicU64::new(0),
        buffer: AtomicU64::new(0),
    };

    /// What is in it, with its generation, if it is live.
    fn read(&self) -> Option<(u64, Loan)> {
        let generation = self.generation.load(Acquire);
        if generation % NEXT != LIVE {
            return None;
        }
        let loan = Loan {
            bus: Bus(self.bus.load(Relaxed)),
            size: self.size.load(Relaxed),
            original: Phys(self.original.load(Relaxed)),
            buffer: Phys(self.buffer.load(Relaxed)),
        };
        fence(Acquire);
        (self.generation.load(Relaxed) == generation).then_some((generation, loan))
    }
}

/// All loans, at most `N`.
pub struct Table<const N: usize> {
    live: AtomicUsize,
    slots: [Slot; N],
}

impl<const N: usize> Table<N> {
    /// Without loans.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self {
            live: AtomicUsize::new(0),
            slots: [const { Slot::NEW }; N],
        }
    }

    /// Whether there is none, which is the usual case and costs one read.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.live.load(Relaxed) == 0
    }

    /// Notes a loan; gives it back if there are `N` already.
    pub fn insert(&self, loan: Loan) -> Result<(), Loan> {
        for slot in &self.slots {
            let generation = slot.generation.load(Relaxed);
            if generation % NEXT != FREE {
                continue;
            }
            let changing = generation + CHANGING;
            if slot
                .generation
                .compare_exchange(generation, changing, AcqRel, Relaxed)
                .is_err()
            {
                continue;
            }
            // Counted before it can be found: whoever owns it sees a table that is not empty.
            self.live.fetch_add(1, Relaxed);
            // No reader may see the new content under the old generation.
            fence(Release);
            slot.bus.store(loan.bus.0, Relaxed);
            slot.size.store(loan.size, Relaxed);
            slot.original.store(loan.original.0, Relaxed);
            slot.buffer.store(loan.buffer.0, Relaxed);
            slot.generation.store(generation + LIVE, Release);
            return Ok(());
        }
        Err(loan)
    }

    /// The loan that an address is in, and how many bytes after its start.
    pub fn find(&self, bus: Bus) -> Option<(Loan, u64)> {
        self.slots.iter().find_map(|slot| {
            let (_, loan) = slot.read()?;
            let offset = bus.0.checked_sub(loan.bus.0)?;
            (offset < loan.size).then_some((loan, offset))
        })
    }

    /// Ends the loan that begins at an address.
    pub fn take(&self, bus: Bus) -> Option<Loan> {
        self.slots.iter().find_map(|slot| {
            let (generation, loan) = slot.read()?;
            if loan.bus != bus {
                return None;
            }
            // A driver that ends the same mapping twice at the same time gets it once.
            slot.generation
                .compare_exchange(generation, generation - LIVE + NEXT, AcqRel, Relaxed)
                .ok()?;
            self.live.fetch_sub(1, Relaxed);
            Some(loan)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{race, ROUNDS};
    use std::sync::atomic::AtomicBool;
    use std::thread;
    use std::vec::Vec;

    fn loan(at: u64, size: u64) -> Loan {
        Loan {
            bus: Bus(at),
            size,
            original: Phys(at ^ 0xffff_0000_0000),
            buffer: Phys(at + 1),
        }
    }

    #[test]
    fn loans_are_found_by_any_of_their_bytes() {
        let table = Table::<4>::new();
        assert!(table.is_empty());
        table.insert(loan(0x1000, 0x800)).unwrap();
        table.insert(loan(0x8000, 1)).unwrap();
        assert!(!table.is_empty());
        assert_eq!(table.find(Bus(0x17ff)), Some((loan(0x1000, 0x800), 0x7ff)));
        assert_eq!(table.find(Bus(0x1800)), None);
        assert_eq!(table.find(Bus(0xfff)), None);
        assert_eq!(table.find(Bus(0x8000)), Some((loan(0x8000, 1), 0)));
    }

    #[test]
    fn a_loan_ends_once() {
        let table = Table::<1>::new();
        table.insert(loan(0x1000, 0x1000)).unwrap();
        assert_eq!(table.insert(loan(0x2000, 1)), Err(loan(0x2000, 1)));
        assert_eq!(table.take(Bus(0x1001)), None);
        assert_eq!(table.take(Bus(0x1000)), Some(loan(0x1000, 0x1000)));
        assert_eq!(table.take(Bus(0x1000)), None);
        assert!(table.is_empty());
        table.insert(loan(0x2000, 1)).unwrap();
    }

    #[test]
    fn a_slot_is_lent_to_one_of_two() {
        let tables: Vec<_> = (0..ROUNDS).map(|_| Table::<2>::new()).collect();
        let kinds = [loan(0x1000, 0x10), loan(0x2000, 0x20)];
        race(|round, who| tables[round].insert(kinds[who]).unwrap());
        for table in &tables {
            for kind in kinds {
                assert_eq!(table.take(kind.bus), Some(kind));
            }
            assert!(table.is_empty());
        }
    }

    #[test]
    fn a_loan_that_two_end_is_ended_once() {
        let kind = loan(0x1000, 0x10);
        let tables: Vec<_> = (0..ROUNDS).map(|_| Table::<1>::new()).collect();
        let ended: Vec<_> = (0..ROUNDS).map(|_| AtomicUsize::new(0)).collect();
        for table in &tables {
            table.insert(kind).unwrap();
        }
        race(|round, _| {
            if tables[round].take(kind.bus).is_some() {
                ended[round].fetch_add(1, Relaxed);
            }
        });
        for (table, ended) in tables.iter().zip(&ended) {
            assert_eq!((ended.load(Relaxed), table.is_empty()), (1, true));
        }
    }

    /// Loans of two kinds share the slots. Were a reader to mix the address of one with the size of the other it would
    /// find the address that belongs to neither.
    #[test]
    fn readers_never_see_a_mixture() {
        let table = Table::<2>::new();
        let stop = AtomicBool::new(false);
        let mut mixture = None;
        thread::scope(|scope| {
            for kind in [loan(0x1_0000, 0x10), loan(0x2_0000, 0x9000)] {
                let (table, stop) = (&table, &stop);
                scope.spawn(move || {
                    while !stop.load(Relaxed) {
                        if table.insert(kind).is_ok() {
                            assert_eq!(table.take(kind.bus), Some(kind));
                        }
                    }
                });
            }
            for _ in 0..200_000 {
                mixture = mixture.or(table.find(Bus(0x1_8000)));
            }
            // Nothing may fail before this, or the threads would run for ever.
            stop.store(true, Relaxed);
        });
        assert_eq!(mixture, None);
        assert!(table.is_empty());
    }
}
