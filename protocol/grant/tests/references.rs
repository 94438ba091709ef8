// SPDX-License-Identifier: GPL-2.0

//! The references of a guest against a model: none is given out twice, none is lost, and what a
//! caller does wrong changes nothing.

use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::atomic::AtomicU32;
use xen_grant::references::{
    claim, release, state, BadReference, Exhausted, PrivateList, RefState, References, FIRST,
    MAX_REFERENCES,
};

/// Room for so many references.
fn references(room: usize) -> References<Vec<AtomicU32>> {
    References::new((0..room).map(|_| AtomicU32::new(0)).collect())
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Grow(u32),
    Alloc,
    AllocList(u32),
    AllocConsecutive(u32),
    Free(usize),
    FreeAny(u32),
    Claim(usize),
    Release(usize),
    FreeList(usize),
    Defer(usize),
    FreeDeferred(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let any = || any::<prop::sample::Index>().prop_map(|index| index.index(1 << 16));
    let step = prop_oneof![
        2 => (0u32..20).prop_map(Step::Grow),
        6 => Just(Step::Alloc),
        2 => (0u32..12).prop_map(Step::AllocList),
        2 => (0u32..8).prop_map(Step::AllocConsecutive),
        4 => any().prop_map(Step::Free),
        2 => (0u32..100).prop_map(Step::FreeAny),
        3 => any().prop_map(Step::Claim),
        2 => any().prop_map(Step::Release),
        1 => any().prop_map(Step::FreeList),
        2 => any().prop_map(Step::Defer),
        2 => any().prop_map(Step::FreeDeferred),
    ];
    proptest::collection::vec(step, 1..200)
}

/// The model: every reference of the table is in exactly one of these, or reserved.
#[derive(Default)]
struct Model {
    size: u32,
    free: BTreeSet<u32>,
    in_use: Vec<u32>,
    deferred: Vec<u32>,
    lists: Vec<(PrivateList, BTreeSet<u32>)>,
}

fn pick<T>(from: &mut Vec<T>, index: usize) -> Option<T> {
    (!from.is_empty()).then(|| from.swap_remove(index % from.len()))
}

proptest! {
    #[test]
    fn every_reference_is_in_one_place(steps in steps()) {
        const ROOM: u32 = 90;
        let mut refs = references(ROOM as usize);
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Grow(more) => {
                    let missing = (model.size + more).saturating_sub(ROOM);
                    if missing > 0 {
                        prop_assert_eq!(refs.grow(more), Err(Exhausted { missing }));
                    } else {
                        prop_assert_eq!(refs.grow(more), Ok(()));
                        model.free.extend((model.size..model.size + more).filter(|r| *r >= FIRST));
                        model.size += more;
                    }
                }
                Step::Alloc => match refs.alloc() {
                    Ok(reference) => {
                        prop_assert!(model.free.remove(&reference), "it was not free");
                        model.in_use.push(reference);
                    }
                    Err(exhausted) => {
                        prop_assert!(model.free.is_empty());
                        prop_assert_eq!(exhausted, Exhausted { missing: 1 });
                    }
                },
                Step::AllocList(count) => match refs.alloc_list(count) {
                    Ok(list) => {
                        // As C's callers keep it.
                        let list = PrivateList::from_head(list.into_head());
                        model.lists.push((list, BTreeSet::new()));
                        prop_assert!(count as usize <= model.free.len());
                        let listed = (0..model.size).filter(|r| {
                            refs.state(*r) == RefState::Listed && model.free.contains(r)
                        });
                        let listed: BTreeSet<u32> = listed.collect();
                        prop_assert_eq!(listed.len(), count as usize);
                        model.free.retain(|reference| !listed.contains(reference));
                        model.lists.last_mut().expect("pushed").1 = listed;
                    }
                    Err(Exhausted { missing }) => {
                        prop_assert_eq!(missing, count - model.free.len() as u32);
                    }
                },
                Step::AllocConsecutive(count) => match refs.alloc_consecutive(count) {
                    Ok(first) => {
                        for reference in first..first + count {
                            prop_assert!(model.free.remove(&reference), "it was not free");
                            model.in_use.push(reference);
                        }
                    }
                    Err(Exhausted { missing }) => {
                        let is_run = |first: &u32| (*first..*first + count.max(1)).all(|r| model.free.contains(&r));
                        prop_assert!(!(0..model.size).any(|first| is_run(&first)));
                        prop_assert!(missing > 0 && missing <= count.max(1));
                        // So many more are enough.
                        let end = (0..model.size).rev().take_while(|r| model.free.contains(r));
                        prop_assert_eq!(end.count() as u32 + missing, count.max(1));
                    }
                },
                Step::Free(index) => {
                    if let Some(reference) = pick(&mut model.in_use, index) {
                        prop_assert_eq!(refs.free(reference), Ok(()));
                        model.free.insert(reference);
                        // A second time it is found.
                        let state = RefState::Free;
                        let twice = Err(BadReference { reference, state });
                        prop_assert_eq!(refs.free(reference), twice);
                        prop_assert_eq!(refs.free_deferred(reference), twice);
                    }
                }
                Step::FreeAny(reference) => {
                    if !model.in_use.contains(&reference) {
                        let state = refs.state(reference);
                        prop_assert_eq!(refs.free(reference), Err(BadReference { reference, state }));
                    }
                }
                Step::Claim(index) => {
                    if let Some((mut list, mut listed)) = pick(&mut model.lists, index) {
                        match claim(refs.slots(), &mut list).expect("a good list") {
                            None => prop_assert!(listed.is_empty()),
                            Some(reference) => {
                                prop_assert!(listed.remove(&reference));
                                model.in_use.push(reference);
                            }
                        }
                        prop_assert_eq!(list.is_empty(), listed.is_empty());
                        model.lists.push((list, listed));
                    }
                }
                Step::Release(index) => {
                    let list = pick(&mut model.lists, index);
                    if let Some((mut list, mut listed)) = list {
                        if let Some(reference) = pick(&mut model.in_use, index) {
                            prop_assert_eq!(release(refs.slots(), &mut list, reference), Ok(()));
                            listed.insert(reference);
                        }
                        model.lists.push((list, listed));
                    }
                }
                Step::FreeList(index) => {
                    if let Some((list, listed)) = pick(&mut model.lists, index) {
                        prop_assert_eq!(refs.free_list(list), Ok(listed.len() as u32));
                        model.free.extend(listed);
                    }
                }
                Step::Defer(index) => {
                    if let Some(reference) = pick(&mut model.in_use, index) {
                        prop_assert_eq!(refs.defer(reference), Ok(()));
                        model.deferred.push(reference);
                    }
                }
                Step::FreeDeferred(index) => {
                    if let Some(reference) = pick(&mut model.deferred, index) {
                        let state = RefState::Deferred;
                        let early = Err(BadReference { reference, state });
                        prop_assert_eq!(refs.free(reference), early);
                        prop_assert_eq!(refs.free_deferred(reference), Ok(()));
                        model.free.insert(reference);
                    }
                }
            }
            prop_assert_eq!(refs.size(), model.size);
            prop_assert_eq!(refs.free_count() as usize, model.free.len());
            for reference in 0..ROOM {
                let expected = if reference >= model.size {
                    RefState::Unknown
                } else if reference < FIRST {
                    RefState::Reserved
                } else if model.free.contains(&reference) {
                    RefState::Free
                } else if model.in_use.contains(&reference) {
                    RefState::InUse
                } else if model.deferred.contains(&reference) {
                    RefState::Deferred
                } else {
                    RefState::Listed
                };
                prop_assert_eq!(refs.state(reference), expected, "reference {}", reference);
                prop_assert_eq!(state(refs.slots(), reference), expected);
            }
        }
    }
}

#[test]
fn new_references_are_given_out_in_ascending_order_and_reserved_ones_never() {
    let mut refs = references(20);
    assert_eq!(refs.alloc(), Err(Exhausted { missing: 1 }));
    assert_eq!(refs.grow(5), Ok(()));
    assert_eq!((refs.size(), refs.free_count()), (5, 0));
    assert_eq!(refs.grow(7), Ok(()));
    assert_eq!([refs.alloc(), refs.alloc()], [Ok(8), Ok(9)]);
    // The one that was freed last is still in the processor's cache.
    assert_eq!(refs.free(8), Ok(()));
    assert_eq!(refs.alloc(), Ok(8));
    for reference in [0, 7] {
        let state = RefState::Reserved;
        assert_eq!(refs.free(reference), Err(BadReference { reference, state }));
    }
    assert_eq!(refs.grow(9), Err(Exhausted { missing: 1 }));
    assert_eq!(
        refs.grow(u32::MAX),
        Err(Exhausted {
            missing: u32::MAX - 8
        })
    );
    refs.slots_mut().push(AtomicU32::new(0));
    assert_eq!(refs.grow(9), Ok(()));
    const { assert!(MAX_REFERENCES > 1 << 27) };
}

#[test]
fn a_list_that_is_kept_twice_is_found() {
    let mut refs = references(20);
    refs.grow(20).expect("room");
    let list = refs.alloc_list(3).expect("free ones");
    let head = list.into_head();
    let mut copy = PrivateList::from_head(head);
    let list = PrivateList::from_head(head);
    assert_eq!(refs.free_list(list), Ok(3));
    let (reference, state) = (head, RefState::Free);
    let bad = BadReference { reference, state };
    assert_eq!(claim(refs.slots(), &mut copy), Err(bad));
    assert!(copy.is_empty(), "it goes no further");
    assert_eq!(claim(refs.slots(), &mut copy), Ok(None));
    assert_eq!(refs.free_count(), 12);
    assert_eq!(
        bad.to_string(),
        format!("grant reference {head:#x} is free")
    );
    // What C's callers make of an empty list, and a number that never was one.
    assert_eq!(PrivateList::empty().into_head(), u32::MAX);
    assert!(PrivateList::from_head(u32::MAX).is_empty());
    let mut foreign = PrivateList::from_head(1 << 27);
    let state = RefState::Unknown;
    let bad = Err(BadReference {
        reference: 1 << 27,
        state,
    });
    assert_eq!(claim(refs.slots(), &mut foreign), bad);
}

#[test]
fn the_states_have_names() {
    let names = [
        (RefState::Unknown, "unknown"),
        (RefState::Reserved, "reserved"),
        (RefState::Free, "free"),
        (RefState::Listed, "in a list"),
        (RefState::InUse, "in use"),
        (RefState::Deferred, "deferred"),
    ];
    for (state, name) in names {
        let text = BadReference {
            reference: 0x10,
            state,
        }
        .to_string();
        assert_eq!(text, format!("grant reference 0x10 is {name}"));
    }
}
