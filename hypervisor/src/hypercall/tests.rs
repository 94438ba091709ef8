//! Hypercalls as guests make them, on a machine on the heap.
//!
//! Dom0 sees frames 0x100 to 0x13f where the machine has them, domain 1 sees 64 frames from 0x40 on. Neither has
//! paging, so addresses are physical.

use super::*;
use crate::mem::{Gfn, MachineMemory, Mfn, Owner};
use crate::system::fake::{Asked, Fake, UNPAGED, add_domain, machine};
use crate::system::vcpu::VcpuId;
use crate::system::{System, Upcall};
use core::mem::offset_of;
use proptest::prelude::*;
use xen_abi::event_channel::{self as ec, fifo};
use xen_abi::grant_table::{EntryV1, flag, op as gnttab, status};
use xen_abi::hvm::{hvm_op, params};
use xen_abi::memory as mem;
use xen_abi::vcpu as vc;
use xen_abi::version;
use zerocopy::FromZeros;

/// Where arguments are put: dom0's frame 0x100, domain 1's frame 0x40.
const ARG: [u64; 2] = [0x10_0000, 0x4_0000];

fn two_domains() -> System<Fake> {
    let mut system = machine(1024);
    add_domain(&mut system, 0, 0x100, 64);
    add_domain(&mut system, 1, 0x40, 64);
    system.platform.asked.clear();
    system
}

fn caller(system: &mut System<Fake>, domain: u16) -> Caller<'_, Fake> {
    Caller {
        system,
        vcpu: VcpuId { domain, vcpu: 0 },
        paging: UNPAGED,
    }
}

fn call(system: &mut System<Fake>, domain: u16, number: u32, args: &[u64]) -> Outcome {
    let mut registers = [0; 5];
    registers[..args.len()].copy_from_slice(args);
    let mut call = Call {
        number: number.into(),
        args: registers,
        cpl: 0,
        long_mode: true,
    };
    loop {
        let outcome = dispatch(&mut caller(system, domain), call);
        match outcome.after {
            After::Again(args) => call.args = args,
            _ => return outcome,
        }
    }
}

/// Puts an argument into the guest's memory, makes the call, and gives the argument back.
fn with<T: FromBytes + IntoBytes + Immutable>(
    system: &mut System<Fake>,
    domain: u16,
    number: u32,
    command: u32,
    argument: T,
) -> (i64, T) {
    let at = ARG[usize::from(domain)];
    caller(system, domain).put(at, &argument).expect("memory");
    let outcome = call(system, domain, number, &[command.into(), at, 1]);
    let argument = caller(system, domain).get(at).expect("memory");
    (outcome.value as i64, argument)
}

fn errno(errno: Errno) -> i64 {
    errno.register() as i64
}

fn event<T: FromBytes + IntoBytes + Immutable>(
    system: &mut System<Fake>,
    domain: u16,
    op: u32,
    args: T,
) -> (i64, T) {
    with(system, domain, nr::EVENT_CHANNEL_OP, op, args)
}

fn send(system: &mut System<Fake>, domain: u16, port: u32) -> i64 {
    event(system, domain, ec::op::SEND, ec::Port { port }).0
}

/// Connects domain 1 to dom0; returns both ports.
fn connected(system: &mut System<Fake>) -> (u32, u32) {
    let wanted = ec::AllocUnbound {
        dom: 0x7ff0,
        remote_dom: 1,
        port: 0,
    };
    let (result, offer) = event(system, 0, ec::op::ALLOC_UNBOUND, wanted);
    assert_eq!(result, 0);
    let wanted = ec::BindInterdomain {
        remote_dom: 0,
        pad: 0,
        remote_port: offer.port,
        local_port: 0,
    };
    let (result, bound) = event(system, 1, ec::op::BIND_INTERDOMAIN, wanted);
    assert_eq!(result, 0);
    (offer.port, bound.local_port)
}

#[test]
fn the_version_and_its_strings_are_told() {
    let mut system = two_domains();
    assert_eq!(call(&mut system, 0, nr::XEN_VERSION, &[0]).value, 0x4_0014);
    assert_eq!(call(&mut system, 0, nr::XEN_VERSION, &[7, 0]).value, 4096);
    assert_eq!(
        call(&mut system, 0, nr::XEN_VERSION, &[7, 8]).value,
        Errno::EINVAL.register()
    );
    let (result, text) = with(
        &mut system,
        0,
        nr::XEN_VERSION,
        version::op::EXTRAVERSION,
        [0xffu8; 16],
    );
    assert_eq!(result, 0);
    assert!(text.starts_with(b".0-paravane\0"));
    let features = version::FeatureInfo {
        submap_idx: 0,
        submap: 0,
    };
    let (_, dom0) = with(
        &mut system,
        0,
        nr::XEN_VERSION,
        version::op::GET_FEATURES,
        features,
    );
    let (_, domu) = with(
        &mut system,
        1,
        nr::XEN_VERSION,
        version::op::GET_FEATURES,
        features,
    );
    assert_eq!(dom0.submap ^ domu.submap, 1 << xen_abi::features::DOM0);
    assert_eq!(
        call(&mut system, 0, nr::XEN_VERSION, &[11, 0]).value,
        super::version::EXTRA.len() as u64
    );
}

#[test]
fn user_programs_and_unknown_numbers_are_refused() {
    let mut system = two_domains();
    let mut wanted = Call {
        number: 17,
        args: [0; 5],
        cpl: 3,
        long_mode: true,
    };
    assert_eq!(
        dispatch(&mut caller(&mut system, 0), wanted).value,
        Errno::EPERM.register()
    );
    wanted.cpl = 0;
    wanted.long_mode = false;
    assert_eq!(
        dispatch(&mut caller(&mut system, 0), wanted).value,
        Errno::ENOSYS.register()
    );
    for number in [0, 1, 99, u64::MAX, 1 << 32 | 17] {
        let wanted = Call {
            number,
            long_mode: true,
            ..wanted
        };
        assert_eq!(
            dispatch(&mut caller(&mut system, 0), wanted).value,
            Errno::ENOSYS.register()
        );
    }
}

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
    system.platform.asked.clear();
    assert_eq!(send(&mut system, 1, one), 0);
    let vcpu = VcpuId { domain: 0, vcpu: 0 };
    assert_eq!(
        system.platform.asked,
        [Asked::Upcall(vcpu, Upcall::Direct(0xf3))]
    );
    assert!(system.upcall_pending(vcpu));
    // A second one changes nothing.
    assert_eq!(send(&mut system, 1, one), 0);
    assert_eq!(system.platform.asked.len(), 1);
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
    system.platform.asked.clear();
    assert_eq!(send(&mut system, 0, ipi.port), 0);
    let vcpu = VcpuId { domain: 0, vcpu: 1 };
    assert_eq!(
        system.platform.asked,
        [Asked::Upcall(vcpu, Upcall::Lapic(0xf3))]
    );
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
    let mask = domain.places.shared_info + offset_of!(vc::SharedInfo, evtchn_mask) as u64;
    system.platform.store_u64(mask, u64::MAX);
    system.platform.asked.clear();
    assert_eq!(send(&mut system, 1, one), 0);
    assert_eq!(system.platform.asked, []);
    assert_eq!(
        event(&mut system, 0, ec::op::UNMASK, ec::Port { port: zero }).0,
        0
    );
    assert_eq!(system.platform.asked.len(), 1);
    assert_eq!(
        event(&mut system, 0, ec::op::UNMASK, ec::Port { port: 4000 }).0,
        errno(Errno::EINVAL)
    );
}

/// Gives dom0 control blocks at frame 0x110 and an array page at frame 0x111.
fn with_queues(system: &mut System<Fake>) {
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
    system.platform.asked.clear();
    for port in &ports {
        assert_eq!(send(&mut system, 0, *port), 0);
    }
    assert_eq!(system.platform.asked.len(), 1, "told once");
    let queue = fifo::PRIORITY_DEFAULT as usize;
    let head = 0x11_0000 + (offset_of!(ec::FifoControlBlock, head) + 4 * queue) as u64;
    let mut port = system.platform.load_u32(head);
    let mut seen = Vec::new();
    while port != 0 {
        seen.push(port);
        port = system.platform.load_u32(0x11_1000 + u64::from(port) * 4) & fifo::LINK_MASK;
    }
    assert_eq!(seen, ports);
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
    // What raced in XSA-505 is one step after the other here; both orders are seen.
    let mut system = two_domains();
    let expand = ec::ExpandArray { array_gfn: 0x111 };
    assert_eq!(
        event(&mut system, 0, ec::op::EXPAND_ARRAY, expand).0,
        errno(Errno::EOPNOTSUPP)
    );
    with_queues(&mut system);
    assert_eq!(system.frames.holds(Mfn(0x111)), (1, 1));
    assert_eq!(system.frames.holds(Mfn(0x110)), (2, 2));
    assert_eq!(
        event(&mut system, 0, ec::op::RESET, ec::Reset { dom: 0x7ff0 }).0,
        0
    );
    assert_eq!(system.frames.holds(Mfn(0x111)), (0, 0));
    assert_eq!(system.frames.holds(Mfn(0x110)), (0, 0));
    assert_eq!(
        event(&mut system, 0, ec::op::EXPAND_ARRAY, expand).0,
        errno(Errno::EOPNOTSUPP)
    );
    with_queues(&mut system);
}

#[test]
fn a_vcpus_info_is_registered_once_and_keeps_its_frame() {
    let mut system = two_domains();
    let args = vc::RegisterVcpuInfo {
        mfn: 0x41,
        offset: 64,
        rsvd: 0,
    };
    let at = ARG[1];
    caller(&mut system, 1).put(at, &args).expect("memory");
    let register =
        |system: &mut System<Fake>| call(system, 1, nr::VCPU_OP, &[10, 1, at]).value as i64;
    assert_eq!(register(&mut system), 0);
    assert_eq!(register(&mut system), errno(Errno::EBUSY));
    let mfn = system.lookup(1, Gfn(0x41)).expect("memory").mfn;
    assert_eq!(system.frames.holds(mfn), (1, 1));
    let time = mfn.address() + 64 + offset_of!(vc::VcpuInfo, time) as u64;
    assert_eq!(system.platform.load_u32(time) % 2, 0, "a whole clock");
    assert_eq!(system.platform.load_u64(time + 16), system.platform.time);
    // The guest gives the frame away: it stays until the hypervisor needs it no more.
    system.remove_page(1, Gfn(0x41)).expect("its own");
    assert_eq!(system.frames.owner(mfn), Owner::Released(1));
    let beyond = vc::RegisterVcpuInfo {
        mfn: 0x42,
        offset: 4096 - 32,
        rsvd: 0,
    };
    caller(&mut system, 1).put(at, &beyond).expect("memory");
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
        system.platform.asked.last(),
        Some(&Asked::Timer(vcpu, Some(2_000_000)))
    );
    let pending = |system: &System<Fake>| system.poll_port(0, port).expect("bound");
    system.timer(vcpu);
    assert!(!pending(&system), "it is not time");
    system.platform.time = 2_000_000;
    system.timer(vcpu);
    assert!(pending(&system));
    assert_eq!(call(&mut system, 0, nr::SET_TIMER_OP, &[u64::MAX]).value, 0);
    assert_eq!(
        system.platform.asked.last(),
        Some(&Asked::Timer(vcpu, Some(102_000_000)))
    );
    assert_eq!(call(&mut system, 0, nr::SET_TIMER_OP, &[0]).value, 0);
    assert_eq!(
        system.platform.asked.last(),
        Some(&Asked::Timer(vcpu, None))
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
        .put(ARG[0] + 256, &port)
        .expect("memory");
    let poll = xen_abi::sched::Poll {
        ports: ARG[0] + 256,
        nr_ports: 1,
        pad: 0,
        timeout: 5_000_000,
    };
    caller(&mut system, 0).put(ARG[0], &poll).expect("memory");
    let vcpu = VcpuId { domain: 0, vcpu: 0 };
    assert_eq!(
        call(&mut system, 0, nr::SCHED_OP, &[3, ARG[0]]).after,
        After::Poll
    );
    assert_eq!(
        system.platform.asked.last(),
        Some(&Asked::Timer(vcpu, Some(5_000_000)))
    );
    system.platform.time = 5_000_000;
    system.timer(vcpu);
    assert_eq!(system.platform.asked.last(), Some(&Asked::Wake(vcpu)));
    assert_eq!(
        call(&mut system, 0, nr::SCHED_OP, &[3, ARG[0]]).after,
        After::Poll
    );
    assert_eq!(send(&mut system, 0, port), 0);
    assert_eq!(system.platform.asked.last(), Some(&Asked::Wake(vcpu)));
    assert_eq!(
        call(&mut system, 0, nr::SCHED_OP, &[3, ARG[0]]).after,
        After::Resume,
        "it is pending"
    );
}

#[test]
fn the_shared_info_is_seen_in_one_place() {
    let mut system = two_domains();
    let shared = system.domain(1).expect("it is there").shared_info.0.mfn();
    let mut place = |gpfn: u64| {
        let args = mem::AddToPhysmap {
            domid: 0x7ff0,
            space: 0,
            gpfn,
            ..Default::default()
        };
        assert_eq!(
            with(&mut system, 1, nr::MEMORY_OP, mem::op::ADD_TO_PHYSMAP, args).0,
            0
        );
        let at = |system: &mut System<Fake>, gfn| system.lookup(1, Gfn(gfn)).map(|seen| seen.mfn);
        (at(&mut system, 0x50), at(&mut system, 0x900))
    };
    assert_eq!(place(0x50).0, Some(shared));
    assert_eq!(place(0x900), (None, Some(shared)));
    assert_eq!(
        system.frames.count_of(1),
        63,
        "what was in its place is freed"
    );
}

#[test]
fn what_dom0_gives_back_is_kept_for_it() {
    let mut system = two_domains();
    let free = system.frames.free_count();
    let list = ARG[0] + 512;
    caller(&mut system, 0)
        .put(list, &[0x120u64, 0x121])
        .expect("memory");
    let args = mem::Reservation {
        extent_start: list,
        nr_extents: 2,
        domid: 0x7ff0,
        ..Default::default()
    };
    assert_eq!(
        with(
            &mut system,
            0,
            nr::MEMORY_OP,
            mem::op::DECREASE_RESERVATION,
            args
        )
        .0,
        2
    );
    assert_eq!(system.lookup(0, Gfn(0x120)), None);
    assert_eq!(system.frames.free_count(), free);
    let (pages, _) = with(
        &mut system,
        0,
        nr::MEMORY_OP,
        mem::op::CURRENT_RESERVATION,
        0x7ff0u16,
    );
    assert_eq!(pages, 62);
    assert_eq!(
        with(
            &mut system,
            0,
            nr::MEMORY_OP,
            mem::op::POPULATE_PHYSMAP,
            args
        )
        .0,
        2
    );
    assert_eq!(
        system.lookup(0, Gfn(0x121)).map(|seen| seen.mfn),
        Some(Mfn(0x121))
    );
    // Elsewhere it gets nothing.
    caller(&mut system, 0)
        .put(list, &[0x300u64])
        .expect("memory");
    let one = mem::Reservation {
        nr_extents: 1,
        ..args
    };
    assert_eq!(
        with(
            &mut system,
            0,
            nr::MEMORY_OP,
            mem::op::POPULATE_PHYSMAP,
            one
        )
        .0,
        0
    );
}

#[test]
fn another_domain_gets_memory_that_is_clear() {
    let mut system = two_domains();
    let list = ARG[1] + 512;
    caller(&mut system, 1)
        .put(list, &[0x80u64])
        .expect("memory");
    let mut args = mem::Reservation {
        extent_start: list,
        nr_extents: 1,
        extent_order: 2,
        domid: 0x7ff0,
        ..Default::default()
    };
    assert_eq!(
        with(
            &mut system,
            1,
            nr::MEMORY_OP,
            mem::op::POPULATE_PHYSMAP,
            args
        )
        .0,
        1
    );
    assert_eq!(system.frames.count_of(1), 68);
    assert_eq!(
        with(
            &mut system,
            1,
            nr::MEMORY_OP,
            mem::op::DECREASE_RESERVATION,
            args
        )
        .0,
        1
    );
    assert_eq!(system.frames.count_of(1), 64);
    args.extent_order = 9;
    assert_eq!(
        with(
            &mut system,
            1,
            nr::MEMORY_OP,
            mem::op::POPULATE_PHYSMAP,
            args
        )
        .0,
        0,
        "more than it may have"
    );
    args.nr_extents = u64::MAX;
    assert_eq!(
        with(
            &mut system,
            1,
            nr::MEMORY_OP,
            mem::op::POPULATE_PHYSMAP,
            args
        )
        .0,
        0
    );
}

#[test]
fn only_dom0_sees_others_frames() {
    let mut system = two_domains();
    let lists = ARG[0] + 1024;
    caller(&mut system, 0)
        .put(lists, &[0x44u64, 0x999, 0x45])
        .expect("memory");
    caller(&mut system, 0)
        .put(lists + 24, &[0x120u64, 0x121, 0x122])
        .expect("memory");
    let args = mem::AddToPhysmapBatch {
        domid: 0x7ff0,
        space: mem::space::GMFN_FOREIGN,
        size: 3,
        foreign_domid: 1,
        idxs: lists,
        gpfns: lists + 24,
        errs: lists + 48,
    };
    assert_eq!(
        with(
            &mut system,
            0,
            nr::MEMORY_OP,
            mem::op::ADD_TO_PHYSMAP_BATCH,
            args
        )
        .0,
        0
    );
    let errors: [i32; 3] = caller(&mut system, 0).get(lists + 48).expect("memory");
    assert_eq!(errors, [0, -22, 0]);
    let theirs = system.lookup(1, Gfn(0x44)).expect("memory").mfn;
    assert_eq!(
        system.lookup(0, Gfn(0x120)).map(|seen| seen.mfn),
        Some(theirs)
    );
    assert_eq!(system.frames.holds(theirs), (1, 1));
    let remove = mem::RemoveFromPhysmap {
        domid: 0x7ff0,
        pad: [0; 3],
        gpfn: 0x120,
    };
    assert_eq!(
        with(
            &mut system,
            0,
            nr::MEMORY_OP,
            mem::op::REMOVE_FROM_PHYSMAP,
            remove
        )
        .0,
        0
    );
    assert_eq!(system.frames.holds(theirs), (0, 0));
    let lists = ARG[1] + 1024;
    let args = mem::AddToPhysmapBatch {
        foreign_domid: 0,
        idxs: lists,
        gpfns: lists,
        errs: lists + 48,
        ..args
    };
    assert_eq!(
        with(
            &mut system,
            1,
            nr::MEMORY_OP,
            mem::op::ADD_TO_PHYSMAP_BATCH,
            args
        )
        .0,
        0
    );
    let errors: [i32; 3] = caller(&mut system, 1).get(lists + 48).expect("memory");
    assert_eq!(errors, [-1; 3]);
}

/// Domain 1's grant table is seen at its frame 0x60; it grants its frame 0x44 to dom0.
fn granting(system: &mut System<Fake>, flags: u16) -> u64 {
    let args = mem::AddToPhysmap {
        domid: 0x7ff0,
        space: 1,
        gpfn: 0x60,
        ..Default::default()
    };
    assert_eq!(
        with(system, 1, nr::MEMORY_OP, mem::op::ADD_TO_PHYSMAP, args).0,
        0
    );
    let entry = EntryV1 {
        flags,
        domid: 0,
        frame: 0x44,
    };
    let at = 0x6_0000 + 9 * 8;
    caller(system, 1).put(at, &entry).expect("memory");
    at
}

fn flags_of(system: &mut System<Fake>, at: u64) -> u16 {
    caller(system, 1).get::<EntryV1>(at).expect("memory").flags
}

#[test]
fn a_grant_is_mapped_and_unmapped() {
    let mut system = two_domains();
    let at = granting(&mut system, flag::PERMIT_ACCESS);
    let wanted = gnttab::MapGrantRef {
        host_addr: 0x13_0000,
        flags: 2,
        gref: 9,
        dom: 1,
        ..Default::default()
    };
    let (_, mapped) = with(
        &mut system,
        0,
        nr::GRANT_TABLE_OP,
        gnttab::MAP_GRANT_REF,
        wanted,
    );
    assert_eq!(mapped.status, status::OKAY);
    let frame = system.lookup(1, Gfn(0x44)).expect("memory").mfn;
    assert_eq!(
        system.lookup(0, Gfn(0x130)).map(|seen| seen.mfn),
        Some(frame)
    );
    assert_eq!(
        flags_of(&mut system, at),
        flag::PERMIT_ACCESS | flag::READING | flag::WRITING
    );
    assert_eq!(system.frames.holds(frame), (1, 1));
    let (_, again) = with(
        &mut system,
        1,
        nr::GRANT_TABLE_OP,
        gnttab::SWAP_GRANT_REF,
        gnttab::SwapGrantRef {
            ref_a: 9,
            ref_b: 10,
            ..Default::default()
        },
    );
    assert_eq!(again.status, status::EAGAIN);
    let unmap = gnttab::UnmapGrantRef {
        host_addr: 0x13_1000,
        handle: mapped.handle,
        ..Default::default()
    };
    let (_, done) = with(
        &mut system,
        0,
        nr::GRANT_TABLE_OP,
        gnttab::UNMAP_GRANT_REF,
        unmap,
    );
    assert_eq!(done.status, status::GENERAL_ERROR, "it is not there");
    let unmap = gnttab::UnmapGrantRef {
        host_addr: 0x13_0000,
        ..unmap
    };
    let (_, done) = with(
        &mut system,
        0,
        nr::GRANT_TABLE_OP,
        gnttab::UNMAP_GRANT_REF,
        unmap,
    );
    assert_eq!(done.status, status::OKAY);
    assert_eq!(flags_of(&mut system, at), flag::PERMIT_ACCESS);
    assert_eq!(system.frames.holds(frame), (0, 0));
    let (_, twice) = with(
        &mut system,
        0,
        nr::GRANT_TABLE_OP,
        gnttab::UNMAP_GRANT_REF,
        unmap,
    );
    assert_eq!(twice.status, status::BAD_HANDLE);
}

#[test]
fn what_is_not_granted_is_not_mapped() {
    let mut system = two_domains();
    let at = granting(&mut system, flag::PERMIT_ACCESS | flag::READONLY);
    let wanted = gnttab::MapGrantRef {
        host_addr: 0x13_0000,
        flags: 2,
        gref: 9,
        dom: 1,
        ..Default::default()
    };
    let mut map = |args: gnttab::MapGrantRef| {
        with(
            &mut system,
            0,
            nr::GRANT_TABLE_OP,
            gnttab::MAP_GRANT_REF,
            args,
        )
        .1
        .status
    };
    assert_eq!(map(wanted), status::GENERAL_ERROR, "read only");
    assert_eq!(
        map(gnttab::MapGrantRef { gref: 10, ..wanted }),
        status::GENERAL_ERROR
    );
    assert_eq!(
        map(gnttab::MapGrantRef {
            gref: 512,
            ..wanted
        }),
        status::BAD_GNTREF
    );
    assert_eq!(
        map(gnttab::MapGrantRef { dom: 2, ..wanted }),
        status::BAD_DOMAIN
    );
    assert_eq!(
        map(gnttab::MapGrantRef { flags: 0, ..wanted }),
        status::BAD_GNTREF
    );
    assert_eq!(
        map(gnttab::MapGrantRef { flags: 3, ..wanted }),
        status::GENERAL_ERROR
    );
    assert_eq!(
        map(gnttab::MapGrantRef { flags: 6, ..wanted }),
        status::OKAY
    );
    assert_eq!(
        flags_of(&mut system, at),
        flag::PERMIT_ACCESS | flag::READONLY | flag::READING
    );
}

#[test]
fn a_copys_frame_is_no_grant_of_the_same_number() {
    // XSA-500: the second copy names a frame by the number that named a grant in the first.
    let mut system = two_domains();
    granting(&mut system, flag::PERMIT_ACCESS);
    let theirs = system.lookup(1, Gfn(0x44)).expect("memory").mfn;
    system.platform.write(theirs.address(), b"secret");
    let source = gnttab::CopyPtr {
        frame_or_gref: 9,
        domid: 1,
        offset: 0,
        pad: 0,
    };
    let dest = gnttab::CopyPtr {
        frame_or_gref: 0x101,
        domid: 0x7ff0,
        offset: 8,
        pad: 0,
    };
    let first = gnttab::Copy {
        source,
        dest,
        len: 6,
        flags: gnttab::copy_flag::SOURCE_GREF,
        ..Default::default()
    };
    let second = gnttab::Copy {
        flags: 0,
        source: gnttab::CopyPtr {
            domid: 0x7ff0,
            ..source
        },
        ..first
    };
    caller(&mut system, 0)
        .put(ARG[0], &[first, second])
        .expect("memory");
    assert_eq!(
        call(&mut system, 0, nr::GRANT_TABLE_OP, &[5, ARG[0], 2]).value,
        0
    );
    let done: [gnttab::Copy; 2] = caller(&mut system, 0).get(ARG[0]).expect("memory");
    assert_eq!(
        (done[0].status, done[1].status),
        (status::OKAY, status::BAD_PAGE)
    );
    let copied: [u8; 6] = caller(&mut system, 0).get(0x10_1008).expect("memory");
    assert_eq!(&copied, b"secret");
    assert_eq!(system.frames.holds(theirs), (0, 0));
}

#[test]
fn versions_change_while_nothing_is_used() {
    let mut system = two_domains();
    granting(&mut system, flag::PERMIT_ACCESS);
    let reserved = EntryV1 {
        flags: flag::PERMIT_ACCESS,
        domid: 0,
        frame: 0x45,
    };
    caller(&mut system, 1)
        .put(0x6_0000 + 8, &reserved)
        .expect("memory");
    let version = gnttab::SetVersion { version: 2 };
    assert_eq!(
        with(
            &mut system,
            1,
            nr::GRANT_TABLE_OP,
            gnttab::SET_VERSION,
            version
        ),
        (0, version)
    );
    // The reserved grant is still one, in the new layout.
    let wanted = gnttab::MapGrantRef {
        host_addr: 0x13_0000,
        flags: 2,
        gref: 1,
        dom: 1,
        ..Default::default()
    };
    let (_, mapped) = with(
        &mut system,
        0,
        nr::GRANT_TABLE_OP,
        gnttab::MAP_GRANT_REF,
        wanted,
    );
    assert_eq!(mapped.status, status::OKAY);
    let gone = gnttab::MapGrantRef {
        gref: 9,
        host_addr: 0x13_1000,
        ..wanted
    };
    assert_eq!(
        with(
            &mut system,
            0,
            nr::GRANT_TABLE_OP,
            gnttab::MAP_GRANT_REF,
            gone
        )
        .1
        .status,
        status::GENERAL_ERROR
    );
    let back = gnttab::SetVersion { version: 1 };
    assert_eq!(
        with(
            &mut system,
            1,
            nr::GRANT_TABLE_OP,
            gnttab::SET_VERSION,
            back
        )
        .0,
        0
    );
    let entry: EntryV1 = caller(&mut system, 1).get(0x6_0000 + 8).expect("memory");
    assert_eq!(
        entry.flags,
        flag::PERMIT_ACCESS | flag::READING | flag::WRITING
    );
    let none = gnttab::SetVersion { version: 3 };
    let (result, said) = with(
        &mut system,
        1,
        nr::GRANT_TABLE_OP,
        gnttab::SET_VERSION,
        none,
    );
    assert_eq!((result, said.version), (errno(Errno::EINVAL), 1));
}

#[test]
fn lists_of_calls_are_done_in_order_and_in_parts() {
    let mut system = two_domains();
    let list = ARG[0] + 1024;
    for index in 0..100 {
        let entry = multicall::Entry {
            op: nr::XEN_VERSION.into(),
            result: 7,
            args: [index % 2 * 7, 0, 0, 0, 0, 0],
        };
        caller(&mut system, 0)
            .put_at(list, index, &entry)
            .expect("memory");
    }
    assert_eq!(call(&mut system, 0, nr::MULTICALL, &[list, 100]).value, 0);
    for index in 0..100u64 {
        let entry: multicall::Entry = caller(&mut system, 0).get_at(list, index).expect("memory");
        assert_eq!(entry.result, if index % 2 == 0 { 0x4_0014 } else { 4096 });
    }
    let nested = multicall::Entry {
        op: nr::MULTICALL.into(),
        result: 0,
        args: [list, 1, 0, 0, 0, 0],
    };
    caller(&mut system, 0)
        .put_at(list, 0, &nested)
        .expect("memory");
    assert_eq!(call(&mut system, 0, nr::MULTICALL, &[list, 1]).value, 0);
    let entry: multicall::Entry = caller(&mut system, 0).get(list).expect("memory");
    assert_eq!(entry.result, Errno::EINVAL.register());
}

#[test]
fn the_toolstack_is_told_of_domains() {
    let mut system = two_domains();
    let list = ARG[0] + 2048;
    let mut args = xen_abi::sysctl::Header {
        cmd: xen_abi::sysctl::op::GETDOMAININFOLIST,
        interface_version: xen_abi::sysctl::INTERFACE_VERSION,
        u: [0; 16],
    };
    let inner = xen_abi::sysctl::Getdomaininfolist {
        max_domains: 5,
        buffer: list,
        ..Default::default()
    };
    args.u.as_mut_bytes()[..size_of_val(&inner)].copy_from_slice(inner.as_bytes());
    caller(&mut system, 0).put(ARG[0], &args).expect("memory");
    assert_eq!(call(&mut system, 0, nr::SYSCTL, &[ARG[0]]).value, 0);
    let infos: [xen_abi::domctl::Getdomaininfo; 2] =
        caller(&mut system, 0).get(list).expect("memory");
    assert_eq!(
        infos.map(|info| (info.domain, info.tot_pages, info.max_vcpu_id)),
        [(0, 64, 1), (1, 64, 1)]
    );
    caller(&mut system, 1).put(ARG[1], &args).expect("memory");
    assert_eq!(
        call(&mut system, 1, nr::SYSCTL, &[ARG[1]]).value as i64,
        errno(Errno::EPERM)
    );
    args.interface_version += 1;
    caller(&mut system, 0).put(ARG[0], &args).expect("memory");
    assert_eq!(
        call(&mut system, 0, nr::SYSCTL, &[ARG[0]]).value as i64,
        errno(Errno::EACCES)
    );
}

#[test]
fn vcpus_go_up_and_down() {
    let mut system = two_domains();
    let domain = system.domain_mut(1).expect("it is there");
    (domain.vcpus[1].initialised, domain.vcpus[1].down) = (false, true);
    let vcpu = |system: &mut System<Fake>, op: u64, which: u64| {
        call(system, 1, nr::VCPU_OP, &[op, which, ARG[1]])
    };
    assert_eq!(vcpu(&mut system, 3, 1).value, 0);
    assert_eq!(vcpu(&mut system, 1, 1).value as i64, errno(Errno::EINVAL));
    caller(&mut system, 1)
        .put(ARG[1], &xen_abi::hvm::vcpu::Context::new_zeroed())
        .expect("memory");
    assert_eq!(vcpu(&mut system, 0, 1).value, 0);
    assert_eq!(vcpu(&mut system, 0, 1).value as i64, errno(Errno::EEXIST));
    assert_eq!(vcpu(&mut system, 1, 1).value, 0);
    assert_eq!(
        system.platform.asked.last(),
        Some(&Asked::Wake(VcpuId { domain: 1, vcpu: 1 }))
    );
    assert_eq!(vcpu(&mut system, 3, 1).value, 1);
    assert_eq!(vcpu(&mut system, 2, 1).after, After::Resume);
    assert_eq!(vcpu(&mut system, 2, 0).after, After::Stop, "the last one");
    assert_eq!(system.domain(1).expect("it is there").shutdown, Some(0));
    assert_eq!(vcpu(&mut system, 3, 2).value as i64, errno(Errno::ENOENT));
}

/// What must hold whatever guests do.
pub fn check(system: &System<Fake>) {
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
        for hold in domain.foreign.values() {
            assert!(system.frames.holds(hold.mfn()).0 > 0);
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
            caller(&mut system, domain).put(at, &words).expect("memory");
            call(&mut system, domain, nr::EVENT_CHANNEL_OP, &[op.into(), at]);
            check(&system);
        }
    }
}
