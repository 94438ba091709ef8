// SPDX-License-Identifier: GPL-2.0

//! Writes of control registers, in all orders.

use super::*;
use proptest::prelude::*;

/// A processor with everything that this module knows.
const EVERYTHING: AllowedBits = AllowedBits {
    cr4: 0x007f_0fff & !(1 << 12 | 1 << 19),
    efer: efer::SCE | efer::LME | efer::NXE | efer::FFXSR | efer::TCE,
};
const LONG_MODE: ControlRegs = ControlRegs {
    cr0: cr0::PE | cr0::PG | cr0::ET,
    cr3: 0,
    cr4: cr4::PAE,
    efer: efer::LME | efer::LMA,
    cs_long: true,
};
const GP: Result<TlbEffect, GeneralProtection> = Err(GeneralProtection);

#[test]
fn a_feature_that_cpuid_does_not_announce_cannot_be_enabled() {
    let none = AllowedBits::of(|_, _| CpuidRegs::default());
    assert_eq!((none.cr4, none.efer), (cr4::PCE, 0));
    let mut regs = ControlRegs::default();
    for bit in 0..64 {
        let value = 1 << bit;
        let legal = value == cr4::PCE;
        assert_eq!(regs.set_cr4(value, &none).is_ok(), legal, "{bit}");
        assert_eq!(
            regs.set_efer(value, &none).is_ok(),
            value == efer::LMA,
            "{bit}"
        );
    }
    let umip = AllowedBits::of(|leaf, _| CpuidRegs {
        c: if leaf == 7 { 1 << 2 } else { 0 },
        ..CpuidRegs::default()
    });
    assert_eq!(umip.cr4, cr4::PCE | cr4::UMIP);
    let all = AllowedBits::of(|_, _| CpuidRegs {
        a: !0,
        b: !0,
        c: !0,
        d: !0,
    });
    assert_eq!(all, EVERYTHING);
}

#[test]
fn long_mode_begins_and_ends_with_paging() {
    let mut regs = ControlRegs {
        cr0: cr0::PE | cr0::ET,
        ..ControlRegs::default()
    };
    assert_eq!(regs.set_efer(efer::LME, &EVERYTHING), Ok(TlbEffect::Keep));
    assert_eq!(regs.set_cr0(cr0::PG | cr0::PE), GP, "without PAE");
    assert_eq!(regs.set_cr4(cr4::PAE, &EVERYTHING), Ok(TlbEffect::Flush));
    assert_eq!(regs.set_cr0(cr0::PG | cr0::PE), Ok(TlbEffect::Flush));
    assert_eq!(regs.efer, efer::LME | efer::LMA);
    assert_eq!(regs.set_cr4(0, &EVERYTHING), GP, "PAE in long mode");
    assert_eq!(regs.set_efer(0, &EVERYTHING), GP, "LME with paging");
    assert_eq!(regs.set_cr0(cr0::PE), Ok(TlbEffect::Flush));
    assert_eq!(regs.efer, efer::LME);
    let mut regs = LONG_MODE;
    assert_eq!(regs.set_cr0(cr0::PE), GP, "in 64-bit code");
}

#[test]
fn values_that_no_processor_takes_change_nothing() {
    for value in [
        1 << 32 | cr0::PG | cr0::PE,
        cr0::PG,
        cr0::PG | cr0::PE | cr0::NW,
    ] {
        let mut regs = LONG_MODE;
        assert_eq!(regs.set_cr0(value), GP, "{value:#x}");
        assert_eq!(regs, LONG_MODE);
    }
    let mut regs = ControlRegs {
        cr3: 5,
        ..LONG_MODE
    };
    let pcide = cr4::PAE | cr4::PCIDE;
    assert_eq!(regs.set_cr4(pcide, &EVERYTHING), GP, "with a PCID");
    let mut regs = LONG_MODE;
    assert_eq!(regs.set_cr4(pcide, &EVERYTHING), Ok(TlbEffect::Flush));
    // Bits of CR0 that have no meaning are ignored, and ET is always set.
    assert_eq!(
        regs.set_cr0(LONG_MODE.cr0 | 1 << 20 | cr0::TS),
        Ok(TlbEffect::Keep)
    );
    assert_eq!(regs.cr0, LONG_MODE.cr0 | cr0::TS);
}

proptest! {
    /// Whatever a guest writes in whatever order, VMRUN accepts the state (APM volume 2, 15.5.1).
    #[test]
    fn vmrun_accepts_what_can_be_written(
        cr4_mask in any::<u64>(),
        cs_long in any::<bool>(),
        writes in prop::collection::vec((0u8..3, any::<u64>(), 0u8..64), 1..60)
    ) {
        let allowed = AllowedBits { cr4: EVERYTHING.cr4 & cr4_mask, efer: EVERYTHING.efer };
        let mut regs = ControlRegs { cr0: 0x6000_0010, ..ControlRegs::default() };
        for (which, value, bit) in writes {
            let before = regs;
            // One bit changes, or any do that may have a meaning.
            let flip = |old: u64| if value & 3 == 0 { value } else { old ^ 1 << bit };
            regs.cs_long = cs_long && regs.efer & efer::LMA != 0;
            let result = match which {
                0 => regs.set_cr0(flip(regs.cr0)),
                1 => regs.set_cr4(flip(regs.cr4), &allowed),
                _ => regs.set_efer(flip(regs.efer), &allowed),
            };
            if result.is_err() {
                prop_assert_eq!(ControlRegs { cs_long: before.cs_long, ..regs }, before);
            }
            let ControlRegs { cr0, cr4, efer, .. } = regs;
            prop_assert_eq!(cr0 >> 32, 0);
            prop_assert!(cr0 & cr0::NW == 0 || cr0 & cr0::CD != 0);
            prop_assert_eq!(cr4 & !allowed.cr4, 0);
            prop_assert_eq!(efer & !(allowed.efer | efer::LMA), 0);
            let paged = cr0 & cr0::PG != 0;
            prop_assert!(!paged || cr0 & cr0::PE != 0);
            if efer & efer::LME != 0 && paged {
                prop_assert!(cr4 & cr4::PAE != 0);
            }
            prop_assert_eq!(efer & efer::LMA != 0, efer & efer::LME != 0 && paged);
        }
    }
}
