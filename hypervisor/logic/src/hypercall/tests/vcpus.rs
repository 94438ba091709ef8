// SPDX-License-Identifier: GPL-2.0

//! `vcpu_op`: `vcpu_info`, timers, polls, going up and down.

use super::*;

#[test]
fn a_vcpus_info_is_registered_once_and_keeps_its_frame() {
    let mut system = two_domains();
    let args = vc::RegisterVcpuInfo {
        mfn: 0x41,
        offset: 64,
        rsvd: 0,
    };
    let at = ARG[1];
    caller(&mut system, 1)
        .copy_to_guest(at, &args)
        .expect("memory");
    let register =
        |system: &mut System<FakePlatform>| call(system, 1, nr::VCPU_OP, &[10, 1, at]).value as i64;
    assert_eq!(register(&mut system), 0);
    assert_eq!(register(&mut system), errno(Errno::EBUSY));
    let mfn = system.lookup(1, Gfn(0x41)).expect("memory").mfn;
    assert_eq!(system.frames.page_refs(mfn), (1, 1));
    let time = mfn.address() + 64 + offset_of!(vc::VcpuInfo, time) as u64;
    assert_eq!(system.platform.load_u32(time) % 2, 0, "a whole clock");
    assert_eq!(system.platform.load_u64(time + 16), system.platform.time);
    // The guest gives the frame away: it stays until the hypervisor needs it no more.
    system.remove_from_physmap(1, Gfn(0x41)).expect("its own");
    assert_eq!(system.frames.owner(mfn), Owner::Released(1));
    let beyond = vc::RegisterVcpuInfo {
        mfn: 0x42,
        offset: 4096 - 32,
        rsvd: 0,
    };
    caller(&mut system, 1)
        .copy_to_guest(at, &beyond)
        .expect("memory");
    assert_eq!(
        call(&mut system, 1, nr::VCPU_OP, &[10, 0, at]).value as i64,
        errno(Errno::ENXIO)
    );
}

#[test]
fn timers_fire_when_it_is_time() {
    let mut system = two_domains();
    let vcpu = VcpuId { domain: 0, vcpu: 0 };
    let port = event(&mut system, 0, ec::op::BIND_VIRQ, ec::BindVirq::default())
        .1
        .port;
    assert_eq!(
        call(&mut system, 0, nr::SET_TIMER_OP, &[2_000_000]).value,
        0
    );
    assert_eq!(
        system.platform.calls.last(),
        Some(&PlatformCall::SetTimer(vcpu, Some(2_000_000)))
    );
    let pending = |system: &System<FakePlatform>| system.poll_port(0, port).expect("bound");
    system.timer_expired(vcpu);
    assert!(!pending(&system), "it is not time");
    system.platform.time = 2_000_000;
    system.timer_expired(vcpu);
    assert!(pending(&system));
    assert_eq!(call(&mut system, 0, nr::SET_TIMER_OP, &[u64::MAX]).value, 0);
    assert_eq!(
        system.platform.calls.last(),
        Some(&PlatformCall::SetTimer(vcpu, Some(102_000_000)))
    );
    assert_eq!(call(&mut system, 0, nr::SET_TIMER_OP, &[0]).value, 0);
    assert_eq!(
        system.platform.calls.last(),
        Some(&PlatformCall::SetTimer(vcpu, None))
    );
}

#[test]
fn a_poll_ends_with_the_event_or_the_time() {
    let mut system = two_domains();
    let port = event(
        &mut system,
        0,
        ec::op::BIND_IPI,
        ec::BindIpi { vcpu: 1, port: 0 },
    )
    .1
    .port;
    caller(&mut system, 0)
        .copy_to_guest(ARG[0] + 256, &port)
        .expect("memory");
    let poll = xen_abi::sched::Poll {
        ports: ARG[0] + 256,
        nr_ports: 1,
        pad: 0,
        timeout: 5_000_000,
    };
    caller(&mut system, 0)
        .copy_to_guest(ARG[0], &poll)
        .expect("memory");
    let vcpu = VcpuId { domain: 0, vcpu: 0 };
    assert_eq!(
        call(&mut system, 0, nr::SCHED_OP, &[3, ARG[0]]).action,
        VcpuAction::Poll
    );
    assert_eq!(
        system.platform.calls.last(),
        Some(&PlatformCall::SetTimer(vcpu, Some(5_000_000)))
    );
    system.platform.time = 5_000_000;
    system.timer_expired(vcpu);
    assert_eq!(
        system.platform.calls.last(),
        Some(&PlatformCall::VcpuUnblock(vcpu))
    );
    assert_eq!(
        call(&mut system, 0, nr::SCHED_OP, &[3, ARG[0]]).action,
        VcpuAction::Poll
    );
    assert_eq!(send(&mut system, 0, port), 0);
    assert_eq!(
        system.platform.calls.last(),
        Some(&PlatformCall::VcpuUnblock(vcpu))
    );
    assert_eq!(
        call(&mut system, 0, nr::SCHED_OP, &[3, ARG[0]]).action,
        VcpuAction::Resume,
        "it is pending"
    );
}

#[test]
fn vcpus_go_up_and_down() {
    let mut system = two_domains();
    let second = VcpuId { domain: 1, vcpu: 1 };
    system.vcpu_down(second).expect("it is there");
    system.vcpu_mut(second).expect("it is there").initialised = false;
    let vcpu = |system: &mut System<FakePlatform>, op: u64, which: u64| {
        call(system, 1, nr::VCPU_OP, &[op, which, ARG[1]])
    };
    assert_eq!(vcpu(&mut system, 3, 1).value, 0);
    assert_eq!(vcpu(&mut system, 1, 1).value as i64, errno(Errno::EINVAL));
    caller(&mut system, 1)
        .copy_to_guest(ARG[1], &xen_abi::hvm::vcpu::Context::new_zeroed())
        .expect("memory");
    assert_eq!(vcpu(&mut system, 0, 1).value, 0);
    assert_eq!(vcpu(&mut system, 0, 1).value as i64, errno(Errno::EEXIST));
    assert_eq!(vcpu(&mut system, 1, 1).value, 0);
    assert_eq!(
        system.platform.calls.last(),
        Some(&PlatformCall::VcpuWake(VcpuId { domain: 1, vcpu: 1 }))
    );
    assert_eq!(vcpu(&mut system, 3, 1).value, 1);
    assert_eq!(vcpu(&mut system, 2, 1).action, VcpuAction::Resume);
    assert_eq!(
        system.platform.calls.last(),
        Some(&PlatformCall::VcpuSleep(second))
    );
    assert_eq!(
        vcpu(&mut system, 2, 0).action,
        VcpuAction::Stop,
        "the last one"
    );
    assert_eq!(system.domain(1).expect("it is there").shutdown, Some(0));
    assert_eq!(vcpu(&mut system, 3, 2).value as i64, errno(Errno::ENOENT));
}
