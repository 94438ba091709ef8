// SPDX-License-Identifier: GPL-2.0

//! `dm_op`: what device models ask for. There are none, so only what is of use without one is served.

use super::Reply;
use crate::error::{Errno, Result};
use crate::mem::access::NativeStructures;
use crate::mem::frames::DomId;
use crate::system::{Caller, Platform};
use xen_abi::hvm::dm_op::{DmOpBuf, Header, RemoteShutdown, op};

/// Most buffers of a call, as in Xen.
const MAX_BUFS: u32 = 2;

pub(super) fn do_dm_op<P: Platform>(
    caller: &mut Caller<'_, P>,
    domid: DomId,
    count: u32,
    list: u64,
) -> Result<Reply> {
    if count > MAX_BUFS {
        return Err(Errno::E2BIG);
    }
    let mut bufs = [DmOpBuf::default(); MAX_BUFS as usize];
    for (index, buf) in (0u64..count.into()).zip(&mut bufs) {
        *buf = caller.copy_from_guest_offset(list, index)?;
    }
    let id = caller.system.domain(domid)?.id();
    if id == caller.vcpu.domain || !caller.is_privileged() {
        return Err(Errno::EPERM);
    }
    // Without a buffer its size is 0.
    let [DmOpBuf { h: address, size }, _] = bufs;
    let has_room = |bytes: usize| match size >= bytes as u64 {
        true => Ok(()),
        false => Err(Errno::EFAULT),
    };
    has_room(size_of::<Header>())?;
    let header: Header = caller.copy_from_guest(address)?;
    match header.op {
        op::REMOTE_SHUTDOWN => {
            has_room(size_of::<Header>() + size_of::<RemoteShutdown>())?;
            let at = address
                .checked_add(size_of::<Header>() as u64)
                .ok_or(Errno::EFAULT)?;
            let args: RemoteShutdown = caller.copy_from_guest(at)?;
            if header.pad != 0 {
                return Err(Errno::EINVAL);
            }
            caller.system.shut_down(id, args.reason as u8)?;
            Ok(Reply::Value(0))
        }
        _ => Err(Errno::EOPNOTSUPP),
    }
}
