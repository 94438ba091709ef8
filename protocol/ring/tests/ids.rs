// SPDX-License-Identifier: GPL-2.0

//! Every state that a small table of ids can come into, whatever the driver and the peer do and in
//! whatever order, and each operation in each of them, against a model.
//!
//! A proof for these sizes, as a bounded model checker's is. Sizes and widths are parameters of
//! the code under test, which has no branch that only larger ones take.

use std::collections::{HashSet, VecDeque};
use xen_ring::{Corrupt, IdSlot, IdTable, TagTable};

/// What is done with a table. Values are 0 or 1.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The driver begins a request in a slot, which only a [`TagTable`] lets it choose.
    Insert { tag: u32, value: u8 },
    /// A response with this id comes.
    Complete(u64),
    /// The driver gives up the request in a slot; all of them, if the table chooses slots.
    Take(u32),
}

/// What is known of a slot.
#[derive(Clone, Copy, Default)]
struct Slot {
    generation: u64,
    value: Option<u8>,
}

/// A table under test.
trait Table {
    const BITS: u32;
    const SLOTS: u32;
    /// Bits of an id that number its slot.
    const SLOT_BITS: u32;

    fn new() -> Self;
    fn insert(&mut self, tag: u32, value: u8) -> Result<u64, u8>;
    fn complete(&mut self, id: u64) -> Result<u8, Corrupt>;
    fn get(&mut self, id: u64) -> Option<u8>;
    /// The values that are given up.
    fn take(&mut self, tag: u32) -> Vec<u8>;
    fn taken(&self) -> u32;
    /// Whether the driver chooses the slot.
    fn is_tagged() -> bool;
    /// Everything that there is to know of it.
    fn state(&self) -> String;
}

fn slots(count: u32) -> Vec<IdSlot<u8>> {
    (0..count).map(|_| IdSlot::new()).collect()
}

type Tags = TagTable<u8, Vec<IdSlot<u8>>, 3>;
type Ids = IdTable<u8, Vec<IdSlot<u8>>, 4>;

impl Table for Tags {
    const BITS: u32 = 3;
    const SLOTS: u32 = 2;
    const SLOT_BITS: u32 = 1;

    fn new() -> Self {
        TagTable::new(slots(Self::SLOTS))
    }
    fn insert(&mut self, tag: u32, value: u8) -> Result<u64, u8> {
        self.insert_at(tag, value)
    }
    fn complete(&mut self, id: u64) -> Result<u8, Corrupt> {
        let (tag, value) = TagTable::complete(self, id)?;
        assert_eq!(u64::from(tag), id & 1);
        Ok(value)
    }
    fn get(&mut self, id: u64) -> Option<u8> {
        self.get_mut(id).ok().copied()
    }
    fn take(&mut self, tag: u32) -> Vec<u8> {
        TagTable::take(self, tag).into_iter().collect()
    }
    fn taken(&self) -> u32 {
        TagTable::taken(self)
    }
    fn is_tagged() -> bool {
        true
    }
    fn state(&self) -> String {
        format!("{self:?}")
    }
}

impl Table for Ids {
    const BITS: u32 = 4;
    const SLOTS: u32 = 3;
    const SLOT_BITS: u32 = 2;

    fn new() -> Self {
        IdTable::new(slots(Self::SLOTS))
    }
    fn insert(&mut self, _tag: u32, value: u8) -> Result<u64, u8> {
        IdTable::insert(self, value)
    }
    fn complete(&mut self, id: u64) -> Result<u8, Corrupt> {
        IdTable::complete(self, id)
    }
    fn get(&mut self, id: u64) -> Option<u8> {
        self.get_mut(id).ok().copied()
    }
    fn take(&mut self, _tag: u32) -> Vec<u8> {
        let mut all = Vec::new();
        self.drain(|value| all.push(value));
        all
    }
    fn taken(&self) -> u32 {
        IdTable::taken(self)
    }
    fn is_tagged() -> bool {
        false
    }
    fn state(&self) -> String {
        format!("{self:?}")
    }
}

/// Each step that is possible: all ids of the width, and some that are none.
fn steps<T: Table>() -> Vec<Step> {
    let tags = if T::is_tagged() { T::SLOTS + 1 } else { 1 };
    let inserts = (0..tags).flat_map(|tag| [0, 1].map(|value| Step::Insert { tag, value }));
    let ids = (0..1 << T::BITS).chain([1 << T::BITS, 1 << 32, u64::MAX]);
    let takes = (0..tags).map(Step::Take);
    inserts
        .chain(ids.map(Step::Complete))
        .chain(takes)
        .collect()
}

/// Does a step with the table and the model, and holds one against the other.
fn check<T: Table>(table: &mut T, model: &mut [Slot], step: Step) {
    let slot_mask = (1 << T::SLOT_BITS) - 1;
    let generations = 1 << (T::BITS - T::SLOT_BITS);
    let before = table.state();
    match step {
        Step::Insert { tag, value } => match table.insert(tag, value) {
            Ok(id) => {
                let at = (id & slot_mask) as usize;
                assert!(!T::is_tagged() || at == tag as usize, "another slot");
                let slot = &mut model[at];
                assert_eq!(slot.value, None, "a slot was given out twice");
                slot.generation = (slot.generation + 1) % generations;
                assert_eq!(id >> T::SLOT_BITS, slot.generation);
                slot.value = Some(value);
            }
            Err(back) => {
                assert_eq!(back, value);
                let is_free = |slot: &Slot| slot.value.is_none();
                match T::is_tagged() {
                    true => assert!(!model.get(tag as usize).is_some_and(is_free)),
                    false => assert!(!model.iter().any(is_free)),
                }
                assert_eq!(table.state(), before);
            }
        },
        Step::Complete(id) => {
            let slot = model.get_mut((id & slot_mask) as usize);
            let valid = slot.filter(|slot| slot.generation == id >> T::SLOT_BITS);
            let value = valid.and_then(|slot| slot.value.take());
            assert_eq!(table.get(id), value);
            assert_eq!(table.complete(id).ok(), value);
            if value.is_none() {
                assert_eq!(table.state(), before, "a bad id changed the table");
            }
        }
        Step::Take(tag) => {
            let given_up: Vec<u8> = match T::is_tagged() {
                true => model
                    .get_mut(tag as usize)
                    .and_then(|slot| slot.value.take())
                    .into_iter()
                    .collect(),
                false => model
                    .iter_mut()
                    .filter_map(|slot| slot.value.take())
                    .collect(),
            };
            assert_eq!(table.take(tag), given_up);
        }
    }
    let live = model.iter().filter(|slot| slot.value.is_some()).count();
    assert_eq!(table.taken() as usize, live);
}

/// Does each step in every state that is reached. Returns how many states there are.
fn explore<T: Table>() -> usize {
    let steps = steps::<T>();
    let mut seen = HashSet::from([T::new().state()]);
    let mut paths = VecDeque::from([vec![]]);
    while let Some(path) = paths.pop_front() {
        for step in &steps {
            let mut table = T::new();
            let mut model = vec![Slot::default(); T::SLOTS as usize];
            for done in &path {
                check(&mut table, &mut model, *done);
            }
            check(&mut table, &mut model, *step);
            if seen.insert(table.state()) {
                paths.push_back([&path[..], &[*step]].concat());
            }
        }
    }
    seen.len()
}

#[test]
fn a_table_of_tags_keeps_its_promises_in_every_state() {
    // Two slots, each with four generations, and free or with one of two values.
    assert_eq!(explore::<Tags>(), 144);
}

#[test]
fn a_table_of_ids_keeps_its_promises_in_every_state() {
    // Three slots as above, times the orders in which those that are free can be listed.
    assert!(explore::<Ids>() > 12 * 12 * 12);
}
