// SPDX-License-Identifier: GPL-2.0

//! `XENPF_resource_op`: MSRs of a CPU. On AMD's processors Xen lets the toolstack read none but the time-stamp counter,
//! for which it returns the system time.

use crate::error::{Errno, Result};
use crate::hypercall::Reply;
use crate::mem::access::NativeStructures;
use crate::system::{Caller, Platform};
use alloc::vec::Vec;
use xen_abi::platform::{ResourceEntry, ResourceOp, resource};

/// Most entries of a call (`RESOURCE_ACCESS_MAX_ENTRIES`).
const MAX_ENTRIES: u32 = 3;
/// `MSR_IA32_TSC`.
const TSC: u64 = 0x10;

/// Reads MSRs. Returns how many were read; the entry behind them has the error.
///
/// # Errors
///
/// [`Errno::EINVAL`] for too many entries, [`Errno::ENODEV`] without the CPU.
pub(super) fn access<P: Platform>(caller: &mut Caller<'_, P>, args: &ResourceOp) -> Result<Reply> {
    if args.nr_entries > MAX_ENTRIES {
        return Err(Errno::EINVAL);
    }
    let mut entries: Vec<ResourceEntry> = Vec::new();
    for index in 0..args.nr_entries {
        entries.push(caller.copy_from_guest_offset(args.entries, index.into())?);
    }
    let refused = entries.iter().position(|entry| check(entry).is_err());
    let done = refused.unwrap_or(entries.len());
    if done > 0 && args.cpu as usize >= caller.system.host.cpus.len() {
        return Err(Errno::ENODEV);
    }
    let now = caller.system.platform.now();
    for (index, entry) in entries.iter_mut().enumerate().take(done + 1) {
        match check(entry) {
            Ok(()) => entry.val = now,
            Err(errno) => entry.cmd = -errno.number() as u32,
        }
        caller.copy_to_guest_offset(args.entries, index as u64, entry)?;
    }
    Ok(Reply::Value(done as u64))
}

/// Whether an entry can be served.
fn check(entry: &ResourceEntry) -> Result<()> {
    let is_number = entry.idx >> 32 == 0;
    match entry.cmd {
        _ if entry.rsvd != 0 => Err(Errno::EINVAL),
        resource::MSR_READ if is_number && entry.idx == TSC => Ok(()),
        resource::MSR_READ | resource::MSR_WRITE if is_number => Err(Errno::EPERM),
        resource::MSR_READ | resource::MSR_WRITE => Err(Errno::EINVAL),
        _ => Err(Errno::EOPNOTSUPP),
    }
}
