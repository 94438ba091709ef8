// SPDX-License-Identifier: GPL-2.0

//! CPU policies, as libxc reads, changes and sets them.

use super::domctls::{create, domctl, only_dom0};
use super::*;
use xen_abi::domctl::{CPUID_NO_SUBLEAF, CpuPolicy, CpuidLeaf, MsrEntry, op};
use xen_abi::sysctl::{self, CpuFeatureset, cpu_featureset, cpu_policy};

/// Where dom0 has room for leaves and MSRs.
const LEAVES: u64 = 0x11_0000;
const MSRS: u64 = 0x11_2000;

pub(super) fn sysctl<T: FromBytes + IntoBytes + Immutable>(
    system: &mut System<FakePlatform>,
    cmd: u32,
    argument: T,
) -> (i64, T) {
    let mut header = sysctl::Header {
        cmd,
        interface_version: sysctl::INTERFACE_VERSION,
        ..Default::default()
    };
    let length = size_of::<T>();
    header.u.as_mut_bytes()[..length].copy_from_slice(argument.as_bytes());
    caller(system, 0)
        .copy_to_guest(ARG[0], &header)
        .expect("memory");
    let result = call(system, 0, nr::SYSCTL, &[ARG[0]]).value as i64;
    let header: sysctl::Header = caller(system, 0).copy_from_guest(ARG[0]).expect("memory");
    let argument = T::read_from_bytes(&header.u.as_bytes()[..length]);
    (result, argument.expect("of that length"))
}

fn leaves(system: &mut System<FakePlatform>, count: u32) -> Vec<CpuidLeaf> {
    (0..count.into())
        .map(|index| {
            caller(system, 0)
                .copy_from_guest_offset(LEAVES, index)
                .expect("memory")
        })
        .collect()
}

/// A policy of the machine.
fn of_machine(system: &mut System<FakePlatform>, index: u32) -> Vec<CpuidLeaf> {
    let args = sysctl::CpuPolicy {
        index,
        nr_leaves: 120,
        leaves: LEAVES,
        ..Default::default()
    };
    let (result, args) = sysctl(system, sysctl::op::GET_CPU_POLICY, args);
    assert_eq!((result, args.nr_msrs), (0, 2));
    leaves(system, args.nr_leaves)
}

/// The policy of a domain.
fn of_domain(system: &mut System<FakePlatform>, id: u16) -> Vec<CpuidLeaf> {
    let args = CpuPolicy {
        nr_leaves: 120,
        leaves: LEAVES,
        ..Default::default()
    };
    let (result, args) = domctl(system, op::GET_CPU_POLICY, id, args);
    assert_eq!(result, 0);
    leaves(system, args.nr_leaves)
}

fn set(system: &mut System<FakePlatform>, id: u16, leaves: &[CpuidLeaf]) -> (i64, CpuPolicy) {
    for (index, leaf) in leaves.iter().enumerate() {
        caller(system, 0)
            .copy_to_guest_offset(LEAVES, index as u64, leaf)
            .expect("memory");
    }
    let args = CpuPolicy {
        nr_leaves: leaves.len() as u32,
        leaves: LEAVES,
        ..Default::default()
    };
    domctl(system, op::SET_CPU_POLICY, id, args)
}

fn leaf_of(leaves: &[CpuidLeaf], leaf: u32) -> CpuidLeaf {
    let mut found = leaves.iter().filter(|own| own.leaf == leaf);
    *found.next().expect("it has the leaf")
}

#[test]
fn the_policies_of_the_machine_are_told_in_order() {
    let mut system = only_dom0();
    let sizes = sysctl::CpuPolicy {
        index: cpu_policy::HVM_DEFAULT,
        ..Default::default()
    };
    let (result, sizes) = sysctl(&mut system, sysctl::op::GET_CPU_POLICY, sizes);
    assert_eq!((result, sizes.nr_leaves, sizes.nr_msrs), (0, 120, 2));
    let raw = of_machine(&mut system, cpu_policy::HOST);
    let guests = of_machine(&mut system, cpu_policy::HVM_DEFAULT);
    assert_eq!(guests, of_machine(&mut system, cpu_policy::HVM_MAX));
    for policy in [&raw, &guests] {
        let keys: Vec<_> = policy.iter().map(|own| (own.leaf, own.subleaf)).collect();
        assert!(keys.is_sorted());
        assert_eq!(keys[0], (0, CPUID_NO_SUBLEAF));
        assert!(keys.contains(&(7, 0)) && keys.contains(&(0xd, 2)));
        assert!(keys.contains(&(0x4000_0000, CPUID_NO_SUBLEAF)));
        assert!(keys.contains(&(0x8000_0021, CPUID_NO_SUBLEAF)));
    }
    // SVM is the processor's, not a guest's; the hypervisor bit is a guest's.
    assert_ne!(leaf_of(&raw, 0x8000_0001).c & 1 << 2, 0);
    assert_eq!(leaf_of(&guests, 0x8000_0001).c & 1 << 2, 0);
    assert_eq!(leaf_of(&raw, 1).c >> 31, 0);
    assert_eq!(leaf_of(&guests, 1).c >> 31, 1);
    for (index, error) in [
        (cpu_policy::PV_MAX, Errno::EOPNOTSUPP),
        (cpu_policy::PV_DEFAULT, Errno::EOPNOTSUPP),
        (6, Errno::EINVAL),
    ] {
        let args = sysctl::CpuPolicy {
            index,
            ..Default::default()
        };
        let result = sysctl(&mut system, sysctl::op::GET_CPU_POLICY, args).0;
        assert_eq!(result, errno(error));
    }
    let args = sysctl::CpuPolicy {
        nr_leaves: 3,
        leaves: LEAVES,
        ..Default::default()
    };
    let result = sysctl(&mut system, sysctl::op::GET_CPU_POLICY, args).0;
    assert_eq!(result, errno(Errno::ENOBUFS));
    let args = sysctl::CpuPolicy {
        rsvd: 1,
        ..Default::default()
    };
    let result = sysctl(&mut system, sysctl::op::GET_CPU_POLICY, args).0;
    assert_eq!(result, errno(Errno::EINVAL));
}

#[test]
fn a_featureset_that_is_too_long_for_the_caller_is_cut() {
    let mut system = only_dom0();
    let ask = |system: &mut System<FakePlatform>, index, nr_features, features| {
        let args = CpuFeatureset {
            index,
            nr_features,
            features,
        };
        let (result, args) = sysctl(system, sysctl::op::GET_CPU_FEATURESET, args);
        (result, args.nr_features)
    };
    assert_eq!(ask(&mut system, cpu_featureset::HOST, 0, 0), (0, 19));
    assert_eq!(ask(&mut system, cpu_featureset::HVM, 30, LEAVES), (0, 19));
    let words: [u32; 19] = caller(&mut system, 0)
        .copy_from_guest(LEAVES)
        .expect("memory");
    let guests = of_machine(&mut system, cpu_policy::HVM_MAX);
    let (basic, extended) = (leaf_of(&guests, 1), leaf_of(&guests, 0x8000_0001));
    assert_eq!(words[..4], [basic.d, basic.c, extended.d, extended.c]);
    assert_eq!(words[11], leaf_of(&guests, 0x8000_0021).a);
    let short = ask(&mut system, cpu_featureset::HOST, 2, LEAVES);
    assert_eq!(short, (errno(Errno::ENOBUFS), 2));
    let pv = ask(&mut system, cpu_featureset::PV_MAX, 19, LEAVES).0;
    assert_eq!(pv, errno(Errno::EOPNOTSUPP));
    let unknown = ask(&mut system, 6, 19, LEAVES).0;
    assert_eq!(unknown, errno(Errno::EINVAL));
}

#[test]
fn a_domain_shows_what_the_toolstack_leaves_of_what_guests_may_have() {
    let mut system = only_dom0();
    let id = create(&mut system);
    let mut policy = of_machine(&mut system, cpu_policy::HVM_DEFAULT);
    assert_eq!(of_domain(&mut system, id), policy);
    let before = policy.clone();
    for own in &mut policy {
        match own.leaf {
            // x2APIC goes, and MONITOR comes.
            1 => own.c = own.c & !(1 << 21) | 1 << 3,
            0x8000_0001 => own.c |= 1 << 2,
            0x8000_0007 => own.d = 0,
            _ => {}
        }
    }
    assert_eq!(set(&mut system, id, &policy).0, 0);
    assert!(
        system
            .platform
            .calls
            .contains(&PlatformCall::CpuPolicyChanged(id))
    );
    let now = of_domain(&mut system, id);
    assert_eq!(leaf_of(&now, 1).c, leaf_of(&before, 1).c & !(1 << 21));
    let extended = leaf_of(&before, 0x8000_0001);
    assert_eq!(leaf_of(&now, 0x8000_0001), extended, "no SVM");
    assert_eq!(leaf_of(&now, 0x8000_0007).d, 0, "no invariant TSC");
    let other = create(&mut system);
    assert_eq!(of_domain(&mut system, other), before);
    assert_eq!(domctl(&mut system, op::UNPAUSEDOMAIN, id, ()).0, 0);
    let late = set(&mut system, id, &policy).0;
    assert_eq!(late, errno(Errno::EEXIST), "it may have run");
}

#[test]
fn a_policy_beyond_what_guests_may_have_is_refused_where_it_is() {
    let mut system = only_dom0();
    let id = create(&mut system);
    let before = of_domain(&mut system, id);
    let none = u32::MAX;
    for (leaf, subleaf, a, error) in [
        (0, none, 0xe, Errno::EINVAL),
        (7, 0, 1, Errno::EINVAL),
        (0x8000_0000, none, 0x8000_0022, Errno::EINVAL),
        (0xe, none, 0, Errno::ERANGE),
        (1, 0, 0, Errno::ERANGE),
        (7, 3, 0, Errno::ERANGE),
        (0xd, 63, 0, Errno::ERANGE),
        (0x4000_0001, none, 0, Errno::ERANGE),
        (0x8000_0022, none, 0, Errno::ERANGE),
    ] {
        let wrong = CpuidLeaf {
            leaf,
            subleaf,
            a,
            ..Default::default()
        };
        let (result, args) = set(&mut system, id, &[before[0], wrong]);
        assert_eq!(result, errno(error), "leaf {leaf:#x}");
        assert_eq!((args.err_leaf, args.err_subleaf), (leaf, subleaf));
        assert_eq!(args.err_msr, none);
    }
    for (entry, error) in [
        (
            MsrEntry {
                idx: 0x10a,
                flags: 0,
                val: 1,
            },
            Errno::EINVAL,
        ),
        (
            MsrEntry {
                idx: 0xce,
                flags: 1,
                val: 0,
            },
            Errno::EINVAL,
        ),
        (
            MsrEntry {
                idx: 0x1b,
                flags: 0,
                val: 0,
            },
            Errno::ERANGE,
        ),
    ] {
        caller(&mut system, 0)
            .copy_to_guest(MSRS, &entry)
            .expect("memory");
        let args = CpuPolicy {
            nr_msrs: 1,
            msrs: MSRS,
            ..Default::default()
        };
        let (result, args) = domctl(&mut system, op::SET_CPU_POLICY, id, args);
        assert_eq!((result, args.err_msr), (errno(error), entry.idx));
    }
    for (nr_leaves, nr_msrs) in [(121, 0), (0, 3)] {
        let args = CpuPolicy {
            nr_leaves,
            nr_msrs,
            leaves: LEAVES,
            msrs: MSRS,
            ..Default::default()
        };
        let result = domctl(&mut system, op::SET_CPU_POLICY, id, args).0;
        assert_eq!(result, errno(Errno::E2BIG));
    }
    assert_eq!(of_domain(&mut system, id), before);
    let args = CpuPolicy {
        nr_msrs: 2,
        msrs: MSRS,
        ..Default::default()
    };
    let (result, args) = domctl(&mut system, op::GET_CPU_POLICY, id, args);
    assert_eq!((result, args.nr_leaves, args.nr_msrs), (0, 120, 2));
}

#[test]
fn free_memory_is_counted_by_its_addresses() {
    let mut system = only_dom0();
    let free = system.frames.free_count();
    let ask = |system: &mut System<FakePlatform>, min_bitwidth, max_bitwidth, node| {
        let args = sysctl::Availheap {
            min_bitwidth,
            max_bitwidth,
            node,
            ..Default::default()
        };
        let (result, args) = sysctl(system, sysctl::op::AVAILHEAP, args);
        assert_eq!(result, 0);
        args.avail_bytes >> 12
    };
    assert_eq!(ask(&mut system, 0, 0, -1), free);
    assert_eq!(ask(&mut system, 0, 64, 0), free);
    assert_eq!(ask(&mut system, 0, 0, 1), 0, "there is one node");
    // The machine has 2048 frames, 23 bits of address.
    assert_eq!(ask(&mut system, 23, 0, -1), 0);
    let low = ask(&mut system, 0, 22, -1);
    assert!(low > 0 && low < 1024);
    assert_eq!(low + ask(&mut system, 22, 0, -1), free);
}

#[test]
fn the_schedulers_parameters_are_told_and_not_changed() {
    let mut system = only_dom0();
    let ask = |system: &mut System<FakePlatform>, cpupool_id, sched_id, cmd| {
        let args = sysctl::SchedulerOp {
            cpupool_id,
            sched_id,
            cmd,
            ratelimit_us: 7,
            ..Default::default()
        };
        let (result, args) = sysctl(system, sysctl::op::SCHEDULER_OP, args);
        (result, args.tslice_ms, args.ratelimit_us)
    };
    let (put, get) = (0, 1);
    assert_eq!(ask(&mut system, 0, 5, get), (0, 5, 1000));
    for (pool, scheduler, cmd, error) in [
        (1, 5, get, Errno::ESRCH),
        (0, 6, get, Errno::EINVAL),
        (0, 5, put, Errno::EOPNOTSUPP),
        (0, 5, 2, Errno::EINVAL),
    ] {
        let result = ask(&mut system, pool, scheduler, cmd).0;
        assert_eq!(result, errno(error), "pool {pool}");
    }
}
