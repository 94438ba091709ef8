// SPDX-License-Identifier: GPL-2.0

//! Event channels, of both ABIs.

use super::*;
use crate::trace::TraceEvent;
use proptest::prelude::*;

#[test]
fn events_between_domains_arrive_and_wake() {
    let mut system = two_domains();
    let vector = hvm_op::Param {
        domid: 0x7ff0,
        pad: 0,
        index: params::CALLBACK_IRQ,
        value: 2 << 56 | 0xf3,
    };
    assert_eq!(
        with(&mut system, 0, nr::HVM_OP, hvm_op::op::SET_PARAM, vector).0,
        0
    );
    let (zero, one) = connected(&mut system);
    system.platform.calls.clear();
    assert_eq!(send(&mut system, 1, one), 0);
    let vcpu = VcpuId { domain: 0, vcpu: 0 };
    assert_eq!(
        system.platform.calls,
        [PlatformCall::Upcall(vcpu, Upcall::CallbackVector(0xf3))]
    );
    assert!(system.evtchn_upcall_pending(vcpu));
    let sent = TraceEvent::EventSent {
        to: vcpu,
        port: zero,
    };
    assert_eq!(system.platform.traced.last(), Some(&sent));
    // A second one changes nothing.
    assert_eq!(send(&mut system, 1, one), 0);
    assert_eq!(system.platform.calls.len(), 1);
    let close = ec::Port { port: one };
    assert_eq!(event(&mut system, 1, ec::op::CLOSE, close).0, 0);
    let asked = ec::Status {
        port: zero,
        dom: 0x7ff0,
        ..Default::default()
    };
    let (_, status) = event(&mut system, 0, ec::op::STATUS, asked);
    assert_eq!(
        (status.status, status.detail),
        (ec::status::UNBOUND, 1),
        "the far end waits again"
    );
    assert_eq!(send(&mut system, 0, zero), 0, "nobody hears it");
    assert_eq!(send(&mut system, 1, one), errno(Errno::EINVAL));
}

#[test]
fn a_vector_of_a_vcpus_own_goes_before_the_domains() {
    let mut system = two_domains();
    let own = hvm_op::EvtchnUpcallVector {
        vcpu: 1,
        vector: 0xf3,
        pad: [0; 3],
    };
    assert_eq!(
        with(
            &mut system,
            0,
            nr::HVM_OP,
            hvm_op::op::SET_EVTCHN_UPCALL_VECTOR,
            own
        )
        .0,
        0
    );
    let bad = hvm_op::EvtchnUpcallVector { vector: 15, ..own };
    let result = with(
        &mut system,
        0,
        nr::HVM_OP,
        hvm_op::op::SET_EVTCHN_UPCALL_VECTOR,
        bad,
    )
    .0;
    assert_eq!(result, errno(Errno::EINVAL));
    let (_, ipi) = event(
        &mut system,
        0,
        ec::op::BIND_IPI,
        ec::BindIpi { vcpu: 1, port: 0 },
    );
    system.platform.calls.clear();
    assert_eq!(send(&mut system, 0, ipi.port), 0);
    let vcpu = VcpuId { domain: 0, vcpu: 1 };
    assert_eq!(
        system.platform.calls,
        [PlatformCall::Upcall(vcpu, Upcall::LapicVector(0xf3))]
    );
}

/// A guest plugs a vCPU that was taken down with an event pending.
#[test]
fn a_pending_upcall_comes_again_after_init() {
    let mut system = two_domains();
    let vcpu = VcpuId { domain: 0, vcpu: 1 };
    let bound = ec::BindIpi { vcpu: 1, port: 0 };
    let (_, ipi) = event(&mut system, 0, ec::op::BIND_IPI, bound);
    let enabled = |system: &mut System<FakePlatform>| {
        system.platform.calls.clear();
        system.vlapic_enabled(vcpu);
        core::mem::take(&mut system.platform.calls)
    };
    let own = hvm_op::EvtchnUpcallVector {
        vcpu: 1,
        vector: 0xf3,
        pad: [0; 3],
    };
    let set = hvm_op::op::SET_EVTCHN_UPCALL_VECTOR;
    assert_eq!(with(&mut system, 0, nr::HVM_OP, set, own).0, 0);
    assert_eq!(enabled(&mut system), [], "nothing is pending");
    assert_eq!(send(&mut system, 0, ipi.port), 0);
    let upcall = PlatformCall::Upcall(vcpu, Upcall::LapicVector(0xf3));
    assert_eq!(enabled(&mut system), [upcall]);
    // The callback vector is injected past the local APIC.
    system.vcpu_mut(vcpu).expect("there").upcall_vector = None;
    assert_eq!(enabled(&mut system), []);
}

#[test]
fn virtual_interrupts_are_bound_once() {
    let mut system = two_domains();
    let timer = ec::BindVirq {
        virq: 0,
        vcpu: 1,
        port: 0,
    };
    assert_eq!(event(&mut system, 0, ec::op::BIND_VIRQ, timer).0, 0);
    assert_eq!(
        event(&mut system, 0, ec::op::BIND_VIRQ, timer).0,
        errno(Errno::EEXIST)
    );
    let global = ec::BindVirq {
        virq: 3,
        vcpu: 1,
        port: 0,
    };
    assert_eq!(
        event(&mut system, 0, ec::op::BIND_VIRQ, global).0,
        errno(Errno::EINVAL)
    );
    let none = ec::BindVirq {
        virq: 24,
        vcpu: 0,
        port: 0,
    };
    assert_eq!(
        event(&mut system, 0, ec::op::BIND_VIRQ, none).0,
        errno(Errno::EINVAL)
    );
    let nobody = ec::BindVirq {
        virq: 0,
        vcpu: 2,
        port: 0,
    };
    assert_eq!(
        event(&mut system, 0, ec::op::BIND_VIRQ, nobody).0,
        errno(Errno::ENOENT)
    );
    let reset = ec::Reset { dom: 0x7ff0 };
    assert_eq!(event(&mut system, 0, ec::op::RESET, reset).0, 0);
    assert_eq!(
        event(&mut system, 0, ec::op::BIND_VIRQ, timer).0,
        0,
        "free again"
    );
}

#[test]
fn masked_events_wait_for_the_unmask() {
    let mut system = two_domains();
    let (zero, one) = connected(&mut system);
    let domain = system.domain(0).expect("dom0");
    let mask = domain.areas.shared_info + offset_of!(vc::SharedInfo, evtchn_mask) as u64;
    system.platform.store_u64(mask, u64::MAX);
    system.platform.calls.clear();
    assert_eq!(send(&mut system, 1, one), 0);
    assert_eq!(system.platform.calls, []);
    assert_eq!(
        event(&mut system, 0, ec::op::UNMASK, ec::Port { port: zero }).0,
        0
    );
    assert_eq!(system.platform.calls.len(), 1);
    assert_eq!(
        event(&mut system, 0, ec::op::UNMASK, ec::Port { port: 4000 }).0,
        errno(Errno::EINVAL)
    );
}

/// Gives dom0 control blocks at frame 0x110 and an array page at frame 0x111.
fn with_queues(system: &mut System<FakePlatform>) {
    for vcpu in 0..2 {
        let control = ec::InitControl {
            control_gfn: 0x110,
            offset: vcpu * 128,
            vcpu,
            ..Default::default()
        };
        let (result, said) = event(system, 0, ec::op::INIT_CONTROL, control);
        assert_eq!((result, said.link_bits), (0, 17));
    }
    let expand = ec::ExpandArray { array_gfn: 0x111 };
    assert_eq!(event(system, 0, ec::op::EXPAND_ARRAY, expand).0, 0);
}

#[test]
fn queues_are_linked_in_order() {
    let mut system = two_domains();
    with_queues(&mut system);
    let mut ports = Vec::new();
    for _ in 0..3 {
        ports.push(
            event(
                &mut system,
                0,
                ec::op::BIND_IPI,
                ec::BindIpi { vcpu: 0, port: 0 },
            )
            .1
            .port,
        );
    }
    system.platform.calls.clear();
    for port in &ports {
        assert_eq!(send(&mut system, 0, *port), 0);
    }
    assert_eq!(system.platform.calls.len(), 1, "one upcall");
    let queue = fifo::PRIORITY_DEFAULT as usize;
    let head = 0x11_0000 + (offset_of!(ec::FifoControlBlock, head) + 4 * queue) as u64;
    let mut port = system.platform.load_u32(head);
    let mut queued = Vec::new();
    while port != 0 {
        queued.push(port);
        port = system.platform.load_u32(0x11_1000 + u64::from(port) * 4) & fifo::LINK_MASK;
    }
    assert_eq!(queued, ports);
    let far = ec::SetPriority {
        port: ports[0],
        priority: 16,
    };
    assert_eq!(
        event(&mut system, 0, ec::op::SET_PRIORITY, far).0,
        errno(Errno::EINVAL)
    );
}

#[test]
fn a_linked_port_is_not_bound_again() {
    let mut system = two_domains();
    with_queues(&mut system);
    let port = event(
        &mut system,
        0,
        ec::op::BIND_IPI,
        ec::BindIpi { vcpu: 0, port: 0 },
    )
    .1
    .port;
    assert_eq!(send(&mut system, 0, port), 0);
    assert_eq!(event(&mut system, 0, ec::op::CLOSE, ec::Port { port }).0, 0);
    let next = event(
        &mut system,
        0,
        ec::op::BIND_IPI,
        ec::BindIpi { vcpu: 0, port: 0 },
    )
    .1
    .port;
    assert_ne!(next, port, "the guest has not taken it off its queue");
    // The guest takes it off.
    system
        .platform
        .store_u32(0x11_1000 + u64::from(port) * 4, 0);
    let next = event(
        &mut system,
        0,
        ec::op::BIND_IPI,
        ec::BindIpi { vcpu: 0, port: 0 },
    )
    .1
    .port;
    assert_eq!(next, port);
}

#[test]
fn a_reset_gives_the_queues_pages_back() {
    // What raced in XSA-505 is one step after the other here; both orders are entry.
    let mut system = two_domains();
    let expand = ec::ExpandArray { array_gfn: 0x111 };
    assert_eq!(
        event(&mut system, 0, ec::op::EXPAND_ARRAY, expand).0,
        errno(Errno::EOPNOTSUPP)
    );
    with_queues(&mut system);
    assert_eq!(system.frames.page_refs(Mfn(0x111)), (1, 1));
    assert_eq!(system.frames.page_refs(Mfn(0x110)), (2, 2));
    assert_eq!(
        event(&mut system, 0, ec::op::RESET, ec::Reset { dom: 0x7ff0 }).0,
        0
    );
    assert_eq!(system.frames.page_refs(Mfn(0x111)), (0, 0));
    assert_eq!(system.frames.page_refs(Mfn(0x110)), (0, 0));
    assert_eq!(
        event(&mut system, 0, ec::op::EXPAND_ARRAY, expand).0,
        errno(Errno::EOPNOTSUPP)
    );
    with_queues(&mut system);
}

/// What must hold whatever guests do.
pub fn check(system: &System<FakePlatform>) {
    for domain in system.domains.values() {
        let ports = domain.events.ports();
        let mut bound = 0;
        for number in 0..ports.len() {
            let port = ports.get(number).expect("it exists");
            bound += u32::from(port.is_bound());
            assert!((port.vcpu as usize) < domain.vcpus.len());
            if let crate::event::Binding::Interdomain(remote, far) = port.binding {
                let back = system
                    .domain(remote)
                    .expect("alive")
                    .events
                    .port(far)
                    .expect("a port")
                    .binding;
                assert_eq!(
                    back,
                    crate::event::Binding::Interdomain(domain.id(), number),
                    "half a connection"
                );
            }
        }
        assert_eq!(bound, ports.bound());
        for (vcpu, state) in domain.vcpus.iter().enumerate() {
            for (virq, port) in state
                .virqs
                .iter()
                .enumerate()
                .filter(|(_, port)| **port != 0)
            {
                let bound = domain.events.port(*port).expect("a port");
                assert_eq!(bound.binding, crate::event::Binding::Virq(virq as u32));
                assert!(
                    crate::system::vcpu::virq_is_global(virq as u32) || bound.vcpu == vcpu as u32
                );
            }
        }
        for page in domain.foreign.values() {
            assert!(system.frames.page_refs(page.mfn()).0 > 0);
        }
    }
}

proptest! {
    #[test]
    fn random_event_calls_leave_connections_whole(
        steps in proptest::collection::vec((0u16..2, 0u32..14, 0u32..6, 0u32..4, 0u16..3), 1..80)
    ) {
        let mut system = two_domains();
        with_queues(&mut system);
        for (domain, op, a, b, who) in steps {
            let at = ARG[usize::from(domain)];
            let words: [u32; 6] = match op {
                ec::op::BIND_INTERDOMAIN => [who.into(), a, 0, 0, 0, 0],
                ec::op::ALLOC_UNBOUND => [0x7ff0 | u32::from(who) << 16, 0, 0, 0, 0, 0],
                ec::op::RESET => [0x7ff0, 0, 0, 0, 0, 0],
                ec::op::INIT_CONTROL => [0x112 - a, 0, b * 8, b, 0, 0],
                ec::op::EXPAND_ARRAY => [0x112, 0, 0, 0, 0, 0],
                _ => [a, b, 0, 0, 0, 0],
            };
            caller(&mut system, domain).copy_to_guest(at, &words).expect("memory");
            call(&mut system, domain, nr::EVENT_CHANNEL_OP, &[op.into(), at]);
            check(&system);
        }
    }
}
