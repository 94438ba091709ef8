// SPDX-License-Identifier: GPL-2.0

//! Three domains that are created, use each other's memory and event channels, and are destroyed, in any order. A domid
//! is used again while others still hold what its former domain had, or not at all.

use super::*;
use crate::event::Binding;
use crate::system::destroy::DestroyProgress;
use crate::system::domain::LifeStage;
use crate::system::fake::{config, destroy_domain};
use gnttab::{MapGrantRef, UnmapGrantRef};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Frames of the machine.
const FRAMES: u64 = 256;
/// First gfn and number of the pages that a domain is created with.
const PAGES: [(u64, u64); 3] = [(0x20, 16), (0x40, 16), (0x40, 16)];
/// First gfn at which a domain maps what is another's.
const MAPPED: u64 = 0x200;
/// First grant reference that is used.
const GREF: u32 = 9;

#[derive(Clone, Debug)]
enum Step {
    /// Domain, reference, page, to whom.
    Grant(u16, u32, u64, u16),
    /// Mapper, granter, reference, read-only, where.
    Map(u16, u16, u32, bool, u64),
    Unmap(usize),
    Foreign(u16, u64, u64),
    TableFrame(u16, u64),
    Remove(u16, u64),
    Populate(u16, u64),
    Offer(u16, u16),
    Bind(u16, u16, u32),
    Close(u16, u32),
    VcpuInfo(u16, u32, u64),
    Running(u16, bool),
    Destroy(u16),
    Create(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let any_domain = || 0u16..3;
    let page = || 0u64..8;
    prop_oneof![
        (any_domain(), 0u32..3, page(), any_domain())
            .prop_map(|(d, r, p, to)| Step::Grant(d, r, p, to)),
        (any_domain(), any_domain(), 0u32..3, any::<bool>(), page())
            .prop_map(|(d, g, r, ro, at)| Step::Map(d, g, r, ro, at)),
        any::<usize>().prop_map(Step::Unmap),
        (1u16..3, page(), page()).prop_map(|(of, p, at)| Step::Foreign(of, p, at)),
        (1u16..3, page()).prop_map(|(of, at)| Step::TableFrame(of, at)),
        (any_domain(), 0u64..16).prop_map(|(d, p)| Step::Remove(d, p)),
        (any_domain(), page()).prop_map(|(d, p)| Step::Populate(d, p)),
        (any_domain(), any_domain()).prop_map(|(d, r)| Step::Offer(d, r)),
        (any_domain(), any_domain(), 1u32..4).prop_map(|(d, r, p)| Step::Bind(d, r, p)),
        (any_domain(), 1u32..4).prop_map(|(d, p)| Step::Close(d, p)),
        (any_domain(), 0u32..2, page()).prop_map(|(d, v, p)| Step::VcpuInfo(d, v, p)),
        (any_domain(), any::<bool>()).prop_map(|(d, on)| Step::Running(d, on)),
        (1u16..3).prop_map(Step::Destroy),
        (1u16..3).prop_map(Step::Destroy),
        (1u16..3).prop_map(Step::Create),
    ]
}

fn create(system: &mut System<FakePlatform>, id: u16) {
    let (gfn, count) = PAGES[usize::from(id)];
    add_domain(system, id, gfn, count);
}

/// A gfn of a domain: one of its first pages, or from 8 on one where it maps what is another's.
fn gfn_of(id: u16, page: u64) -> Gfn {
    Gfn(match page {
        0..8 => PAGES[usize::from(id)].0 + page,
        _ => MAPPED + page - 8,
    })
}

/// A mapping of a grant that was made and not unmapped: by whom, and the arguments to unmap it.
type Mapping = (u16, UnmapGrantRef);

fn perform(system: &mut System<FakePlatform>, mappings: &mut Vec<Mapping>, step: Step) {
    match step {
        Step::Grant(id, reference, page, to) => {
            let entry = EntryV1 {
                flags: flag::PERMIT_ACCESS,
                domid: to,
                frame: gfn_of(id, page).0 as u32,
            };
            let at = system
                .domain(id)
                .ok()
                .and_then(|domain| domain.grants.entry(GREF + reference));
            if let Some(at) = at {
                system.platform.write(at, entry.as_bytes());
            }
        }
        Step::Map(id, dom, reference, readonly, at) => {
            let readonly = if readonly { 4 } else { 0 };
            let mut args = MapGrantRef {
                host_addr: gfn_of(id, 8 + at).0 << 12,
                flags: 2 | readonly,
                gref: GREF + reference,
                dom,
                ..Default::default()
            };
            let dying = [id, dom].map(|id| system.domain(id).map_or(true, |d| d.is_dying()));
            if !dying[0] && system.map_grant(id, &mut args).is_ok() {
                assert!(!dying[1], "a grant of a domain that is being destroyed");
                let unmap = UnmapGrantRef {
                    host_addr: args.host_addr,
                    handle: args.handle,
                    ..Default::default()
                };
                mappings.push((id, unmap));
            }
        }
        Step::Unmap(which) if !mappings.is_empty() => {
            let (id, args) = mappings.swap_remove(which % mappings.len());
            let alive = system.domain(id).is_ok_and(|domain| !domain.is_dying());
            if alive {
                assert_eq!(system.unmap_grant(id, &args), Ok(()));
            }
        }
        Step::Unmap(_) => {}
        Step::Foreign(of, page, at) => {
            let _ = system.map_foreign(0, gfn_of(0, 8 + at), of, gfn_of(of, page));
        }
        Step::TableFrame(of, at) => {
            let _ = system.acquire_grant_table_frame(0, gfn_of(0, 8 + at), of, false, 0);
        }
        Step::Remove(id, page) => {
            let _ = system.remove_from_physmap(id, gfn_of(id, page));
        }
        Step::Populate(id, page) => {
            let _ = system.populate_physmap(id, gfn_of(id, page), 0, None);
        }
        Step::Offer(id, remote) => {
            let _ = system.alloc_unbound(id, remote);
        }
        Step::Bind(id, remote, port) => {
            let _ = system.bind_interdomain(id, remote, port);
        }
        Step::Close(id, port) => {
            let _ = system.close(id, port);
        }
        Step::VcpuInfo(domain, vcpu, page) => {
            let living = system.domain(domain).is_ok_and(|domain| !domain.is_dying());
            if living {
                let page = gfn_of(domain, page).0;
                let _ = system.register_vcpu_info(VcpuId { domain, vcpu }, page, 0);
            }
        }
        Step::Running(domain, on) => {
            let vcpu = VcpuId { domain, vcpu: 0 };
            let runnable = system
                .domain(domain)
                .is_ok_and(|domain| domain.vcpu_runnable(&domain.vcpus[0]));
            if on && runnable {
                system.platform.running.insert(vcpu);
            } else {
                system.platform.running.remove(&vcpu);
            }
        }
        Step::Destroy(id) => {
            let running = system.has_running_vcpus(id);
            let before = system.domain(id).map(|domain| domain.life());
            let progress = system.destroy_domain(id);
            assert_eq!(progress.is_ok(), before.is_ok());
            if running {
                assert_eq!(progress, Ok(DestroyProgress::Preempted), "a vCPU runs");
            }
            // Its mappings go with it.
            if system.domain(id).map_or(true, |domain| domain.is_dying()) {
                mappings.retain(|(mapper, _)| *mapper != id);
            }
        }
        Step::Create(id) => {
            if system.domain(id).is_ok() {
                assert_eq!(system.create_domain(config(id)), Err(Errno::EEXIST));
            } else if system.frames.free_count() > 64 {
                create(system, id);
            }
        }
    }
}

/// What holds at any time, whoever is in which stage of life.
fn check(system: &System<FakePlatform>) {
    let mut charged = BTreeMap::new();
    for frame in 0..FRAMES {
        if let Owner::Domain(id) | Owner::Released(id) = system.frames.owner(Mfn(frame)) {
            assert!(system.domain(id).is_ok(), "a page of nobody");
            *charged.entry(id).or_insert(0) += 1;
        }
    }
    let mut uses: BTreeMap<(u16, u32), u32> = BTreeMap::new();
    for domain in system.domains.values() {
        let id = domain.id();
        let count = charged.get(&id).copied().unwrap_or(0);
        let count = count + domain.on_demand.cache.count();
        assert_eq!(count, system.frames.tot_pages(id));
        assert!(count <= domain.config.max_pages);
        for port in 0..domain.events.ports().len() {
            let binding = domain.events.port(port).expect("it exists").binding;
            if let Binding::Interdomain(remote, far) = binding {
                let far = system.domain(remote).and_then(|d| d.events.port(far));
                let back = far.expect("half a connection").binding;
                assert_eq!(back, Binding::Interdomain(id, port));
            }
        }
        let handles = 0..domain.grants.maptrack.end();
        for mapping in handles.filter_map(|handle| domain.grants.maptrack.get(handle)) {
            *uses
                .entry((mapping.granter, mapping.reference))
                .or_default() += 1;
        }
        for vcpu in &domain.vcpus {
            let told = system
                .platform
                .calls
                .iter()
                .rev()
                .find_map(|call| match call {
                    PlatformCall::VcpuWake(of) if of.domain == id => Some(true),
                    PlatformCall::VcpuSleep(of) if of.domain == id => Some(false),
                    _ => None,
                });
            assert_eq!(told, Some(domain.vcpu_runnable(vcpu)));
        }
    }
    for domain in system.domains.values() {
        for reference in GREF..GREF + 3 {
            let active = domain.grants.active(reference);
            let pins = active.map_or(0, |active| active.pins.readers + active.pins.writers);
            let uses = uses.remove(&(domain.id(), reference)).unwrap_or(0);
            assert_eq!(pins, uses, "d{} reference {reference}", domain.id());
        }
    }
    assert!(uses.is_empty(), "a mapping of a grant of nobody: {uses:?}");
}

proptest! {
    #[test]
    fn domains_come_and_go_and_leave_nothing(steps in prop::collection::vec(step(), 1..150)) {
        let mut system = machine(FRAMES as usize);
        let free = system.frames.free_count();
        (0..3).for_each(|id| create(&mut system, id));
        let mut mappings = Vec::new();
        for step in steps {
            perform(&mut system, &mut mappings, step);
            check(&system);
        }
        system.platform.running.clear();
        for id in [1, 2] {
            let _ = destroy_domain(&mut system, id);
            check(&system);
            let life = system.domain(id).map(|domain| domain.life());
            prop_assert!(matches!(life, Err(Errno::ESRCH) | Ok(LifeStage::Dead)));
        }
        // dom0 keeps them as zombies until it unmaps what is theirs.
        prop_assert_eq!(destroy_domain(&mut system, 0), Ok(()));
        prop_assert!(system.domains.is_empty());
        prop_assert!(system.resource_mappings.is_empty());
        prop_assert_eq!(system.frames.free_count(), free);
        prop_assert_eq!(system.heap_budget.left(), usize::MAX);
    }
}

#[test]
fn an_old_mapping_ends_no_use_in_a_new_domain_with_the_same_domid() {
    let mut system = machine(FRAMES as usize);
    (0..2).for_each(|id| create(&mut system, id));
    let mut mappings = Vec::new();
    perform(&mut system, &mut mappings, Step::Grant(1, 0, 3, 0));
    perform(&mut system, &mut mappings, Step::Map(0, 1, 0, false, 0));
    assert_eq!(mappings.len(), 1);
    assert_eq!(destroy_domain(&mut system, 1), Ok(()));
    assert_eq!(system.create_domain(config(1)), Err(Errno::EEXIST));
    perform(&mut system, &mut mappings, Step::Unmap(0));
    create(&mut system, 1);
    check(&system);
}

#[test]
fn a_handle_unmaps_only_where_its_own_mapping_is() {
    let mut system = machine(FRAMES as usize);
    (0..2).for_each(|id| create(&mut system, id));
    let mut mappings = Vec::new();
    perform(&mut system, &mut mappings, Step::Grant(1, 0, 3, 0));
    for at in 0..2 {
        perform(&mut system, &mut mappings, Step::Map(0, 1, 0, false, at));
    }
    let [(_, first), (_, second)] = mappings[..] else {
        panic!("both are mapped");
    };
    let mixed = UnmapGrantRef {
        host_addr: second.host_addr,
        ..first
    };
    assert!(system.unmap_grant(0, &mixed).is_err());
    for own in [first, second] {
        assert_eq!(system.unmap_grant(0, &own), Ok(()));
        let gfn = Gfn::of(own.host_addr);
        assert_eq!(system.lookup(0, gfn), None);
    }
    check(&system);
}

#[test]
fn what_a_domain_gives_back_counts_as_its_own_while_others_map_it() {
    let mut system = machine(FRAMES as usize);
    (0..2).for_each(|id| create(&mut system, id));
    system.domain_mut(1).expect("there").config.max_pages = 16;
    let gfn = gfn_of(1, 2);
    assert_eq!(system.map_foreign(0, Gfn(MAPPED), 1, gfn), Ok(()));
    assert_eq!(system.remove_from_physmap(1, gfn), Ok(()));
    let again = system.populate_physmap(1, gfn, 0, None);
    assert_eq!(again, Err(Errno::ENOMEM), "it would have 17");
    assert_eq!(system.remove_from_physmap(0, Gfn(MAPPED)), Ok(()));
    assert_eq!(system.populate_physmap(1, gfn, 0, None), Ok(()));
}

#[test]
fn destroying_a_domain_waits_for_its_vcpus_and_tells_the_toolstack_when_it_is_dead_and_when_it_is_gone()
 {
    let mut system = machine(FRAMES as usize);
    (0..2).for_each(|id| create(&mut system, id));
    let port = system
        .bind_virq(0, xen_abi::xen::virq::DOM_EXC, 0)
        .expect("free");
    let vcpu = VcpuId { domain: 1, vcpu: 0 };
    system.platform.running.insert(vcpu);
    assert_eq!(system.map_foreign(0, Gfn(MAPPED), 1, gfn_of(1, 0)), Ok(()));
    for _ in 0..3 {
        let progress = system.destroy_domain(1);
        assert_eq!(progress, Ok(DestroyProgress::Preempted));
        assert_eq!(system.frames.tot_pages(1), 16, "nothing is freed");
    }
    system.platform.running.clear();
    let told = |system: &mut System<FakePlatform>| {
        let told = system.poll_port(0, port).expect("bound");
        let shared = system.domain(0).expect("there").areas.shared_info;
        let pending = shared + offset_of!(vc::SharedInfo, evtchn_pending) as u64;
        system.platform.store_u64(pending, 0);
        told
    };
    assert!(!told(&mut system));
    assert_eq!(destroy_domain(&mut system, 1), Ok(()));
    assert!(told(&mut system));
    assert_eq!(
        system.populate_physmap(1, Gfn(0x300), 0, None),
        Err(Errno::EINVAL)
    );
    assert_eq!(system.alloc_unbound(1, 0), Err(Errno::EINVAL));
    assert_eq!(system.remove_from_physmap(0, Gfn(MAPPED)), Ok(()));
    assert!(told(&mut system));
    assert!(system.domain(1).is_err());
}
