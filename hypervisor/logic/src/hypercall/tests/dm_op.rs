// SPDX-License-Identifier: GPL-2.0

//! What device models ask for.

use super::*;
use xen_abi::hvm::dm_op::{DmOpBuf, Header, RemoteShutdown, op};
use xen_abi::sched::shutdown;

/// Makes a call of one buffer of `size` bytes with an operation and its argument.
fn dm_op(
    system: &mut System<FakePlatform>,
    by: u16,
    domain: u64,
    header: Header,
    reason: u32,
    size: u64,
) -> i64 {
    let list = ARG[usize::from(by != 0)];
    let at = list + 512;
    let buf = DmOpBuf { h: at, size };
    let mut caller = caller(system, by);
    caller.copy_to_guest(list, &buf).expect("memory");
    caller.copy_to_guest(at, &header).expect("memory");
    caller
        .copy_to_guest(at + 8, &RemoteShutdown { reason })
        .expect("memory");
    call(system, by, nr::DM_OP, &[domain, 1, list]).value as i64
}

#[test]
fn a_device_model_shuts_its_guest_down_and_nobody_else_does() {
    let mut system = two_domains();
    let header = |op| Header { op, pad: 0 };
    let shuts = header(op::REMOTE_SHUTDOWN);
    let state = |system: &System<FakePlatform>| system.domain(1).expect("alive").shutdown;
    for (by, domain, header, size, expected) in [
        (0, 7, shuts, 12, Errno::ESRCH),
        (0, 0x7ff0, shuts, 12, Errno::ESRCH),
        (0, 0, shuts, 12, Errno::EPERM),
        (1, 0, shuts, 12, Errno::EPERM),
        (0, 1, shuts, 7, Errno::EFAULT),
        (0, 1, shuts, 11, Errno::EFAULT),
        (0, 1, header(op::INJECT_MSI), 8, Errno::EOPNOTSUPP),
        (0, 1, Header { pad: 1, ..shuts }, 12, Errno::EINVAL),
    ] {
        let result = dm_op(&mut system, by, domain, header, shutdown::POWEROFF, size);
        assert_eq!(result, errno(expected), "{by} of {domain}, {header:?}");
        assert_eq!(state(&system), None);
    }
    let list = ARG[0];
    let mut bufs = |count, at| call(&mut system, 0, nr::DM_OP, &[1, count, at]).value as i64;
    assert_eq!(bufs(3, list), errno(Errno::E2BIG));
    assert_eq!(bufs(1, 0x7fff_0000), errno(Errno::EFAULT));
    assert_eq!(bufs(0, list), errno(Errno::EFAULT), "no operation");
    let result = dm_op(&mut system, 0, 1, shuts, shutdown::REBOOT, 12);
    assert_eq!((result, state(&system)), (0, Some(shutdown::REBOOT as u8)));
}
