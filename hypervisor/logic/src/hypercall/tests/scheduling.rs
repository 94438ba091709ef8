// SPDX-License-Identifier: GPL-2.0

//! Blocking, shutting down, timers and runstates.

use super::*;
use crate::system::vcpu::Runstate;
use xen_abi::sched;
use xen_abi::xen::virq;

fn sched_op<T: FromBytes + IntoBytes + Immutable>(
    system: &mut System<FakePlatform>,
    domain: u16,
    op: u32,
    args: T,
) -> HypercallOutcome {
    let at = ARG[usize::from(domain != 0)];
    caller(system, domain)
        .copy_to_guest(at, &args)
        .expect("memory");
    call(system, domain, nr::SCHED_OP, &[op.into(), at])
}

fn vcpu_op<T: FromBytes + IntoBytes + Immutable>(
    system: &mut System<FakePlatform>,
    op: u32,
    vcpu: u64,
    args: T,
) -> i64 {
    caller(system, 1)
        .copy_to_guest(ARG[1], &args)
        .expect("memory");
    call(system, 1, nr::VCPU_OP, &[op.into(), vcpu, ARG[1]]).value as i64
}

const FIRST: VcpuId = VcpuId { domain: 1, vcpu: 0 };

fn timer_port(system: &mut System<FakePlatform>) -> u32 {
    let wanted = ec::BindVirq::default();
    event(system, 1, ec::op::BIND_VIRQ, wanted).1.port
}

#[test]
fn a_domain_shuts_down_once_for_its_first_reason() {
    let mut system = two_domains();
    let global = ec::BindVirq {
        virq: virq::DOM_EXC,
        ..Default::default()
    };
    let port = event(&mut system, 0, ec::op::BIND_VIRQ, global).1.port;
    let said = sched_op(&mut system, 1, sched::op::SHUTDOWN_CODE, 3u32);
    assert_eq!((said.value, said.action), (0, VcpuAction::Resume));
    sched_op(&mut system, 1, sched::op::SHUTDOWN_CODE, 1u32);
    system.platform.calls.clear();
    let done = sched_op(&mut system, 1, sched::op::SHUTDOWN, 0u32);
    assert_eq!(done.action, VcpuAction::Stop);
    assert_eq!(system.domain(1).expect("there").shutdown, Some(3));
    let stop = |vcpu| PlatformCall::VcpuSleep(VcpuId { domain: 1, vcpu });
    assert_eq!(
        system.platform.calls[..3],
        [stop(0), stop(1), PlatformCall::DomainShutdown(1, 3)]
    );
    assert_eq!(
        system.poll_port(0, port),
        Ok(true),
        "the toolstack is notified"
    );
    system.platform.calls.clear();
    sched_op(&mut system, 1, sched::op::SHUTDOWN, 1u32);
    assert_eq!(system.domain(1).expect("there").shutdown, Some(3));
    assert_eq!(system.platform.calls, []);
}

#[test]
fn only_dom0_shuts_others_down() {
    let mut system = two_domains();
    let remote = |domain_id| sched::RemoteShutdown {
        domain_id,
        pad: 0,
        reason: 1,
    };
    let ask = |system: &mut System<FakePlatform>, domain, args| {
        sched_op(system, domain, sched::op::REMOTE_SHUTDOWN, args).value as i64
    };
    let eperm = errno(Errno::EPERM);
    assert_eq!(ask(&mut system, 1, remote(0)), eperm);
    assert_eq!(ask(&mut system, 1, remote(1)), eperm);
    assert_eq!(ask(&mut system, 0, remote(0)), eperm);
    assert_eq!(ask(&mut system, 0, remote(0x7ff0)), errno(Errno::ESRCH));
    let shutdown = |system: &System<FakePlatform>, id| system.domain(id).expect("there").shutdown;
    assert_eq!((shutdown(&system, 0), shutdown(&system, 1)), (None, None));
    assert_eq!(ask(&mut system, 0, remote(1)), 0);
    assert_eq!(
        (shutdown(&system, 0), shutdown(&system, 1)),
        (None, Some(1))
    );
    let pin = |system: &mut System<FakePlatform>, domain| {
        sched_op(system, domain, sched::op::PIN_OVERRIDE, 0u32).value as i64
    };
    assert_eq!(pin(&mut system, 1), eperm);
    assert_eq!(pin(&mut system, 0), errno(Errno::ENOSYS));
}

#[test]
fn a_vcpu_that_blocks_takes_upcalls() {
    let mut system = two_domains();
    let info = system.domain(1).expect("there").areas.vcpu_info[0].expect("in the page");
    let mask = info + offset_of!(vc::VcpuInfo, evtchn_upcall_mask) as u64;
    system.platform.swap_u8(mask, 1);
    let done = sched_op(&mut system, 1, sched::op::YIELD, 0u32);
    assert_eq!((done.value, done.action), (0, VcpuAction::Yield));
    assert_eq!(system.platform.swap_u8(mask, 1), 1);
    let done = sched_op(&mut system, 1, sched::op::BLOCK, 0u32);
    assert_eq!((done.value, done.action), (0, VcpuAction::Block));
    assert_eq!(system.platform.swap_u8(mask, 1), 0);
}

#[test]
fn a_periodic_timer_ticks_and_does_not_make_up_for_lost_ticks() {
    let mut system = two_domains();
    let port = timer_port(&mut system);
    let now = system.platform.time;
    let set = vc::op::SET_PERIODIC_TIMER;
    let einval = errno(Errno::EINVAL);
    assert_eq!(vcpu_op(&mut system, set, 0, 999_999u64), einval);
    assert_eq!(vcpu_op(&mut system, set, 0, 1u64 << 56), einval);
    assert_eq!(vcpu_op(&mut system, set, 0, 1_000_000u64), 0);
    let asked = |system: &System<FakePlatform>| system.platform.calls.last().copied();
    let timer = |at| Some(PlatformCall::SetTimer(FIRST, at));
    assert_eq!(asked(&system), timer(Some(now + 1_000_000)));
    let fired = |system: &mut System<FakePlatform>, at| {
        system.platform.time = at;
        system.platform.calls.clear();
        system.timer_expired(FIRST);
        let pending = system.poll_port(1, port).expect("bound");
        let domain = system.domains.get_mut(&1).expect("there");
        domain.events.free(&system.platform, &domain.areas, 0);
        let shared = domain.areas.shared_info;
        let bits = offset_of!(vc::SharedInfo, evtchn_pending) as u64;
        system.platform.store_u64(shared + bits, 0);
        pending
    };
    assert!(!fired(&mut system, now + 999_999));
    assert!(fired(&mut system, now + 1_000_000));
    assert!(!fired(&mut system, now + 1_999_999));
    // Three and a half periods late: one tick, and the next one a period later.
    assert!(fired(&mut system, now + 5_500_000));
    assert!(!fired(&mut system, now + 6_499_999));
    assert!(fired(&mut system, now + 6_500_000));
    let stop = vc::op::STOP_PERIODIC_TIMER;
    assert_eq!(vcpu_op(&mut system, stop, 0, 0u64), 0);
    assert_eq!(asked(&system), timer(None));
    assert!(!fired(&mut system, now + 100_000_000));
}

#[test]
fn a_single_shot_in_the_past_fires_at_once() {
    let mut system = two_domains();
    let port = timer_port(&mut system);
    let now = system.platform.time;
    let at = |timeout_abs_ns| vc::SetSingleshotTimer {
        timeout_abs_ns,
        flags: 0,
        pad: 0,
    };
    let set = vc::op::SET_SINGLESHOT_TIMER;
    let stop = vc::op::STOP_SINGLESHOT_TIMER;
    let einval = errno(Errno::EINVAL);
    assert_eq!(vcpu_op(&mut system, set, 1, at(now)), einval, "not its own");
    assert_eq!(vcpu_op(&mut system, stop, 1, 0u64), einval);
    assert_eq!(vcpu_op(&mut system, set, 0, at(now)), 0);
    assert_eq!(system.poll_port(1, port), Ok(false), "it is now");
    let timer = |at| Some(PlatformCall::SetTimer(FIRST, at));
    assert_eq!(system.platform.calls.last().copied(), timer(Some(now)));
    assert_eq!(vcpu_op(&mut system, stop, 0, 0u64), 0);
    assert_eq!(system.platform.calls.last().copied(), timer(None));
    assert_eq!(vcpu_op(&mut system, set, 0, at(now - 1)), 0);
    assert_eq!(system.poll_port(1, port), Ok(true));
    assert_eq!(system.domain(1).expect("there").vcpus[0].single_shot, None);
}

#[test]
fn the_earliest_of_a_vcpus_timers_is_the_next() {
    let mut system = two_domains();
    let deadline =
        |system: &System<FakePlatform>| system.domain(1).expect("there").vcpus[0].deadline();
    assert_eq!(deadline(&system), None);
    for (single, period, poll, expected) in [
        (Some(5), Some(7), Some(9), 5),
        (Some(9), Some(5), Some(7), 5),
        (Some(7), Some(9), Some(5), 5),
        (None, Some(7), None, 7),
        (None, None, Some(7), 7),
    ] {
        let state = &mut system.domain_mut(1).expect("there").vcpus[0];
        state.single_shot = single;
        state.periodic = period.map(|next| (1, next));
        state.poll = Some(crate::system::vcpu::Poll {
            ports: Vec::new(),
            until: poll,
        });
        assert_eq!(deadline(&system), Some(expected));
    }
}

#[test]
fn far_times_are_those_that_have_wrapped() {
    let mut system = two_domains();
    let now = system.platform.time;
    let vcpu = VcpuId { domain: 0, vcpu: 0 };
    let far = 1u64 << 50;
    for (at, expected) in [
        (now + far - 1, now + far - 1),
        (now + far, now + 100_000_000),
        (1 << 63, now + 100_000_000),
        (now - 1, now - 1),
        (1, 1),
    ] {
        assert_eq!(call(&mut system, 0, nr::SET_TIMER_OP, &[at]).value, 0);
        let asked = system.platform.calls.last().copied();
        assert_eq!(
            asked,
            Some(PlatformCall::SetTimer(vcpu, Some(expected))),
            "{at:#x}"
        );
    }
}

#[test]
fn runstates_are_written_where_the_guest_wants_them() {
    let mut system = two_domains();
    let phys = vc::op::REGISTER_RUNSTATE_PHYS_AREA;
    let virt = vc::op::REGISTER_RUNSTATE_MEMORY_AREA;
    let info = |system: &mut System<FakePlatform>, at: u64| -> vc::RunstateInfo {
        caller(system, 1).copy_from_guest(at).expect("memory")
    };
    let start = system.platform.time;
    assert_eq!(vcpu_op(&mut system, phys, 0, 0x5_0040u64), 0);
    let frame = system.lookup(1, Gfn(0x50)).expect("memory").mfn;
    assert_eq!(system.frames.page_refs(frame), (1, 1));
    assert_eq!(info(&mut system, 0x5_0040).state, vc::runstate::OFFLINE);
    system.platform.time = start + 10;
    system.runstate_change(FIRST, Runstate::Running, None);
    system.platform.time = start + 30;
    system.runstate_change(FIRST, Runstate::Blocked, None);
    let expected = vc::RunstateInfo {
        state: vc::runstate::BLOCKED,
        pad: 0,
        state_entry_time: start + 30,
        time: [20, 0, 0, 10],
    };
    assert_eq!(info(&mut system, 0x5_0040), expected);
    // A virtual area is written with the present page tables only; the reference of the old area is put.
    assert_eq!(vcpu_op(&mut system, virt, 0, 0x5_1040u64), 0);
    assert_eq!(system.frames.page_refs(frame), (0, 0));
    assert_eq!(info(&mut system, 0x5_1040), expected);
    system.platform.time = start + 35;
    system.runstate_change(FIRST, Runstate::Runnable, None);
    assert_eq!(info(&mut system, 0x5_1040), expected);
    system.runstate_change(FIRST, Runstate::Running, Some(&UNPAGED));
    let later = info(&mut system, 0x5_1040);
    assert_eq!((later.state, later.state_entry_time), (0, start + 35));
    assert_eq!(later.time, [20, 0, 5, 10]);
    assert_eq!(info(&mut system, 0x5_0040), expected, "no more");
    // PlatformCall for, it counts up to now.
    system.platform.time = start + 40;
    let get = [vc::op::GET_RUNSTATE_INFO.into(), 0, ARG[1]];
    assert_eq!(call(&mut system, 1, nr::VCPU_OP, &get).value, 0);
    assert_eq!(info(&mut system, ARG[1]).time, [25, 0, 5, 10]);
    // All ones, or null, take the area away.
    assert_eq!(vcpu_op(&mut system, virt, 0, 0u64), 0);
    system.runstate_change(FIRST, Runstate::Blocked, Some(&UNPAGED));
    assert_eq!(info(&mut system, 0x5_1040), later);
    for (op, address, expected) in [
        (phys, u64::MAX, 0),
        (phys, 0x5_0ff8, errno(Errno::ENXIO)),
        (phys, 0x5_0044, errno(Errno::ENXIO)),
        (phys, 0x999_9000, errno(Errno::EINVAL)),
        (virt, u64::MAX - 8, errno(Errno::EFAULT)),
    ] {
        assert_eq!(vcpu_op(&mut system, op, 0, address), expected);
    }
}

#[test]
fn a_woken_vcpu_is_runnable_until_a_cpu_picks_it() {
    let mut system = two_domains();
    let start = system.platform.time;
    system.runstate_change(FIRST, Runstate::Blocked, None);
    let blocked = |system: &mut System<FakePlatform>| {
        let args = xen_abi::domctl::Getvcpuinfo::default();
        let get = xen_abi::domctl::op::GETVCPUINFO;
        let (result, args) = super::domctls::domctl(system, get, 1, args);
        assert_eq!(result, 0);
        args.blocked
    };
    assert_eq!(blocked(&mut system), 1);
    system.platform.woken.insert(FIRST);
    assert_eq!(blocked(&mut system), 0);
    system.platform.time = start + 100;
    system.runnable_since(FIRST, start + 60);
    system.runstate_change(FIRST, Runstate::Running, None);
    // What runs is not runnable since then.
    system.runnable_since(FIRST, start + 90);
    let times = system.vcpu_mut(FIRST).expect("there").runstate;
    let spent = |state| times.spent(state, start + 100);
    assert_eq!(
        (spent(Runstate::Blocked), spent(Runstate::Runnable)),
        (60, 40)
    );
    assert_eq!(times.state(), Runstate::Running);
}

#[test]
fn an_area_that_is_being_written_is_marked_for_those_who_asked() {
    let mut system = two_domains();
    let assist = |system: &mut System<FakePlatform>, command, kind| {
        call(system, 1, nr::VM_ASSIST, &[command, kind]).value as i64
    };
    let flag =
        |system: &System<FakePlatform>| system.domain(1).expect("there").runstate_update_flag;
    assert_eq!(assist(&mut system, 0, 5), 0);
    assert!(flag(&system));
    assert_eq!(assist(&mut system, 1, 5), 0);
    assert!(!flag(&system));
    assert_eq!(assist(&mut system, 0, 4), errno(Errno::EINVAL));
    assert_eq!(assist(&mut system, 2, 5), errno(Errno::ENOSYS));
    assert!(!flag(&system));
    assert_eq!(assist(&mut system, 0, 5), 0);
    // Whatever was marked on the way, the mark is gone in the end.
    for op in [
        vc::op::REGISTER_RUNSTATE_PHYS_AREA,
        vc::op::REGISTER_RUNSTATE_MEMORY_AREA,
    ] {
        assert_eq!(vcpu_op(&mut system, op, 0, 0x5_0040u64), 0);
        system.runstate_change(FIRST, Runstate::Running, Some(&UNPAGED));
        let info: vc::RunstateInfo = caller(&mut system, 1)
            .copy_from_guest(0x5_0040)
            .expect("memory");
        assert_eq!(info.state_entry_time, system.platform.time);
    }
}

#[test]
fn clocks_are_written_where_the_guest_wants_them() {
    let mut system = two_domains();
    system.platform.time = 7_000_000;
    for (op, at) in [
        (vc::op::REGISTER_VCPU_TIME_PHYS_AREA, 0x5_0040u64),
        (vc::op::REGISTER_VCPU_TIME_MEMORY_AREA, 0x5_1040),
    ] {
        assert_eq!(vcpu_op(&mut system, op, 0, at), 0);
        let clock: vc::TimeInfo = caller(&mut system, 1).copy_from_guest(at).expect("memory");
        assert_eq!(
            (clock.tsc_timestamp, clock.system_time),
            (7_000_000, 7_000_000)
        );
        assert_eq!((clock.version % 2, clock.flags), (0, vc::TSC_STABLE));
        let (mul, shift) = crate::pvclock::scale(1_000_000_000);
        assert_eq!((clock.tsc_to_system_mul, clock.tsc_shift), (mul, shift));
        assert_ne!(clock.version, 0);
    }
    // From now on only the last one is.
    system.platform.time = 8_000_000;
    system.update_system_time(FIRST);
    system.update_secondary_system_time(FIRST, &UNPAGED);
    let time = |system: &mut System<FakePlatform>, at| {
        let clock: vc::TimeInfo = caller(system, 1).copy_from_guest(at).expect("memory");
        clock.system_time
    };
    assert_eq!(time(&mut system, 0x5_0040), 7_000_000);
    assert_eq!(time(&mut system, 0x5_1040), 8_000_000);
}

#[test]
fn an_nmi_waits_once_and_wakes() {
    let mut system = two_domains();
    system.platform.calls.clear();
    let nmi = |system: &mut System<FakePlatform>, vcpu, arg| {
        let args = [vc::op::SEND_NMI.into(), vcpu, arg];
        call(system, 1, nr::VCPU_OP, &args).value as i64
    };
    assert_eq!(nmi(&mut system, 1, 1), errno(Errno::EINVAL));
    assert_eq!(system.platform.calls, []);
    let second = VcpuId { domain: 1, vcpu: 1 };
    for _ in 0..2 {
        assert_eq!(nmi(&mut system, 1, 0), 0);
        assert_eq!(system.platform.calls, [PlatformCall::VcpuUnblock(second)]);
    }
    let vcpus = &system.domain(1).expect("there").vcpus;
    assert!(vcpus[1].nmi_pending && !vcpus[0].nmi_pending);
    assert_eq!(nmi(&mut system, 2, 0), errno(Errno::ENOENT));
    let op = vc::op::GET_PHYSID.into();
    let physid = call(&mut system, 1, nr::VCPU_OP, &[op, 0, ARG[1]]);
    assert_eq!(physid.value as i64, errno(Errno::EINVAL));
}

#[test]
fn the_wall_clock_is_every_domains_with_its_own_offset() {
    let mut system = two_domains();
    system.domain_mut(1).expect("there").time_offset = -3;
    system.set_wall_clock(5_000_000_007);
    let clock = |system: &System<FakePlatform>, id| {
        let shared = system.domain(id).expect("there").areas.shared_info;
        let read = |offset: usize| system.platform.load_u32(shared + offset as u64);
        (
            read(offset_of!(vc::SharedInfo, wc_sec)),
            read(offset_of!(vc::SharedInfo, wc_nsec)),
            read(offset_of!(vc::SharedInfo, wc_version)) % 2,
        )
    };
    assert_eq!(clock(&system, 0), (5, 7, 0));
    assert_eq!(clock(&system, 1), (2, 7, 0));
    system.domain_mut(1).expect("there").time_offset = -9;
    system.update_wall_clock(1);
    assert_eq!(clock(&system, 1), (0, 0, 0), "not before 1970");
}

#[test]
fn the_update_bit_of_an_area_does_not_stay_if_a_part_is_not_mapped() {
    let mut system = two_domains();
    system.domain_mut(1).expect("there").runstate_update_flag = true;
    // The last page that domain 1 has ends within the area.
    let area = 0x8_0000 - 32;
    let register = vc::op::REGISTER_RUNSTATE_MEMORY_AREA;
    assert_eq!(vcpu_op(&mut system, register, 0, area), 0);
    system.platform.time = 7_000_000;
    system.runstate_change(FIRST, Runstate::Running, Some(&UNPAGED));
    let at = area + offset_of!(vc::RunstateInfo, state_entry_time) as u64;
    let entry: u64 = caller(&mut system, 1).copy_from_guest(at).expect("memory");
    assert_eq!(entry, 7_000_000);
}

#[test]
fn an_area_is_not_marked_for_those_who_did_not_ask() {
    let mut system = two_domains();
    // The bit is in the only byte that can be written: the area's first page is not mapped.
    let area = 0x4_0000 - 15;
    let register = vc::op::REGISTER_RUNSTATE_MEMORY_AREA;
    for asked in [false, true] {
        system.domain_mut(1).expect("there").runstate_update_flag = asked;
        assert_eq!(vcpu_op(&mut system, register, 0, area), 0);
        let mut guest = caller(&mut system, 1);
        guest.copy_to_guest(area + 15, &0xffu8).expect("memory");
        system.runstate_change(FIRST, Runstate::Running, Some(&UNPAGED));
        let byte: u8 = caller(&mut system, 1)
            .copy_from_guest(area + 15)
            .expect("memory");
        assert_eq!(byte, if asked { 0 } else { 0xff });
    }
}
