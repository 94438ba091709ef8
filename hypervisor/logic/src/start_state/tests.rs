// SPDX-License-Identifier: GPL-2.0

//! Descriptions of a vCPU's first registers, valid and not.

use super::*;
use crate::control::cr4;

const ALLOWED: AllowedBits = AllowedBits {
    cr4: cr4::PAE | cr4::PSE,
    efer: efer::LME | efer::SCE,
};

fn context(mode: u32, regs: &[u8]) -> Context {
    let mut cpu_regs = [0u64; 15];
    cpu_regs.as_mut_bytes()[..regs.len()].copy_from_slice(regs);
    Context {
        mode,
        pad: 0,
        cpu_regs,
    }
}

fn long() -> X86_64 {
    X86_64 {
        rip: 0xffff_8000_0000_1000,
        rdi: 7,
        cr0: cr0::PE | cr0::PG,
        cr3: 0x5000,
        cr4: cr4::PAE,
        efer: efer::LME,
        ..X86_64::read_from_bytes(&[0; size_of::<X86_64>()]).expect("as many bytes")
    }
}

fn start_64(regs: X86_64) -> Result<StartState> {
    StartState::of(&context(mode::X86_64, regs.as_bytes()), &ALLOWED)
}

/// Flat segments without paging.
fn flat() -> X86_32 {
    X86_32 {
        eip: 0x10_0000,
        ebx: 0x1234,
        cr0: cr0::PE as u32,
        cs_limit: !0,
        ds_limit: !0,
        ss_limit: !0,
        es_limit: !0,
        tr_limit: 0x67,
        cs_ar: 0xc9b,
        ds_ar: 0xc93,
        ss_ar: 0xc93,
        es_ar: 0xc93,
        tr_ar: 0x8b,
        ..X86_32::read_from_bytes(&[0; size_of::<X86_32>()]).expect("as many bytes")
    }
}

fn start_32(regs: X86_32) -> Result<StartState> {
    StartState::of(&context(mode::X86_32, regs.as_bytes()), &ALLOWED)
}

#[test]
fn a_64_bit_start_is_in_long_mode_with_flat_segments() {
    let state = start_64(long()).expect("it is valid");
    assert_eq!((state.rip, state.rdi), (0xffff_8000_0000_1000, 7));
    assert_eq!(state.control.efer, efer::LME | efer::LMA);
    assert_eq!(state.control.cr0, cr0::PE | cr0::PG | cr0::ET);
    assert_eq!(state.control.cr3, 0x5000);
    assert!(state.control.cs_long);
    assert_eq!(state.rflags, 2);
    assert_eq!(state.segments.cs.attributes, 0xa9b);
}

#[test]
fn a_64_bit_start_that_the_processor_would_refuse_is_invalid() {
    let wrong: [fn(&mut X86_64); 6] = [
        |regs| regs.cr0 &= !cr0::PG,
        |regs| regs.cr0 &= !cr0::PE,
        |regs| regs.cr4 = 0,
        |regs| regs.efer = 0,
        |regs| regs.rip = 0x8000_0000_0000,
        |regs| regs.cr4 |= cr4::SMEP,
    ];
    for (index, change) in wrong.into_iter().enumerate() {
        let mut regs = long();
        change(&mut regs);
        assert_eq!(start_64(regs), Err(Errno::EINVAL), "{index}");
    }
}

#[test]
fn a_32_bit_start_has_the_segments_that_it_names() {
    let state = start_32(flat()).expect("it is valid");
    assert_eq!((state.rip, state.rbx), (0x10_0000, 0x1234));
    assert_eq!(state.segments, StartState::pvh(0, 0).segments);
    assert_eq!(state.control, StartState::pvh(0, 0).control);
    let paged = X86_32 {
        cr0: (cr0::PE | cr0::PG) as u32,
        cr4: cr4::PSE as u32,
        ..flat()
    };
    let control = start_32(paged).expect("it is valid").control;
    assert_eq!(control.efer & efer::LMA, 0);
}

#[test]
fn a_32_bit_start_that_the_processor_would_refuse_is_invalid() {
    let wrong: [fn(&mut X86_32); 12] = [
        |regs| regs.pad1 = 1,
        |regs| regs.pad2[2] = 1,
        |regs| (regs.cs_ar, regs.cs_limit) = (0x49b, 0xf_ffff),
        |regs| regs.cs_ar = 0xc93,
        |regs| regs.cs_ar &= !(1 << 7),
        |regs| regs.cs_ar |= 1 << 9,
        |regs| regs.ss_ar = 0xc9b,
        |regs| regs.ss_ar |= 3 << 5,
        |regs| regs.tr_ar = 0x89,
        |regs| (regs.cs_ar, regs.ss_ar) = (0xcfb, 0xcf3),
        |regs| regs.cr0 = cr0::PG as u32,
        |regs| regs.efer = efer::NXE,
    ];
    for (index, change) in wrong.into_iter().enumerate() {
        let mut regs = flat();
        change(&mut regs);
        assert_eq!(start_32(regs), Err(Errno::EINVAL), "{index}");
    }
    // A segment that is not present may be anything.
    let absent = X86_32 { es_ar: 0, ..flat() };
    assert!(start_32(absent).is_ok());
    assert_eq!(
        StartState::of(&context(2, &[]), &ALLOWED),
        Err(Errno::EINVAL)
    );
}
