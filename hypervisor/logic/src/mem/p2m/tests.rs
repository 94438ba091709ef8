// SPDX-License-Identifier: GPL-2.0

//! Random maps and unmaps against a map of frames.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Default)]
pub struct Tables {
    tables: BTreeMap<u64, Vec<u64>>,
    next: u64,
    freed: u32,
    pub limit: Option<usize>,
}

impl P2mMemory for Tables {
    fn alloc(&mut self) -> Option<Mfn> {
        if self.limit.is_some_and(|limit| self.tables.len() >= limit) {
            return None;
        }
        self.next += 1;
        self.tables.insert(self.next, vec![0; 512]);
        Some(Mfn(self.next))
    }

    fn free(&mut self, table: Mfn) {
        assert!(self.tables.remove(&table.0).is_some(), "freed twice");
        self.freed += 1;
    }

    fn is_empty(&self, table: Mfn) -> bool {
        self.tables[&table.0].iter().all(|entry| *entry == 0)
    }

    fn load(&self, table: Mfn, index: u64) -> u64 {
        self.tables[&table.0][index as usize]
    }

    fn store(&mut self, table: Mfn, index: u64, entry: u64) {
        self.tables.get_mut(&table.0).expect("a table")[index as usize] = entry;
    }
}

#[test]
fn memory_is_mapped_in_the_largest_leaves_that_fit() {
    let mut memory = Tables::default();
    let mut p2m = P2m::new(&mut memory).expect("memory");
    // One GiB, one frame less than two MiB before it.
    let start = (1 << 18) - 511;
    p2m.map(
        &mut memory,
        Gfn(start),
        Mfn(start),
        (1 << 18) + 511,
        P2mType::RamRw,
    )
    .expect("fits");
    let order = |gfn| p2m.lookup(&memory, Gfn(gfn)).map(|seen| seen.order);
    assert_eq!(order(start), Some(0));
    assert_eq!(order(1 << 18), Some(18));
    assert_eq!(order((1 << 19) - 1), Some(18));
    assert_eq!(order(1 << 19), None);
    assert_eq!(
        p2m.lookup(&memory, Gfn(0x4_1234)).map(|s| s.mfn),
        Some(Mfn(0x4_1234))
    );
}

#[test]
fn the_tables_are_freed_in_parts() {
    let mut memory = Tables::default();
    let mut p2m = P2m::new(&mut memory).expect("memory");
    // Leaves of all sizes, in tables of their own.
    let mapped = [(0, 1), (5 << 9, 1 << 9), (3 << 18, 1 << 18), (7 << 27, 1)];
    for (gfn, count) in mapped {
        p2m.map(&mut memory, Gfn(gfn), Mfn(gfn), count, P2mType::RamRw)
            .expect("fits");
    }
    let mut leaves = Vec::new();
    let mut parts = 0;
    while !p2m.teardown(&mut memory, 1, &mut |gfn, entry| {
        leaves.push((gfn.0, entry.mfn.0, 1 << entry.order));
    }) {
        parts += 1;
        assert!(parts < 10, "it makes progress");
    }
    assert_eq!(parts, 1, "one after the first branch is gone");
    let expected = mapped.map(|(gfn, count)| (gfn, gfn, count));
    assert_eq!(leaves, expected, "each once");
    assert_eq!(memory.tables.len(), 1, "the topmost one is left");
    p2m.destroy(&mut memory);
    assert!(memory.tables.is_empty());
}

#[test]
fn a_hole_in_a_large_leaf_leaves_the_rest() {
    let mut memory = Tables::default();
    let mut p2m = P2m::new(&mut memory).expect("memory");
    p2m.map(
        &mut memory,
        Gfn(1 << 18),
        Mfn(1 << 18),
        1 << 18,
        P2mType::RamRw,
    )
    .expect("fits");
    assert!(!p2m.take_needs_flush(), "nothing was replaced");
    let hole = Gfn((1 << 18) + 777);
    let seen = p2m.unmap(&mut memory, hole).expect("memory for two tables");
    assert_eq!(seen.map(|s| (s.mfn, s.order)), Some((Mfn(hole.0), 18)));
    assert!(p2m.take_needs_flush() && !p2m.take_needs_flush());
    assert_eq!(p2m.lookup(&memory, hole), None);
    for other in [hole.0 - 1, hole.0 + 1, 1 << 18, (1 << 19) - 1] {
        assert_eq!(
            p2m.lookup(&memory, Gfn(other)).map(|s| s.mfn),
            Some(Mfn(other))
        );
    }
    p2m.map(
        &mut memory,
        Gfn(1 << 18),
        Mfn(1 << 18),
        1 << 18,
        P2mType::RamRw,
    )
    .expect("fits");
    assert_eq!(memory.tables.len(), 2, "the small tables are freed");
    p2m.destroy(&mut memory);
    assert!(memory.tables.is_empty());
}

#[test]
fn what_is_out_of_reach_is_refused() {
    let mut memory = Tables::default();
    let mut p2m = P2m::new(&mut memory).expect("memory");
    for (gfn, count) in [(GFN_LIMIT, 1), (u64::MAX, 2), (GFN_LIMIT - 1, 2)] {
        let result = p2m.map(&mut memory, Gfn(gfn), Mfn(0), count, P2mType::RamRw);
        assert_eq!(result, Err(MapError::OutOfReach));
    }
    assert_eq!(p2m.lookup(&memory, Gfn(u64::MAX)), None);
    memory.limit = Some(2);
    let result = p2m.map(&mut memory, Gfn(1), Mfn(1), 1, P2mType::RamRw);
    assert_eq!(result, Err(MapError::NoMemory));
    assert_eq!(p2m.lookup(&memory, Gfn(1)), None);
}

#[test]
fn kinds_say_what_the_processor_may_do() {
    for kind in P2mType::ALL {
        assert_eq!(P2mType::of(leaf(3, kind, 0)), kind);
        assert_eq!(leaf(3, kind, 0) & WRITE != 0, kind.writable());
    }
    let always = PRESENT | USER | ACCESSED | DIRTY;
    for kind in P2mType::ALL {
        let bits = leaf(3, kind, 0) & !TYPE_MASK;
        let own = match kind {
            P2mType::RamRw => WRITE,
            P2mType::RamRo | P2mType::RamLogdirty => 0,
            P2mType::MmioDirect => WRITE | CACHE_DISABLE | WRITE_THROUGH,
            P2mType::GrantMapRw | P2mType::MapForeignRw => WRITE | NO_EXECUTE,
            P2mType::GrantMapRo | P2mType::MapForeignRo => NO_EXECUTE,
        };
        assert_eq!(bits, 3 << 12 | always | own, "{kind:?}");
        assert_eq!(
            leaf(1 << 18, kind, 2) & !TYPE_MASK,
            1 << 30 | always | own | LARGE
        );
        assert_eq!(
            kind.is_ram(),
            matches!(kind, P2mType::RamRw | P2mType::RamRo | P2mType::RamLogdirty)
        );
    }
    assert_eq!(table(Mfn(3)), 3 << 12 | PRESENT | WRITE | USER | ACCESSED);
}

#[test]
fn a_large_leaf_that_cannot_be_split_stays_whole() {
    let mut memory = Tables::default();
    let mut p2m = P2m::new(&mut memory).expect("memory");
    assert_eq!(p2m.root(), Mfn(1));
    p2m.map(
        &mut memory,
        Gfn(1 << 18),
        Mfn(1 << 18),
        1 << 18,
        P2mType::RamRw,
    )
    .expect("fits");
    // A hole needs two tables, and there is one.
    memory.limit = Some(memory.tables.len() + 1);
    let hole = Gfn((1 << 18) + 777);
    assert_eq!(p2m.unmap(&mut memory, hole), Err(MapError::NoMemory));
    for gfn in [hole.0 - 1, hole.0, hole.0 + 1, 1 << 18, (1 << 19) - 1] {
        let seen = p2m.lookup(&memory, Gfn(gfn)).map(|seen| seen.mfn);
        assert_eq!(seen, Some(Mfn(gfn)));
    }
    // What is seen nowhere needs none to be taken away.
    memory.limit = Some(0);
    assert_eq!(p2m.unmap(&mut memory, Gfn(5)), Ok(None));
    assert!(!p2m.take_needs_flush());
}

#[test]
fn leaves_are_as_large_as_both_numbers_allow() {
    let order_at = |gfn: u64, mfn: u64, count: u64| {
        let mut memory = Tables::default();
        let mut p2m = P2m::new(&mut memory).expect("memory");
        p2m.map(&mut memory, Gfn(gfn), Mfn(mfn), count, P2mType::RamRw)
            .expect("fits");
        p2m.lookup(&memory, Gfn(gfn)).map(|seen| seen.order)
    };
    for (gfn, mfn, count, order) in [
        (512, 1024, 512, 9),
        (512, 1024, 511, 0),
        (512, 1025, 512, 0),
        (513, 1024, 512, 0),
        (1 << 18, 1 << 19, 1 << 18, 18),
        (1 << 18, 1 << 19, (1 << 18) - 1, 9),
        (1 << 18, (1 << 19) + 512, 1 << 18, 9),
        ((1 << 18) + 512, 1 << 19, 1 << 18, 9),
    ] {
        assert_eq!(order_at(gfn, mfn, count), Some(order), "{gfn:#x} {mfn:#x}");
    }
}

fn operation() -> impl Strategy<Value = (u64, u64, u64, Option<P2mType>)> {
    let gfn = prop_oneof![0u64..2048, Just(512), Just(1024)];
    let count = prop_oneof![1u64..20, Just(512), Just(1024), Just(600)];
    let kind = proptest::option::of(proptest::sample::select(&P2mType::ALL[..]));
    // Frames that are as well aligned as their places, or one off.
    (gfn, count, 0u64..2, kind)
}

proptest! {
    #[test]
    fn tables_say_what_a_map_of_frames_says(operations in proptest::collection::vec(operation(), 1..40)) {
        let mut memory = Tables::default();
        let mut p2m = P2m::new(&mut memory).expect("memory");
        let mut model = BTreeMap::new();
        for (gfn, count, off, kind) in operations {
            let before = (gfn..gfn + count).any(|gfn| model.contains_key(&gfn));
            let before = if kind.is_some() { before } else { model.contains_key(&gfn) };
            match kind {
                Some(kind) => {
                    let mfn = gfn + 0x10_0000 + off;
                    p2m.map(&mut memory, Gfn(gfn), Mfn(mfn), count, kind).expect("fits");
                    for i in 0..count {
                        model.insert(gfn + i, (Mfn(mfn + i), kind));
                    }
                }
                None => {
                    let seen = p2m.unmap(&mut memory, Gfn(gfn)).expect("memory");
                    prop_assert_eq!(seen.map(|s| (s.mfn, s.p2mt)), model.remove(&gfn));
                }
            }
            // What was there has to be forgotten, and so has a table that is gone, be it empty.
            let freed = core::mem::take(&mut memory.freed) > 0;
            prop_assert_eq!(p2m.take_needs_flush(), before || freed);
            for gfn in 0..3200 {
                let seen = p2m.lookup(&memory, Gfn(gfn)).map(|s| (s.mfn, s.p2mt));
                prop_assert_eq!(seen, model.get(&gfn).copied());
            }
        }
        let mut seen_by_leaves = BTreeMap::new();
        let mut last = None;
        let mut in_order = true;
        p2m.for_each(&memory, |gfn, seen| {
            in_order &= last.replace(gfn) < Some(gfn);
            for i in 0..1 << seen.order {
                seen_by_leaves.insert(gfn.0 + i, (Mfn(seen.mfn.0 + i), seen.p2mt));
            }
        });
        prop_assert!(in_order);
        prop_assert_eq!(seen_by_leaves, model);
        p2m.destroy(&mut memory);
        prop_assert!(memory.tables.is_empty());
    }
}
