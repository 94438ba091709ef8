// SPDX-License-Identifier: GPL-2.0

//! Request ids that are checked out and can be completed exactly once.
//!
//! The peer echoes the id of a request in its response and may as well invent one, repeat one or
//! bring up one from the past. A table hands out ids and keeps a value under each, typically the
//! request's state with its grants; completing an id moves the value out, so that it cannot
//! happen twice.
//!
//! An id carries, above the slot's number, a generation that changes each time the slot is used:
//! a replayed id differs from the new one of the same slot unless the generation has wrapped
//! around (2³² uses for blkif's 64-bit ids). Linux's C drivers use the bare slot number.
//!
//! The storage is the caller's (`KVec` in the kernel, an array or `Vec` elsewhere): the tables
//! allocate nothing. Neither table locks; it belongs under the lock of its ring.

use crate::Corrupt;
use core::borrow::BorrowMut;
use core::marker::PhantomData;

/// One place of a table. Make the storage of `IdSlot::new()` values.
#[derive(Debug)]
pub struct IdSlot<T> {
    generation: u32,
    /// The free list's link while the slot is free, which only `IdTable` uses.
    next: u32,
    /// None if the slot is free.
    value: Option<T>,
}

impl<T> IdSlot<T> {
    /// A free place.
    pub const fn new() -> Self {
        Self {
            generation: 0,
            next: END,
            value: None,
        }
    }
}

impl<T> Default for IdSlot<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// End of the free list.
const END: u32 = u32::MAX;

/// A table whose caller chooses the slot, for requests that come with a small number of their
/// own, such as a blk-mq tag. Ids have `BITS` bits.
#[derive(Debug)]
pub struct TagTable<T, S, const BITS: u32 = 64> {
    slots: S,
    taken: u32,
    format: Format,
    value: PhantomData<T>,
}

/// What an id consists of.
#[derive(Clone, Copy, Debug)]
struct Format {
    /// Bits of an id that number the slot, 32 at most; the generation has those above, 32 at most.
    slot_bits: u32,
    slot_mask: u64,
    generation_mask: u32,
}

impl Format {
    /// Puts `value` into slot `tag` and returns its id, or the value if the slot is taken.
    #[inline]
    fn check_out<T>(&self, tag: u32, slot: &mut IdSlot<T>, value: T) -> Result<u64, T> {
        if slot.value.is_some() {
            return Err(value);
        }
        slot.value = Some(value);
        slot.generation = slot.generation.wrapping_add(1) & self.generation_mask;
        Ok(u64::from(slot.generation).wrapping_shl(self.slot_bits) | u64::from(tag))
    }

    /// The slot of an id whose generation is the slot's present one, with its number.
    #[inline]
    fn find<'a, T>(
        &self,
        slots: &'a mut [IdSlot<T>],
        id: u64,
    ) -> Result<(u32, &'a mut IdSlot<T>), Corrupt> {
        let tag = id & self.slot_mask;
        let generation = id.wrapping_shr(self.slot_bits);
        match slots.get_mut(tag as usize) {
            Some(slot) if u64::from(slot.generation) == generation => Ok((tag as u32, slot)),
            // A generation from the past is a replay; one from the future was never given out.
            Some(slot) if generation < u64::from(slot.generation) => Err(Corrupt::StaleId(id)),
            _ => Err(Corrupt::UnknownId(id)),
        }
    }
}

impl<T, S, const BITS: u32> TagTable<T, S, BITS>
where
    S: BorrowMut<[IdSlot<T>]>,
{
    /// Makes a table of all the slots given. Values that are in them already are dropped; the
    /// generations go on, so storage that is used again does not repeat ids.
    ///
    /// Slots beyond what ids of `BITS` bits (at most 64) can number are never used.
    pub fn new(mut slots: S) -> Self {
        const { assert!(BITS >= 1 && BITS <= 64, "ids have 1 to 64 bits") };
        let all: &mut [IdSlot<T>] = slots.borrow_mut();
        for slot in all.iter_mut() {
            slot.value = None;
        }
        let usable = u32::try_from(all.len()).unwrap_or(u32::MAX);
        // Enough bits for the number of the last slot.
        let slot_bits = (u32::BITS - usable.saturating_sub(1).leading_zeros()).min(BITS);
        let generation_bits = (BITS - slot_bits).min(32);
        Self {
            slots,
            taken: 0,
            format: Format {
                slot_bits,
                slot_mask: (1 << slot_bits) - 1,
                generation_mask: u32::MAX.checked_shr(32 - generation_bits).unwrap_or(0),
            },
            value: PhantomData,
        }
    }

    /// Number of slots that can be used.
    #[inline]
    pub fn capacity(&self) -> u32 {
        let len = self.slots.borrow().len() as u64;
        let numbered = self.format.slot_mask.wrapping_add(1);
        len.min(numbered).min(u32::MAX.into()) as u32
    }

    /// Number of ids that are checked out.
    #[inline]
    pub fn taken(&self) -> u32 {
        self.taken
    }

    /// Checks out the id of slot `tag` and keeps `value` under it. Returns the value if the slot
    /// is taken or does not exist.
    #[inline]
    pub fn insert_at(&mut self, tag: u32, value: T) -> Result<u64, T> {
        if tag >= self.capacity() {
            return Err(value);
        }
        let Some(slot) = self.slots.borrow_mut().get_mut(tag as usize) else {
            return Err(value);
        };
        let id = self.format.check_out(tag, slot, value)?;
        self.taken = self.taken.wrapping_add(1);
        Ok(id)
    }

    /// Completes an id that a response carries and returns the slot's number and the value.
    ///
    /// The error says that the id was never valid, or that it was and is no more.
    #[inline]
    pub fn complete(&mut self, id: u64) -> Result<(u32, T), Corrupt> {
        let (tag, slot) = self.format.find(self.slots.borrow_mut(), id)?;
        let value = slot.value.take().ok_or(Corrupt::StaleId(id))?;
        self.taken = self.taken.wrapping_sub(1);
        Ok((tag, value))
    }

    /// The value under an id that is checked out.
    #[inline]
    pub fn get_mut(&mut self, id: u64) -> Result<&mut T, Corrupt> {
        let (_, slot) = self.format.find(self.slots.borrow_mut(), id)?;
        slot.value.as_mut().ok_or(Corrupt::StaleId(id))
    }

    /// The value in slot `tag`, if it is taken. For the driver's own use, not for numbers from
    /// the peer, since no generation is checked.
    #[inline]
    pub fn get_at_mut(&mut self, tag: u32) -> Option<&mut T> {
        let slot = self.slots.borrow_mut().get_mut(tag as usize)?;
        slot.value.as_mut()
    }

    /// Takes the value out of slot `tag`, if it is taken: the request will not be answered, for
    /// the connection is gone. A late response to its id is then stale.
    #[inline]
    pub fn take(&mut self, tag: u32) -> Option<T> {
        let slot = self.slots.borrow_mut().get_mut(tag as usize)?;
        let value = slot.value.take()?;
        self.taken = self.taken.wrapping_sub(1);
        Some(value)
    }

    /// Gives the storage back, with the values that are still in it; the next table made of it
    /// drops them.
    pub fn into_slots(self) -> S {
        self.slots
    }
}

/// A table that chooses the slot itself, most recently freed first.
#[derive(Debug)]
pub struct IdTable<T, S, const BITS: u32 = 64> {
    table: TagTable<T, S, BITS>,
    free: u32,
}

impl<T, S, const BITS: u32> IdTable<T, S, BITS>
where
    S: BorrowMut<[IdSlot<T>]>,
{
    /// Makes a table of all the slots given; see [`TagTable::new`].
    pub fn new(slots: S) -> Self {
        let mut table = TagTable::new(slots);
        let capacity = table.capacity();
        let mut free = END;
        let all: &mut [IdSlot<T>] = table.slots.borrow_mut();
        for (tag, slot) in (0..capacity).zip(all).rev() {
            slot.next = free;
            free = tag;
        }
        Self { table, free }
    }

    /// Number of ids that can be checked out at a time.
    #[inline]
    pub fn capacity(&self) -> u32 {
        self.table.capacity()
    }

    /// Number of ids that are checked out.
    #[inline]
    pub fn taken(&self) -> u32 {
        self.table.taken()
    }

    /// Checks out an id and keeps `value` under it. Returns the value if no id is free.
    #[inline]
    pub fn insert(&mut self, value: T) -> Result<u64, T> {
        let tag = self.free;
        let table = &mut self.table;
        let Some(slot) = table.slots.borrow_mut().get_mut(tag as usize) else {
            return Err(value);
        };
        let next = slot.next;
        let id = table.format.check_out(tag, slot, value)?;
        table.taken = table.taken.wrapping_add(1);
        self.free = next;
        Ok(id)
    }

    /// Completes an id that a response carries and returns the value; see
    /// [`TagTable::complete`].
    #[inline]
    pub fn complete(&mut self, id: u64) -> Result<T, Corrupt> {
        let table = &mut self.table;
        let (tag, slot) = table.format.find(table.slots.borrow_mut(), id)?;
        let value = slot.value.take().ok_or(Corrupt::StaleId(id))?;
        table.taken = table.taken.wrapping_sub(1);
        slot.next = self.free;
        self.free = tag;
        Ok(value)
    }

    /// The value under an id that is checked out.
    #[inline]
    pub fn get_mut(&mut self, id: u64) -> Result<&mut T, Corrupt> {
        self.table.get_mut(id)
    }

    /// Takes out all values, whose requests will not be answered, for the connection is gone.
    /// Late responses to their ids are then stale.
    pub fn drain(&mut self, mut each: impl FnMut(T)) {
        for tag in 0..self.capacity() {
            if let Some(value) = self.table.take(tag) {
                self.release(tag);
                each(value);
            }
        }
    }

    /// Gives the storage back; see [`TagTable::into_slots`].
    pub fn into_slots(self) -> S {
        self.table.into_slots()
    }

    #[inline]
    fn release(&mut self, tag: u32) {
        if let Some(slot) = self.table.slots.borrow_mut().get_mut(tag as usize) {
            slot.next = self.free;
            self.free = tag;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn slots<T>(count: usize) -> Vec<IdSlot<T>> {
        (0..count).map(|_| IdSlot::new()).collect()
    }

    #[test]
    fn an_id_is_completed_exactly_once() {
        let mut table = IdTable::<_, _>::new(slots(4));
        let id = table.insert("request").expect("a free id");
        assert_eq!(table.complete(id), Ok("request"));
        assert_eq!(table.complete(id), Err(Corrupt::StaleId(id)));
        assert_eq!(table.taken(), 0);
    }

    #[test]
    fn an_id_from_the_past_does_not_complete_the_slots_present_request() {
        let mut table = IdTable::<_, _>::new(slots(1));
        let old = table.insert(1).expect("a free id");
        assert_eq!(table.complete(old), Ok(1));
        let new = table.insert(2).expect("a free id");
        assert_ne!(old, new);
        assert_eq!(table.complete(old), Err(Corrupt::StaleId(old)));
        assert_eq!(table.complete(new), Ok(2));
    }

    #[test]
    fn an_id_that_was_never_given_out_is_unknown() {
        let mut table = IdTable::<_, _>::new(slots(3));
        let id = table.insert(()).expect("a free id");
        // The next generation of the slot, a slot that does not exist, all ones.
        for bad in [id + 4, 3 | 1 << 2, u64::MAX] {
            assert_eq!(table.complete(bad), Err(Corrupt::UnknownId(bad)));
        }
        // A message of zeroes, and slots never used.
        for bad in 0..3 {
            assert_eq!(table.complete(bad), Err(Corrupt::StaleId(bad)));
        }
        assert_eq!(table.complete(id), Ok(()));
    }

    #[test]
    fn a_full_table_gives_the_value_back() {
        let mut table = IdTable::<_, _, 16>::new(slots(2));
        let ids = [table.insert('a'), table.insert('b')];
        assert!(ids.iter().all(|id| id.is_ok_and(|id| id < 1 << 16)));
        assert_eq!(table.insert('c'), Err('c'));
        assert_eq!(table.complete(ids[0].expect("an id")), Ok('a'));
        assert!(table.insert('c').is_ok());
    }

    #[test]
    fn an_empty_table_and_one_beyond_the_ids_width_hold_what_they_can() {
        assert_eq!(IdTable::<(), _>::new(slots(0)).capacity(), 0);
        assert_eq!(IdTable::<(), _>::new(slots(0)).insert(()), Err(()));
        let mut narrow = IdTable::<_, _, 2>::new(slots(7));
        assert_eq!(narrow.capacity(), 4);
        let ids: Vec<u64> = (0..4).filter_map(|n| narrow.insert(n).ok()).collect();
        assert_eq!(ids, [0, 1, 2, 3]);
        assert_eq!(narrow.insert(4), Err(4));
        // No bits are left for a generation: a slot's id is always the same.
        assert_eq!(narrow.complete(2), Ok(2));
        assert_eq!(narrow.complete(2), Err(Corrupt::StaleId(2)));
    }

    #[test]
    fn generations_wrap_within_their_bits() {
        let mut table = TagTable::<_, _, 3>::new(slots(2));
        let mut seen = Vec::new();
        for n in 0..8 {
            let id = table.insert_at(1, n).expect("it is free");
            assert!(id < 1 << 3);
            seen.push(id);
            assert_eq!(table.complete(id), Ok((1, n)));
        }
        // Two bits of generation above the slot's: all four are used before one comes again.
        assert_eq!(seen, [3, 5, 7, 1, 3, 5, 7, 1]);
    }

    #[test]
    fn a_tag_is_taken_once_and_within_the_table() {
        let mut table = TagTable::<_, _>::new(slots(2));
        let id = table.insert_at(1, 'a').expect("it is free");
        assert_eq!(table.insert_at(1, 'b'), Err('b'));
        assert_eq!(table.insert_at(2, 'c'), Err('c'));
        assert_eq!(table.get_mut(id), Ok(&mut 'a'));
        assert_eq!(table.get_at_mut(1), Some(&mut 'a'));
        assert_eq!(table.get_at_mut(0), None);
        assert_eq!((table.taken(), table.capacity()), (1, 2));
        assert_eq!(table.take(1), Some('a'));
        assert_eq!(table.taken(), 0);
        assert_eq!(table.take(1), None);
        assert_eq!(table.get_mut(id), Err(Corrupt::StaleId(id)));
        assert_eq!(table.complete(id), Err(Corrupt::StaleId(id)));
    }

    #[test]
    fn draining_leaves_an_empty_table_and_stale_ids() {
        let mut table = IdTable::<_, _>::new(slots(3));
        let ids: Vec<u64> = (0..3).filter_map(|n| table.insert(n).ok()).collect();
        assert_eq!(table.complete(ids[1]), Ok(1));
        let mut rest = Vec::new();
        table.drain(|n| rest.push(n));
        assert_eq!(rest, [0, 2]);
        assert_eq!(table.taken(), 0);
        for id in ids {
            assert_eq!(table.complete(id), Err(Corrupt::StaleId(id)));
        }
        assert!((0..3).all(|n| table.insert(n).is_ok()));
    }

    #[test]
    fn storage_used_again_does_not_repeat_ids() {
        let mut table = IdTable::<_, _>::new(slots(1));
        let before = table.insert(1).expect("a free id");
        let mut table = IdTable::<_, _>::new(table.into_slots());
        let after = table.insert(2).expect("a free id");
        assert_ne!(before, after);
        assert_eq!(table.complete(before), Err(Corrupt::StaleId(before)));
    }
}
