// SPDX-License-Identifier: GPL-2.0

//! Memory that is populated on demand: domains that are built with less memory than they may have.

use super::domctls::{create, info, only_dom0};
use super::*;
use crate::system::fake::{STALE_BYTE, destroy_domain};
use crate::system::gfn_access::NestedAccess;
use proptest::prelude::*;
use xen_abi::memory::PodTarget;
use xen_abi::sched::shutdown;

/// Where dom0 has room for lists.
const LIST: u64 = 0x11_0000;

/// Marks extents as populated on demand, or populates them; returns how many were done.
fn populate(
    system: &mut System<FakePlatform>,
    id: u16,
    gfns: &[u64],
    order: u32,
    flags: u32,
) -> i64 {
    for (index, gfn) in gfns.iter().enumerate() {
        let at = LIST + index as u64 * 8;
        caller(system, 0).copy_to_guest(at, gfn).expect("memory");
    }
    let args = mem::Reservation {
        extent_start: LIST,
        nr_extents: gfns.len() as u64,
        extent_order: order,
        mem_flags: flags,
        domid: id,
        ..Default::default()
    };
    memory_op(system, 0, mem::op::POPULATE_PHYSMAP, args).0
}

fn target(system: &mut System<FakePlatform>, command: u32, id: u16, pages: u64) -> (i64, [u64; 3]) {
    let args = PodTarget {
        target_pages: pages,
        domid: id,
        ..Default::default()
    };
    let (result, args) = memory_op(system, 0, command, args);
    let told = [args.tot_pages, args.pod_cache_pages, args.pod_entries];
    (result, told)
}

const SET: u32 = mem::op::SET_POD_TARGET;
const GET: u32 = mem::op::GET_POD_TARGET;
const ON_DEMAND: u32 = mem::memf::POPULATE_ON_DEMAND;

/// A domain with this target and `count` gfns from 0x200 on that are populated on demand, as single entries.
fn built(pages: u64, count: u64) -> (System<FakePlatform>, u16) {
    let mut system = only_dom0();
    let id = create(&mut system);
    assert_eq!(target(&mut system, SET, id, pages).0, 0);
    let gfns: Vec<u64> = (0x200..0x200 + count).collect();
    let marked = populate(&mut system, id, &gfns, 0, ON_DEMAND);
    assert_eq!(marked, count as i64);
    (system, id)
}

fn fault(system: &mut System<FakePlatform>, id: u16, gfn: u64) -> bool {
    system.nested_page_fault(id, Gfn(gfn), NestedAccess::Write)
}

fn fill(system: &mut System<FakePlatform>, id: u16, gfn: u64) {
    let gpa = gfn * 4096;
    system.write_physical(id, gpa + 4000, &[7]).expect("memory");
}

#[test]
fn a_page_is_allocated_and_cleared_when_it_is_accessed() {
    let (mut system, id) = built(4, 8);
    assert_eq!(target(&mut system, GET, id, 0), (0, [4, 4, 8]));
    assert_eq!(info(&mut system, id).tot_pages, 4, "it is charged");
    assert_eq!(system.lookup(id, Gfn(0x203)), None);
    assert!(fault(&mut system, id, 0x203));
    let entry = system.lookup(id, Gfn(0x203)).expect("populated");
    let mut bytes = [STALE_BYTE; 4096];
    system.platform.read(entry.mfn.address(), &mut bytes);
    assert_eq!(bytes, [0; 4096]);
    // Hypercalls populate as well.
    fill(&mut system, id, 0x204);
    assert_eq!(target(&mut system, GET, id, 0), (0, [4, 2, 6]));
    assert_eq!(info(&mut system, id).tot_pages, 4);
    // Where there is nothing, nothing is populated.
    assert!(!fault(&mut system, id, 0x208));
    destroy_domain(&mut system, id).expect("it is there");
    destroy_domain(&mut system, 0).expect("it is there");
    assert_eq!(system.frames.free_count(), system.frames.total());
}

#[test]
fn two_mebibytes_are_populated_at_once_if_they_are_kept() {
    let mut system = machine(4096);
    add_domain(&mut system, 0, 0x100, 64);
    let id = create(&mut system);
    assert_eq!(target(&mut system, SET, id, 700).0, 0);
    assert_eq!(populate(&mut system, id, &[0x200, 0x400], 9, ON_DEMAND), 2);
    assert_eq!(target(&mut system, GET, id, 0), (0, [700, 700, 1024]));
    assert!(fault(&mut system, id, 0x333));
    let order = |system: &mut System<FakePlatform>, gfn| {
        system.lookup(id, Gfn(gfn)).map(|entry| entry.order)
    };
    assert_eq!(order(&mut system, 0x200), Some(9));
    assert_eq!(target(&mut system, GET, id, 0), (0, [700, 188, 512]));
    // There are only single frames left: the entry is split.
    assert!(fault(&mut system, id, 0x555));
    assert_eq!(order(&mut system, 0x555), Some(0));
    assert_eq!(order(&mut system, 0x554), None);
    assert_eq!(target(&mut system, GET, id, 0), (0, [700, 187, 511]));
}

#[test]
fn what_is_given_back_is_kept_for_what_is_missing() {
    let (mut system, id) = built(4, 6);
    for gfn in 0x200..0x204 {
        fill(&mut system, id, gfn);
    }
    let give = |system: &mut System<FakePlatform>, gfn| system.remove_from_physmap(id, Gfn(gfn));
    assert_eq!(give(&mut system, 0x200), Ok(()));
    assert_eq!(target(&mut system, GET, id, 0), (0, [4, 1, 2]));
    // A gfn without a frame is given back: one frame is enough for the other.
    assert_eq!(give(&mut system, 0x204), Ok(()));
    assert_eq!(target(&mut system, GET, id, 0), (0, [4, 1, 1]));
    assert_eq!(give(&mut system, 0x204), Err(Errno::ENOENT));
    // From here on it has what it needs, and gives memory back for good.
    let free = system.frames.free_count();
    assert_eq!(give(&mut system, 0x201), Ok(()));
    assert_eq!(target(&mut system, GET, id, 0), (0, [3, 1, 1]));
    assert_eq!(give(&mut system, 0x205), Ok(()));
    assert_eq!(target(&mut system, GET, id, 0), (0, [2, 0, 0]));
    assert!(system.frames.free_count() >= free + 2);
    // Without entries a target is the balloon driver's alone.
    assert_eq!(target(&mut system, SET, id, 100), (0, [2, 0, 0]));
}

#[test]
fn pages_of_zeroes_are_taken_back_when_there_is_no_other() {
    let (mut system, id) = built(3, 6);
    fill(&mut system, id, 0x200);
    for gfn in [0x201, 0x202] {
        assert!(fault(&mut system, id, gfn));
    }
    // One of the two with zeroes is in use by the hypervisor.
    let used = system.get_shared_page(id, Gfn(0x201)).expect("memory");
    assert_eq!(target(&mut system, GET, id, 0), (0, [3, 0, 3]));
    system.platform.calls.clear();
    assert!(fault(&mut system, id, 0x205));
    assert!(system.lookup(id, Gfn(0x205)).is_some());
    assert_eq!(system.lookup(id, Gfn(0x202)), None, "it was taken");
    let flushed = PlatformCall::FlushTlb(id);
    assert!(system.platform.calls.contains(&flushed));
    assert!(system.lookup(id, Gfn(0x200)).is_some());
    assert!(system.lookup(id, Gfn(0x201)).is_some());
    assert_eq!(target(&mut system, GET, id, 0), (0, [3, 0, 3]));
    // It finds zeroes where it had some.
    fill(&mut system, id, 0x205);
    system.put_page(used);
    fill(&mut system, id, 0x202);
    let mut byte = [1];
    assert_eq!(system.read_physical(id, 0x20_2000, &mut byte), Ok(()));
    assert_eq!(byte, [0]);
    // There is none left.
    assert!(fault(&mut system, id, 0x204));
    let state = system.domain(id).expect("there");
    assert_eq!(state.shutdown, Some(shutdown::CRASH as u8));
    let [said] = &system.platform.lines[..] else {
        panic!("it is said once: {:?}", system.platform.lines);
    };
    assert_eq!(
        said,
        "d1 is out of memory to populate on demand: it has 3 pages and lacks 3"
    );
    assert_eq!(
        system.write_physical(id, 0x20_4000, &[1]),
        Err(Errno::EFAULT)
    );
}

#[test]
fn a_long_search_is_continued_by_the_next_fault() {
    let mut system = machine(16384);
    add_domain(&mut system, 0, 0x100, 64);
    let id = create(&mut system);
    let limit = 9000u64 << 2;
    let max_mem = xen_abi::domctl::op::MAX_MEM;
    assert_eq!(super::domctls::domctl(&mut system, max_mem, id, limit).0, 0);
    assert_eq!(target(&mut system, SET, id, 8704).0, 0);
    let extents: Vec<u64> = (1..=17).map(|extent| extent << 9).collect();
    assert_eq!(populate(&mut system, id, &extents, 9, ON_DEMAND), 17);
    for gfn in 0x200..0x200 + 8704 {
        assert!(fault(&mut system, id, gfn));
        // Only the last but one has zeroes.
        if gfn != 0x200 + 8702 {
            fill(&mut system, id, gfn);
        }
    }
    assert_eq!(populate(&mut system, id, &[0x8000], 0, ON_DEMAND), 1);
    let mut faults = 0;
    while system.lookup(id, Gfn(0x8000)).is_none() {
        assert!(fault(&mut system, id, 0x8000));
        faults += 1;
        assert!(faults < 4, "it makes progress");
    }
    assert_eq!(faults, 3, "4096 pages each");
    assert_eq!(system.domain(id).expect("there").shutdown, None);
}

#[test]
fn what_is_in_use_is_not_marked() {
    let (mut system, id) = built(0, 4);
    assert_eq!(populate(&mut system, id, &[0x300], 0, 0), 1);
    assert_eq!(populate(&mut system, id, &[0x300], 0, ON_DEMAND), 0);
    // What is marked already counts once.
    assert_eq!(
        populate(&mut system, id, &[0x200], 9, ON_DEMAND),
        0,
        "0x300"
    );
    assert_eq!(populate(&mut system, id, &[0x200], 2, ON_DEMAND), 1);
    assert_eq!(target(&mut system, GET, id, 0).1[2], 4);
    assert_eq!(populate(&mut system, id, &[0x401], 2, ON_DEMAND), 0);
    assert_eq!(populate(&mut system, id, &[1 << 36], 0, ON_DEMAND), 0);
    assert_eq!(populate(&mut system, 0, &[0x900], 0, ON_DEMAND), 0, "dom0");
    let large = populate(&mut system, id, &[0], 18, 0);
    assert_eq!(large, 0, "libxc takes smaller extents then");
    // Populating replaces the mark.
    assert_eq!(populate(&mut system, id, &[0x201], 0, 0), 1);
    assert_eq!(target(&mut system, GET, id, 0), (0, [2, 0, 3]));
    let too_much = target(&mut system, SET, id, 1025).0;
    assert_eq!(too_much, errno(Errno::EINVAL));
    let args = PodTarget {
        domid: 0x7ff0,
        ..Default::default()
    };
    let own = memory_op(&mut two_domains(), 1, GET, args).0;
    assert_eq!(own, errno(Errno::EPERM));
}

#[test]
fn a_target_that_cannot_be_met_is_an_error() {
    let mut system = machine(1024);
    add_domain(&mut system, 0, 0x100, 64);
    let id = create(&mut system);
    let enomem = errno(Errno::ENOMEM);
    assert_eq!(target(&mut system, SET, id, 1024).0, enomem);
    let told = target(&mut system, GET, id, 0).1;
    assert_eq!(told[0], told[1], "what it got is charged");
    destroy_domain(&mut system, id).expect("it is there");
    destroy_domain(&mut system, 0).expect("it is there");
    assert_eq!(system.frames.free_count(), system.frames.total());
}

proptest! {
    /// Whatever is marked, populated, given back and asked for: the domain has as many entries and pages as are counted.
    #[test]
    fn entries_and_pages_are_counted(steps in prop::collection::vec((0u8..6, 0u64..24, any::<bool>()), 1..60)) {
        let (mut system, id) = built(6, 12);
        for (step, page, large) in steps {
            let gfn = 0x200 + page;
            match step {
                0 => { populate(&mut system, id, &[gfn & !3], if large { 2 } else { 0 }, ON_DEMAND); }
                1 => { populate(&mut system, id, &[gfn], 0, 0); }
                2 => { let _ = system.remove_from_physmap(id, Gfn(gfn)); }
                3 => { fault(&mut system, id, gfn); }
                4 => { let _ = system.write_physical(id, gfn << 12, &[u8::from(large)]); }
                _ => { target(&mut system, SET, id, page); }
            }
            let mut mapped = 0;
            let mut entries = 0;
            for gfn in 0x1fc..0x220 {
                let domain = system.domains.get_mut(&id).expect("there");
                let tables = crate::system::paging_pool::P2mTables {
                    frames: &mut system.frames,
                    memory: &system.platform,
                    pool: &mut domain.paging_pool,
                };
                mapped += u64::from(domain.p2m.lookup(&tables, Gfn(gfn)).is_some());
                entries += u64::from(domain.p2m.on_demand_order(&tables, Gfn(gfn)).is_some());
            }
            let domain = system.domain(id).expect("there");
            let cached = domain.on_demand.cache.count();
            prop_assert_eq!(domain.on_demand.entries, entries);
            prop_assert_eq!(system.frames.tot_pages(id), mapped + cached);
            if domain.shutdown.is_some() {
                break;
            }
        }
        destroy_domain(&mut system, id).expect("there");
        destroy_domain(&mut system, 0).expect("there");
        prop_assert_eq!(system.frames.free_count(), system.frames.total());
    }
}
