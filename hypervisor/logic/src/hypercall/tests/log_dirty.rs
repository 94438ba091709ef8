// SPDX-License-Identifier: GPL-2.0

//! Log-dirty mode: the pages of a domain that were written to, as the toolstack asks for them.

use super::domctls::{domctl, prepare_domctl};
use super::*;
use crate::system::gfn_access::NestedAccess;
use proptest::prelude::*;
use std::collections::BTreeSet;
use xen_abi::domctl::{Getpageframeinfo3, ShadowOp, op, shadow_op};
use xen_abi::grant_table::op::MapGrantRef;

/// Where dom0 has room for a bitmap of [`PAGES`] bits.
const BITMAP: u64 = 0x11_0000;
const PAGES: u64 = 0x100;

fn shadow(system: &mut System<FakePlatform>, op: u32, mode: u32, pages: u64) -> (i64, ShadowOp) {
    let args = ShadowOp {
        op,
        mode,
        dirty_bitmap: BITMAP,
        pages,
        ..ShadowOp::default()
    };
    domctl(system, op::SHADOW_OP, 1, args)
}

/// The dirty gfns.
fn dirty(system: &mut System<FakePlatform>, op: u32, mode: u32) -> BTreeSet<u64> {
    let stale = [0x5au8; PAGES as usize / 8];
    caller(system, 0)
        .copy_to_guest(BITMAP, &stale)
        .expect("memory");
    let (result, args) = shadow(system, op, mode, PAGES);
    assert_eq!((result, args.pages), (0, PAGES));
    let bits: [u8; PAGES as usize / 8] = caller(system, 0).copy_from_guest(BITMAP).expect("memory");
    let is_set = |gfn: &u64| bits[*gfn as usize / 8] >> (gfn % 8) & 1 != 0;
    (0..PAGES).filter(is_set).collect()
}

fn write(system: &mut System<FakePlatform>, gfn: u64) {
    assert!(system.nested_page_fault(1, Gfn(gfn), NestedAccess::Write));
}

fn enabled() -> System<FakePlatform> {
    let mut system = two_domains();
    assert_eq!(shadow(&mut system, shadow_op::ENABLE_LOGDIRTY, 0, 0).0, 0);
    system
}

#[test]
fn pages_are_dirty_from_a_write_to_the_next_report() {
    let mut system = enabled();
    let flushed = PlatformCall::FlushTlb(1);
    assert!(system.platform.calls.contains(&flushed), "reads only");
    assert_eq!(dirty(&mut system, shadow_op::CLEAN, 0), [].into());
    let entry = system.lookup(1, Gfn(0x50)).expect("memory");
    assert!(!entry.p2mt.writable());
    // By the domain itself, and for it.
    write(&mut system, 0x50);
    system.write_physical(1, 0x5_1008, &[1]).expect("memory");
    assert!(system.nested_page_fault(1, Gfn(0x52), NestedAccess::Read));
    let written = BTreeSet::from([0x50, 0x51]);
    assert_eq!(dirty(&mut system, shadow_op::PEEK, 0), written);
    assert_eq!(dirty(&mut system, shadow_op::PEEK, 0), written);
    let (_, args) = shadow(&mut system, shadow_op::PEEK, 0, PAGES);
    assert_eq!((args.stats.fault_count, args.stats.dirty_count), (1, 2));
    system.platform.calls.clear();
    assert_eq!(dirty(&mut system, shadow_op::CLEAN, 0), written);
    assert!(system.platform.calls.contains(&flushed));
    assert_eq!(dirty(&mut system, shadow_op::CLEAN, 0), [].into());
    let (_, args) = shadow(&mut system, shadow_op::PEEK, 0, PAGES);
    assert_eq!(
        (args.stats.fault_count, args.stats.dirty_count),
        (0, 0),
        "anew"
    );
    // Memory that is new has to be copied.
    system.remove_from_physmap(1, Gfn(0x53)).expect("memory");
    system
        .populate_physmap(1, Gfn(0x53), 0, None)
        .expect("memory");
    assert_eq!(dirty(&mut system, shadow_op::CLEAN, 0), [0x53].into());
    assert_eq!(shadow(&mut system, shadow_op::OFF, 0, 0).0, 0);
    let entry = system.lookup(1, Gfn(0x50)).expect("memory");
    assert!(entry.p2mt.writable());
    assert_eq!(shadow(&mut system, shadow_op::OFF, 0, 0).0, 0, "again");
    assert_eq!(dirty(&mut system, shadow_op::CLEAN, 0), [].into());
}

#[test]
fn what_others_may_write_to_stays_dirty() {
    let mut system = two_domains();
    granting(&mut system, flag::PERMIT_ACCESS);
    let args = vc::RegisterVcpuInfo {
        mfn: 0x48,
        ..vc::RegisterVcpuInfo::new_zeroed()
    };
    let at = ARG[1];
    caller(&mut system, 1)
        .copy_to_guest(at, &args)
        .expect("memory");
    let register = [u64::from(vc::op::REGISTER_VCPU_INFO), 0, at];
    assert_eq!(call(&mut system, 1, nr::VCPU_OP, &register).value, 0);
    let args = MapGrantRef {
        host_addr: 0x20_0000,
        flags: gnttab::map_flag::HOST_MAP,
        gref: 9,
        dom: 1,
        ..Default::default()
    };
    let (_, args) = grant_op(&mut system, 0, gnttab::MAP_GRANT_REF, args);
    assert_eq!(args.status, status::OKAY);
    system
        .map_foreign(0, Gfn(0x201), 1, Gfn(0x49))
        .expect("it is privileged");
    assert_eq!(shadow(&mut system, shadow_op::ENABLE_LOGDIRTY, 0, 0).0, 0);
    // The granted page, the page of events, and what dom0 maps, which was mapped before.
    let written = BTreeSet::from([0x44, 0x48, 0x49]);
    for _ in 0..2 {
        assert_eq!(dirty(&mut system, shadow_op::CLEAN, 0), written);
    }
    // What is mapped while it is clean is reported at the end.
    system
        .map_foreign(0, Gfn(0x202), 1, Gfn(0x4a))
        .expect("it is privileged");
    assert_eq!(dirty(&mut system, shadow_op::CLEAN, 0), written);
    let all = dirty(&mut system, shadow_op::CLEAN, shadow_op::LOGDIRTY_FINAL);
    assert_eq!(all, [0x44, 0x48, 0x49, 0x4a].into());
    // Once nobody may write to a page, it is reported once more.
    system.remove_from_physmap(0, Gfn(0x201)).expect("mapped");
    let args = xen_abi::grant_table::op::UnmapGrantRef {
        host_addr: 0x20_0000,
        handle: args.handle,
        ..Default::default()
    };
    let (_, args) = grant_op(&mut system, 0, gnttab::UNMAP_GRANT_REF, args);
    assert_eq!(args.status, status::OKAY);
    assert_eq!(dirty(&mut system, shadow_op::CLEAN, 0), written);
    assert_eq!(dirty(&mut system, shadow_op::CLEAN, 0), [0x48].into());
}

#[test]
fn only_a_living_domain_with_vcpus_is_logged() {
    let mut system = enabled();
    let einval = errno(Errno::EINVAL);
    let enable = shadow_op::ENABLE_LOGDIRTY;
    assert_eq!(shadow(&mut system, enable, 0, 0).0, einval, "it is on");
    let clean = shadow_op::CLEAN;
    assert_eq!(shadow(&mut system, clean, 2, 0).0, einval, "another mode");
    assert_eq!(shadow(&mut system, 77, 0, 0).0, einval);
    assert_eq!(shadow(&mut system, shadow_op::ENABLE, 0, 0).0, einval);
    let own = domctl(&mut system, op::SHADOW_OP, 0, ShadowOp::default()).0;
    assert_eq!(own, einval);
    assert!(!system.domain(1).expect("there").hypercall_pause);
    let args = ShadowOp {
        op: clean,
        dirty_bitmap: 1 << 40,
        pages: PAGES,
        ..ShadowOp::default()
    };
    let unmapped = domctl(&mut system, op::SHADOW_OP, 1, args).0;
    assert_eq!(unmapped, errno(Errno::EFAULT));
    assert!(!system.domain(1).expect("there").hypercall_pause);
    // Statistics alone.
    let args = ShadowOp {
        dirty_bitmap: 0,
        ..args
    };
    assert_eq!(domctl(&mut system, op::SHADOW_OP, 1, args).0, 0);
}

#[test]
fn a_long_report_is_continued_with_the_domain_paused() {
    let mut system = enabled();
    let vcpu = VcpuId { domain: 1, vcpu: 0 };
    system.platform.running.insert(vcpu);
    let args = ShadowOp {
        op: shadow_op::CLEAN,
        pages: 1 << 15,
        ..ShadowOp::default()
    };
    let report = prepare_domctl(&mut system, 0, op::SHADOW_OP, 1, &args);
    let make = |system: &mut System<FakePlatform>, call| dispatch(&mut caller(system, 0), call);
    let waits = make(&mut system, report);
    assert_eq!(waits.action, VcpuAction::SyncPause(1));
    system.platform.running.clear();
    let first = make(&mut system, report);
    assert_eq!(first.continuation, Some(report.args));
    let domain = system.domain(1).expect("there");
    assert!(!domain.vcpu_runnable(&domain.vcpus[0]));
    // Nothing else begins meanwhile.
    let other = ShadowOp {
        op: shadow_op::PEEK,
        ..args
    };
    let other = prepare_domctl(&mut system, 0, op::SHADOW_OP, 1, &other);
    let refused = make(&mut system, other).value as i64;
    assert_eq!(refused, errno(Errno::EBUSY));
    let report = prepare_domctl(&mut system, 0, op::SHADOW_OP, 1, &args);
    let second = make(&mut system, report);
    assert_eq!((second.continuation, second.value), (None, 0));
    let domain = system.domain(1).expect("there");
    assert!(domain.vcpu_runnable(&domain.vcpus[0]));
}

#[test]
fn a_superpage_is_split_by_a_write_or_dirty_as_a_whole() {
    // Three tables are there before, and one is needed.
    for pool in [None, Some(3)] {
        let mut system = machine(4096);
        add_domain(&mut system, 0, 0x100, 64);
        let config = crate::system::domain::Config {
            max_pages: 1024,
            paging_pages: pool,
            ..crate::system::fake::config(1)
        };
        system.create_domain(config).expect("memory");
        system
            .populate_physmap(1, Gfn(0x400), 9, None)
            .expect("memory");
        system.create_vcpus(1).expect("memory");
        assert_eq!(shadow(&mut system, shadow_op::ENABLE_LOGDIRTY, 0, 0).0, 0);
        write(&mut system, 0x433);
        let (_, args) = shadow(&mut system, shadow_op::PEEK, 0, 0x800);
        // Pages of a superpage that cannot be split are dirty together.
        let expected = if pool.is_some() { 512 } else { 1 };
        assert_eq!(args.stats.dirty_count, expected, "pool of {pool:?}");
        let writable = |system: &mut System<FakePlatform>, gfn| {
            let entry = system.lookup(1, Gfn(gfn)).expect("memory");
            entry.p2mt.writable()
        };
        assert!(writable(&mut system, 0x433));
        assert_eq!(writable(&mut system, 0x432), pool.is_some());
    }
}

#[test]
fn memory_is_told_from_what_is_not() {
    let mut system = enabled();
    granting(&mut system, flag::PERMIT_ACCESS);
    let gfns = [0x44u64, 0x60, 0x3f];
    caller(&mut system, 0)
        .copy_to_guest(BITMAP, &gfns)
        .expect("memory");
    let args = Getpageframeinfo3 {
        num: 3,
        array: BITMAP,
    };
    assert_eq!(domctl(&mut system, op::GETPAGEFRAMEINFO3, 1, args).0, 0);
    let types: [u64; 3] = caller(&mut system, 0)
        .copy_from_guest(BITMAP)
        .expect("memory");
    assert_eq!(types, [0, 0xf << 28, 0xf << 28]);
}

proptest! {
    /// A copy that is made of what is reported, while the domain writes and gets new memory, ends up the same.
    #[test]
    fn a_copy_of_what_is_reported_is_complete(
        rounds in prop::collection::vec(prop::collection::vec((0u64..64, 0u8..3, any::<u8>()), 0..8), 1..6),
    ) {
        let mut system = enabled();
        let page = |system: &mut System<FakePlatform>, gfn: u64| {
            let mut bytes = [0; 8];
            let read = system.read_physical(1, gfn << 12, &mut bytes);
            read.is_ok().then_some(bytes)
        };
        let mut copy: Vec<_> = (0..PAGES).map(|gfn| page(&mut system, gfn)).collect();
        for round in rounds {
            for (number, how, byte) in round {
                let gfn = 0x40 + number;
                match how {
                    0 if system.lookup(1, Gfn(gfn)).is_some() => {
                        write(&mut system, gfn);
                        let mfn = system.lookup(1, Gfn(gfn)).expect("memory").mfn;
                        prop_assert!(system.lookup(1, Gfn(gfn)).expect("memory").p2mt.writable());
                        system.platform.write(mfn.address(), &[byte]);
                    }
                    1 => { let _ = system.write_physical(1, (gfn << 12) + 4, &[byte]); }
                    2 => {
                        let _ = system.remove_from_physmap(1, Gfn(gfn));
                        let _ = system.populate_physmap(1, Gfn(gfn), 0, None);
                    }
                    _ => {}
                }
            }
            for gfn in dirty(&mut system, shadow_op::CLEAN, 0) {
                copy[gfn as usize] = page(&mut system, gfn);
            }
            for gfn in 0..PAGES {
                prop_assert_eq!(copy[gfn as usize], page(&mut system, gfn), "gfn {:#x}", gfn);
            }
        }
    }
}
