// SPDX-License-Identifier: GPL-2.0

//! Dispatch and permission, `xen_version`, `multicall`, and the toolstack's information hypercalls.

use super::*;
use crate::mistake::Mistake;
use xen_abi::xen::MulticallEntry;

#[test]
fn the_version_and_its_strings_are_returned() {
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
        crate::hypercall::version::EXTRA.len() as u64
    );
}

#[test]
fn the_build_is_named_by_its_digest_if_it_has_one() {
    let mut system = two_domains();
    let ask = |system: &mut System<FakePlatform>, domain: u16, at: u64| {
        let op = version::op::BUILD_ID.into();
        call(system, domain, nr::XEN_VERSION, &[op, at]).value as i64
    };
    assert_eq!(ask(&mut system, 0, 0), errno(Errno::ENODATA));
    system.host.build_id = vec![0xab, 0xcd];
    assert_eq!(ask(&mut system, 1, 0), errno(Errno::EPERM));
    assert_eq!(ask(&mut system, 0, 0), 2);
    for (room, expected) in [
        (0, errno(Errno::EINVAL)),
        (1, errno(Errno::ENOBUFS)),
        (2, 2),
    ] {
        let at = ARG[0];
        caller(&mut system, 0)
            .copy_to_guest(at, &[room, 0x1111_1111u32])
            .expect("memory");
        assert_eq!(ask(&mut system, 0, at), expected);
    }
    let written: [u32; 2] = caller(&mut system, 0)
        .copy_from_guest(ARG[0])
        .expect("memory");
    assert_eq!(written, [2, 0x1111_cdab]);
}

#[test]
fn user_programs_and_unknown_numbers_are_refused() {
    let mut system = two_domains();
    let mut wanted = Call {
        number: 17,
        args: [0; 5],
        cpl: 3,
    };
    assert_eq!(
        dispatch(&mut caller(&mut system, 0), wanted).value,
        Errno::EPERM.register()
    );
    wanted.cpl = 0;
    for number in [0, 1, 99, u64::MAX, 1 << 32 | 17] {
        let wanted = Call { number, ..wanted };
        assert_eq!(
            dispatch(&mut caller(&mut system, 0), wanted).value,
            Errno::ENOSYS.register()
        );
    }
}

#[test]
fn lists_of_calls_are_done_in_order_and_in_parts() {
    let mut system = two_domains();
    let list = ARG[0] + 1024;
    for index in 0..100 {
        let entry = MulticallEntry {
            op: nr::XEN_VERSION.into(),
            result: 7,
            args: [index % 2 * 7, 0, 0, 0, 0, 0],
        };
        caller(&mut system, 0)
            .copy_to_guest_offset(list, index, &entry)
            .expect("memory");
    }
    assert_eq!(call(&mut system, 0, nr::MULTICALL, &[list, 100]).value, 0);
    for index in 0..100u64 {
        let entry: MulticallEntry = caller(&mut system, 0)
            .copy_from_guest_offset(list, index)
            .expect("memory");
        assert_eq!(entry.result, if index % 2 == 0 { 0x4_0014 } else { 4096 });
    }
    let nested = MulticallEntry {
        op: nr::MULTICALL.into(),
        result: 0,
        args: [list, 1, 0, 0, 0, 0],
    };
    caller(&mut system, 0)
        .copy_to_guest_offset(list, 0, &nested)
        .expect("memory");
    assert_eq!(call(&mut system, 0, nr::MULTICALL, &[list, 1]).value, 0);
    let entry: MulticallEntry = caller(&mut system, 0)
        .copy_from_guest(list)
        .expect("memory");
    assert_eq!(entry.result, Errno::EINVAL.register());
}

#[test]
fn a_call_in_a_list_blocks_or_yields_before_the_next_one() {
    let mut system = two_domains();
    let list = ARG[0] + 1024;
    let entry = |op: u32, command: u64| MulticallEntry {
        op: op.into(),
        result: 7,
        args: [command, 0, 0, 0, 0, 0],
    };
    let poll = xen_abi::sched::Poll {
        ports: 0,
        nr_ports: 0,
        pad: 0,
        timeout: 5_000_000,
    };
    caller(&mut system, 0)
        .copy_to_guest(ARG[0] + 512, &poll)
        .expect("memory");
    let entries = [
        entry(nr::SCHED_OP, xen_abi::sched::op::YIELD.into()),
        MulticallEntry {
            args: [xen_abi::sched::op::POLL.into(), ARG[0] + 512, 0, 0, 0, 0],
            ..entry(nr::SCHED_OP, 0)
        },
        entry(nr::XEN_VERSION, 0),
        entry(nr::SCHED_OP, xen_abi::sched::op::YIELD.into()),
    ];
    caller(&mut system, 0)
        .copy_to_guest(list, &entries)
        .expect("memory");
    let mut wanted = Call {
        number: nr::MULTICALL.into(),
        args: [list, 4, 0, 0, 0],
        cpl: 0,
    };
    let mut actions = Vec::new();
    let mut results = Vec::new();
    loop {
        let outcome = dispatch(&mut caller(&mut system, 0), wanted);
        actions.push(outcome.action);
        let entries: [MulticallEntry; 4] = caller(&mut system, 0)
            .copy_from_guest(list)
            .expect("memory");
        results.push(entries.map(|entry| entry.result));
        match outcome.continuation {
            Some(args) => wanted.args = args,
            None => break,
        }
    }
    assert_eq!(
        actions,
        [VcpuAction::Yield, VcpuAction::Poll, VcpuAction::Yield]
    );
    assert_eq!(results, [[0, 7, 7, 7], [0, 0, 7, 7], [0, 0, 0x4_0014, 0]]);
}

#[test]
fn the_toolstack_gets_information_about_domains() {
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
    caller(&mut system, 0)
        .copy_to_guest(ARG[0], &args)
        .expect("memory");
    assert_eq!(call(&mut system, 0, nr::SYSCTL, &[ARG[0]]).value, 0);
    let infos: [xen_abi::domctl::Getdomaininfo; 2] = caller(&mut system, 0)
        .copy_from_guest(list)
        .expect("memory");
    assert_eq!(
        infos.map(|info| (info.domain, info.tot_pages, info.max_vcpu_id)),
        [(0, 64, 1), (1, 64, 1)]
    );
    caller(&mut system, 1)
        .copy_to_guest(ARG[1], &args)
        .expect("memory");
    assert_eq!(
        call(&mut system, 1, nr::SYSCTL, &[ARG[1]]).value as i64,
        errno(Errno::EPERM)
    );
    args.interface_version += 1;
    caller(&mut system, 0)
        .copy_to_guest(ARG[0], &args)
        .expect("memory");
    assert_eq!(
        call(&mut system, 0, nr::SYSCTL, &[ARG[0]]).value as i64,
        errno(Errno::EACCES)
    );
}

#[test]
fn a_call_that_fails_is_news_once_a_command() {
    let mut system = two_domains();
    let mut news = |number, command| call(&mut system, 0, number, &[command]).first_error;
    assert_eq!(news(nr::XEN_VERSION, 0), None, "it succeeds");
    assert_eq!(news(nr::SCHED_OP, 99), Some((nr::SCHED_OP, 99)));
    assert_eq!(news(nr::SCHED_OP, 99), None);
    assert_eq!(news(nr::SCHED_OP, 98), Some((nr::SCHED_OP, 98)));
}

#[test]
fn mistakes_with_handles_and_grants_are_reported_and_honest_calls_are_not() {
    let mut system = two_domains();
    let told = |system: &mut System<FakePlatform>| core::mem::take(&mut system.platform.mistakes);
    let map = gnttab::MapGrantRef {
        host_addr: 0x13_0000,
        flags: 2,
        gref: 9,
        dom: 0,
        ..Default::default()
    };
    let (_, mapped) = grant_op(&mut system, 1, gnttab::MAP_GRANT_REF, map);
    assert_ne!(mapped.status, status::OKAY);
    let reports = told(&mut system);
    let expected = format!("d1v0: grant operation 0, entry 0: status {}", mapped.status);
    assert_eq!(reports, [(Mistake::Grant, expected)]);
    let nowhere = 0xfff_ffff_f000;
    let result = call(&mut system, 1, nr::SCHED_OP, &[3, nowhere]);
    assert_eq!(result.value, Errno::EFAULT.register());
    let reports = told(&mut system);
    let expected = "d1v0: hypercall 29, command 3: a handle without memory".to_owned();
    assert_eq!(reports, [(Mistake::BadHandle, expected)]);
    granting(&mut system, flag::PERMIT_ACCESS);
    let map = gnttab::MapGrantRef { dom: 1, ..map };
    let (_, mapped) = grant_op(&mut system, 0, gnttab::MAP_GRANT_REF, map);
    assert_eq!(mapped.status, status::OKAY);
    assert_eq!(told(&mut system), []);
}

/// Makes a sysctl as dom0; returns its result, and its argument afterwards.
fn sysctl<T: FromBytes + IntoBytes + Immutable>(
    system: &mut System<FakePlatform>,
    cmd: u32,
    args: &T,
) -> (i64, T) {
    let mut header = xen_abi::sysctl::Header {
        cmd,
        interface_version: xen_abi::sysctl::INTERFACE_VERSION,
        ..Default::default()
    };
    header.u.as_mut_bytes()[..size_of::<T>()].copy_from_slice(args.as_bytes());
    caller(system, 0)
        .copy_to_guest(ARG[0], &header)
        .expect("memory");
    let result = call(system, 0, nr::SYSCTL, &[ARG[0]]).value as i64;
    let header: xen_abi::sysctl::Header =
        caller(system, 0).copy_from_guest(ARG[0]).expect("memory");
    let args = T::read_from_bytes(&header.u.as_bytes()[..size_of::<T>()]);
    (result, args.expect("of that length"))
}

#[test]
fn debug_keys_have_the_state_logged() {
    let mut system = two_domains();
    let keys = 0x11_0000;
    caller(&mut system, 0)
        .copy_to_guest(keys, b"mxq")
        .expect("memory");
    let args = xen_abi::sysctl::DebugKeys {
        keys,
        nr_keys: 3,
        pad: 0,
    };
    let press = xen_abi::sysctl::op::DEBUG_KEYS;
    assert_eq!(sysctl(&mut system, press, &args).0, 0);
    let lines = &system.platform.lines;
    assert!(lines[0].starts_with("memory: 1023 pages, "), "{lines:?}");
    let begins: Vec<_> = lines[1..]
        .iter()
        .map(|line| line.split(':').next())
        .collect();
    assert_eq!(
        begins,
        ["d0", "d0v0", "d0v1", "d1", "d1v0", "d1v1"].map(Some)
    );
    assert!(lines[4].contains("64 of 256 pages"), "{lines:?}");
    let unmapped = xen_abi::sysctl::DebugKeys {
        keys: 1 << 40,
        ..args
    };
    let result = sysctl(&mut system, press, &unmapped).0;
    assert_eq!(result, errno(Errno::EFAULT));
}

#[test]
fn devices_that_dom0_has_added_are_on_the_one_node() {
    use xen_abi::physdev::{self, PciDevice, PciDeviceAdd};
    use xen_abi::sysctl::{INVALID_DEV, Pcitopoinfo};
    let mut system = two_domains();
    let known = PciDevice {
        seg: 0,
        bus: 3,
        devfn: 0x18,
    };
    let add = PciDeviceAdd {
        seg: 0,
        bus: 3,
        devfn: 0x18,
        ..PciDeviceAdd::default()
    };
    let op = physdev::op::PCI_DEVICE_ADD;
    assert_eq!(with(&mut system, 0, nr::PHYSDEV_OP, op, add).0, 0);
    let devices = [known, PciDevice { bus: 4, ..known }];
    let (devs, nodes) = (0x11_0000, 0x11_1000);
    caller(&mut system, 0)
        .copy_to_guest(devs, &devices)
        .expect("memory");
    let args = Pcitopoinfo {
        num_devs: 2,
        pad: 0,
        devs,
        nodes,
    };
    let ask = xen_abi::sysctl::op::PCITOPOINFO;
    assert_eq!(sysctl(&mut system, ask, &args), (0, args));
    let told: [u32; 2] = caller(&mut system, 0)
        .copy_from_guest(nodes)
        .expect("memory");
    assert_eq!(told, [0, INVALID_DEV]);
    let op = physdev::op::PCI_DEVICE_REMOVE;
    assert_eq!(with(&mut system, 0, nr::PHYSDEV_OP, op, known).0, 0);
    assert_eq!(sysctl(&mut system, ask, &args).0, 0);
    let told: u32 = caller(&mut system, 0)
        .copy_from_guest(nodes)
        .expect("memory");
    assert_eq!(told, INVALID_DEV);
    let empty = Pcitopoinfo { nodes: 0, ..args };
    let result = sysctl(&mut system, ask, &empty).0;
    assert_eq!(result, errno(Errno::EINVAL));
}
