// SPDX-License-Identifier: GPL-2.0

//! A table of the bounce buffers that are too large for the pool.
//!
//! Mappings are made and ended in interrupts on all CPUs at a time, so the table is lock-free. Only
//! the driver that made a mapping may end it, so an entry does not change while its owner looks it
//! up. But lookups of addresses that are not in the table, which are those of all other mappings,
//! race with entries that other drivers add and remove. The generation of a slot is a sequence
//! count by which such a reader detects an inconsistent entry.

use core::sync::atomic::{
    fence, AtomicU64, AtomicUsize,
    Ordering::{
        AcqRel,
        Acquire,
        Relaxed,
        Release, //
    },
};

use crate::{
    BusAddr,
    PhysAddr, //
};

/// A bounce buffer, and the buffer that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BounceBuffer {
    /// The device's address.
    pub bus: BusAddr,
    /// Size in bytes, at least 1.
    pub size: u64,
    /// The driver's buffer.
    pub original: PhysAddr,
    /// First byte of the bounce buffer that is used.
    pub buffer: PhysAddr,
}

/// The remainder of a generation modulo [`NEXT`] is the state of its slot.
const FREE: u64 = 0;
const CHANGING: u64 = 1;
const LIVE: u64 = 2;
/// Distance of consecutive generations of a slot.
const NEXT: u64 = 4;

struct Slot {
    generation: AtomicU64,
    bus: AtomicU64,
    size: AtomicU64,
    original: AtomicU64,
    buffer: AtomicU64,
}

impl Slot {
    /// Initial value of array elements.
    #[allow(clippy::declare_interior_mutable_const)]
    const NEW: Self = Self {
        generation: AtomicU64::new(FREE),
        bus: AtomicU64::new(0),
        size: AtomicU64::new(0),
        original: AtomicU64::new(0),
        buffer: AtomicU64::new(0),
    };

    /// The entry and its generation, if the slot is live.
    fn read(&self) -> Option<(u64, BounceBuffer)> {
        let generation = self.generation.load(Acquire);
        if generation % NEXT != LIVE {
            return None;
        }
        let buffer = BounceBuffer {
            bus: BusAddr(self.bus.load(Relaxed)),
            size: self.size.load(Relaxed),
            original: PhysAddr(self.original.load(Relaxed)),
            buffer: PhysAddr(self.buffer.load(Relaxed)),
        };
        fence(Acquire);
        (self.generation.load(Relaxed) == generation).then_some((generation, buffer))
    }
}

/// At most `N` bounce buffers.
pub struct LargeBuffers<const N: usize> {
    live: AtomicUsize,
    slots: [Slot; N],
}

impl<const N: usize> LargeBuffers<N> {
    /// An empty table.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self {
            live: AtomicUsize::new(0),
            slots: [const { Slot::NEW }; N],
        }
    }

    /// Whether the table is empty, as it usually is. Costs one load.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.live.load(Relaxed) == 0
    }

    /// Adds an entry.
    ///
    /// # Errors
    ///
    /// The entry, if there are `N` already.
    pub fn insert(&self, buffer: BounceBuffer) -> Result<(), BounceBuffer> {
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
            // Counted before the entry is live, so its owner never finds the table empty.
            self.live.fetch_add(1, Relaxed);
            // Orders the new content after the generation that marks it as changing.
            fence(Release);
            slot.bus.store(buffer.bus.0, Relaxed);
            slot.size.store(buffer.size, Relaxed);
            slot.original.store(buffer.original.0, Relaxed);
            slot.buffer.store(buffer.buffer.0, Relaxed);
            slot.generation.store(generation + LIVE, Release);
            return Ok(());
        }
        Err(buffer)
    }

    /// The bounce buffer that contains an address, and the offset in it.
    pub fn find(&self, bus: BusAddr) -> Option<(BounceBuffer, u64)> {
        self.slots.iter().find_map(|slot| {
            let (_, buffer) = slot.read()?;
            let offset = bus.0.checked_sub(buffer.bus.0)?;
            (offset < buffer.size).then_some((buffer, offset))
        })
    }

    /// Removes the bounce buffer that begins at an address.
    pub fn take(&self, bus: BusAddr) -> Option<BounceBuffer> {
        self.slots.iter().find_map(|slot| {
            let (generation, buffer) = slot.read()?;
            if buffer.bus != bus {
                return None;
            }
            // Of two concurrent calls for the same mapping, which are a driver's bug, one succeeds.
            slot.generation
                .compare_exchange(generation, generation - LIVE + NEXT, AcqRel, Relaxed)
                .ok()?;
            self.live.fetch_sub(1, Relaxed);
            Some(buffer)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::AtomicBool,
        thread,
        vec::Vec, //
    };

    use crate::testing::{
        race,
        ROUNDS, //
    };

    use super::*;

    fn buffer(at: u64, size: u64) -> BounceBuffer {
        BounceBuffer {
            bus: BusAddr(at),
            size,
            original: PhysAddr(at ^ 0xffff_0000_0000),
            buffer: PhysAddr(at + 1),
        }
    }

    #[test]
    fn buffers_are_found_by_any_of_their_bytes() {
        let buffers = LargeBuffers::<4>::new();
        assert!(buffers.is_empty());
        buffers.insert(buffer(0x1000, 0x800)).unwrap();
        buffers.insert(buffer(0x8000, 1)).unwrap();
        assert!(!buffers.is_empty());
        assert_eq!(
            buffers.find(BusAddr(0x17ff)),
            Some((buffer(0x1000, 0x800), 0x7ff))
        );
        assert_eq!(buffers.find(BusAddr(0x1800)), None);
        assert_eq!(buffers.find(BusAddr(0xfff)), None);
        assert_eq!(buffers.find(BusAddr(0x8000)), Some((buffer(0x8000, 1), 0)));
    }

    #[test]
    fn a_mapping_ends_once() {
        let buffers = LargeBuffers::<1>::new();
        buffers.insert(buffer(0x1000, 0x1000)).unwrap();
        assert_eq!(buffers.insert(buffer(0x2000, 1)), Err(buffer(0x2000, 1)));
        assert_eq!(buffers.take(BusAddr(0x1001)), None);
        assert_eq!(buffers.take(BusAddr(0x1000)), Some(buffer(0x1000, 0x1000)));
        assert_eq!(buffers.take(BusAddr(0x1000)), None);
        assert!(buffers.is_empty());
        buffers.insert(buffer(0x2000, 1)).unwrap();
    }

    #[test]
    fn a_slot_is_taken_by_one_of_two() {
        let sets: Vec<_> = (0..ROUNDS).map(|_| LargeBuffers::<2>::new()).collect();
        let kinds = [buffer(0x1000, 0x10), buffer(0x2000, 0x20)];
        race(|round, who| sets[round].insert(kinds[who]).unwrap());
        for buffers in &sets {
            for kind in kinds {
                assert_eq!(buffers.take(kind.bus), Some(kind));
            }
            assert!(buffers.is_empty());
        }
    }

    #[test]
    fn a_mapping_that_two_end_is_ended_once() {
        let kind = buffer(0x1000, 0x10);
        let sets: Vec<_> = (0..ROUNDS).map(|_| LargeBuffers::<1>::new()).collect();
        let ended: Vec<_> = (0..ROUNDS).map(|_| AtomicUsize::new(0)).collect();
        for buffers in &sets {
            buffers.insert(kind).unwrap();
        }
        race(|round, _| {
            if sets[round].take(kind.bus).is_some() {
                ended[round].fetch_add(1, Relaxed);
            }
        });
        for (buffers, ended) in sets.iter().zip(&ended) {
            assert_eq!((ended.load(Relaxed), buffers.is_empty()), (1, true));
        }
    }

    /// Two buffers share the slots. A reader that mixed the address of one with the size of the
    /// other would find an address that belongs to neither.
    #[test]
    fn readers_never_see_a_mixture() {
        let buffers = LargeBuffers::<2>::new();
        let stop = AtomicBool::new(false);
        let mut mixture = None;
        thread::scope(|scope| {
            for kind in [buffer(0x1_0000, 0x10), buffer(0x2_0000, 0x9000)] {
                let (buffers, stop) = (&buffers, &stop);
                scope.spawn(move || {
                    while !stop.load(Relaxed) {
                        if buffers.insert(kind).is_ok() {
                            assert_eq!(buffers.take(kind.bus), Some(kind));
                        }
                    }
                });
            }
            for _ in 0..200_000 {
                mixture = mixture.or(buffers.find(BusAddr(0x1_8000)));
            }
            // Nothing may fail before this, or the threads would run for ever.
            stop.store(true, Relaxed);
        });
        assert_eq!(mixture, None);
        assert!(buffers.is_empty());
    }
}
