// SPDX-License-Identifier: GPL-2.0

//! What the toolstack sets and asks of a domain that it has created: memory, processor time, devices, time.

use super::domctls::{PVH, create, domctl, domctl_of, info, only_dom0};
use super::*;
use crate::sched::CpuSet;
use xen_abi::domctl::{
    Bitmap, Getpageframeinfo3, IomemPermission, IoportPermission, SchedulerOp, Sendtrigger,
    TscInfo, Vcpuaffinity, op, pfinfo, schedop, trigger,
};

#[test]
fn a_domain_gets_memory_up_to_its_limit() {
    let mut system = only_dom0();
    let id = create(&mut system);
    let limit = |system: &mut System<FakePlatform>, kib: u64| {
        assert_eq!(domctl(system, op::MAX_MEM, id, kib).0, 0);
        info(system, id).max_pages
    };
    assert_eq!(limit(&mut system, u64::MAX), u64::from(u32::MAX));
    assert_eq!(limit(&mut system, 11), 2);
    let list = ARG[0] + 512;
    for (index, gfn) in [1u64, 2, 3].into_iter().enumerate() {
        caller(&mut system, 0)
            .copy_to_guest(list + index as u64 * 8, &gfn)
            .expect("memory");
    }
    let args = mem::Reservation {
        extent_start: list,
        nr_extents: 3,
        domid: id,
        ..Default::default()
    };
    let populate =
        |system: &mut System<FakePlatform>| memory_op(system, 0, mem::op::POPULATE_PHYSMAP, args).0;
    assert_eq!(populate(&mut system), 2, "as many as it may have");
    assert_eq!(limit(&mut system, 4), 1, "it may be below what there is");
    assert_eq!(info(&mut system, id).tot_pages, 2);
}

#[test]
fn the_paging_pool_gets_the_size_that_is_asked_for() {
    let mut system = only_dom0();
    let id = create(&mut system);
    let size = |system: &mut System<FakePlatform>| {
        let (result, size) = domctl(system, op::GET_PAGING_MEMPOOL_SIZE, id, 0u64);
        assert_eq!(result, 0);
        size
    };
    let set = |system: &mut System<FakePlatform>, bytes: u64| {
        domctl(system, op::SET_PAGING_MEMPOOL_SIZE, id, bytes).0
    };
    assert_eq!(size(&mut system), 256 << 12);
    assert_eq!(set(&mut system, 1), errno(Errno::EINVAL));
    assert_eq!(set(&mut system, 1 << 60), errno(Errno::EINVAL));
    assert_eq!(size(&mut system), 256 << 12);
    // Preempted on the way.
    assert_eq!(set(&mut system, 1000 << 12), 0);
    assert_eq!(size(&mut system), 1000 << 12);
    assert_eq!(set(&mut system, 16 << 12), 0);
    assert_eq!(size(&mut system), 16 << 12);
    assert_eq!(set(&mut system, 1 << 40), errno(Errno::ENOMEM));
}

#[test]
fn affinities_are_checked_and_kept() {
    let mut system = two_domains();
    let map = ARG[0] + 512;
    let bitmap = Bitmap {
        bitmap: map,
        nr_bits: 8,
        pad: 0,
    };
    let set = |system: &mut System<FakePlatform>, cmd, vcpu, flags, bits: u8| {
        caller(system, 0).copy_to_guest(map, &bits).expect("memory");
        let args = Vcpuaffinity {
            vcpu,
            flags,
            cpumap_hard: bitmap,
            cpumap_soft: bitmap,
        };
        let result = domctl(system, cmd, 1, args).0;
        let bits: u8 = caller(system, 0).copy_from_guest(map).expect("memory");
        (result, bits)
    };
    let (hard, soft) = (1, 2);
    let einval = errno(Errno::EINVAL);
    let cmd = op::SETVCPUAFFINITY;
    assert_eq!(set(&mut system, cmd, 0, 0, 3).0, einval);
    assert_eq!(set(&mut system, cmd, 0, 8 | hard, 3).0, einval);
    assert_eq!(set(&mut system, cmd, 2, hard, 3).0, einval);
    // The machine has two CPUs; what is beyond is left out.
    assert_eq!(set(&mut system, cmd, 0, hard, 0xff), (0, 3));
    assert_eq!(set(&mut system, cmd, 0, hard, 0xfc).0, einval);
    let get = op::GETVCPUAFFINITY;
    let vcpu = VcpuId { domain: 1, vcpu: 0 };
    let told = |system: &System<FakePlatform>| system.platform.calls.last().copied();
    let affinity = |cpus| Some(PlatformCall::SetAffinity(vcpu, cpus));
    assert_eq!(told(&system), affinity(CpuSet::ALL));
    assert_eq!(set(&mut system, cmd, 0, hard, 0xfe), (0, 2));
    assert_eq!(told(&system), affinity(CpuSet::from_iter([1])));
    assert_eq!(set(&mut system, get, 0, hard, 0), (0, 2));
    // What it would like and what it may do have nothing in common.
    assert_eq!(set(&mut system, cmd, 0, soft, 1), (0, 0));
    assert_eq!(set(&mut system, get, 0, soft, 0), (0, 1));
    assert_eq!(set(&mut system, cmd, 0, hard, 3), (0, 3));
    assert_eq!(set(&mut system, cmd, 0, soft, 3), (0, 3));
    assert_eq!(set(&mut system, get, 0, soft, 0), (0, 3));
    assert_eq!(set(&mut system, cmd, 0, soft, 2), (0, 2));
    assert_eq!(set(&mut system, get, 0, soft, 0), (0, 2));
    assert_eq!(set(&mut system, get, 1, soft, 0), (0, 3), "the other vCPU");
    assert_eq!(set(&mut system, get, 0, hard, 0), (0, 3));
    let nodes = |system: &mut System<FakePlatform>, cmd, bits: u8| {
        caller(system, 0).copy_to_guest(map, &bits).expect("memory");
        let result = domctl(system, cmd, 1, bitmap).0;
        let bits: u8 = caller(system, 0).copy_from_guest(map).expect("memory");
        (result, bits)
    };
    assert_eq!(nodes(&mut system, op::SETNODEAFFINITY, 1).0, 0);
    assert_eq!(nodes(&mut system, op::SETNODEAFFINITY, 0xff).0, 0);
    assert_eq!(nodes(&mut system, op::SETNODEAFFINITY, 2).0, einval);
    assert_eq!(nodes(&mut system, op::GETNODEAFFINITY, 0), (0, 1));
}

#[test]
fn the_counter_is_the_processors_or_refused() {
    let mut system = two_domains();
    let set = |system: &mut System<FakePlatform>, tsc_mode, gtsc_khz, incarnation| {
        let args = TscInfo {
            tsc_mode,
            gtsc_khz,
            incarnation,
            ..Default::default()
        };
        domctl(system, op::SETTSCINFO, 1, args).0
    };
    let refused = errno(Errno::EOPNOTSUPP);
    assert_eq!(set(&mut system, 0, 0, 0), 0);
    let (result, info) = domctl(&mut system, op::GETTSCINFO, 1, TscInfo::default());
    let expected = TscInfo {
        gtsc_khz: 1_000_000,
        incarnation: 1,
        elapsed_nsec: system.platform.time,
        ..Default::default()
    };
    assert_eq!((result, info), (0, expected));
    assert_eq!(set(&mut system, 0, 1_000_000, 3), 0);
    assert_eq!(set(&mut system, 0, 999_999, 0), refused);
    assert_eq!(set(&mut system, 1, 0, 0), refused);
    assert_eq!(set(&mut system, 4, 0, 0), errno(Errno::EINVAL));
    assert_eq!(set(&mut system, 2, 0, 4), 0);
    let info = domctl(&mut system, op::GETTSCINFO, 1, TscInfo::default()).1;
    assert_eq!((info.tsc_mode, info.gtsc_khz, info.incarnation), (2, 0, 5));
}

#[test]
fn a_domain_has_the_weight_and_the_cap_that_it_was_given() {
    let mut system = only_dom0();
    let (result, id, _) = domctl_of(&mut system, 0, op::CREATEDOMAIN, 0, PVH);
    assert_eq!(result, 0);
    let args = |cmd, weight, cap| SchedulerOp {
        sched_id: 5,
        cmd,
        weight,
        cap,
        pad: [0; 3],
    };
    let ask = |system: &mut System<FakePlatform>, args| domctl(system, op::SCHEDULER_OP, id, args);
    let get = |system: &mut System<FakePlatform>| {
        let (result, told) = ask(system, args(schedop::GETINFO, 0, 7));
        assert_eq!(result, 0);
        (told.weight, told.cap)
    };
    assert_eq!(get(&mut system), (256, 0));
    for (weight, cap, now) in [
        (300, 50, (300, 50)),
        (0, 150, (300, 150)),
        (512, u16::MAX, (512, 150)),
        (0, u16::MAX, (512, 150)),
    ] {
        let args = args(schedop::PUTINFO, weight, cap);
        assert_eq!(ask(&mut system, args).0, 0, "{weight} cap {cap}");
        assert_eq!(get(&mut system), now);
    }
    // vCPUs that are made afterwards have it as well.
    assert_eq!(domctl(&mut system, op::MAX_VCPUS, id, 2u32).0, 0);
    let told = |weight, cap| {
        let weight = |vcpu| PlatformCall::SetWeight(VcpuId { domain: id, vcpu }, weight);
        [weight(0), weight(1), PlatformCall::SetCap(id, cap)]
    };
    assert!(system.platform.calls.ends_with(&told(512, 150)));
    assert_eq!(ask(&mut system, args(schedop::PUTINFO, 100, 0)).0, 0);
    assert!(system.platform.calls.ends_with(&told(100, 0)));
    assert_eq!(get(&mut system), (100, 0));
    assert_eq!(ask(&mut system, args(2, 0, 0)).0, errno(Errno::EINVAL));
    let mut other = args(schedop::GETINFO, 0, 0);
    other.sched_id = 6;
    assert_eq!(ask(&mut system, other).0, errno(Errno::EINVAL));
}

#[test]
fn devices_are_given_to_nobody() {
    let mut system = two_domains();
    let (einval, refused) = (errno(Errno::EINVAL), errno(Errno::EOPNOTSUPP));
    let mut frames = |first_mfn, nr_mfns, allow_access| {
        let args = IomemPermission {
            first_mfn,
            nr_mfns,
            allow_access,
            pad: [0; 7],
        };
        domctl(&mut system, op::IOMEM_PERMISSION, 1, args).0
    };
    assert_eq!(frames(0, 0, 0), einval);
    assert_eq!(frames(u64::MAX, 2, 0), einval);
    assert_eq!(frames(0xf_e000, 16, 0), 0);
    assert_eq!(frames(0xf_e000, 16, 1), refused);
    let mut ports = |first_port, nr_ports, allow_access| {
        let args = IoportPermission {
            first_port,
            nr_ports,
            allow_access,
            pad: [0; 3],
        };
        domctl(&mut system, op::IOPORT_PERMISSION, 1, args).0
    };
    assert_eq!(ports(0, 0, 0), einval);
    assert_eq!(ports(0xffff, 2, 0), einval);
    assert_eq!(ports(u32::MAX, 2, 0), einval);
    assert_eq!(ports(0, 0x1_0000, 0), 0);
    assert_eq!(ports(0x3f8, 8, 1), refused);
}

#[test]
fn a_trigger_is_an_nmi_or_a_button_that_is_not_there() {
    let mut system = two_domains();
    let vcpu = VcpuId { domain: 1, vcpu: 1 };
    let press = |system: &mut System<FakePlatform>, trigger, vcpu| {
        domctl(system, op::SENDTRIGGER, 1, Sendtrigger { trigger, vcpu }).0
    };
    assert_eq!(press(&mut system, trigger::POWER, 0), 0);
    assert_eq!(press(&mut system, trigger::INIT, 0), errno(Errno::ENOSYS));
    assert_eq!(press(&mut system, trigger::NMI, 2), errno(Errno::ESRCH));
    assert_eq!(system.platform.calls, []);
    assert_eq!(press(&mut system, trigger::NMI, 1), 0);
    assert_eq!(system.platform.calls, [PlatformCall::VcpuUnblock(vcpu)]);
    assert!(system.vcpu_mut(vcpu).expect("there").nmi_pending);
}

#[test]
fn what_of_a_domain_is_memory_to_be_saved() {
    let mut system = two_domains();
    granting(&mut system, flag::PERMIT_ACCESS);
    assert_eq!(system.map_foreign(1, Gfn(0x300), 0, Gfn(0x110)), Ok(()));
    let list = ARG[0] + 512;
    let gfns = [0x41u64, 0x60, 0x300, 0x301, u64::MAX];
    // The first ones are repeated, so that the call is preempted.
    for index in 0..200 {
        let gfn = gfns[index % gfns.len()];
        caller(&mut system, 0)
            .copy_to_guest(list + index as u64 * 8, &gfn)
            .expect("memory");
    }
    let ask = |system: &mut System<FakePlatform>, num| {
        let args = Getpageframeinfo3 { num, array: list };
        domctl(system, op::GETPAGEFRAMEINFO3, 1, args).0
    };
    assert_eq!(ask(&mut system, 1025), errno(Errno::E2BIG));
    assert_eq!(ask(&mut system, 200), 0);
    let types: [u64; 200] = caller(&mut system, 0)
        .copy_from_guest(list)
        .expect("memory");
    for (index, kind) in types.into_iter().enumerate() {
        let expected = match gfns[index % gfns.len()] {
            0x41 => pfinfo::NOTAB,
            _ => pfinfo::XTAB,
        };
        assert_eq!(kind, u64::from(expected), "element {index}");
    }
}

#[test]
fn a_hypercall_page_is_filled_where_there_is_memory() {
    let mut system = two_domains();
    assert_eq!(domctl(&mut system, op::HYPERCALL_INIT, 1, 0x45u64).0, 0);
    let page: [u8; 4096] = caller(&mut system, 1)
        .copy_from_guest(0x4_5000)
        .expect("memory");
    // mov eax, 7; vmmcall; ret
    assert_eq!(page[7 * 32..][..9], [0xb8, 7, 0, 0, 0, 0x0f, 1, 0xd9, 0xc3]);
    assert_eq!(page[9], 0xcc);
    for gfn in [0x500u64, u64::MAX] {
        let result = domctl(&mut system, op::HYPERCALL_INIT, 1, gfn).0;
        assert_eq!(result, errno(Errno::EINVAL));
    }
}
