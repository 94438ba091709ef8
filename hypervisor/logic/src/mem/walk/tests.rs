// SPDX-License-Identifier: GPL-2.0

//! Page tables in a map of words.

mod manual;

use super::*;
use std::collections::BTreeMap;
use std::vec::Vec;

#[derive(Default)]
struct Words(BTreeMap<u64, u64>);

impl GuestTables for Words {
    fn load(&mut self, gpa: u64, _: EntrySize) -> Option<u64> {
        self.0.get(&gpa).copied()
    }

    fn replace(&mut self, gpa: u64, _: EntrySize, old: u64, new: u64) -> bool {
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
    mode: PagingMode::Long { levels: 4 },
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
        Err(WalkFault::Forbidden)
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
        Err(WalkFault::Forbidden)
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
        Err(WalkFault::Reserved),
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
            Err(WalkFault::NotMapped),
            "{address:#x}"
        );
    }
    let nowhere = Paging {
        cr3: u64::MAX,
        ..PAGING
    };
    assert_eq!(
        walk(&nowhere, ADDRESS_MAPPED, READ, &mut words),
        Err(WalkFault::NotMapped)
    );
}

#[test]
fn without_paging_addresses_are_physical() {
    let none = Paging {
        mode: PagingMode::Unpaged,
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
    assert_eq!(of(USER), Err(WalkFault::Forbidden));
    assert_eq!(of(0), Ok(0x55000));
}

#[test]
fn error_codes_are_the_processors() {
    let user = Access { user: true, ..READ };
    assert_eq!(WalkFault::NotMapped.code(READ), 0);
    assert_eq!(WalkFault::NotMapped.code(user), 4);
    assert_eq!(WalkFault::Forbidden.code(WRITING), 3);
    assert_eq!(WalkFault::Reserved.code(READ), 9);
}

/// Tables in which others change entries too: so many replacements fail because the entry has changed, or none is
/// possible because the tables can only be read.
struct Shared {
    words: Words,
    changes: u32,
    read_only: bool,
    replaced: u32,
}

impl Shared {
    fn new(words: Words, changes: u32, read_only: bool) -> Self {
        Self {
            words,
            changes,
            read_only,
            replaced: 0,
        }
    }
}

impl GuestTables for Shared {
    fn load(&mut self, gpa: u64, size: EntrySize) -> Option<u64> {
        self.words.load(gpa, size)
    }

    fn replace(&mut self, gpa: u64, size: EntrySize, old: u64, new: u64) -> bool {
        if self.read_only {
            return false;
        }
        if self.changes > 0 {
            self.changes -= 1;
            // A bit that software may use.
            *self.words.0.get_mut(&gpa).expect("an entry") ^= 1 << 9;
            return false;
        }
        self.replaced += 1;
        self.words.replace(gpa, size, old, new)
    }
}

#[test]
fn every_level_has_its_say() {
    let user = Access { user: true, ..READ };
    let user_write = Access {
        user: true,
        ..WRITING
    };
    let smap = Access { smap: true, ..READ };
    let above = [0x1000 + 256 * 8, 0x2000, 0x3000 + 8];
    for at in above {
        let without = |bit: u64, access| {
            let mut words = tables(PRESENT | WRITE | USER);
            *words.0.get_mut(&at).expect("an entry") &= !bit;
            walk(&PAGING, ADDRESS_MAPPED, access, &mut words)
        };
        assert_eq!(
            without(WRITE, WRITING),
            Err(WalkFault::Forbidden),
            "{at:#x}"
        );
        assert_eq!(without(WRITE, user_write), Err(WalkFault::Forbidden));
        assert_eq!(without(WRITE, READ), Ok(0x55000));
        assert_eq!(without(USER, user), Err(WalkFault::Forbidden));
        assert_eq!(without(USER, user_write), Err(WalkFault::Forbidden));
        assert_eq!(without(USER, smap), Ok(0x55000), "it is the kernel's");
        assert_eq!(without(PRESENT, READ), Err(WalkFault::NotMapped));
    }
    let all = |access| {
        let mut words = tables(PRESENT | WRITE | USER);
        walk(&PAGING, ADDRESS_MAPPED, access, &mut words)
    };
    assert_eq!(all(smap), Err(WalkFault::Forbidden));
    assert_eq!(all(user_write), Ok(0x55000));
    // A user's write to a page that is read-only fails whatever the kernel's own may do.
    let unprotected = Paging {
        write_protect: false,
        ..PAGING
    };
    let mut words = tables(PRESENT | USER);
    let written = walk(&unprotected, ADDRESS_MAPPED, user_write, &mut words);
    assert_eq!(written, Err(WalkFault::Forbidden));
    assert_eq!(words.0[&(0x4000 + 24)] & (ACCESSED | DIRTY), 0, "no mark");
}

#[test]
fn an_entry_that_changes_is_looked_at_again_a_few_times() {
    for (changes, expected) in [
        (0, Ok(0x55000)),
        (3, Ok(0x55000)),
        (4, Err(WalkFault::NotMapped)),
    ] {
        let mut shared = Shared::new(tables(PRESENT | WRITE), changes, false);
        let found = walk(&PAGING, ADDRESS_MAPPED, READ, &mut shared);
        assert_eq!(found, expected, "{changes}");
    }
}

#[test]
fn entries_that_are_marked_are_not_written_again() {
    let mut shared = Shared::new(tables(PRESENT | WRITE), 0, false);
    for (access, replaced) in [(READ, 4), (READ, 4), (WRITING, 5), (WRITING, 5), (READ, 5)] {
        let found = walk(&PAGING, ADDRESS_MAPPED, access, &mut shared);
        assert_eq!((found, shared.replaced), (Ok(0x55000), replaced));
    }
    // An access succeeds where its bits cannot be set.
    let mut shared = Shared::new(tables(PRESENT | WRITE), 0, true);
    let found = walk(&PAGING, ADDRESS_MAPPED, WRITING, &mut shared);
    assert_eq!(found, Ok(0x55000));
    assert_eq!(shared.words.0[&(0x4000 + 24)], 0x55000 | PRESENT | WRITE);
}

#[test]
fn pages_of_every_size_keep_their_offset() {
    let offset = 0x3f_f123;
    for (at, entry, expected) in [
        (0x2000, 0x40_0000_0000, 0x40_0000_0000),
        (0x3000 + 8, 0x12_3460_0000, 0x12_3460_0000),
    ] {
        let mut words = tables(PRESENT);
        words.0.insert(at, entry | PRESENT | WRITE | LARGE);
        let address = 0xffff_8000_0020_0000 + (offset & 0x1f_ffff);
        let inside = if at == 0x2000 { 0x3f_ffff } else { 0x1f_ffff };
        let found = walk(&PAGING, address, WRITING, &mut words);
        assert_eq!(found, Ok(expected | (address & inside)), "{at:#x}");
        assert_eq!(
            words.0[&at] & (ACCESSED | DIRTY),
            ACCESSED | DIRTY,
            "the last entry is the page's"
        );
        // What the large page's address has too many bits of is not the page's.
        words.0.insert(at, entry | 0x1000 | PRESENT | WRITE | LARGE);
        assert_eq!(walk(&PAGING, address, READ, &mut words), found);
    }
}

#[test]
fn five_levels_reach_further_than_four() {
    let five = Paging {
        cr3: 0x9000,
        mode: PagingMode::Long { levels: 5 },
        ..PAGING
    };
    let mut words = tables(PRESENT | WRITE);
    // Entry 511 of the topmost table, for addresses with the sign of four levels; entry 1 for some of its own.
    for index in [511, 1] {
        words.0.insert(0x9000 + index * 8, 0x1000 | PRESENT | WRITE);
    }
    let found = walk(&five, ADDRESS_MAPPED + 5, READ, &mut words);
    assert_eq!(found, Ok(0x55005));
    let beyond = 1 << 48 | ADDRESS_MAPPED & 0xffff_ffff_ffff;
    assert_eq!(walk(&five, beyond, READ, &mut words), Ok(0x55000));
    let four = walk(&PAGING, beyond, READ, &mut words);
    assert_eq!(four, Err(WalkFault::NotMapped), "not canonical there");
    let high = walk(&five, 1 << 57, READ, &mut words);
    assert_eq!(high, Err(WalkFault::NotMapped));
    words.0.insert(0x9000 + 8, 0x1000 | PRESENT | LARGE);
    let large = walk(&five, beyond, READ, &mut words);
    assert_eq!(large, Err(WalkFault::Reserved));
}

#[test]
fn canonical_addresses_repeat_their_highest_bit() {
    for (address, bits, canonical) in [
        (0x0000_7fff_ffff_ffff, 48, true),
        (0x0000_8000_0000_0000, 48, false),
        (0xffff_7fff_ffff_ffff, 48, false),
        (0xffff_8000_0000_0000, 48, true),
        (0x00ff_ffff_ffff_ffff, 57, true),
        (0x0100_0000_0000_0000, 57, false),
        (0xff00_0000_0000_0000, 57, true),
        (0xfeff_ffff_ffff_ffff, 57, false),
    ] {
        assert_eq!(is_canonical(address, bits), canonical, "{address:#x}");
    }
    let bits = |levels| {
        let mode = PagingMode::Long { levels };
        Paging { mode, ..PAGING }.address_bits()
    };
    assert_eq!((bits(4), bits(5)), (48, 57));
}

#[test]
fn faults_say_who_did_what() {
    let user_write = Access {
        user: true,
        ..WRITING
    };
    assert_eq!(WalkFault::NotMapped.code(WRITING), 2);
    assert_eq!(WalkFault::NotMapped.code(user_write), 6);
    assert_eq!(WalkFault::Forbidden.code(READ), 1);
    assert_eq!(WalkFault::Reserved.code(user_write), 15);
}

#[test]
fn the_mode_follows_from_the_control_registers() {
    let of = |cr0, cr4, efer| {
        let regs = ControlRegs {
            cr0,
            cr3: 0x1234_5678,
            cr4,
            efer,
            cs_long: false,
        };
        let paging = Paging::of(&regs);
        assert_eq!(paging.cr3, 0x1234_5678);
        (paging.mode, paging.write_protect)
    };
    let legacy = |large_pages| PagingMode::Legacy { large_pages };
    let long = |levels| PagingMode::Long { levels };
    assert_eq!(
        of(cr0::PE, cr4::PAE, efer::LME),
        (PagingMode::Unpaged, false)
    );
    assert_eq!(of(cr0::PG, 0, 0), (legacy(false), false));
    assert_eq!(of(cr0::PG | cr0::WP, cr4::PSE, 0), (legacy(true), true));
    assert_eq!(
        of(cr0::PG, cr4::PAE | cr4::PSE, 0),
        (PagingMode::Pae, false)
    );
    let enabled = efer::LME | efer::LMA;
    assert_eq!(of(cr0::PG, cr4::PAE, enabled), (long(4), false));
    assert_eq!(of(cr0::PG, cr4::PAE | CR4_LA57, enabled), (long(5), false));
}

/// A page of 4 MiB above 4 GiB, at the topmost entry of a legacy table.
#[test]
fn legacy_pages_of_4_mib_lie_anywhere_below_1_tib() {
    let paging = |large_pages| Paging {
        cr3: 0x1000,
        mode: PagingMode::Legacy { large_pages },
        ..PAGING
    };
    let with = |entry| {
        Words(BTreeMap::from([
            (0x1ffc, entry),
            (0x41_a000 + 0x3f * 4, 0x7001),
        ]))
    };
    // Bits 32 and 39 of the address in bits 13 and 20.
    let entry = 0xff40_0000 | 1 << 13 | 1 << 20 | LARGE | PRESENT | WRITE;
    let address = 0xffff_ffff_ffc3_f123;
    let mut words = with(entry);
    assert_eq!(
        walk(&paging(true), address, WRITING, &mut words),
        Ok(0x81_ff43_f123)
    );
    assert_eq!(words.0[&0x1ffc], entry | ACCESSED | DIRTY);
    let mut words = with(entry | LARGE_RESERVED);
    let found = walk(&paging(true), address, READ, &mut words);
    assert_eq!(found, Err(WalkFault::Reserved));
    // Without PSE the bit means nothing.
    let mut words = with(0x41_a000 | LARGE | PRESENT);
    assert_eq!(walk(&paging(false), address, READ, &mut words), Ok(0x7123));
}
