// SPDX-License-Identifier: GPL-2.0

//! `grant_table_op`. Most subcommands report a status in each argument, and the hypercall itself succeeds.

use super::{PREEMPT_BATCH, Reply};
use crate::error::{Errno, Result};
use crate::grant::GnttabResult;
use crate::mem::access::GuestMemory;
use crate::mem::frames::DomId;
use crate::system::{Caller, Platform};
use xen_abi::grant_table::op::{
    self, Copy, GetVersion, MapGrantRef, QuerySize, SetVersion, SetupTable, SwapGrantRef,
    UnmapGrantRef,
};
use xen_abi::grant_table::status;
use zerocopy::{FromBytes, Immutable, IntoBytes};

pub(super) fn do_grant_table_op<P: Platform>(
    caller: &mut Caller<'_, P>,
    command: u32,
    arg: u64,
    count: u32,
) -> Result<Reply> {
    let id = caller.vcpu.domain;
    let known = matches!(
        command,
        op::QUERY_SIZE
            | op::SETUP_TABLE
            | op::SET_VERSION
            | op::GET_VERSION
            | op::COPY
            | op::MAP_GRANT_REF
            | op::UNMAP_GRANT_REF
            | op::SWAP_GRANT_REF
    );
    // The others are for PV domains, which know machine frames: Xen refuses them to translated domains.
    if !known {
        return Err(Errno::ENOSYS);
    }
    if count > i32::MAX as u32 {
        return Err(Errno::EINVAL);
    }
    match command {
        op::MAP_GRANT_REF => for_each_argument(
            caller,
            command,
            arg,
            count,
            |caller, args: &mut MapGrantRef| {
                args.status = status_of(caller.system.map_grant(id, args));
            },
        ),
        op::UNMAP_GRANT_REF => for_each_argument(
            caller,
            command,
            arg,
            count,
            |caller, args: &mut UnmapGrantRef| {
                args.status = status_of(caller.system.unmap_grant(id, args));
            },
        ),
        op::COPY => for_each_argument(caller, command, arg, count, |caller, args: &mut Copy| {
            args.status = status_of(caller.system.grant_copy(id, args));
        }),
        op::SWAP_GRANT_REF => for_each_argument(
            caller,
            command,
            arg,
            count,
            |caller, args: &mut SwapGrantRef| {
                args.status = status_of(caller.system.swap_grant_refs(id, args.ref_a, args.ref_b));
            },
        ),
        op::SET_VERSION => set_version(caller, arg),
        op::GET_VERSION => {
            let mut args: GetVersion = caller.copy_from_guest(arg)?;
            let of = caller.target_by_any_id(args.dom)?;
            args.version = caller.system.domain(of)?.grants.version();
            caller.copy_to_guest(arg, &args)?;
            Ok(Reply::Value(0))
        }
        _ if count != 1 => Err(Errno::EINVAL),
        op::SETUP_TABLE => setup_table(caller, arg),
        _ => query_size(caller, arg),
    }
}

/// The `GNTST_*` code of a result.
fn status_of(result: GnttabResult<()>) -> i16 {
    result.err().map_or(status::OKAY, |error| error.0)
}

/// Does a list of arguments, each with a status of its own, and preempts after a batch.
fn for_each_argument<P: Platform, T: FromBytes + IntoBytes + Immutable>(
    caller: &mut Caller<'_, P>,
    command: u32,
    arg: u64,
    count: u32,
    mut work: impl FnMut(&mut Caller<'_, P>, &mut T),
) -> Result<Reply> {
    let count = u64::from(count);
    for index in 0..count.min(PREEMPT_BATCH) {
        let mut args: T = caller.copy_from_guest_offset(arg, index)?;
        work(caller, &mut args);
        caller.copy_to_guest_offset(arg, index, &args)?;
    }
    if count <= PREEMPT_BATCH {
        return Ok(Reply::Value(0));
    }
    let rest = arg
        .checked_add(PREEMPT_BATCH * size_of::<T>() as u64)
        .ok_or(Errno::EFAULT)?;
    Ok(Reply::continuation([
        command.into(),
        rest,
        count - PREEMPT_BATCH,
        0,
        0,
    ]))
}

/// The domain that an argument names, or the status that tells why there is none.
fn target_or_status<P: Platform>(
    caller: &Caller<'_, P>,
    domain: DomId,
) -> core::result::Result<DomId, i16> {
    match caller.target_by_any_id(domain) {
        Ok(id) => Ok(id),
        Err(Errno::EPERM) => Err(status::PERMISSION_DENIED),
        Err(_) => Err(status::BAD_DOMAIN),
    }
}

fn setup_table<P: Platform>(caller: &mut Caller<'_, P>, arg: u64) -> Result<Reply> {
    let mut args: SetupTable = caller.copy_from_guest(arg)?;
    args.status = match target_or_status(caller, args.dom) {
        Err(status) => status,
        Ok(id) if caller.system.grow_grant_table(id, args.nr_frames).is_err() => {
            status::GENERAL_ERROR
        }
        Ok(id) => {
            let mut done = status::OKAY;
            for index in 0..args.nr_frames {
                let frames = caller.system.domain(id)?.grants.frames(false);
                let gfn = frames.get(index as usize).and_then(|(_, gfn)| *gfn);
                // All ones for a frame that the domain does not map.
                let gfn = gfn.map_or(u64::MAX, |gfn| gfn.0);
                if caller
                    .copy_to_guest_offset(args.frame_list, index.into(), &gfn)
                    .is_err()
                {
                    done = status::BAD_VIRT_ADDR;
                    break;
                }
            }
            done
        }
    };
    caller.copy_to_guest(arg, &args)?;
    Ok(Reply::Value(0))
}

fn query_size<P: Platform>(caller: &mut Caller<'_, P>, arg: u64) -> Result<Reply> {
    let mut args: QuerySize = caller.copy_from_guest(arg)?;
    args.status = match target_or_status(caller, args.dom) {
        Err(status) => status,
        Ok(id) => {
            let table = &caller.system.domain(id)?.grants;
            args.nr_frames = table.frames(false).len() as u32;
            args.max_nr_frames = table.max_frames(false);
            status::OKAY
        }
    };
    caller.copy_to_guest(arg, &args)?;
    Ok(Reply::Value(0))
}

/// Returns the present version, also if it could not be changed.
fn set_version<P: Platform>(caller: &mut Caller<'_, P>, arg: u64) -> Result<Reply> {
    let mut args: SetVersion = caller.copy_from_guest(arg)?;
    let id = caller.vcpu.domain;
    let result = caller.system.set_grant_version(id, args.version);
    args.version = caller.system.domain(id)?.grants.version();
    caller.copy_to_guest(arg, &args)?;
    result.map(Reply::from)
}
