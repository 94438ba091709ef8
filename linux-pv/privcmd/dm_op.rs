// SPDX-License-Identifier: GPL-2.0

//! A device model's hypercalls (`DM_OP`), which a restricted file may make for its domain: the
//! hypervisor accesses only the buffers, which are the process's own.

use kernel::prelude::*;
use kernel_ext::user::{
    self,
    Pinned, //
};
use xen::{
    domain::DomId,
    hypercall, //
};
use xen_abi::linux::privcmd as abi;
use xen_devfile::buffers::{
    self,
    Refused, //
};

use crate::{
    file::File,
    params, //
};

/// Makes the hypercall and returns its result.
pub(crate) fn call(file: &File, argument: usize) -> Result<isize> {
    let args: abi::DmOp = user::read(argument)?;
    file.allows(args.dom)?;
    let limits = params::dm_op_limits();
    if args.num == 0 {
        return Ok(0);
    }
    if u32::from(args.num) > limits.count {
        return Err(E2BIG);
    }
    let list: KVVec<abi::DmOpBuf> = user::read_array(args.ubufs as usize, args.num.into())?;
    let all = list.iter().map(|buffer| (buffer.uptr, buffer.size));
    let is_user = |address, size| user::access_ok(address as usize, size as usize);
    let pages = buffers::check(all.clone(), limits, is_user).map_err(|refused| match refused {
        Refused::TooBig => E2BIG,
        Refused::NoMemory => EFAULT,
    })?;
    let mut buffers = KVec::with_capacity(list.len(), GFP_KERNEL)?;
    for (address, size) in all {
        buffers.push((address as usize, size as usize), GFP_KERNEL)?;
    }
    let pinned = Pinned::new(buffers, pages)?;
    file.count_hypercall();
    hypercall::dm_op(DomId::new(args.dom), &pinned)
}
