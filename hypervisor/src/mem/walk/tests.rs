//! Page tables in a map of words.

use super::*;
use std::collections::BTreeMap;

#[derive(Default)]
struct Words(BTreeMap<u64, u64>);

impl TableMemory for Words {
    fn load(&mut self, gpa: u64) -> Option<u64> {
        self.0.get(&gpa).copied()
    }

    fn replace(&mut self, gpa: u64, old: u64, new: u64) -> bool {
        match self.0.get_mut(&gpa) {
            Some(word) if *word == old => {
                *word = new;
                true
            }
            _ => false,
        }
    }
}

const PAGING: Paging = Paging {
    cr3: 0x1000,
    levels: 4,
    write_protect: true,
};
const READ: Access = Access::supervisor(false);
const WRITING: Access = Access::supervisor(true);

/// Maps `0xffff_8000_0020_3xxx` to frame 0x55 with these bits.
fn tables(bits: u64) -> Words {
    let mut words = Words::default();
    words
        .0
        .insert(0x1000 + 256 * 8, 0x2000 | PRESENT | WRITE | USER);
    words.0.insert(0x2000, 0x3000 | PRESENT | WRITE | USER);
    words.0.insert(0x3000 + 8, 0x4000 | PRESENT | WRITE | USER);
    words.0.insert(0x4000 + 3 * 8, 0x55000 | bits);
    words
}

const ADDRESS_MAPPED: u64 = 0xffff_8000_0020_3000;

#[test]
fn an_address_is_found_and_marked() {
    let mut words = tables(PRESENT | WRITE);
    assert_eq!(
        walk(&PAGING, ADDRESS_MAPPED + 0x123, WRITING, &mut words),
        Ok(0x55123)
    );
    assert_eq!(
        words.0[&(0x4000 + 24)],
        0x55000 | PRESENT | WRITE | ACCESSED | DIRTY
    );
    assert_eq!(words.0[&0x2000] & (ACCESSED | DIRTY), ACCESSED);
}

#[test]
fn reading_does_not_mark_dirty() {
    let mut words = tables(PRESENT | WRITE);
    assert_eq!(walk(&PAGING, ADDRESS_MAPPED, READ, &mut words), Ok(0x55000));
    assert_eq!(words.0[&(0x4000 + 24)] & DIRTY, 0);
}

#[test]
fn read_only_pages_are_not_written_unless_protection_is_off() {
    let mut words = tables(PRESENT);
    assert_eq!(
        walk(&PAGING, ADDRESS_MAPPED, WRITING, &mut words),
        Err(Fault::Forbidden)
    );
    let unprotected = Paging {
        write_protect: false,
        ..PAGING
    };
    assert_eq!(
        walk(&unprotected, ADDRESS_MAPPED, WRITING, &mut words),
        Ok(0x55000)
    );
}

#[test]
fn a_user_does_not_reach_the_kernels_pages() {
    let user = Access { user: true, ..READ };
    assert_eq!(
        walk(&PAGING, ADDRESS_MAPPED, user, &mut tables(PRESENT | WRITE)),
        Err(Fault::Forbidden)
    );
    assert_eq!(
        walk(
            &PAGING,
            ADDRESS_MAPPED,
            user,
            &mut tables(PRESENT | WRITE | USER)
        ),
        Ok(0x55000)
    );
}

#[test]
fn large_pages_end_the_walk() {
    let mut words = tables(PRESENT);
    words
        .0
        .insert(0x3000 + 8, 0x4000_0000 | PRESENT | WRITE | LARGE);
    assert_eq!(
        walk(&PAGING, ADDRESS_MAPPED + 4, WRITING, &mut words),
        Ok(0x4000_3004)
    );
    words.0.insert(0x1000 + 256 * 8, 0x2000 | PRESENT | LARGE);
    assert_eq!(
        walk(&PAGING, ADDRESS_MAPPED, READ, &mut words),
        Err(Fault::Reserved),
        "no such large page"
    );
}

#[test]
fn what_is_not_there_is_not_mapped() {
    let mut words = tables(PRESENT);
    for address in [
        0,
        0x0000_8000_0000_0000,
        0xffff_7fff_ffff_ffff,
        u64::MAX,
        ADDRESS_MAPPED + 0x1000,
    ] {
        assert_eq!(
            walk(&PAGING, address, READ, &mut words),
            Err(Fault::NotMapped),
            "{address:#x}"
        );
    }
    let nowhere = Paging {
        cr3: u64::MAX,
        ..PAGING
    };
    assert_eq!(
        walk(&nowhere, ADDRESS_MAPPED, READ, &mut words),
        Err(Fault::NotMapped)
    );
}

#[test]
fn without_paging_addresses_are_physical() {
    let none = Paging {
        levels: 0,
        ..PAGING
    };
    assert_eq!(
        walk(&none, 0x1234, WRITING, &mut Words::default()),
        Ok(0x1234)
    );
}

#[test]
fn the_kernel_does_not_reach_users_pages_where_smap_forbids() {
    let smap = Access { smap: true, ..READ };
    let of = |bits| walk(&PAGING, ADDRESS_MAPPED, smap, &mut tables(PRESENT | bits));
    assert_eq!(of(USER), Err(Fault::Forbidden));
    assert_eq!(of(0), Ok(0x55000));
}

#[test]
fn error_codes_are_the_processors() {
    let user = Access { user: true, ..READ };
    assert_eq!(Fault::NotMapped.code(READ), 0);
    assert_eq!(Fault::NotMapped.code(user), 4);
    assert_eq!(Fault::Forbidden.code(WRITING), 3);
    assert_eq!(Fault::Reserved.code(READ), 9);
}
