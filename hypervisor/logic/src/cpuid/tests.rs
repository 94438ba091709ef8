// SPDX-License-Identifier: GPL-2.0

//! The CPUID and MSR policies.

use super::*;
use crate::msr::{self, MsrPolicy};
use proptest::prelude::*;

const VCPU: VcpuId = VcpuId { domain: 0, vcpu: 3 };
const OF: VcpuState = VcpuState {
    apic_id: 6,
    vcpus: 4,
    osxsave: false,
    apic: true,
    xcr0: 1,
};

#[test]
fn the_signature_is_xens() {
    let leaf = hypervisor_leaf(FIRST_LEAF, 0, VCPU, &Tsc::default()).expect("a leaf");
    let text: Vec<u8> = [leaf.b, leaf.c, leaf.d]
        .iter()
        .flat_map(|r| r.to_le_bytes())
        .collect();
    assert_eq!(text, b"XenVMMXenVMM");
    assert_eq!(leaf.a, 0x4000_0005);
    let leaf = hypervisor_leaf(FIRST_LEAF + 4, 0, VCPU, &Tsc::default()).expect("a leaf");
    assert_eq!((leaf.a, leaf.b, leaf.c), (0x58, 3, 0));
    assert_eq!(
        hypervisor_leaf(FIRST_LEAF + 6, 0, VCPU, &Tsc::default()),
        None
    );
    assert_eq!(
        hypervisor_leaf(FIRST_LEAF - 1, 0, VCPU, &Tsc::default()),
        None
    );
}

#[test]
fn what_is_not_for_guests_is_not_told() {
    let all = CpuidRegs {
        a: !0,
        b: !0,
        c: !0,
        d: !0,
    };
    let all = |_: u32, _: u32| all;
    let leaf = guest_leaf(1, 0, &OF, all);
    assert_eq!(
        leaf.c & (1 << 5 | 1 << 3 | OSXSAVE),
        0,
        "VMX, MONITOR, OSXSAVE"
    );
    assert_ne!(leaf.c & HYPERVISOR, 0);
    assert_eq!(leaf.b >> 24, 6);
    assert_eq!(guest_leaf(0x8000_0001, 0, &OF, all).c & 1 << 2, 0, "SVM");
    assert_eq!(guest_leaf(0x8000_000a, 0, &OF, all), CpuidRegs::default());
    assert_eq!(
        guest_leaf(0xb, 1, &OF, all),
        CpuidRegs {
            a: 3,
            b: 4,
            c: 0x201,
            d: 6
        }
    );
    let off = VcpuState { apic: false, ..OF };
    assert_eq!(guest_leaf(1, 0, &off, all).d & APIC, 0);
}

proptest! {
    #[test]
    fn no_leaf_panics(leaf in any::<u32>(), subleaf in any::<u32>(), vcpus in any::<u32>(), r in any::<u32>()) {
        let host = |_: u32, _: u32| CpuidRegs { a: r, b: !r, c: r, d: !r };
        let of = VcpuState { vcpus, xcr0: u64::from(r), ..OF };
        for number in [leaf, leaf % 32, leaf % 32 | 0x8000_0000, leaf % 8 | FIRST_LEAF] {
            super::leaf(number, subleaf, VCPU, &of, &Tsc::default(), host);
            guest_leaf(number, subleaf, &of, host);
        }
    }
}

#[test]
fn extended_states_are_sized_by_what_is_on() {
    // AVX at 576, AVX-512's three behind a gap; protection keys, which are not given, behind those.
    let host = |leaf: u32, subleaf: u32| {
        let (a, b, c) = match (leaf, subleaf) {
            (0xd, 0) => (0x2e7, 0, 0),
            (0xd, 1) => (0xf, 0, 0),
            (0xd, 2) => (256, 576, 0),
            (0xd, 5) => (64, 1088, 0),
            (0xd, 6) => (512, 1152, 1 << 1),
            (0xd, 7) => (1024, 1664, 1 << 1),
            (0xd, 9) => (8, 2688, 0),
            _ => (0xd, 0, 0),
        };
        CpuidRegs { a, b, c, d: 0 }
    };
    let of = |xcr0| VcpuState { xcr0, ..OF };
    let ask = |subleaf, xcr0| leaf(0xd, subleaf, VCPU, &of(xcr0), &Tsc::default(), host);
    let of_all = |xcr0| {
        let leaf = ask(0, xcr0);
        (leaf.a, leaf.b, leaf.c)
    };
    assert_eq!(of_all(1), (0xe7, 576, 2688));
    assert_eq!(of_all(7).1, 832);
    assert_eq!(of_all(0xe7).1, 2688);
    let compact = ask(1, 0xe7);
    assert_eq!((compact.a, compact.b), (7, 832 + 64 + 512 + 1024));
    assert_eq!(ask(9, 0xe7), CpuidRegs::default());
}

#[test]
fn what_the_processor_lacks_is_not_placed() {
    // It says where AVX-512's states would be, and how long addresses with five levels of tables are.
    let host = |leaf: u32, subleaf: u32| {
        let (a, b) = match (leaf, subleaf) {
            (0xd, 0) => (7, 832),
            (0xd, 2) => (256, 576),
            (0xd, 5) => (0, 1088),
            (0x8000_0000, _) => (0x8000_0008, 0),
            (0x8000_0008, _) => (0x3928, 0),
            _ => (0xd, 0),
        };
        CpuidRegs {
            a,
            b,
            ..CpuidRegs::default()
        }
    };
    let ask = |number, subleaf| leaf(number, subleaf, VCPU, &OF, &Tsc::default(), host);
    assert_eq!(ask(0xd, 2).b, 576);
    assert_eq!(ask(0xd, 5), CpuidRegs::default());
    assert_eq!(ask(0x8000_0008, 0).a, 0x3028);
}

#[test]
fn a_leaf_beyond_the_processors_last_is_empty() {
    let host = |leaf: u32, _: u32| CpuidRegs {
        a: if leaf & 0x8000_0000 != 0 {
            0x8000_0008
        } else {
            0xd
        },
        b: 1,
        c: 1,
        d: 1,
    };
    for number in [0xe, 0x4000_0006, 0x8000_0009, 0xc000_0000] {
        let out = leaf(number, 0, VCPU, &OF, &Tsc::default(), host);
        assert_eq!(out, CpuidRegs::default(), "{number:#x}");
    }
}

#[test]
fn an_unknown_register_faults() {
    for index in [0u32, 1, 0x48, 0x179, 0x1ff, 0x2ff, 0xc001_0201, 0xffff_ffff] {
        assert_eq!(
            msr::hardware_domain_policy(index),
            MsrPolicy::Fault,
            "{index:#x}"
        );
    }
}

/// Everything that a processor could have.
fn all_ones(_: u32, _: u32) -> CpuidRegs {
    CpuidRegs {
        a: !0,
        b: !0,
        c: !0,
        d: !0,
    }
}

/// Nothing of it.
fn nothing(_: u32, _: u32) -> CpuidRegs {
    CpuidRegs::default()
}

fn set_bits(word: u32) -> Vec<u32> {
    (0..32).filter(|bit| word >> bit & 1 != 0).collect()
}

#[test]
fn every_feature_that_is_not_for_guests_is_hidden() {
    let told = |leaf| guest_leaf(leaf, 0, &OF, all_ones);
    // Bits that are clear though the processor sets all; those of what the guest has in any case are set.
    let one = told(1);
    let hidden = [2, 3, 4, 5, 6, 7, 8, 10, 11, 14, 15, 18, 27];
    assert_eq!(set_bits(!one.c), hidden);
    assert_eq!(set_bits(!one.d), [7, 12, 14, 21, 22, 29, 31]);
    let seven = told(7);
    assert_eq!(seven.a, 0, "no further leaf");
    assert_eq!(set_bits(!seven.b), [1, 2, 12, 14, 15, 25]);
    let hidden = [3, 4, 5, 7, 13, 16, 24, 29, 30, 31];
    assert_eq!(set_bits(!seven.c), hidden);
    let hidden = [5, 15, 18, 19, 20, 22, 24, 25, 26, 27, 28, 29, 30, 31];
    assert_eq!(set_bits(!seven.d), hidden);
    let extended = told(0x8000_0001);
    let hidden = [2, 9, 10, 12, 13, 15, 19, 22, 23, 24, 25, 28, 29];
    assert_eq!(set_bits(!extended.c), hidden);
    assert_eq!(set_bits(!extended.d), [7, 12, 14]);
    assert_eq!(set_bits(told(6).a), [2]);
    assert_eq!(set_bits(told(0x8000_0007).d), [8]);
    assert_eq!(set_bits(told(0x8000_0008).b), [0, 2, 9]);
    for leaf in [6, 0x8000_0007] {
        let CpuidRegs { a, b, c, d } = told(leaf);
        let others = if leaf == 6 { [b, c, d] } else { [a, b, c] };
        assert_eq!(others, [0; 3], "{leaf:#x}");
    }
    let empty = [
        5,
        0xa,
        0xf,
        0x10,
        0x12,
        0x14,
        0x8000_000a,
        0x8000_001b,
        0x8000_001c,
        0x8000_001e,
        0x8000_001f,
        0x8000_0020,
        0x8000_0022,
        0x8000_00ff,
    ];
    for leaf in empty {
        assert_eq!(told(leaf), CpuidRegs::default(), "{leaf:#x}");
    }
    assert_eq!(guest_leaf(7, 1, &OF, all_ones), CpuidRegs::default());
    assert_eq!(told(0x8000_0002), all_ones(0, 0), "the brand");
}

#[test]
fn what_the_processor_lacks_is_not_made_up() {
    let told = |leaf, of: &VcpuState| guest_leaf(leaf, 0, of, nothing);
    let one = told(1, &OF);
    assert_eq!(
        set_bits(one.c),
        [21, 24, 31],
        "x2APIC, deadline, hypervisor"
    );
    assert_eq!(set_bits(one.d), [9, 28], "APIC, more than one processor");
    let alone = VcpuState {
        vcpus: 1,
        apic: false,
        osxsave: true,
        ..OF
    };
    assert_eq!(told(1, &alone).d, 0);
    assert_eq!(set_bits(told(1, &alone).c), [21, 24, 31]);
    let with_xsave = guest_leaf(1, 0, &alone, |_, _| CpuidRegs {
        c: 1 << 26,
        ..CpuidRegs::default()
    });
    assert_eq!(set_bits(with_xsave.c), [21, 24, 26, 27, 31]);
    assert_eq!(set_bits(told(0x8000_0001, &OF).d), [9]);
    assert_eq!(told(0x8000_0001, &alone), CpuidRegs::default());
    for leaf in [6, 7, 0x8000_0007] {
        assert_eq!(told(leaf, &OF), CpuidRegs::default(), "{leaf:#x}");
    }
}

#[test]
fn processors_are_numbered_as_their_apics_are() {
    let of = |vcpus, apic_id| VcpuState {
        vcpus,
        apic_id,
        ..OF
    };
    for (vcpus, bits, count) in [
        (0, 1, 2),
        (1, 1, 2),
        (2, 2, 4),
        (3, 3, 6),
        (4, 3, 8),
        (5, 4, 10),
        (127, 8, 254),
        (128, 8, 255),
        (200, 9, 255),
    ] {
        let of = of(vcpus, 0x1fe);
        let one = guest_leaf(1, 0, &of, all_ones);
        assert_eq!(one.b, 0xfe00_ffff | count << 16, "{vcpus}");
        let cores = guest_leaf(0xb, 1, &of, nothing);
        assert_eq!((cores.a, cores.b), (bits, vcpus.max(1)), "{vcpus}");
        let threads = guest_leaf(0xb, 0, &of, nothing);
        let thread = (threads.a, threads.b, threads.c, threads.d);
        assert_eq!(thread, (1, 1, 0x100, 0x1fe));
        let beyond = guest_leaf(0xb, 0x1_0002, &of, nothing);
        let beyond = (beyond.a, beyond.b, beyond.c, beyond.d);
        assert_eq!(beyond, (0, 0, 2, 0x1fe));
        let sizes = guest_leaf(0x8000_0008, 0, &of, nothing);
        let most = (vcpus.max(1) - 1).min(255);
        assert_eq!((sizes.c, sizes.d), (bits << 12 | most, 0), "{vcpus}");
    }
    assert_eq!([0, 1, 7].map(apic_id), [0, 2, 14]);
}

#[test]
fn addresses_are_as_long_as_four_levels_reach() {
    for (host, told) in [(0x3930, 0x3030), (0x3028, 0x3028), (0x2a24, 0x2a24)] {
        let host = |_, _| CpuidRegs {
            a: host | 0x5a_0000,
            ..CpuidRegs::default()
        };
        let out = guest_leaf(0x8000_0008, 0, &OF, host);
        assert_eq!(out.a, told | 0x5a_0000);
    }
}

#[test]
fn a_state_without_a_place_of_its_own_has_no_size() {
    // Besides the sizes only the formats that the processor has are announced.
    let host = |_: u32, subleaf: u32| CpuidRegs {
        a: [7, 0xff, 256][subleaf.min(2) as usize],
        b: 576,
        c: 0,
        d: 3,
    };
    let of = VcpuState { xcr0: 7, ..OF };
    let one = guest_leaf(0xd, 1, &of, host);
    assert_eq!((one.a, one.b, one.c, one.d), (7, 832, 0, 0));
    let without = |_: u32, subleaf: u32| CpuidRegs {
        a: [7, 0xfd, 256][subleaf.min(2) as usize],
        ..host(0xd, subleaf)
    };
    let one = guest_leaf(0xd, 1, &of, without);
    assert_eq!((one.a, one.b), (5, 0), "no compact form");
    for subleaf in [3, 62, 63, 64, u32::MAX] {
        let out = guest_leaf(0xd, subleaf, &of, host);
        assert_eq!(out, CpuidRegs::default(), "{subleaf}");
    }
    // The high half of what can be turned on is nobody's.
    assert_eq!(guest_leaf(0xd, 0, &of, host).d, 0);
}

#[test]
fn the_hypervisors_leaves_say_what_a_guest_needs() {
    let time = Tsc {
        reliable: true,
        rdtscp: false,
        khz: 2_500_000,
        offset: 0x1234_5678_9abc_def0,
        scale: (0xcccc_cccc, -1),
    };
    let ask = |index, subleaf, time: &Tsc| {
        let leaf = hypervisor_leaf(FIRST_LEAF + index, subleaf, VCPU, time).expect("a leaf");
        (leaf.a, leaf.b, leaf.c, leaf.d)
    };
    assert_eq!(ask(1, 0, &time), (0x4_0014, 0, 0, 0));
    assert_eq!(ask(2, 0, &time), (1, HYPERCALL_MSR, 0, 0));
    assert_eq!(ask(3, 0, &time), (tsc::HOST_TSC_RELIABLE, 0, 2_500_000, 0));
    let other = Tsc {
        reliable: false,
        rdtscp: true,
        ..time
    };
    assert_eq!(ask(3, 0, &other).0, tsc::RDTSCP_INSTR_AVAIL);
    let expected = (0x9abc_def0, 0x1234_5678, 0xcccc_cccc, u32::MAX);
    assert_eq!(ask(3, 1, &time), expected);
    assert_eq!(ask(3, 2, &time), (2_500_000, 0, 0, 0));
    assert_eq!(ask(3, 3, &time), (0, 0, 0, 0));
    assert_eq!(ask(4, 1, &time), (0, 0, 0, 0));
    assert_eq!(ask(5, 0, &time), (0, 0, 0, 0));
}

#[test]
fn every_register_that_is_known_has_its_kind() {
    let known: &[(MsrPolicy, &[u32])] = &[
        (
            MsrPolicy::Guest,
            &[
                0x10,
                0x174,
                0x175,
                0x176,
                0x1d9,
                0x277,
                0xc000_0080,
                0xc000_0081,
                0xc000_0082,
                0xc000_0083,
                0xc000_0084,
                0xc000_0100,
                0xc000_0101,
                0xc000_0102,
                0xc000_0103,
            ],
        ),
        (MsrPolicy::Apic, &[0x1b, 0x6e0, 0x800, 0x830, 0x8ff]),
        (
            MsrPolicy::HostReadOnly,
            &[0x8b, 0x17, 0x1a0, 0xc001_001a, 0xc001_001d, 0xc001_1020],
        ),
        (MsrPolicy::Constant(1), &[0x3a]),
        (MsrPolicy::Constant(0), &[0xc001_0010]),
        (MsrPolicy::Constant(1 << 24), &[0xc001_0015]),
        (MsrPolicy::Constant(2), &[0xc001_1029]),
        (MsrPolicy::Constant(0x18), &[0xc001_0114]),
        (MsrPolicy::HypercallPage, &[0x4000_0000]),
        (MsrPolicy::Ignored, &[0xc001_0055]),
    ];
    let kind = |index| {
        let mut known = known.iter().filter(|(_, list)| list.contains(&index));
        known.next().map_or(MsrPolicy::Fault, |(kind, _)| *kind)
    };
    for (_, list) in known {
        for index in *list {
            for near in [index.wrapping_sub(1), *index, index + 1] {
                // Of the x2APIC's whole range only some stand in the list.
                if !(0x800..=0x8ff).contains(&near) {
                    assert_eq!(msr::hardware_domain_policy(near), kind(near), "{near:#x}");
                }
            }
        }
    }
    assert!((0x800..=0x8ff).all(|index| msr::hardware_domain_policy(index) == MsrPolicy::Apic));
}

#[test]
fn a_guest_sees_no_register_of_the_host_but_the_microcode_revision() {
    for index in (0..0x2000)
        .chain(0xc000_0000..0xc000_2000)
        .chain(0xc001_0000..0xc001_2000)
    {
        let policy = msr::guest_policy(index);
        let of_host = policy == MsrPolicy::HostReadOnly;
        assert_eq!(of_host, index == 0x8b, "{index:#x}");
        let known = policy != MsrPolicy::Fault;
        let to_dom0 = msr::hardware_domain_policy(index) != MsrPolicy::Fault;
        assert_eq!(known, to_dom0, "{index:#x}");
    }
}
