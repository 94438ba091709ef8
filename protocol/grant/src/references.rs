// SPDX-License-Identifier: GPL-2.0

//! The references of a guest's grant table: which are free, and who has the others.
//!
//! Each reference has a slot of 32 bits, with its state and a link to the next of its list:
//!
//! | state | what it is | link |
//! |---|---|---|
//! | [`RefState::Reserved`] | one of the first eight, which the toolstack fills | |
//! | [`RefState::Free`] | on the free list | the next free one |
//! | [`RefState::Listed`] | in a [`PrivateList`], for its owner to claim without the lock | the next of that list |
//! | [`RefState::InUse`] | given out: it grants a page, or will | |
//! | [`RefState::Deferred`] | its owner gave it up, and the other domain still uses the page | |
//!
//! Each change of a state says which one it expects. If a driver frees a reference twice, frees one
//! that it does not have, or one that is deferred, it gets a [`BadReference`] and nothing changes. In
//! Linux's C the free list has a loop then, and two drivers grant by the same entry later.
//!
//! [`References`] is what a lock protects. [`claim`] and [`release`] need none: they touch the slots
//! of one owner's references.
//!
//! Slots lie where the caller says ([`Slots`]), in pages that are added as the table grows.

use core::fmt;
use xen_abi::grant_table::reserved;

/// The first reference that a guest gives out.
pub const FIRST: u32 = reserved::COUNT;

/// References that there can be at most: the link of a slot has 28 bits.
pub const MAX_REFERENCES: u32 = LINK_MASK;

/// No reference: the end of a list.
const END: u32 = LINK_MASK;
const LINK_MASK: u32 = (1 << STATE_SHIFT) - 1;
const STATE_SHIFT: u32 = 28;

/// Slots of 32 bits, one for each reference.
///
/// Reading and writing one is a single relaxed access. Each slot is written by its reference's owner
/// or with the lock held, so there is nothing to order.
pub trait Slots {
    /// Reads a slot; 0 for one that there is no room for.
    fn load(&self, reference: u32) -> u32;

    /// Writes a slot; nothing happens if there is no room for it.
    fn store(&self, reference: u32, value: u32);

    /// How many references there is room for.
    fn room(&self) -> u32;
}

/// What a reference is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefState {
    /// The table has no such reference, or its slot has been overwritten.
    Unknown,
    /// The toolstack's; never free.
    Reserved,
    /// On the free list.
    Free,
    /// In a private list.
    Listed,
    /// Given out.
    InUse,
    /// Given up while the other domain uses the page.
    Deferred,
}

impl RefState {
    const fn bits(self) -> u32 {
        let number = match self {
            Self::Unknown => 0,
            Self::Reserved => 1,
            Self::Free => 2,
            Self::Listed => 3,
            Self::InUse => 4,
            Self::Deferred => 5,
        };
        number << STATE_SHIFT
    }

    const fn of(slot: u32) -> Self {
        match slot >> STATE_SHIFT {
            1 => Self::Reserved,
            2 => Self::Free,
            3 => Self::Listed,
            4 => Self::InUse,
            5 => Self::Deferred,
            _ => Self::Unknown,
        }
    }
}

/// A reference is not in the state that a change of it expects: a bug of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadReference {
    /// The reference.
    pub reference: u32,
    /// The state that it is in.
    pub state: RefState,
}

impl fmt::Display for BadReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            RefState::Unknown => "unknown",
            RefState::Reserved => "reserved",
            RefState::Free => "free",
            RefState::Listed => "in a list",
            RefState::InUse => "in use",
            RefState::Deferred => "deferred",
        };
        write!(f, "grant reference {:#x} is {state}", self.reference)
    }
}

impl core::error::Error for BadReference {}

/// There are not as many free references as asked for. The table can grow by
/// [`References::grow`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// How many are missing.
    pub missing: u32,
}

/// References for one owner, who claims and releases them without the lock.
///
/// Its number is the head of the list. C's callers keep only that.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the references of a list that is forgotten are lost"]
pub struct PrivateList(u32);

impl PrivateList {
    /// Without references.
    pub const fn empty() -> Self {
        Self(END)
    }

    /// Of a number that [`into_head`](Self::into_head) has returned.
    pub const fn from_head(head: u32) -> Self {
        Self(if head > END { END } else { head })
    }

    /// The number, for callers that can keep nothing else. All ones for an empty list, as in C.
    pub const fn into_head(self) -> u32 {
        match self.0 {
            END => u32::MAX,
            head => head,
        }
    }

    /// Whether there is no reference in it.
    pub const fn is_empty(&self) -> bool {
        self.0 == END
    }
}

/// What a reference is in. Needs no lock, and then may be out of date at once.
#[inline]
pub fn state(slots: &impl Slots, reference: u32) -> RefState {
    RefState::of(slots.load(reference))
}

/// Changes the state of a reference, if it is the expected one. Returns what was in its slot.
#[inline]
fn change(
    slots: &impl Slots,
    reference: u32,
    from: RefState,
    slot: u32,
) -> Result<u32, BadReference> {
    let was = slots.load(reference);
    let state = RefState::of(was);
    if state != from {
        return Err(BadReference { reference, state });
    }
    slots.store(reference, slot);
    Ok(was)
}

/// Takes a reference off a private list; `None` if it is empty. Needs no lock, since the list and
/// its references are the caller's.
///
/// # Errors
///
/// [`BadReference`] if the list's first reference is in no list: the list was kept twice. It is
/// empty then.
#[inline]
pub fn claim(slots: &impl Slots, list: &mut PrivateList) -> Result<Option<u32>, BadReference> {
    if list.is_empty() {
        return Ok(None);
    }
    let reference = core::mem::replace(list, PrivateList::empty()).0;
    let in_use = RefState::InUse.bits() | END;
    let was = change(slots, reference, RefState::Listed, in_use)?;
    list.0 = was & LINK_MASK;
    Ok(Some(reference))
}

/// Puts a reference that grants nothing any more onto a private list. Needs no lock.
///
/// # Errors
///
/// [`BadReference`] if it was not given out; nothing changes then.
#[inline]
pub fn release(
    slots: &impl Slots,
    list: &mut PrivateList,
    reference: u32,
) -> Result<(), BadReference> {
    let slot = RefState::Listed.bits() | list.0;
    change(slots, reference, RefState::InUse, slot)?;
    list.0 = reference;
    Ok(())
}

/// The references of a table.
#[derive(Debug)]
pub struct References<S> {
    slots: S,
    /// References that the table has, the reserved ones included.
    size: u32,
    free_head: u32,
    free_count: u32,
}

impl<S: Slots> References<S> {
    /// Of a table without entries.
    pub const fn new(slots: S) -> Self {
        Self {
            slots,
            size: 0,
            free_head: END,
            free_count: 0,
        }
    }

    /// Where the slots are, for [`claim`] and [`release`].
    pub fn slots(&self) -> &S {
        &self.slots
    }

    /// Where the slots are, to add pages before the table grows.
    pub fn slots_mut(&mut self) -> &mut S {
        &mut self.slots
    }

    /// References that the table has, the reserved ones included.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// How many references are free.
    pub fn free_count(&self) -> u32 {
        self.free_count
    }

    /// What a reference is in.
    pub fn state(&self, reference: u32) -> RefState {
        match reference < self.size {
            true => state(&self.slots, reference),
            false => RefState::Unknown,
        }
    }

    /// Adds references, after the table's frames were added. The new ones are free, but for those
    /// that are reserved. They are served in ascending order, before those that were free.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] if there are no slots for them; nothing is added then.
    pub fn grow(&mut self, more: u32) -> Result<(), Exhausted> {
        let room = self.slots.room().min(MAX_REFERENCES);
        let free = room.saturating_sub(self.size);
        if more > free {
            return Err(Exhausted {
                missing: more.saturating_sub(free),
            });
        }
        let end = self.size.saturating_add(more);
        for reference in (self.size..end).rev() {
            if reference < FIRST {
                self.slots.store(reference, RefState::Reserved.bits() | END);
            } else {
                self.push_free(reference);
            }
        }
        self.size = end;
        Ok(())
    }

    fn push_free(&mut self, reference: u32) {
        let slot = RefState::Free.bits() | self.free_head;
        self.slots.store(reference, slot);
        self.free_head = reference;
        self.free_count = self.free_count.saturating_add(1);
    }

    /// Takes the first free reference, and gives it a state.
    fn pop_free(&mut self, slot: u32) -> Result<u32, Exhausted> {
        let reference = self.free_head;
        let next = match self.state(reference) {
            RefState::Free => self.slots.load(reference) & LINK_MASK,
            _ => return Err(Exhausted { missing: 1 }),
        };
        self.free_head = next;
        self.free_count = self.free_count.saturating_sub(1);
        self.slots.store(reference, slot);
        Ok(reference)
    }

    /// Gives out a reference (`gnttab_alloc_grant_references` of one).
    ///
    /// # Errors
    ///
    /// [`Exhausted`].
    pub fn alloc(&mut self) -> Result<u32, Exhausted> {
        self.pop_free(RefState::InUse.bits() | END)
    }

    /// Gives out so many references as a private list.
    ///
    /// # Errors
    ///
    /// [`Exhausted`]; none is given out then.
    pub fn alloc_list(&mut self, count: u32) -> Result<PrivateList, Exhausted> {
        self.has_free(count)?;
        let mut list = PrivateList::empty();
        for _ in 0..count {
            match self.pop_free(RefState::Listed.bits() | list.0) {
                Ok(reference) => list.0 = reference,
                Err(exhausted) => {
                    let _ = self.free_list(list);
                    return Err(exhausted);
                }
            }
        }
        Ok(list)
    }

    fn has_free(&self, count: u32) -> Result<(), Exhausted> {
        match count.saturating_sub(self.free_count) {
            0 => Ok(()),
            missing => Err(Exhausted { missing }),
        }
    }

    /// Gives out so many references with consecutive numbers, and returns the first. Takes time
    /// proportional to the table's size.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] with how many the table has to grow by; none is given out then.
    pub fn alloc_consecutive(&mut self, count: u32) -> Result<u32, Exhausted> {
        let first = self.find_consecutive(count)?;
        let end = first.saturating_add(count);
        // The free list without them, in its order.
        let mut at = None;
        let mut next = self.free_head;
        while self.state(next) == RefState::Free {
            let reference = next;
            next = self.slots.load(reference) & LINK_MASK;
            if (first..end).contains(&reference) {
                self.slots.store(reference, RefState::InUse.bits() | END);
                self.free_count = self.free_count.saturating_sub(1);
                self.set_next(at, next);
            } else {
                at = Some(reference);
            }
        }
        Ok(first)
    }

    /// Sets what follows on the free list after a reference, or at its beginning.
    fn set_next(&mut self, after: Option<u32>, next: u32) {
        match after {
            None => self.free_head = next,
            Some(reference) => self.slots.store(reference, RefState::Free.bits() | next),
        }
    }

    fn find_consecutive(&self, count: u32) -> Result<u32, Exhausted> {
        let mut run = 0u32;
        for reference in 0..self.size {
            match self.state(reference) {
                RefState::Free => run = run.saturating_add(1),
                _ => run = 0,
            }
            if run >= count.max(1) {
                return Ok(reference.saturating_add(1).saturating_sub(run));
            }
        }
        // What is free at the end counts.
        Err(Exhausted {
            missing: count.max(1).saturating_sub(run),
        })
    }

    /// Takes back a reference that grants nothing any more (`gnttab_free_grant_reference`).
    ///
    /// # Errors
    ///
    /// [`BadReference`] if it was not given out; nothing changes then.
    pub fn free(&mut self, reference: u32) -> Result<(), BadReference> {
        change(
            &self.slots,
            reference,
            RefState::InUse,
            RefState::InUse.bits(),
        )?;
        self.push_free(reference);
        Ok(())
    }

    /// Takes back the references of a private list, and returns how many.
    ///
    /// # Errors
    ///
    /// [`BadReference`] if it is followed by a reference that is in no list. Those before it are
    /// free, the rest is lost to the table.
    pub fn free_list(&mut self, list: PrivateList) -> Result<u32, BadReference> {
        let (mut list, mut count) = (list, 0u32);
        while let Some(reference) = claim(&self.slots, &mut list)? {
            self.free(reference)?;
            count = count.saturating_add(1);
        }
        Ok(count)
    }

    /// Its owner gives a reference up that could not be revoked. It comes back by
    /// [`free_deferred`](Self::free_deferred).
    ///
    /// # Errors
    ///
    /// [`BadReference`] if it was not given out; nothing changes then.
    pub fn defer(&mut self, reference: u32) -> Result<(), BadReference> {
        let slot = RefState::Deferred.bits() | END;
        change(&self.slots, reference, RefState::InUse, slot).map(|_| ())
    }

    /// Takes back a deferred reference that has been revoked.
    ///
    /// # Errors
    ///
    /// [`BadReference`] if it is not deferred; nothing changes then.
    pub fn free_deferred(&mut self, reference: u32) -> Result<(), BadReference> {
        let slot = RefState::InUse.bits() | END;
        change(&self.slots, reference, RefState::Deferred, slot)?;
        self.free(reference)
    }
}
