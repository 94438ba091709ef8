// SPDX-License-Identifier: GPL-2.0

//! Binding of ports, their status, and their limit.

use super::*;
use crate::hypercall::tests::events::check;
use xen_abi::xen::virq;

fn port(system: &mut System<FakePlatform>, domain: u16, op: u32, port: u32) -> i64 {
    event(system, domain, op, ec::Port { port }).0
}

fn status_of(system: &mut System<FakePlatform>, domain: u16, port: u32) -> (i64, ec::Status) {
    let asked = ec::Status {
        port,
        dom: 0x7ff0,
        // What stood there before: half of it stays.
        detail: 0xabcd_0000,
        ..Default::default()
    };
    event(system, domain, ec::op::STATUS, asked)
}

fn offer(system: &mut System<FakePlatform>, domain: u16, dom: u16, remote_dom: u16) -> (i64, u32) {
    let wanted = ec::AllocUnbound {
        dom,
        remote_dom,
        port: 0,
    };
    let (result, offer) = event(system, domain, ec::op::ALLOC_UNBOUND, wanted);
    (result, offer.port)
}

fn bind(
    system: &mut System<FakePlatform>,
    domain: u16,
    remote_dom: u16,
    remote_port: u32,
) -> (i64, u32) {
    let wanted = ec::BindInterdomain {
        remote_dom,
        remote_port,
        ..Default::default()
    };
    let (result, bound) = event(system, domain, ec::op::BIND_INTERDOMAIN, wanted);
    (result, bound.local_port)
}

fn virq(system: &mut System<FakePlatform>, domain: u16, virq: u32, vcpu: u32) -> u32 {
    let wanted = ec::BindVirq {
        virq,
        vcpu,
        port: 0,
    };
    let (result, bound) = event(system, domain, ec::op::BIND_VIRQ, wanted);
    assert_eq!(result, 0);
    bound.port
}

fn ipi(system: &mut System<FakePlatform>, domain: u16, vcpu: u32) -> u32 {
    let wanted = ec::BindIpi { vcpu, port: 0 };
    let (result, bound) = event(system, domain, ec::op::BIND_IPI, wanted);
    assert_eq!(result, 0);
    bound.port
}

#[test]
fn only_the_domain_that_is_invited_connects() {
    let mut system = two_domains();
    add_domain(&mut system, 2, 0x40, 16);
    let (result, invites_one) = offer(&mut system, 0, 0x7ff0, 1);
    assert_eq!(result, 0);
    let ports = |system: &System<FakePlatform>, id| {
        system.domain(id).expect("alive").events.ports().bound()
    };
    let before = [ports(&system, 1), ports(&system, 2)];
    let einval = errno(Errno::EINVAL);
    assert_eq!(bind(&mut system, 2, 0, invites_one).0, einval);
    assert_eq!(bind(&mut system, 1, 0, invites_one + 1).0, einval);
    assert_eq!(bind(&mut system, 1, 0, 0).0, einval);
    assert_eq!(bind(&mut system, 1, 9, 1).0, errno(Errno::ESRCH));
    assert_eq!(
        before,
        [ports(&system, 1), ports(&system, 2)],
        "no port is left"
    );
    let (result, connected) = bind(&mut system, 1, 0, invites_one);
    assert_eq!(result, 0);
    // It makes up for what was sent before.
    assert_eq!(system.poll_port(1, connected), Ok(true));
    assert_eq!(bind(&mut system, 1, 0, invites_one).0, einval, "once");
    // A domain to itself.
    let (_, own) = offer(&mut system, 1, 0x7ff0, 0x7ff0);
    let (result, other) = bind(&mut system, 1, 0x7ff0, own);
    assert_eq!(result, 0);
    assert_eq!(send(&mut system, 1, other), 0);
    assert_eq!(system.poll_port(1, own), Ok(true));
    check(&system);
}

#[test]
fn others_ports_are_dom0s_alone_to_make_and_to_see() {
    let mut system = two_domains();
    let eperm = errno(Errno::EPERM);
    assert_eq!(offer(&mut system, 1, 0, 1).0, eperm);
    assert_eq!(offer(&mut system, 1, 9, 1).0, errno(Errno::ESRCH));
    let (result, port) = offer(&mut system, 0, 1, 0);
    assert_eq!(result, 0);
    let own = ec::Status {
        dom: 1,
        port,
        ..Default::default()
    };
    let (result, said) = event(&mut system, 0, ec::op::STATUS, own);
    assert_eq!(
        (result, said.status, said.detail),
        (0, ec::status::UNBOUND, 0)
    );
    let of_dom0 = ec::Status {
        dom: 0,
        port: 0,
        ..own
    };
    assert_eq!(event(&mut system, 1, ec::op::STATUS, of_dom0).0, eperm);
    let nowhere = ec::Status {
        port: 999,
        ..of_dom0
    };
    let (result, _) = event(&mut system, 1, ec::op::STATUS, nowhere);
    assert_eq!(
        result,
        errno(Errno::EINVAL),
        "as Xen, which looks there first"
    );
    // A reset of another domain waits until that is paused.
    let reset = |system: &mut System<FakePlatform>, domain, dom| {
        event(system, domain, ec::op::RESET, ec::Reset { dom }).0
    };
    assert_eq!(reset(&mut system, 1, 0), eperm);
    assert_eq!(reset(&mut system, 0, 1), errno(Errno::EINVAL));
    system.pause(1, true).expect("it is there");
    assert_eq!(reset(&mut system, 0, 1), 0);
    assert_eq!(status_of(&mut system, 1, port).1.status, ec::status::CLOSED);
}

#[test]
fn a_port_says_what_it_is_bound_to() {
    let mut system = two_domains();
    let (zero, one) = connected(&mut system);
    let (_, unbound) = offer(&mut system, 0, 0x7ff0, 1);
    let timer = virq(&mut system, 0, virq::TIMER, 1);
    let ipi = ipi(&mut system, 0, 1);
    let says = |system: &mut System<FakePlatform>, port| {
        let (result, said) = status_of(system, 0, port);
        assert_eq!(result, 0);
        (said.status, said.vcpu, said.detail, said.remote_port)
    };
    let kept = 0xabcd_0000;
    assert_eq!(says(&mut system, 0), (ec::status::CLOSED, 0, kept, 0));
    let expected = (ec::status::INTERDOMAIN, 0, kept | 1, one);
    assert_eq!(says(&mut system, zero), expected);
    let expected = (ec::status::UNBOUND, 0, kept | 1, 0);
    assert_eq!(says(&mut system, unbound), expected);
    let expected = (ec::status::VIRQ, 1, virq::TIMER, 0);
    assert_eq!(says(&mut system, timer), expected);
    assert_eq!(says(&mut system, ipi), (ec::status::IPI, 1, kept, 0));
    assert_eq!(port(&mut system, 0, ec::op::CLOSE, ipi), 0);
    assert_eq!(says(&mut system, ipi).0, ec::status::CLOSED);
    let (result, _) = status_of(&mut system, 0, 4000);
    assert_eq!(result, errno(Errno::EINVAL));
}

#[test]
fn what_is_no_channel_is_neither_sent_nor_closed() {
    let mut system = two_domains();
    let einval = errno(Errno::EINVAL);
    let timer = virq(&mut system, 0, virq::TIMER, 0);
    let (_, unbound) = offer(&mut system, 0, 0x7ff0, 1);
    for (number, sent, closed) in [
        (0, einval, einval),
        (4000, einval, einval),
        (timer, einval, 0),
        (unbound, 0, 0),
        (unbound, einval, einval),
    ] {
        assert_eq!(send(&mut system, 0, number), sent, "{number}");
        assert_ne!(system.poll_port(0, number), Ok(true));
        let done = port(&mut system, 0, ec::op::CLOSE, number);
        assert_eq!(done, closed, "{number}");
    }
    let pirq = ec::BindPirq::default();
    assert_eq!(event(&mut system, 0, ec::op::BIND_PIRQ, pirq).0, einval);
    assert_eq!(event(&mut system, 0, 14, pirq).0, errno(Errno::ENOSYS));
}

#[test]
fn virtual_interrupts_are_free_again_when_their_ports_are_closed() {
    let mut system = two_domains();
    for (number, vcpu) in [(virq::TIMER, 0), (virq::TIMER, 1), (virq::DOM_EXC, 0)] {
        let port_bound = virq(&mut system, 0, number, vcpu);
        // A global one may tell another vCPU; it is the domain's all the same.
        let elsewhere = ec::BindVcpu {
            port: port_bound,
            vcpu: 1,
        };
        let (result, _) = event(&mut system, 0, ec::op::BIND_VCPU, elsewhere);
        let allowed = number == virq::DOM_EXC;
        assert_eq!(result, if allowed { 0 } else { errno(Errno::EINVAL) });
        assert_eq!(port(&mut system, 0, ec::op::CLOSE, port_bound), 0);
        let vcpu = system.domain(0).expect("alive").vcpus[vcpu as usize].virqs;
        assert_eq!(vcpu, [0; 24]);
        check(&system);
    }
    // Which interrupts are a vCPU's own.
    for number in 0..24 {
        let wanted = ec::BindVirq {
            virq: number,
            vcpu: 1,
            port: 0,
        };
        let (result, _) = event(&mut system, 0, ec::op::BIND_VIRQ, wanted);
        let own = matches!(number, 0 | 1 | 7 | 13);
        assert_eq!(
            result,
            if own { 0 } else { errno(Errno::EINVAL) },
            "{number}"
        );
    }
}

#[test]
fn an_event_tells_the_vcpu_that_its_port_is_bound_to() {
    let mut system = two_domains();
    let vector = |vcpu| hvm_op::EvtchnUpcallVector {
        vcpu,
        vector: 0xf0 + vcpu as u8,
        pad: [0; 3],
    };
    for vcpu in 0..2 {
        let op = hvm_op::op::SET_EVTCHN_UPCALL_VECTOR;
        assert_eq!(with(&mut system, 0, nr::HVM_OP, op, vector(vcpu)).0, 0);
    }
    // A domain that has set no vector is only woken.
    system.platform.calls.clear();
    let (zero, one) = connected(&mut system);
    let woken = PlatformCall::Upcall(VcpuId { domain: 1, vcpu: 0 }, Upcall::WakeOnly);
    assert_eq!(system.platform.calls, [woken]);
    let upcalls = |system: &mut System<FakePlatform>, domain, port| {
        system.platform.calls.clear();
        assert_eq!(send(system, domain, port), 0);
        system.platform.calls.clone()
    };
    let upcall = |vcpu, vector| {
        PlatformCall::Upcall(VcpuId { domain: 0, vcpu }, Upcall::LapicVector(vector))
    };
    assert_eq!(upcalls(&mut system, 1, one), [upcall(0, 0xf0)]);
    let elsewhere = |port, vcpu| ec::BindVcpu { port, vcpu };
    let bind_vcpu = |system: &mut System<FakePlatform>, port, vcpu| {
        event(system, 0, ec::op::BIND_VCPU, elsewhere(port, vcpu)).0
    };
    assert_eq!(bind_vcpu(&mut system, zero, 1), 0);
    assert_eq!(bind_vcpu(&mut system, zero, 2), errno(Errno::ENOENT));
    let own = ipi(&mut system, 0, 0);
    assert_eq!(bind_vcpu(&mut system, own, 1), errno(Errno::EINVAL));
    // The event before has not been taken.
    assert_eq!(upcalls(&mut system, 1, one), []);
    assert_eq!(port(&mut system, 0, ec::op::CLOSE, zero), 0);
    assert_eq!(port(&mut system, 1, ec::op::CLOSE, one), 0);
    let (zero, one) = connected(&mut system);
    assert_eq!(bind_vcpu(&mut system, zero, 1), 0);
    assert_eq!(upcalls(&mut system, 1, one), [upcall(1, 0xf1)]);
}

#[test]
fn a_poll_is_woken_by_its_own_ports_alone() {
    let mut system = two_domains();
    let ports: Vec<u32> = (0..3).map(|_| ipi(&mut system, 0, 1)).collect();
    let list = ARG[0] + 256;
    caller(&mut system, 0)
        .copy_to_guest(list, &[ports[0], ports[1]])
        .expect("memory");
    let poll = xen_abi::sched::Poll {
        ports: list,
        nr_ports: 2,
        pad: 0,
        timeout: 0,
    };
    let wait = |system: &mut System<FakePlatform>, poll: xen_abi::sched::Poll| {
        caller(system, 0)
            .copy_to_guest(ARG[0], &poll)
            .expect("memory");
        let op = xen_abi::sched::op::POLL.into();
        call(system, 0, nr::SCHED_OP, &[op, ARG[0]])
    };
    assert_eq!(wait(&mut system, poll).action, VcpuAction::Poll);
    let woken = |system: &mut System<FakePlatform>, port| {
        system.platform.calls.clear();
        assert_eq!(send(system, 0, port), 0);
        let wake = PlatformCall::VcpuUnblock(VcpuId { domain: 0, vcpu: 0 });
        system.platform.calls.contains(&wake)
    };
    assert!(!woken(&mut system, ports[2]));
    assert!(woken(&mut system, ports[1]));
    assert!(!woken(&mut system, ports[0]), "it polls no more");
    let many = xen_abi::sched::Poll {
        nr_ports: 129,
        ..poll
    };
    let closed = xen_abi::sched::Poll {
        ports: list + 4096 - 256,
        nr_ports: 1,
        ..poll
    };
    for args in [many, closed] {
        let refused = wait(&mut system, args);
        assert_eq!(refused.value as i64, errno(Errno::EINVAL));
    }
    // What is pending for the vCPU ends it at once.
    system.mark_events_pending(VcpuId { domain: 0, vcpu: 0 });
    assert_eq!(wait(&mut system, many).value as i64, errno(Errno::EINVAL));
    assert_eq!(wait(&mut system, closed).action, VcpuAction::Resume);
}

#[test]
fn a_domain_has_as_many_ports_as_it_may() {
    let mut system = two_domains();
    for number in 1..=1023 {
        assert_eq!(system.bind_ipi(1, 0), Ok(number));
    }
    assert_eq!(system.bind_ipi(1, 0), Err(Errno::ENOSPC));
    system.close(1, 77).expect("bound");
    system.close(1, 33).expect("bound");
    assert_eq!(system.bind_ipi(1, 0), Ok(33), "the lowest");
    assert_eq!(system.bind_ipi(1, 0), Ok(77));
    // Dom0 may have any number, and the 2-level ABI has 4096.
    for number in 1..4096 {
        assert_eq!(system.bind_ipi(0, 0), Ok(number));
    }
    assert_eq!(system.bind_ipi(0, 0), Err(Errno::ENOSPC));
    assert_eq!(system.bind_ipi(0, 2), Err(Errno::ENOENT));
    assert_eq!(send(&mut system, 0, 4095), 0);
    assert_eq!(system.poll_port(0, 4095), Ok(true));
    assert_eq!(system.poll_port(0, 4094), Ok(false));
}

#[test]
fn queues_are_given_where_there_is_room_and_memory() {
    let mut system = two_domains();
    let control = |system: &mut System<FakePlatform>, control_gfn, offset, vcpu| {
        let args = ec::InitControl {
            control_gfn,
            offset,
            vcpu,
            ..Default::default()
        };
        event(system, 0, ec::op::INIT_CONTROL, args).0
    };
    let einval = errno(Errno::EINVAL);
    let size = size_of::<ec::FifoControlBlock>() as u32;
    assert_eq!(control(&mut system, 0x110, 0, 2), errno(Errno::ENOENT));
    assert_eq!(control(&mut system, 0x110, 4096 - size + 8, 0), einval);
    assert_eq!(control(&mut system, 0x110, 4, 0), einval);
    assert_eq!(control(&mut system, 0x9999, 0, 0), einval);
    let priority = ec::SetPriority {
        port: 1,
        priority: 3,
    };
    ipi(&mut system, 0, 0);
    let (result, _) = event(&mut system, 0, ec::op::SET_PRIORITY, priority);
    assert_eq!(result, errno(Errno::ENOSYS), "the 2-level ABI has none");
    assert_eq!(control(&mut system, 0x110, 4096 - size, 0), 0);
    assert_eq!(control(&mut system, 0x110, 0, 0), einval, "it has one");
    assert_eq!(system.frames.page_refs(Mfn(0x110)), (1, 1));
    let expand = |system: &mut System<FakePlatform>, array_gfn| {
        event(
            system,
            0,
            ec::op::EXPAND_ARRAY,
            ec::ExpandArray { array_gfn },
        )
        .0
    };
    assert_eq!(expand(&mut system, 0x9999), einval);
    for _ in 0..128 {
        assert_eq!(expand(&mut system, 0x111), 0);
    }
    assert_eq!(expand(&mut system, 0x111), errno(Errno::ENOSPC));
    assert_eq!(system.frames.page_refs(Mfn(0x111)), (128, 128));
    // With queues there are more ports than without.
    for _ in 2..5000 {
        ipi(&mut system, 0, 0);
    }
    let far = ec::SetPriority {
        port: 5000,
        ..priority
    };
    let (result, _) = event(&mut system, 0, ec::op::SET_PRIORITY, far);
    assert_eq!(result, einval, "no such port");
    let (result, _) = event(&mut system, 0, ec::op::SET_PRIORITY, priority);
    assert_eq!(result, 0);
}
