// SPDX-License-Identifier: GPL-2.0

//! Registers, interrupts and timer of the vLAPIC.

use super::timer::{MIN_PERIOD, TICK};
use super::*;

/// Turned on by its spurious-vector register.
fn on(id: u32) -> VLapic {
    let mut apic = VLapic::new(id, true);
    apic.write(0xf0, 0x1ff, 0);
    apic
}

#[test]
fn the_highest_vector_comes_first_and_blocks_its_class() {
    let mut apic = on(0);
    for vector in [0x31, 0x52, 0x35] {
        assert!(apic.set_irq(vector, false));
    }
    assert_eq!(apic.pending_irq(), Some(0x52));
    apic.ack_pending_irq(0x52);
    apic.set_irq(0x5f, false);
    // Of the same class: it waits for the end of the one before.
    assert_eq!(apic.pending_irq(), None);
    assert_eq!(apic.write(0xb0, 0, 0), Some(Effect::None));
    assert_eq!(apic.pending_irq(), Some(0x5f));
}

#[test]
fn task_priority_holds_back_lower_classes() {
    let mut apic = on(0);
    apic.set_irq(0x41, false);
    apic.write(0x80, 0x40, 0);
    assert_eq!(apic.pending_irq(), None);
    apic.write(0x80, 0x30, 0);
    assert_eq!(apic.pending_irq(), Some(0x41));
}

#[test]
fn the_end_of_a_level_interrupt_is_told() {
    let mut apic = on(0);
    apic.set_irq(0x41, true);
    apic.ack_pending_irq(0x41);
    assert_eq!(apic.write(0xb0, 0, 0), Some(Effect::LevelEoi(0x41)));
    assert_eq!(apic.write(0xb0, 0, 0), Some(Effect::None));
}

#[test]
fn pending_upcalls_are_asked_for_when_it_is_enabled() {
    let mut apic = on(0);
    apic.set_evtchn_irq(0xf3);
    apic.reset();
    assert_eq!(apic.pending_irq(), None);
    assert_eq!(apic.write(0xf0, 0xff, 0), Some(Effect::None));
    assert_eq!(apic.write(0xf0, 0x1ff, 0), Some(Effect::Enabled));
    assert!(apic.set_base(ADDRESS | BASE_ENABLE | BASE_X2APIC));
    assert_eq!(apic.write(0xf0, 0x1ff, 0), Some(Effect::Enabled));
}

#[test]
fn the_logical_id_outlives_init() {
    let mut apic = on(0x12);
    assert!(apic.set_base(ADDRESS | BASE_ENABLE | BASE_X2APIC));
    let to = Destination {
        id: 1 << 16 | 1 << 2,
        logical: true,
    };
    assert!(apic.match_dest(to));
    apic.reset();
    assert!(apic.match_dest(to));
}

#[test]
fn while_off_only_events_are_kept() {
    let mut apic = VLapic::new(0, true);
    assert!(!apic.set_irq(0x41, false));
    apic.set_evtchn_irq(0xf3);
    assert_eq!(apic.pending_irq(), None);
    apic.write(0xf0, 0x1ff, 0);
    assert_eq!(apic.pending_irq(), Some(0xf3));
}

#[test]
fn a_periodic_timer_skips_what_nobody_took() {
    let mut apic = on(0);
    apic.write(0x3e0, 0b1011, 0);
    apic.write(0x320, 1 << 17 | 0x40, 0);
    apic.write(0x380, 20_000, 1000);
    let period = 20_000 * TICK;
    assert_eq!(apic.deadline(), Some(1000 + period));
    apic.check_timer(1000 + period * 3 + 1);
    assert_eq!(apic.pending_irq(), Some(0x40));
    assert_eq!(apic.deadline(), Some(1000 + period * 4));
    // The counter runs down within a period.
    assert_eq!(apic.read(0x390, 1000 + period / 2), Some(10_000));
}

#[test]
fn a_periodic_timer_has_a_least_period() {
    let mut apic = on(0);
    apic.write(0x3e0, 0b1011, 0);
    apic.write(0x320, 1 << 17 | 0x40, 0);
    apic.write(0x380, 1, 1000);
    assert_eq!(apic.deadline(), Some(1000 + MIN_PERIOD));
    apic.check_timer(1000 + MIN_PERIOD);
    assert_eq!(apic.deadline(), Some(1000 + 2 * MIN_PERIOD));
    apic.write(0x380, 0, 2000);
    assert_eq!(apic.deadline(), None);
    // Once it may fire as soon as it likes.
    apic.write(0x320, 0x40, 0);
    apic.write(0x380, 1, 3000);
    assert_eq!(apic.deadline(), Some(3000 + TICK));
}

#[test]
fn a_one_shot_timer_fires_once() {
    let mut apic = on(0);
    apic.write(0x3e0, 0b1011, 0);
    apic.write(0x320, 0x40, 0);
    apic.write(0x380, 100, 0);
    apic.check_timer(100 * TICK - 1);
    assert_eq!(apic.pending_irq(), None);
    apic.check_timer(100 * TICK);
    assert_eq!((apic.pending_irq(), apic.deadline()), (Some(0x40), None));
    assert_eq!(apic.read(0x390, 100 * TICK + 1), Some(0));
}

#[test]
fn the_deadline_works_in_its_mode_only() {
    let mut apic = on(0);
    apic.set_tsc_deadline(77, 500);
    assert_eq!((apic.tsc_deadline(), apic.deadline()), (0, None));
    apic.write(0x320, 2 << 17 | 0x40, 0);
    apic.set_tsc_deadline(77, 500);
    assert_eq!((apic.tsc_deadline(), apic.deadline()), (77, Some(500)));
    apic.check_timer(500);
    assert_eq!((apic.pending_irq(), apic.tsc_deadline()), (Some(0x40), 0));
}

#[test]
fn modes_change_as_the_manual_allows() {
    let mut apic = VLapic::new(2, false);
    let (x, x2) = (ADDRESS | BASE_ENABLE, ADDRESS | BASE_ENABLE | BASE_X2APIC);
    assert!(apic.set_base(x2) && apic.x2apic());
    assert_eq!(apic.read(0x20, 0), Some(2));
    assert_eq!(apic.read(0xd0, 0), Some(1 << 2));
    // Back to xAPIC only through off; never x2APIC without the enable; never elsewhere in memory.
    assert!(!apic.set_base(x));
    assert!(apic.set_base(ADDRESS) && apic.set_base(x));
    assert!(!apic.set_base(ADDRESS | BASE_X2APIC));
    assert!(!apic.set_base(x + 0x1000));
    assert_eq!(apic.read(0x20, 0), Some(2 << 24));
}

#[test]
fn destinations_match_by_id_and_by_set() {
    let mut apic = on(2);
    let to = |id, logical| Destination { id, logical };
    assert!(apic.match_dest(to(2, false)) && apic.match_dest(to(0xff, false)));
    assert!(!apic.match_dest(to(0, false)));
    apic.write(0xd0, 0b100 << 24, 0);
    assert!(apic.match_dest(to(0b110, true)) && !apic.match_dest(to(0b011, true)));
    // The cluster model: the high half names a cluster.
    apic.write(0xe0, 0x0fff_ffff, 0);
    apic.write(0xd0, 0x12 << 24, 0);
    assert!(apic.match_dest(to(0x13, true)) && !apic.match_dest(to(0x22, true)));
}

const X2: u64 = ADDRESS | BASE_ENABLE | BASE_X2APIC;

/// The same with its registers in model-specific ones.
fn on_x2(id: u32) -> VLapic {
    let mut apic = on(id);
    assert!(apic.set_base(X2));
    apic
}

#[test]
fn registers_hold_what_may_be_written_to_them() {
    let mut apic = on(3);
    // Offset, what is written, what is read then.
    for (offset, value, read) in [
        (0x80, 0xffff_ff31, 0x31),
        (0xd0, 0xffff_ffff, 0xff00_0000),
        (0xe0, 0x1234_5678, 0x1fff_ffff),
        (0xf0, 0xffff_ffff, 0x1ff),
        (0x300, 0x000c_1841, 0x000c_0841),
        (0x310, 0xabcd_ef01, 0xab00_0000),
        (0x320, 0xffff_ffff, 0x0007_a7ff),
        (0x370, 0x0001_00fe, 0x0001_00fe),
        (0x380, 77, 77),
        (0x3e0, 0xffff_ffff, 0b1011),
        // Read-only ones.
        (0x20, 0xffff_ffff, 3 << 24),
        (0x30, 0, 0x0005_0014),
        (0x280, 0xffff_ffff, 0),
    ] {
        assert!(apic.write(offset, value, 0).is_some(), "{offset:#x}");
        assert_eq!(apic.read(offset, 0), Some(read), "{offset:#x}");
    }
    for offset in [
        0,
        0x40,
        0x90,
        0xb0,
        0xc0,
        0x290,
        0x2f0,
        0x380 + 0x20,
        0x3f0,
        0x400,
    ] {
        assert_eq!(apic.read(offset, 0), None, "{offset:#x}");
    }
    for offset in [0, 0x40, 0x100, 0x200, 0x321, 0x3f0, 0x400] {
        assert_eq!(apic.write(offset, 0, 0), None, "{offset:#x}");
    }
}

#[test]
fn of_an_x2apic_some_registers_are_others() {
    let mut apic = on_x2(0x25);
    assert_eq!(apic.read(0x20, 0), Some(0x25));
    assert_eq!(apic.read(0xd0, 0), Some(2 << 16 | 1 << 5));
    for offset in [0x20, 0x30, 0xa0, 0xd0, 0xe0, 0x310, 0x390] {
        assert_eq!(apic.write(offset, 0, 0), None, "{offset:#x}");
    }
    assert_eq!(apic.read(0xe0, 0), None);
    let sent = Icr {
        low: 0x4041,
        destination: 0x1_0001,
    };
    assert_eq!(
        apic.write_icr(0x1_0001 << 32 | 0x4041),
        Effect::SendIpi(sent)
    );
    assert_eq!(apic.icr(), 0x1_0001 << 32 | 0x4041);
    assert_eq!(apic.read(0x310, 0), Some(0x1_0001));
    // To itself.
    assert_eq!(apic.write(0x3f0, 0x61, 0), Some(Effect::None));
    assert_eq!(apic.pending_irq(), Some(0x61));
}

#[test]
fn requests_are_seen_in_the_registers_until_they_are_served() {
    let mut apic = on(0);
    let word = |apic: &VLapic, base: u32, vector: u32| {
        let others = (0..8).filter(|word| *word != vector / 32);
        let none = others.map(|word| apic.read(base + word * 16, 0));
        assert!(none.into_iter().all(|word| word == Some(0)), "{vector:#x}");
        let word = apic.read(base + vector / 32 * 16, 0);
        word == Some(1 << (vector % 32))
    };
    for vector in [0x10u32, 0x1f, 0x20, 0x41, 0xff] {
        apic.set_irq(vector as u8, true);
        assert!(word(&apic, 0x200, vector) && word(&apic, 0x180, vector));
        assert_eq!(apic.pending_irq(), Some(vector as u8));
        apic.ack_pending_irq(vector as u8);
        assert!(word(&apic, 0x100, vector) && apic.pending_irq().is_none());
        assert_eq!(apic.read(0xa0, 0), Some(vector & 0xf0));
        let ended = apic.write(0xb0, 0, 0);
        assert_eq!(ended, Some(Effect::LevelEoi(vector as u8)));
        assert_eq!(apic.read(0xa0, 0), Some(0));
        // An edge of the same vector is none of a level any more.
        apic.set_irq(vector as u8, false);
        assert_eq!(apic.read(0x180 + vector / 32 * 16, 0), Some(0));
        apic.ack_pending_irq(vector as u8);
        assert_eq!(apic.write(0xb0, 0, 0), Some(Effect::None));
    }
    assert!(!apic.set_irq(15, false) && apic.pending_irq().is_none());
}

#[test]
fn what_is_served_and_the_task_set_the_priority_together() {
    let mut apic = on(0);
    apic.write(0x80, 0x35, 0);
    assert_eq!(apic.read(0xa0, 0), Some(0x35));
    apic.set_irq(0x52, false);
    apic.ack_pending_irq(0x52);
    assert_eq!(apic.read(0xa0, 0), Some(0x50));
    apic.set_tpr(0x158);
    assert_eq!((apic.tpr(), apic.read(0xa0, 0)), (0x58, Some(0x58)));
    apic.set_irq(0x5f, false);
    assert_eq!(apic.pending_irq(), None);
    apic.set_irq(0x60, false);
    assert_eq!(apic.pending_irq(), Some(0x60));
    // The lower ones end after the higher ones.
    apic.ack_pending_irq(0x60);
    apic.write(0xb0, 0, 0);
    apic.write(0xb0, 0, 0);
    apic.set_tpr(0);
    assert_eq!(apic.read(0xa0, 0), Some(0));
}

#[test]
fn an_apic_that_is_off_takes_nothing_and_masks_all() {
    let mut apic = on(0);
    for offset in (0x320..=0x370).step_by(16) {
        apic.write(offset, 0x41, 0);
        assert_eq!(apic.read(offset, 0), Some(0x41));
    }
    apic.set_irq(0x51, false);
    apic.write(0xf0, 0xff, 0);
    assert_eq!(apic.pending_irq(), None);
    for offset in (0x320..=0x370).step_by(16) {
        assert_eq!(apic.read(offset, 0), Some(0x1_0041));
        apic.write(offset, 0x42, 0);
        assert_eq!(apic.read(offset, 0), Some(0x1_0042), "it stays masked");
    }
    apic.write(0xf0, 0x1ff, 0);
    assert_eq!(apic.pending_irq(), Some(0x51));
    assert!(apic.set_base(ADDRESS) && !apic.is_on());
    assert_eq!(
        (apic.pending_irq(), apic.set_irq(0x41, false)),
        (None, false)
    );
}

#[test]
fn init_keeps_the_ids_and_nothing_else() {
    let mut apic = on(7);
    assert!(apic.is_on() && apic.id() == 7 && !apic.x2apic());
    apic.set_irq(0x41, false);
    apic.write(0x80, 0x30, 0);
    apic.write(0xd0, 1 << 24, 0);
    apic.reset();
    assert_eq!((apic.id(), apic.pending_irq(), apic.tpr()), (7, None, 0));
    assert_eq!(
        (apic.read(0xd0, 0), apic.read(0xf0, 0)),
        (Some(0), Some(0xff))
    );
    assert_eq!(apic.base, ADDRESS | BASE_ENABLE | BASE_BSP);
    assert_eq!(VLapic::new(7, false).base, ADDRESS | BASE_ENABLE);
}

#[test]
fn x2apics_are_found_by_cluster_and_by_broadcast() {
    let apic = on_x2(0x25);
    let matches = |id, logical| apic.match_dest(Destination { id, logical });
    assert!(matches(0x25, false) && matches(!0, false) && matches(0xff, false));
    assert!(!matches(0x24, false) && !matches(0x1_0025, false));
    assert!(matches(2 << 16 | 1 << 5, true) && matches(2 << 16 | 0xffff, true));
    assert!(!matches(3 << 16 | 1 << 5, true) && !matches(2 << 16 | 1 << 4, true));
    assert!(!matches(2 << 16, true));
    // In the cluster model the sets within a cluster are of four.
    let mut apic = on(2);
    apic.write(0xe0, 0, 0);
    apic.write(0xd0, 0x12 << 24, 0);
    let matches = |id| apic.match_dest(Destination { id, logical: true });
    assert!(matches(0x12) && matches(0x1f));
    assert!(!matches(0x11) && !matches(0x02) && !matches(0x10));
    assert!(
        !apic.match_dest(Destination {
            id: !0,
            logical: false
        }),
        "of 32 bits"
    );
}

#[test]
fn the_timer_counts_by_its_divisor() {
    for (divide, divisor) in [
        (0b0000, 2),
        (0b0001, 4),
        (0b0010, 8),
        (0b0011, 16),
        (0b1000, 32),
        (0b1001, 64),
        (0b1010, 128),
        (0b1011, 1),
    ] {
        let mut apic = on(0);
        apic.write(0x3e0, divide, 0);
        apic.write(0x320, 0x40, 0);
        apic.write(0x380, 1000, 500);
        let period = 1000 * divisor * TICK;
        assert_eq!(apic.deadline(), Some(500 + period), "{divisor}");
        assert_eq!(apic.read(0x390, 500), Some(1000));
        assert_eq!(apic.read(0x390, 500 + period / 4), Some(750));
        assert_eq!(apic.read(0x390, 500 + period - 1), Some(0));
        apic.write(0x380, 0, 600);
        assert_eq!((apic.deadline(), apic.read(0x390, 600)), (None, Some(0)));
    }
}

#[test]
fn a_timer_that_is_masked_or_changes_its_mode_does_not_interrupt() {
    let mut apic = on(0);
    apic.write(0x3e0, 0b1011, 0);
    apic.write(0x320, 1 << 17 | LVT_MASKED | 0x40, 0);
    apic.write(0x380, 20_000, 0);
    apic.check_timer(20_000 * TICK);
    assert_eq!(apic.pending_irq(), None);
    assert_eq!(apic.deadline(), Some(40_000 * TICK), "it runs all the same");
    // Another mode stops it; the same one does not.
    apic.write(0x320, 1 << 17 | 0x40, 0);
    assert_eq!(apic.deadline(), Some(40_000 * TICK));
    apic.write(0x330, 2 << 17, 0);
    assert_eq!(apic.deadline(), Some(40_000 * TICK), "another entry");
    apic.write(0x320, 0x40, 0);
    assert_eq!(apic.deadline(), None);
    apic.write(0x320, 2 << 17 | 0x40, 0);
    apic.write(0x380, 100, 0);
    assert_eq!(apic.deadline(), None, "there is no count in this mode");
    assert_eq!(apic.read(0x390, 0), Some(0));
    apic.set_tsc_deadline(5, 70);
    apic.set_tsc_deadline(0, 90);
    assert_eq!(
        (apic.tsc_deadline(), apic.deadline()),
        (0, None),
        "zero stops it"
    );
    apic.set_tsc_deadline(5, 70);
    apic.write(0x320, 0x40, 0);
    assert_eq!((apic.tsc_deadline(), apic.deadline()), (0, None));
}
