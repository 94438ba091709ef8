// SPDX-License-Identifier: GPL-2.0

//! Adding pages to a domain's p2m.

use super::create_continuation;
use crate::error::{Errno, Result};
use crate::hypercall::{PREEMPT_BATCH, Reply};
use crate::mem::Gfn;
use crate::mem::frames::DomId;
use crate::system::{Caller, Platform};
use xen_abi::compat::Ulong;
use xen_abi::memory::{
    AcquireResource, AddToPhysmap, AddToPhysmapBatch, GRANT_TABLE_STATUS, op, resource, space,
};

/// Checks that the caller may add what a space counts to a domain's p2m, and returns the domain.
fn check_space<P: Platform>(caller: &Caller<'_, P>, id: DomId, space: u16) -> Result<DomId> {
    caller.domain_by_any_id(id)?;
    if space == space::DEV_MMIO {
        // A device is mapped at its own address only.
        return Err(Errno::EOPNOTSUPP);
    }
    caller.target_by_any_id(id)
}

/// `XENMEM_add_to_physmap`.
pub(super) fn add_to_physmap<P: Platform>(
    caller: &mut Caller<'_, P>,
    start: u64,
    arg: u64,
) -> Result<Reply> {
    if start > u64::from(u16::MAX) {
        return Err(Errno::EDOM);
    }
    let args: AddToPhysmap = caller.read_arg(arg)?;
    let Ok(space) = u16::try_from(args.space) else {
        return Err(Errno::ENOSYS);
    };
    // Foreign frames only in batches, whose argument has room for the other domid.
    if space == space::GMFN_FOREIGN {
        return Err(Errno::ENOSYS);
    }
    let id = check_space(caller, args.domid, space)?;
    if args.gpfn == u64::MAX {
        return Err(Errno::EINVAL);
    }
    if space != space::GMFN_RANGE {
        add_to_physmap_one(caller, id, space, 0, args.idx, args.gpfn)?;
        return Ok(Reply::Value(0));
    }
    let size = u64::from(args.size);
    if size < start {
        return Err(Errno::EILSEQ);
    }
    if args.gpfn.checked_add(size).is_none() || args.idx.checked_add(size).is_none() {
        return Err(Errno::EOVERFLOW);
    }
    // A range that overlaps its own start moves from its end.
    let backwards = args.gpfn > args.idx && args.gpfn < args.idx + size;
    for done in start..size {
        if done - start == PREEMPT_BATCH {
            return Ok(create_continuation(op::ADD_TO_PHYSMAP, done, arg));
        }
        caller.system.items_done += 1;
        let at = if backwards { size - 1 - done } else { done };
        add_to_physmap_one(caller, id, space::GMFN, 0, args.idx + at, args.gpfn + at)?;
    }
    Ok(Reply::Value(0))
}

/// `XENMEM_add_to_physmap_batch`.
pub(super) fn add_to_physmap_batch<P: Platform>(
    caller: &mut Caller<'_, P>,
    start: u64,
    arg: u64,
) -> Result<Reply> {
    if start > u64::from(u16::MAX) {
        return Err(Errno::EDOM);
    }
    let args: AddToPhysmapBatch = caller.read_arg(arg)?;
    if args.space == space::GMFN_RANGE {
        return Err(Errno::EOPNOTSUPP);
    }
    let id = check_space(caller, args.domid, args.space)?;
    let size = u64::from(args.size);
    if size < start || (size == start && start != 0) {
        return Err(Errno::EILSEQ);
    }
    for done in start..size {
        if done - start == PREEMPT_BATCH {
            return Ok(create_continuation(op::ADD_TO_PHYSMAP_BATCH, done, arg));
        }
        caller.system.items_done += 1;
        let Ulong(index) = caller.read_arg_at(args.idxs, done)?;
        let Ulong(gpfn) = caller.read_arg_at(args.gpfns, done)?;
        if gpfn == u64::MAX {
            return Err(Errno::EINVAL);
        }
        let result = add_to_physmap_one(caller, id, args.space, args.foreign_domid, index, gpfn);
        let error = result.err().map_or(0, |errno| -errno.number());
        caller.write_arg_at(args.errs, done, &error)?;
    }
    Ok(Reply::Value(0))
}

/// Adds one page to a domain's p2m.
fn add_to_physmap_one<P: Platform>(
    caller: &mut Caller<'_, P>,
    id: DomId,
    space: u16,
    foreign: DomId,
    index: u64,
    gpfn: u64,
) -> Result<()> {
    let gfn = Gfn(gpfn);
    match space {
        space::SHARED_INFO => {
            if index != 0 {
                return Err(Errno::EINVAL);
            }
            let (frame, old) = &caller.system.domain(id)?.shared_info;
            let (mfn, old) = (frame.mfn(), *old);
            caller.system.map_shared_frame(id, gfn, mfn, old)?;
            caller.system.domain_mut(id)?.shared_info.1 = Some(gfn);
            Ok(())
        }
        space::GRANT_TABLE => {
            let status = index & GRANT_TABLE_STATUS != 0;
            caller
                .system
                .map_grant_table_frame(id, status, index & !GRANT_TABLE_STATUS, gfn)
        }
        space::GMFN => caller.system.move_page(id, Gfn(index), gfn),
        space::GMFN_FOREIGN => {
            let of = caller.domain_by_any_id(foreign)?;
            // A domain's own frame is not foreign.
            if of == id {
                return Err(Errno::EINVAL);
            }
            if !caller.is_privileged() {
                return Err(Errno::EPERM);
            }
            caller.system.map_foreign(id, gfn, of, Gfn(index))
        }
        _ => Err(Errno::EINVAL),
    }
}

/// `XENMEM_acquire_resource`, for grant tables.
pub(super) fn acquire_resource<P: Platform>(
    caller: &mut Caller<'_, P>,
    start: u64,
    arg: u64,
) -> Result<Reply> {
    let mut args: AcquireResource = caller.read_arg(arg)?;
    if args.flags != 0 {
        return Err(Errno::EINVAL);
    }
    let of = caller.domain_by_any_id(args.domid)?;
    if of == caller.vcpu.domain || !caller.is_privileged() {
        return Err(Errno::EPERM);
    }
    if args.kind != resource::GRANT_TABLE as u16 {
        return Err(Errno::EOPNOTSUPP);
    }
    let status = match args.id {
        resource::GRANT_TABLE_SHARED => false,
        resource::GRANT_TABLE_STATUS => true,
        _ => return Err(Errno::EINVAL),
    };
    if args.frame_list == 0 {
        if args.nr_frames != 0 {
            return Err(Errno::EINVAL);
        }
        args.nr_frames = caller.system.domain(of)?.grants.max_frames(status);
        caller.write_arg(arg, &args)?;
        return Ok(Reply::Value(0));
    }
    let count = u64::from(args.nr_frames);
    args.frame.checked_add(count).ok_or(Errno::EINVAL)?;
    let id = caller.vcpu.domain;
    for done in start..count {
        if done - start == PREEMPT_BATCH {
            return Ok(create_continuation(op::ACQUIRE_RESOURCE, done, arg));
        }
        caller.system.items_done += 1;
        let Ulong(gfn) = caller.read_arg_at(args.frame_list, done)?;
        caller
            .system
            .acquire_grant_table_frame(id, Gfn(gfn), of, status, args.frame + done)?;
    }
    Ok(Reply::Value(0))
}
