// SPDX-License-Identifier: GPL-2.0

//! The paging pool: a domain's nested page tables cost the domain, not the machine.

use super::*;
use crate::system::domain::Config;
use crate::system::fake::{config, destroy_domain};

/// Domain 1 with so many pages for tables and one of memory, at gfn 0x40.
fn with_pool(pages: u64) -> System<FakePlatform> {
    let mut system = machine(256);
    add_domain(&mut system, 0, 0x20, 16);
    let config = Config {
        paging_pages: Some(pages),
        ..config(1)
    };
    system.create_domain(config).expect("memory for a domain");
    assert_eq!(system.populate_physmap(1, Gfn(0x40), 0, None), Ok(()));
    system
}

fn mapped(system: &mut System<FakePlatform>, gfn: u64) -> bool {
    system.lookup(1, Gfn(gfn)).is_some()
}

#[test]
fn a_domain_that_moves_its_memory_about_takes_nothing_from_the_machine() {
    let mut system = with_pool(8);
    let free = system.frames.free_count();
    let mut at = 0x40;
    // Each place needs tables of its own, which replace those of the place before.
    for step in 1..100u64 {
        let to = step << 28 | step << 19 | step << 10;
        assert_eq!(system.move_page(1, Gfn(at), Gfn(to)), Ok(()), "{step}");
        assert!(mapped(&mut system, to) && !mapped(&mut system, at));
        at = to;
    }
    assert_eq!(system.frames.free_count(), free);
    assert_eq!(system.domain(1).expect("there").paging_pool.len(), 8);
}

#[test]
fn a_domain_without_pages_for_tables_keeps_what_it_has() {
    // The topmost table, three for its page, and not three for another one.
    let mut system = with_pool(6);
    let free = system.frames.free_count();
    let far = Gfn(1 << 30);
    assert_eq!(system.move_page(1, Gfn(0x40), far), Err(Errno::ENOMEM));
    assert!(mapped(&mut system, 0x40));
    let populated = system.populate_physmap(1, far, 0, None);
    assert_eq!(populated, Err(Errno::ENOMEM));
    assert_eq!(
        (system.frames.free_count(), system.frames.tot_pages(1)),
        (free, 1)
    );
    // The two tables that it had got for the far place are free again.
    assert_eq!(system.populate_physmap(1, Gfn(1 << 18), 0, None), Ok(()));
}

#[test]
fn a_pool_gets_smaller_down_to_its_tables() {
    let mut system = with_pool(16);
    let free = system.frames.free_count();
    let domain = system.domains.get_mut(&1).expect("there");
    let resize = |pool: &mut crate::system::paging_pool::PagingPool, frames: &mut _, pages| {
        pool.resize(frames, pages, 5)
    };
    let (pool, frames) = (&mut domain.paging_pool, &mut system.frames);
    assert_eq!(resize(pool, frames, 8), Ok(false), "a part of it");
    assert_eq!(resize(pool, frames, 8), Ok(true));
    assert_eq!(resize(pool, frames, 3), Err(Errno::ENOMEM), "4 are tables");
    assert_eq!((pool.len(), frames.free_count()), (4, free + 12));
    assert_eq!(resize(pool, frames, 9), Ok(true));
    assert!(mapped(&mut system, 0x40));
    let all = system.frames.free_count();
    assert_eq!(destroy_domain(&mut system, 1), Ok(()));
    // The pool, its page, its shared info and its grant table.
    assert_eq!(system.frames.free_count(), all + 9 + 3);
}
