// SPDX-License-Identifier: GPL-2.0

//! Policies as a guest sees them.

use super::*;
use crate::system::fake::fake_cpuid;
use proptest::prelude::*;

const VCPU: VcpuId = VcpuId { domain: 3, vcpu: 1 };
const STATE: VcpuState = VcpuState {
    apic_id: 2,
    vcpus: 2,
    osxsave: true,
    apic: true,
    xcr0: 7,
};

#[test]
fn an_unchanged_policy_shows_what_dom0_sees() {
    let policy = CpuPolicy::of_processor(fake_cpuid).for_guests();
    let time = Tsc::default();
    let single = [
        1,
        5,
        6,
        0xa,
        0x8000_0001,
        0x8000_0007,
        0x8000_0008,
        0x8000_0021,
    ];
    let numbered = [
        (7, 0),
        (7, 1),
        (0xb, 0),
        (0xb, 1),
        (0xb, 2),
        (0xd, 0),
        (0xd, 1),
        (0xd, 2),
    ];
    let leaves = single.into_iter().map(|leaf| (leaf, 0));
    for (leaf, subleaf) in leaves.chain(numbered) {
        let guest = policy.guest_leaf(leaf, subleaf, VCPU, &STATE, &time);
        let dom0 = crate::cpuid::leaf(leaf, subleaf, VCPU, &STATE, &time, fake_cpuid);
        assert_eq!(guest, dom0, "leaf {leaf:#x} subleaf {subleaf}");
    }
}

#[test]
fn leaves_beyond_the_last_are_empty() {
    let may_have = CpuPolicy::of_processor(fake_cpuid).for_guests();
    let last = |leaf, a| CpuidLeaf {
        leaf,
        subleaf: CPUID_NO_SUBLEAF,
        a,
        ..CpuidLeaf::default()
    };
    let changes = [last(0, 6), last(0x8000_0000, 0x8000_0001)];
    let policy = may_have.updated(&changes, &[], &may_have).expect("less");
    let shown = |leaf| policy.guest_leaf(leaf, 0, VCPU, &STATE, &Tsc::default());
    assert_ne!(shown(1), CpuidRegs::default());
    assert_ne!(shown(0x8000_0001), CpuidRegs::default());
    for leaf in [7, 0xb, 0xd, 0x8000_0007, 0x8000_0008, 0x8000_0021] {
        assert_eq!(shown(leaf), CpuidRegs::default(), "leaf {leaf:#x}");
        assert_eq!(policy.get(leaf, 0), CpuidRegs::default());
    }
    assert_eq!(shown(0x4000_0000).b, u32::from_le_bytes(*b"XenV"));
}

proptest! {
    /// Whatever the toolstack sets, no feature is shown that a guest may not have.
    #[test]
    fn no_feature_beyond_what_guests_may_have(
        changes in prop::collection::vec((0usize..40, any::<[u32; 4]>()), 0..12),
    ) {
        let may_have = CpuPolicy::of_processor(fake_cpuid).for_guests();
        let known = may_have.leaves();
        let changes: Vec<CpuidLeaf> = changes
            .into_iter()
            .map(|(which, [a, b, c, d])| {
                let own = known[which % known.len()];
                // The leaves with the last number stay.
                let a = if matches!(own.leaf, 0 | 7 | FIRST_EXTENDED) { own.a } else { a };
                CpuidLeaf { a, b, c, d, ..own }
            })
            .collect();
        let policy = may_have.updated(&changes, &[], &may_have).expect("within its leaves");
        let bounds = may_have.features();
        for (word, (now, most)) in policy.features().into_iter().zip(bounds).enumerate() {
            prop_assert_eq!(now & !most, 0, "word {}", word);
        }
        let shown = |leaf, sub| policy.guest_leaf(leaf, sub, VCPU, &STATE, &Tsc::default());
        let dynamic = (super::super::OSXSAVE, super::super::HTT);
        prop_assert_eq!(shown(1, 0).c & !(may_have.get(1, 0).c | dynamic.0), 0);
        prop_assert_eq!(shown(1, 0).d & !(may_have.get(1, 0).d | dynamic.1), 0);
        prop_assert_eq!(shown(0xd, 0).a & !may_have.get(0xd, 0).a, 0);
        let again = policy.updated(&[], &[], &may_have).expect("it was valid");
        prop_assert_eq!(again, policy);
    }
}
