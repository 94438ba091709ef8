// SPDX-License-Identifier: GPL-2.0

//! Destroying a domain.

use super::*;
use crate::system::domain::LifeStage;
use crate::system::fake::destroy_domain;

#[test]
fn a_destroyed_domain_leaves_what_others_use_until_they_do_not() {
    let mut system = machine(1024);
    add_domain(&mut system, 0, 0x100, 64);
    let free = system.frames.free_count();
    add_domain(&mut system, 1, 0x40, 64);
    let offer = ec::AllocUnbound {
        dom: 0x7ff0,
        remote_dom: 1,
        port: 0,
    };
    let (_, offer) = with(
        &mut system,
        0,
        nr::EVENT_CHANNEL_OP,
        ec::op::ALLOC_UNBOUND,
        offer,
    );
    let bind = ec::BindInterdomain {
        remote_port: offer.port,
        ..Default::default()
    };
    assert_eq!(
        with(
            &mut system,
            1,
            nr::EVENT_CHANNEL_OP,
            ec::op::BIND_INTERDOMAIN,
            bind
        )
        .0,
        0
    );
    // It grants frame 0x44 to dom0, by its table at 0x60.
    let place = mem::AddToPhysmap {
        domid: 0x7ff0,
        space: 1,
        gpfn: 0x60,
        ..Default::default()
    };
    assert_eq!(
        memory_op(&mut system, 1, mem::op::ADD_TO_PHYSMAP, place).0,
        0
    );
    let entry = EntryV1 {
        flags: flag::PERMIT_ACCESS,
        domid: 0,
        frame: 0x44,
    };
    caller(&mut system, 1)
        .copy_to_guest(0x6_0000 + 9 * 8, &entry)
        .expect("memory");
    let map = gnttab::MapGrantRef {
        host_addr: 0x13_0000,
        flags: 2,
        gref: 9,
        dom: 1,
        ..Default::default()
    };
    let (_, mapped) = grant_op(&mut system, 0, gnttab::MAP_GRANT_REF, map);
    assert_eq!(mapped.status, status::OKAY);
    // Dom0 looks at its grant table.
    caller(&mut system, 0)
        .copy_to_guest(ARG[0] + 512, &0x131u64)
        .expect("memory");
    let acquire = mem::AcquireResource {
        domid: 1,
        kind: 1,
        nr_frames: 1,
        frame_list: ARG[0] + 512,
        ..Default::default()
    };
    assert_eq!(
        memory_op(&mut system, 0, mem::op::ACQUIRE_RESOURCE, acquire).0,
        0
    );
    assert_eq!(destroy_domain(&mut system, 1), Ok(()));
    let state = |system: &System<FakePlatform>| system.domain(1).map(|domain| domain.life());
    assert_eq!(state(&system), Ok(LifeStage::Dead), "a zombie");
    let again = crate::system::fake::config(1);
    assert_eq!(system.create_domain(again), Err(Errno::EEXIST));
    let remove = mem::RemoveFromPhysmap {
        domid: 0x7ff0,
        pad: [0; 3],
        gpfn: 0x131,
    };
    assert_eq!(
        memory_op(&mut system, 0, mem::op::REMOVE_FROM_PHYSMAP, remove).0,
        0
    );
    assert_eq!(destroy_domain(&mut system, 1), Ok(()), "nothing to do");
    assert_eq!(state(&system), Ok(LifeStage::Dead), "a page is mapped");
    let asked = ec::Status {
        port: offer.port,
        dom: 0x7ff0,
        ..Default::default()
    };
    let (_, said) = with(&mut system, 0, nr::EVENT_CHANNEL_OP, ec::op::STATUS, asked);
    assert_eq!(said.status, ec::status::UNBOUND);
    let unmap = gnttab::UnmapGrantRef {
        host_addr: 0x13_0000,
        handle: mapped.handle,
        ..Default::default()
    };
    let (_, done) = grant_op(&mut system, 0, gnttab::UNMAP_GRANT_REF, unmap);
    assert_eq!(done.status, status::OKAY);
    assert_eq!(destroy_domain(&mut system, 1), Err(Errno::ESRCH));
    assert_eq!(system.frames.free_count(), free);
}
