// SPDX-License-Identifier: GPL-2.0

//! The queue of ports that have had an event and were not read yet.
//!
//! One side puts ports in, at any time and on any CPU, under a spin lock ([`Producer`]); the other
//! takes them out under a lock that may be held while a process's memory is paged in
//! ([`Consumer`]). They share [`Indexes`], so neither takes the other's lock: events keep coming
//! while a process reads. To make room for more both locks are needed ([`grow`]).
//!
//! A port that was read sends nothing before the process has written it back. So the queue never
//! overflows as long as there is a slot for each port and the process does not write one back
//! twice; if it does, [`Indexes::has_overflowed`] is true until the queue is reset.

use core::sync::atomic::{
    AtomicBool,
    AtomicU32,
    Ordering, //
};

/// Slots of the first queue; larger ones have a power of two of them.
pub const FIRST_SLOTS: usize = 64;

/// Most slots: more than there are ports.
pub const MAX_SLOTS: usize = 1 << 20;

/// The indexes of producer and consumer, which run freely and wrap.
#[derive(Debug, Default)]
pub struct Indexes {
    produced: AtomicU32,
    consumed: AtomicU32,
    overflow: AtomicBool,
}

impl Indexes {
    /// An empty queue.
    pub const fn new() -> Self {
        Self {
            produced: AtomicU32::new(0),
            consumed: AtomicU32::new(0),
            overflow: AtomicBool::new(false),
        }
    }

    /// The number of ports that wait to be read.
    pub fn len(&self) -> u32 {
        let consumed = self.consumed.load(Ordering::Relaxed);
        self.produced.load(Ordering::Acquire).wrapping_sub(consumed)
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether events were lost because no slot was free.
    pub fn has_overflowed(&self) -> bool {
        self.overflow.load(Ordering::Relaxed)
    }
}

/// The result of putting a port in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// All ports before it have been taken out: readers that wait have to be woken.
    First,
    /// There are ports before it, or it has been taken out itself already.
    More,
    /// There was no slot; the event is lost.
    Lost,
}

/// The side that puts in. `S` are the slots, of which both sides hold the same: a power of two of
/// them, or none.
#[derive(Debug)]
pub struct Producer<S>(S);

/// The side that takes out.
#[derive(Debug)]
pub struct Consumer<S>(S);

fn slot(slots: &[AtomicU32], index: u32) -> Option<&AtomicU32> {
    let mask = slots.len().wrapping_sub(1);
    slots.get(index as usize & mask)
}

impl<S: AsRef<[AtomicU32]>> Producer<S> {
    /// With these slots; the consumer gets the same.
    pub fn new(slots: S) -> Self {
        Self(slots)
    }

    /// Puts in a port.
    #[inline]
    pub fn push(&mut self, indexes: &Indexes, port: u32) -> Pushed {
        let produced = indexes.produced.load(Ordering::Relaxed);
        // Pairs with the store of the consumer: it has read the slot.
        let consumed = indexes.consumed.load(Ordering::Acquire);
        let used = produced.wrapping_sub(consumed);
        let slots = self.0.as_ref();
        match slot(slots, produced) {
            Some(slot) if (used as usize) < slots.len() => slot.store(port, Ordering::Relaxed),
            _ => {
                indexes.overflow.store(true, Ordering::Relaxed);
                return Pushed::Lost;
            }
        }
        // A consumer that sees the index sees the port. And the index is stored before the load
        // that follows: the consumer may just have taken out the last port before this one, found
        // no other, and be about to wait. (It looks once more after it has queued itself as
        // waiting, with a full barrier between.)
        indexes
            .produced
            .store(produced.wrapping_add(1), Ordering::SeqCst);
        if indexes.consumed.load(Ordering::SeqCst) == produced {
            Pushed::First
        } else {
            Pushed::More
        }
    }
}

impl<S: AsRef<[AtomicU32]>> Consumer<S> {
    /// With the producer's slots.
    pub fn new(slots: S) -> Self {
        Self(slots)
    }

    /// Copies the ports after the first `skip` without taking them out, and returns how many.
    #[inline]
    pub fn peek(&self, indexes: &Indexes, skip: u32, out: &mut [u32]) -> usize {
        let waiting = indexes.len().saturating_sub(skip);
        let first = indexes.consumed.load(Ordering::Relaxed).wrapping_add(skip);
        let mut count = 0;
        for (place, offset) in out.iter_mut().zip(0..waiting) {
            let Some(slot) = slot(self.0.as_ref(), first.wrapping_add(offset)) else {
                break;
            };
            *place = slot.load(Ordering::Relaxed);
            count += 1;
        }
        count
    }

    /// Takes out `count` ports, or all if there are fewer.
    #[inline]
    pub fn consume(&mut self, indexes: &Indexes, count: u32) {
        let count = count.min(indexes.len());
        let consumed = indexes.consumed.load(Ordering::Relaxed);
        indexes
            .consumed
            .store(consumed.wrapping_add(count), Ordering::Release);
    }
}

/// The number of slots for `ports` ports, if a queue of `slots` has too few. `None` also if there
/// are more ports than there can be.
pub fn slots_for(ports: usize, slots: usize) -> Option<usize> {
    if ports <= slots {
        return None;
    }
    let more = ports.max(FIRST_SLOTS).checked_next_power_of_two()?;
    (more <= MAX_SLOTS).then_some(more)
}

/// Moves queued ports to new slots, a power of two of them and no fewer than before; returns the
/// old ones.
pub fn grow<S: AsRef<[AtomicU32]> + Clone>(
    producer: &mut Producer<S>,
    consumer: &mut Consumer<S>,
    indexes: &Indexes,
    slots: S,
) -> (S, S) {
    let consumed = indexes.consumed.load(Ordering::Relaxed);
    for offset in 0..indexes.len() {
        let index = consumed.wrapping_add(offset);
        if let (Some(from), Some(to)) = (
            slot(consumer.0.as_ref(), index),
            slot(slots.as_ref(), index),
        ) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
    let old = core::mem::replace(&mut producer.0, slots.clone());
    (old, core::mem::replace(&mut consumer.0, slots))
}

/// Empties the queue and forgets that events were lost.
pub fn reset<S>(_producer: &mut Producer<S>, _consumer: &mut Consumer<S>, indexes: &Indexes) {
    let produced = indexes.produced.load(Ordering::Relaxed);
    indexes.consumed.store(produced, Ordering::Relaxed);
    indexes.overflow.store(false, Ordering::Relaxed);
}

#[cfg(test)]
mod tests;
