// SPDX-License-Identifier: GPL-2.0

//! What unprivileged domains may make the hypervisor keep on its heap.

use super::*;
use crate::grant::ActiveEntry;
use crate::system::HeapBudget;
use crate::system::fake::destroy_domain;
use gnttab::{MapGrantRef, UnmapGrantRef};

/// Domain 1 grants its gfn 0x44 to domain 2, which maps it at a gfn.
fn map(system: &mut System<FakePlatform>, gfn: u64) -> (Option<i16>, u32) {
    let mut args = MapGrantRef {
        host_addr: gfn << 12,
        flags: 2,
        gref: 9,
        dom: 1,
        ..Default::default()
    };
    let result = system.map_grant(2, &mut args);
    (result.err().map(|status| status.0), args.handle)
}

fn three_domains() -> System<FakePlatform> {
    let mut system = two_domains();
    add_domain(&mut system, 2, 0x40, 16);
    let at = granting(&mut system, flag::PERMIT_ACCESS);
    let entry = EntryV1 {
        flags: flag::PERMIT_ACCESS,
        domid: 2,
        frame: 0x44,
    };
    caller(&mut system, 1)
        .copy_to_guest(at, &entry)
        .expect("memory");
    system
}

#[test]
fn mappings_end_with_the_budget_and_handles_are_used_again() {
    let mut system = three_domains();
    system.heap_budget = HeapBudget::new(0);
    let no_space = Some(status::NO_SPACE);
    assert_eq!(map(&mut system, 0x300).0, no_space);
    // As many as are counted as a frame of maptrack entries: all that domain 2 may have.
    let before = 1 << 20;
    system.heap_budget = HeapBudget::new(before);
    let handles: Vec<u32> = (0..256)
        .map(|index| {
            let (failed, handle) = map(&mut system, 0x300 + index);
            assert_eq!(failed, None, "{index}");
            handle
        })
        .collect();
    assert_eq!(map(&mut system, 0x400).0, no_space, "its own limit");
    let taken = before - system.heap_budget.left();
    assert!((256 * 32..256 * 64).contains(&taken), "{taken}");
    let unmap = UnmapGrantRef {
        host_addr: 0x300 << 12,
        handle: handles[0],
        ..Default::default()
    };
    assert_eq!(system.unmap_grant(2, &unmap), Ok(()));
    system.heap_budget = HeapBudget::new(0);
    assert_eq!(map(&mut system, 0x300), (None, handles[0]));
    // What domain 2 has taken comes back with it.
    assert_eq!(destroy_domain(&mut system, 2), Ok(()));
    assert!(system.heap_budget.left() > taken);
}

#[test]
fn a_table_grows_within_the_budget_and_dom0s_beyond_it() {
    let mut system = two_domains();
    // A frame has 512 entries of version 1.
    let bytes = 512 * size_of::<Option<ActiveEntry>>();
    system.heap_budget = HeapBudget::new(bytes);
    assert_eq!(system.grow_grant_table(1, 2), Ok(()));
    assert_eq!(system.heap_budget.left(), 0);
    assert_eq!(system.grow_grant_table(1, 3), Err(Errno::ENOMEM));
    assert_eq!(
        system.domain(1).expect("there").grants.frames(false).len(),
        2
    );
    assert_eq!(system.grow_grant_table(0, 4), Ok(()));
    let made = system.create_domain(crate::system::fake::config(5));
    assert_eq!(made, Err(Errno::ENOMEM));
    assert!(system.domain(5).is_err());
}
