// SPDX-License-Identifier: GPL-2.0

//! Hypercalls of 32-bit code. Arguments are written as bytes, at the offsets that Xen's headers have on a 32-bit
//! machine, so a wrong layout on our side is found here too.

mod addresses;

use super::*;

/// How the domain translates addresses where a test says nothing else.
fn caller_32(system: &mut System<FakePlatform>, domain: u16) -> Caller<'_, FakePlatform> {
    Caller {
        abi: Abi::Bits32,
        ..caller(system, domain)
    }
}

/// Makes a hypercall and its continuations as 32-bit code does; what it finds in EAX.
fn call_32(system: &mut System<FakePlatform>, domain: u16, number: u32, args: &[u32]) -> i32 {
    let args: Vec<u64> = args.iter().map(|arg| u64::from(*arg)).collect();
    let mut wanted = hypercall(number, &args);
    loop {
        let outcome = dispatch(&mut caller_32(system, domain), wanted);
        match outcome.continuation {
            Some(args) => {
                assert!(args.iter().all(|arg| *arg <= u64::from(u32::MAX)));
                wanted.args = args;
            }
            None => return outcome.value as i32,
        }
    }
}

fn put(system: &mut System<FakePlatform>, domain: u16, at: u32, words: &[u32]) {
    caller(system, domain)
        .copy_to_guest_offset(at.into(), 0, &0u8)
        .expect("memory");
    for (index, word) in (0..).zip(words) {
        caller(system, domain)
            .copy_to_guest_offset(at.into(), index, word)
            .expect("memory");
    }
}

fn get(system: &mut System<FakePlatform>, domain: u16, at: u32, index: u64) -> u32 {
    caller(system, domain)
        .copy_from_guest_offset(at.into(), index)
        .expect("memory")
}

fn errno_32(errno: Errno) -> i32 {
    -errno.number()
}

/// Addresses of an argument and of a list, in domain 1.
const AT: u32 = ARG[1] as u32;
const LIST: u32 = AT + 1024;
const SELF: u32 = xen_abi::xen::domid::SELF as u32;

#[test]
fn a_loader_finds_what_it_needs_to_read_its_disk() {
    // What GRUB does from its start on, call by call.
    let mut system = two_domains();
    let map = [
        (0u64, 0xa_0000u64, 1u32),
        (0x10_0000, 0x1_2345_0000, 1),
        (0xfee0_0000, 0x1000, 2),
    ];
    system.domain_mut(1).expect("it is there").config.memory_map = map
        .map(|(address, size, kind)| crate::system::domain::E820Entry {
            address,
            size,
            kind,
        })
        .to_vec();
    system.domain_mut(1).expect("it is there").params[params::STORE_PFN as usize] = 0xfe_ffff;
    put(&mut system, 1, AT, &[128, LIST]);
    assert_eq!(
        call_32(&mut system, 1, nr::MEMORY_OP, &[mem::op::MEMORY_MAP, AT]),
        0
    );
    assert_eq!(get(&mut system, 1, AT, 0), 3);
    let second: Vec<u32> = (5..10)
        .map(|word| get(&mut system, 1, LIST, word))
        .collect();
    assert_eq!(second, [0x10_0000, 0, 0x2345_0000, 1, 1]);

    put(&mut system, 1, AT, &[SELF, params::STORE_PFN, 7, 7]);
    assert_eq!(
        call_32(&mut system, 1, nr::HVM_OP, &[hvm_op::op::GET_PARAM, AT]),
        0
    );
    assert_eq!(get(&mut system, 1, AT, 2), 0xfe_ffff);
    assert_eq!(get(&mut system, 1, AT, 3), 0);

    // domid and size, space, idx, gpfn.
    for (space, gpfn) in [
        (mem::space::GRANT_TABLE, 0x100),
        (mem::space::SHARED_INFO, 0x101),
    ] {
        put(&mut system, 1, AT, &[SELF, space.into(), 0, gpfn]);
        let done = call_32(
            &mut system,
            1,
            nr::MEMORY_OP,
            &[mem::op::ADD_TO_PHYSMAP, AT],
        );
        assert_eq!(done, 0);
        assert!(system.lookup(1, Gfn(gpfn.into())).is_some());
    }
    put(&mut system, 1, AT, &[SELF, 2, LIST]);
    assert_eq!(
        call_32(
            &mut system,
            1,
            nr::MEMORY_OP,
            &[mem::op::SET_MEMORY_MAP, AT]
        ),
        0
    );
    let set = &system.domain(1).expect("it is there").config.memory_map;
    assert_eq!((set.len(), { set[1].size }), (2, 0x1_2345_0000));

    put(&mut system, 1, AT, &[SELF, 0]);
    let made = call_32(
        &mut system,
        1,
        nr::EVENT_CHANNEL_OP,
        &[ec::op::ALLOC_UNBOUND, AT],
    );
    let port = get(&mut system, 1, AT, 1);
    assert_eq!((made, port), (0, 1));
    put(&mut system, 1, AT, &[port]);
    for op in [ec::op::SEND, ec::op::CLOSE] {
        assert_eq!(call_32(&mut system, 1, nr::EVENT_CHANNEL_OP, &[op, AT]), 0);
    }
    let yielded = hypercall(nr::SCHED_OP, &[xen_abi::sched::op::YIELD.into(), 0]);
    let outcome = dispatch(&mut caller_32(&mut system, 1), yielded);
    assert_eq!(outcome.action, VcpuAction::Yield);
    assert_eq!(call_32(&mut system, 1, nr::XEN_VERSION, &[0, 0]), 0x4_0014);
    // It asks for its table to be printed, which is not served to anybody.
    let printed = call_32(
        &mut system,
        1,
        nr::GRANT_TABLE_OP,
        &[gnttab::DUMP_TABLE, AT, 1],
    );
    assert_eq!(printed, errno_32(Errno::ENOSYS));
}

#[test]
fn lists_of_frames_have_numbers_of_32_bits() {
    let mut system = two_domains();
    let gone: Vec<u32> = (0x60..0x68).collect();
    put(&mut system, 1, LIST, &gone);
    // extent_start, nr_extents, extent_order, mem_flags, domid.
    put(&mut system, 1, AT, &[LIST, 8, 0, 0, SELF]);
    for (op, is_there) in [
        (mem::op::DECREASE_RESERVATION, false),
        (mem::op::POPULATE_PHYSMAP, true),
    ] {
        assert_eq!(call_32(&mut system, 1, nr::MEMORY_OP, &[op, AT]), 8);
        for gfn in &gone {
            let found = system.lookup(1, Gfn(u64::from(*gfn)));
            assert_eq!(found.is_some(), is_there, "{gfn:#x}");
        }
    }
    put(&mut system, 1, AT, &[SELF, 0x60]);
    assert_eq!(
        call_32(
            &mut system,
            1,
            nr::MEMORY_OP,
            &[mem::op::REMOVE_FROM_PHYSMAP, AT]
        ),
        0
    );
    assert!(system.lookup(1, Gfn(0x60)).is_none());
    put(&mut system, 1, AT, &[SELF]);
    let pages = call_32(
        &mut system,
        1,
        nr::MEMORY_OP,
        &[mem::op::CURRENT_RESERVATION, AT],
    );
    assert_eq!(pages, 63);
    // domid and space, size and other domid, three lists.
    put(
        &mut system,
        1,
        LIST,
        &[0x61, 0x999, 0x62, 0x120, 0x121, 0x122, 9, 9, 9],
    );
    let space = u32::from(mem::space::GMFN) << 16;
    put(
        &mut system,
        1,
        AT,
        &[SELF | space, 3, LIST, LIST + 12, LIST + 24],
    );
    let added = call_32(
        &mut system,
        1,
        nr::MEMORY_OP,
        &[mem::op::ADD_TO_PHYSMAP_BATCH, AT],
    );
    let errors: Vec<u32> = (6..9)
        .map(|index| get(&mut system, 1, LIST, index))
        .collect();
    assert_eq!((added, errors[0], errors[2]), (0, 0, 0));
    assert!((errors[1] as i32) < 0);
    assert!(system.lookup(1, Gfn(0x122)).is_some());
}

#[test]
fn a_long_list_goes_on_behind_what_is_done() {
    let mut system = two_domains();
    let mut entries = Vec::new();
    for index in 0..100u32 {
        // op, result, six arguments.
        entries.extend([nr::XEN_VERSION, 7, index % 2 * 7, 0, 0, 0, 0, 0]);
    }
    put(&mut system, 1, LIST, &entries);
    assert_eq!(call_32(&mut system, 1, nr::MULTICALL, &[LIST, 100]), 0);
    for index in 0..100 {
        let expected = if index % 2 == 0 { 0x4_0014 } else { 4096 };
        assert_eq!(get(&mut system, 1, LIST, index * 8 + 1), expected);
    }
    // An error has 32 bits there too.
    put(&mut system, 1, LIST, &[99, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(call_32(&mut system, 1, nr::MULTICALL, &[LIST, 1]), 0);
    assert_eq!(get(&mut system, 1, LIST, 1) as i32, errno_32(Errno::ENOSYS));
    assert_eq!(
        get(&mut system, 1, LIST, 2),
        0,
        "what is behind the result stays"
    );
}

#[test]
fn grants_are_copied_between_frames_that_32_bits_name() {
    let mut system = two_domains();
    put(&mut system, 1, 0x5_0010, &[0x1234_5678]);
    // The word, domid and offset of the source and the destination; length and flags; status.
    let copy = [0x50, SELF | 0x10 << 16, 0x51, SELF | 0x20 << 16, 4, 0xffff];
    put(&mut system, 1, AT, &[copy, copy].concat());
    // More than are done before the hypercall is preempted, in frames behind the list.
    let many: Vec<u32> = (0..80u32)
        .flat_map(|index| {
            [
                0x50,
                SELF | 0x10 << 16,
                0x52,
                SELF | (index * 8) << 16,
                4,
                0xffff,
            ]
        })
        .collect();
    put(&mut system, 1, 0x5_4000, &many);
    let copied = call_32(
        &mut system,
        1,
        nr::GRANT_TABLE_OP,
        &[gnttab::COPY, 0x5_4000, 80],
    );
    assert_eq!(copied, 0);
    for index in 0..80u64 {
        assert_eq!(get(&mut system, 1, 0x5_2000, index * 2), 0x1234_5678);
        assert_eq!(get(&mut system, 1, 0x5_4000, index * 6 + 5), 0);
    }
    put(
        &mut system,
        1,
        AT + 24,
        &[0x50, SELF | 0x10 << 16, 0x51, SELF | 0x40 << 16, 4, 0xffff],
    );
    assert_eq!(
        call_32(&mut system, 1, nr::GRANT_TABLE_OP, &[gnttab::COPY, AT, 2]),
        0
    );
    assert_eq!(get(&mut system, 1, 0x5_1020, 0), 0x1234_5678);
    assert_eq!(get(&mut system, 1, 0x5_1040, 0), 0x1234_5678);
    assert_eq!(get(&mut system, 1, AT, 5), 0, "the status");
    // dom, frames, status, list. A frame that is not mapped has a number that is too large.
    put(&mut system, 1, AT, &[SELF, 1, 0, LIST]);
    assert_eq!(
        call_32(
            &mut system,
            1,
            nr::GRANT_TABLE_OP,
            &[gnttab::SETUP_TABLE, AT, 1]
        ),
        0
    );
    assert_eq!(get(&mut system, 1, AT, 2) as i16, status::ADDRESS_TOO_BIG);
    put(
        &mut system,
        1,
        AT,
        &[SELF, mem::space::GRANT_TABLE.into(), 0, 0x100],
    );
    assert_eq!(
        call_32(
            &mut system,
            1,
            nr::MEMORY_OP,
            &[mem::op::ADD_TO_PHYSMAP, AT]
        ),
        0
    );
    put(&mut system, 1, AT, &[SELF, 1, 0, LIST]);
    assert_eq!(
        call_32(
            &mut system,
            1,
            nr::GRANT_TABLE_OP,
            &[gnttab::SETUP_TABLE, AT, 1]
        ),
        0
    );
    assert_eq!(get(&mut system, 1, AT, 2) as i16, status::OKAY);
    assert_eq!(get(&mut system, 1, LIST, 0), 0x100);
}

#[test]
fn times_and_runstates_are_aligned_to_four_bytes() {
    let mut system = two_domains();
    system.platform.time = 7 << 32 | 5;
    assert_eq!(
        call_32(
            &mut system,
            1,
            nr::VCPU_OP,
            &[vc::op::GET_RUNSTATE_INFO, 0, AT]
        ),
        0
    );
    let state = get(&mut system, 1, AT, 0);
    let vcpu = VcpuId { domain: 1, vcpu: 0 };
    let now = system.platform.time;
    let known = system.vcpu_mut(vcpu).expect("it is there");
    let info = known.runstate.info_at(now);
    let word = |index: u64| (3 + 2 * u64::from(state)) + index;
    let spent = info.time[state as usize];
    assert_eq!(state, info.state);
    let read = [1, 2, word(0), word(1)].map(|index| get(&mut system, 1, AT, index));
    let halves = |time: u64| [time as u32, (time >> 32) as u32];
    assert_eq!(read[..2], halves(info.state_entry_time));
    assert_eq!(read[2..], halves(spent));
    assert!(spent > 1 << 32);
    // The list of ports, how many, the time in two words.
    put(&mut system, 1, AT, &[0, 0, 1, 9]);
    let poll = hypercall(nr::SCHED_OP, &[xen_abi::sched::op::POLL.into(), AT.into()]);
    assert_eq!(
        dispatch(&mut caller_32(&mut system, 1), poll).action,
        VcpuAction::Poll
    );
    let until = system.vcpu_mut(vcpu).expect("it is there").poll.clone();
    assert_eq!(until.expect("it polls").until, Some(9 << 32 | 1));
    let set = call_32(&mut system, 1, nr::SET_TIMER_OP, &[3, 8]);
    let at = system.vcpu_mut(vcpu).expect("it is there").single_shot;
    assert_eq!((set, at), (0, Some(8 << 32 | 3)));
    // The last 12 bytes of memory: a 64-bit kernel's structure would not fit.
    let end = (0x40 + 64) * 4096 - 12;
    put(&mut system, 1, end, &[4, 9, 0]);
    let set = call_32(
        &mut system,
        1,
        nr::VCPU_OP,
        &[vc::op::SET_SINGLESHOT_TIMER, 0, end],
    );
    let at = system.vcpu_mut(vcpu).expect("it is there").single_shot;
    assert_eq!((set, at), (0, Some(9 << 32 | 4)));
}

#[test]
fn runstate_areas_are_laid_out_as_who_registered_them_does() {
    for op in [
        vc::op::REGISTER_RUNSTATE_MEMORY_AREA,
        vc::op::REGISTER_RUNSTATE_PHYS_AREA,
    ] {
        let mut system = two_domains();
        let vcpu = VcpuId { domain: 1, vcpu: 0 };
        put(&mut system, 1, LIST, &[0xaaaa_aaaa; 12]);
        put(&mut system, 1, AT, &[LIST, 0]);
        assert_eq!(call_32(&mut system, 1, nr::VCPU_OP, &[op, 0, AT]), 0);
        system.platform.time = 3 << 32 | 9;
        system.runstate_change(vcpu, crate::system::vcpu::Runstate::Blocked, Some(&UNPAGED));
        let words: Vec<u32> = (0..12)
            .map(|word| get(&mut system, 1, LIST, word))
            .collect();
        let info = system.vcpu_mut(vcpu).expect("it is there").runstate.info();
        assert_eq!(words[..3], [vc::runstate::BLOCKED, 9, 3]);
        for (state, time) in info.time.iter().enumerate() {
            let found = u64::from(words[4 + 2 * state]) << 32 | u64::from(words[3 + 2 * state]);
            assert_eq!(found, *time, "of state {state}");
        }
        assert_eq!(words[11], 0xaaaa_aaaa, "behind the area");
    }
}

#[test]
fn what_is_shared_is_laid_out_as_the_code_that_sets_it_up_does() {
    let mut system = two_domains();
    let page = system.domain(1).expect("it is there").areas.shared_info;
    let bind = |system: &mut System<FakePlatform>| {
        let (_, made) = event(
            system,
            1,
            ec::op::BIND_IPI,
            ec::BindIpi { vcpu: 0, port: 0 },
        );
        made.port
    };
    let ports: Vec<u32> = (0..40).map(|_| bind(&mut system)).collect();
    let last = *ports.last().expect("40");
    let abi = |system: &System<FakePlatform>| system.domain(1).expect("it is there").areas.abi;
    // The toolstack's code says nothing of the guest's.
    let at = ARG[0] as u32;
    put(&mut system, 0, at, &[1, params::CALLBACK_IRQ, 0, 0]);
    let set = call_32(&mut system, 0, nr::HVM_OP, &[hvm_op::op::SET_PARAM, at]);
    assert_eq!((set, abi(&system)), (0, Abi::Bits64));
    put(&mut system, 1, AT, &[SELF, params::CALLBACK_IRQ, 0, 0]);
    assert_eq!(
        call_32(&mut system, 1, nr::HVM_OP, &[hvm_op::op::SET_PARAM, AT]),
        0
    );
    put(&mut system, 1, AT, &[last]);
    assert_eq!(
        call_32(&mut system, 1, nr::EVENT_CHANNEL_OP, &[ec::op::SEND, AT]),
        0
    );
    // Port 40: the second word of 32 bits.
    assert_eq!(
        (last, system.platform.load_u32(page + 2048 + 4)),
        (40, 1 << 8)
    );
    assert_eq!(system.platform.load_u32(page + 4), 1 << 1, "the selector");
    // A vcpu_info elsewhere has its selector set as a whole, and nothing behind it.
    put(&mut system, 1, AT, &[0x60, 0, 0x80, 0]);
    let moved = call_32(
        &mut system,
        1,
        nr::VCPU_OP,
        &[vc::op::REGISTER_VCPU_INFO, 0, AT],
    );
    assert_eq!((moved, get(&mut system, 1, 0x6_0084, 0)), (0, u32::MAX));
    assert_eq!(get(&mut system, 1, 0x6_0088, 0), 0);
    // The kernel that it loads is 64-bit code.
    let own = hvm_op::Param {
        domid: SELF as u16,
        pad: 0,
        index: params::CALLBACK_IRQ,
        value: 0,
    };
    assert_eq!(
        with(&mut system, 1, nr::HVM_OP, hvm_op::op::SET_PARAM, own).0,
        0
    );
    let port = ec::Port { port: 33 };
    assert_eq!(event(&mut system, 1, ec::op::SEND, port).0, 0);
    assert_eq!(system.platform.load_u64(page + 2048), 1 << 33 | 1 << 40);
}

#[test]
fn the_toolstacks_hypercalls_are_not_made_by_32_bit_code() {
    let mut system = two_domains();
    for number in [nr::DOMCTL, nr::SYSCTL, nr::PLATFORM_OP, 0, 99] {
        let done = call_32(&mut system, 0, number, &[ARG[0] as u32]);
        assert_eq!(done, errno_32(Errno::ENOSYS), "{number}");
    }
    let physdev = call_32(&mut system, 1, nr::PHYSDEV_OP, &[0, AT]);
    assert_eq!(physdev, errno_32(Errno::ENOSYS));
    let mut of_a_program = hypercall(nr::XEN_VERSION, &[]);
    of_a_program.cpl = 3;
    let outcome = dispatch(&mut caller_32(&mut system, 1), of_a_program);
    assert_eq!(outcome.value, Errno::EPERM.register());
}
