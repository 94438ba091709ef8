// SPDX-License-Identifier: GPL-2.0

//! The context of a domain, copied from and to the toolstack.

use crate::error::{Errno, Result};
use crate::mem::access::GuestMemory;
use crate::mem::frames::DomId;
use crate::system::hvm_context::{find_record, is_known};
use crate::system::{Caller, Platform};
use alloc::vec::Vec;
use xen_abi::domctl::{Hvmcontext, HvmcontextPartial};

/// Most bytes of a context. One of 128 vCPUs has less than a quarter of it.
const MAX_CONTEXT: u32 = 1 << 20;

/// `XEN_DOMCTL_gethvmcontext`. No CPU runs the domain's vCPUs. Without a buffer it returns the size alone.
///
/// # Errors
///
/// [`Errno::ENOSPC`] for a buffer that is smaller than any context of the domain may be.
pub(super) fn get<P: Platform>(
    caller: &mut Caller<'_, P>,
    id: DomId,
    args: &mut Hvmcontext,
) -> Result<()> {
    let most = caller.system.hvm_context_size(id)?;
    if args.buffer == 0 {
        args.size = most as u32;
        return Ok(());
    }
    if (args.size as usize) < most {
        return Err(Errno::ENOSPC);
    }
    let context = caller.system.save_hvm_context(id)?;
    args.size = context.len() as u32;
    caller.raw_copy_to_guest(args.buffer, &context)
}

/// `XEN_DOMCTL_sethvmcontext`. No CPU runs the domain's vCPUs.
///
/// # Errors
///
/// [`Errno::ENOMEM`] for a context that is too large, and those of
/// [`load_hvm_context`](crate::system::System::load_hvm_context).
pub(super) fn set<P: Platform>(
    caller: &mut Caller<'_, P>,
    id: DomId,
    args: &Hvmcontext,
) -> Result<()> {
    if args.size > MAX_CONTEXT {
        return Err(Errno::ENOMEM);
    }
    let mut context = Vec::new();
    let size = args.size as usize;
    context.try_reserve_exact(size).map_err(|_| Errno::ENOMEM)?;
    context.resize(size, 0);
    caller.raw_copy_from_guest(args.buffer, &mut context)?;
    caller.system.load_hvm_context(id, &context)
}

/// `XEN_DOMCTL_gethvmcontext_partial`: one record. No CPU runs the domain's vCPUs. Without a buffer it returns the size
/// alone.
///
/// # Errors
///
/// [`Errno::EINVAL`] for an unknown type, [`Errno::ENOENT`] without the vCPU, [`Errno::ENODATA`] for the processor of a
/// vCPU that is down, [`Errno::ENOBUFS`] for a buffer that is too small.
pub(super) fn get_record<P: Platform>(
    caller: &mut Caller<'_, P>,
    id: DomId,
    args: &mut HvmcontextPartial,
) -> Result<()> {
    let typecode = u16::try_from(args.kind).map_err(|_| Errno::EINVAL)?;
    if !is_known(typecode) {
        return Err(Errno::EINVAL);
    }
    let domain = caller.system.domain(id)?;
    domain.vcpu(args.instance).ok_or(Errno::ENOENT)?;
    let context = caller.system.save_hvm_context(id)?;
    let key = (typecode, args.instance as u16);
    let record = find_record(&context, key).ok_or(Errno::ENODATA)?;
    let size = record.len() as u64;
    if args.buffer != 0 {
        if args.bufsz < size {
            return Err(Errno::ENOBUFS);
        }
        caller.raw_copy_to_guest(args.buffer, record)?;
    }
    args.bufsz = size;
    Ok(())
}
