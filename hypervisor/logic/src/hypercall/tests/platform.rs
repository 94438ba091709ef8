// SPDX-License-Identifier: GPL-2.0

//! `platform_op` of dom0.

use super::*;
use xen_abi::platform::{FirmwareInfo, Header, INTERFACE_VERSION, SetPminfo, firmware, op, pm};

fn platform<T: IntoBytes + Immutable>(
    system: &mut System<FakePlatform>,
    domain: u16,
    cmd: u32,
    args: &T,
) -> i64 {
    let mut header = Header {
        cmd,
        interface_version: INTERFACE_VERSION,
        u: [0; 16],
    };
    header.u.as_mut_bytes()[..size_of::<T>()].copy_from_slice(args.as_bytes());
    let at = ARG[usize::from(domain)];
    caller(system, domain)
        .copy_to_guest(at, &header)
        .expect("memory");
    call(system, domain, nr::PLATFORM_OP, &[at]).value as i64
}

#[test]
fn the_firmware_is_not_asked_and_that_is_said_as_xen_says_it() {
    let mut system = two_domains();
    for (kind, expected) in [
        (firmware::EFI_INFO, Errno::ENOSYS),
        (firmware::DISK_INFO, Errno::ESRCH),
        (firmware::KBD_SHIFT_FLAGS, Errno::ESRCH),
        (0, Errno::EINVAL),
        (6, Errno::EINVAL),
    ] {
        let args = FirmwareInfo {
            kind,
            ..Default::default()
        };
        let result = platform(&mut system, 0, op::FIRMWARE_INFO, &args);
        assert_eq!(result, errno(expected), "{kind}");
        let result = platform(&mut system, 1, op::FIRMWARE_INFO, &args);
        assert_eq!(result, errno(Errno::EPERM));
    }
    let result = platform(&mut system, 0, op::GET_DOM0_CONSOLE, &0u32);
    assert_eq!(result, errno(Errno::ENODEV));
}

#[test]
fn dom0_announces_no_states_that_need_mwait() {
    let mut system = two_domains();
    let list = ARG[0] + 1024;
    let mut ask = |id, kind, list, capabilities: [u32; 3]| {
        caller(&mut system, 0)
            .copy_to_guest(ARG[0] + 1024, &capabilities)
            .expect("memory");
        let args = SetPminfo {
            id,
            kind,
            pdc: list,
            ..Default::default()
        };
        let result = platform(&mut system, 0, op::SET_PROCESSOR_PMINFO, &args);
        let [.., left]: [u32; 3] = caller(&mut system, 0)
            .copy_from_guest(ARG[0] + 1024)
            .expect("memory");
        (result, left)
    };
    assert_eq!(ask(u32::MAX, pm::PDC, list, [1, 1, 0x1fff]), (0, 0x8ff));
    assert_eq!(ask(u32::MAX, pm::PDC, list, [1, 1, 0x302]), (0, 2));
    for (id, kind, at, given, expected) in [
        (u32::MAX, pm::PDC, list, [2, 1, 0], Errno::EINVAL),
        (u32::MAX, pm::PDC, list, [1, 0, 0], Errno::EINVAL),
        (1000, pm::PDC, list, [1, 1, 0], Errno::EINVAL),
        (u32::MAX, 4, list, [1, 1, 0], Errno::EINVAL),
        (0, pm::CX, list, [1, 1, 0], Errno::ENOSYS),
        (0, pm::PX, list, [1, 1, 0], Errno::ENOSYS),
        (u32::MAX, pm::PDC, u64::MAX - 4, [1, 1, 0], Errno::EFAULT),
        (u32::MAX, pm::PDC, 0x7fff_0000, [1, 1, 0], Errno::EFAULT),
    ] {
        let (result, left) = ask(id, kind, at, given);
        assert_eq!(
            (result, left),
            (errno(expected), given[2]),
            "{kind} {at:#x}"
        );
    }
}

#[test]
fn no_msr_is_read_but_the_time() {
    use xen_abi::platform::{ResourceEntry, ResourceOp, resource};
    let mut system = two_domains();
    let at = 0x11_0000;
    let access = |system: &mut System<FakePlatform>, cpu, entries: &[ResourceEntry]| {
        for (index, entry) in entries.iter().enumerate() {
            let at = at + (index * size_of::<ResourceEntry>()) as u64;
            caller(system, 0).copy_to_guest(at, entry).expect("memory");
        }
        let args = ResourceOp {
            nr_entries: entries.len() as u32,
            cpu,
            entries: at,
        };
        let result = platform(system, 0, op::RESOURCE_OP, &args);
        let read: [ResourceEntry; 2] = caller(system, 0).copy_from_guest(at).expect("memory");
        (result, read)
    };
    let time = ResourceEntry {
        cmd: resource::MSR_READ,
        idx: 0x10,
        ..ResourceEntry::default()
    };
    let other = ResourceEntry { idx: 0x122, ..time };
    let (result, read) = access(&mut system, 1, &[time, other, time]);
    assert_eq!((result, read[0].val), (1, system.platform.time));
    assert_eq!(read[0].cmd, 0);
    let failed = |entry: &ResourceEntry| entry.cmd as i32 as i64;
    assert_eq!(failed(&read[1]), errno(Errno::EPERM));
    for (entry, error) in [
        (ResourceEntry { rsvd: 1, ..time }, Errno::EINVAL),
        (
            ResourceEntry {
                idx: 1 << 32,
                ..time
            },
            Errno::EINVAL,
        ),
        (ResourceEntry { cmd: 1, ..time }, Errno::EPERM),
        (ResourceEntry { cmd: 2, ..time }, Errno::EOPNOTSUPP),
    ] {
        let (result, read) = access(&mut system, 0, &[entry, time]);
        assert_eq!((result, failed(&read[0])), (0, errno(error)));
        assert_eq!(read[1], time, "it is not looked at");
    }
    let no_cpu = access(&mut system, 2, &[time]).0;
    assert_eq!(no_cpu, errno(Errno::ENODEV));
    let too_many = access(&mut system, 0, &[time; 4]).0;
    assert_eq!(too_many, errno(Errno::EINVAL));
    assert_eq!(access(&mut system, 9, &[]).0, 0);
}
