//! `grant_table_op`. Most commands have a status an argument and succeed as calls.

use super::{After, BATCH, Reply};
use crate::error::{Errno, Result};
use crate::grant::Outcome;
use crate::mem::access::GuestMemory;
use crate::mem::frames::DomId;
use crate::system::{Caller, Platform};
use xen_abi::grant_table::op::{
    self, Copy, GetVersion, MapGrantRef, QuerySize, SetVersion, SetupTable, SwapGrantRef,
    UnmapGrantRef,
};
use xen_abi::grant_table::status;
use zerocopy::{FromBytes, Immutable, IntoBytes};

pub(super) fn serve<P: Platform>(
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
    // The others are for PV domains, which own machine frames: Xen refuses them to translated ones.
    if !known {
        return Err(Errno::ENOSYS);
    }
    if count > i32::MAX as u32 {
        return Err(Errno::EINVAL);
    }
    match command {
        op::MAP_GRANT_REF => each(
            caller,
            command,
            arg,
            count,
            |caller, args: &mut MapGrantRef| {
                args.status = said(caller.system.map_grant(id, args));
            },
        ),
        op::UNMAP_GRANT_REF => each(
            caller,
            command,
            arg,
            count,
            |caller, args: &mut UnmapGrantRef| {
                args.status = said(caller.system.unmap_grant(id, args));
            },
        ),
        op::COPY => each(caller, command, arg, count, |caller, args: &mut Copy| {
            args.status = said(caller.system.copy_granted(id, args));
        }),
        op::SWAP_GRANT_REF => each(
            caller,
            command,
            arg,
            count,
            |caller, args: &mut SwapGrantRef| {
                args.status = said(caller.system.swap_grants(id, args.ref_a, args.ref_b));
            },
        ),
        op::SET_VERSION => set_version(caller, arg),
        op::GET_VERSION => {
            let mut args: GetVersion = caller.get(arg)?;
            let of = caller.target(args.dom)?;
            args.version = caller.system.domain(of)?.grants.version();
            caller.put(arg, &args)?;
            Ok(Reply::Value(0))
        }
        _ if count != 1 => Err(Errno::EINVAL),
        op::SETUP_TABLE => setup_table(caller, arg),
        _ => query_size(caller, arg),
    }
}

fn said(outcome: Outcome<()>) -> i16 {
    outcome.err().map_or(status::OKAY, |failed| failed.0)
}

/// Does a list of arguments, each with a status of its own.
fn each<P: Platform, T: FromBytes + IntoBytes + Immutable>(
    caller: &mut Caller<'_, P>,
    command: u32,
    arg: u64,
    count: u32,
    mut work: impl FnMut(&mut Caller<'_, P>, &mut T),
) -> Result<Reply> {
    let count = u64::from(count);
    for index in 0..count.min(BATCH) {
        let mut args: T = caller.get_at(arg, index)?;
        work(caller, &mut args);
        caller.put_at(arg, index, &args)?;
    }
    if count <= BATCH {
        return Ok(Reply::Value(0));
    }
    let rest = arg
        .checked_add(BATCH * size_of::<T>() as u64)
        .ok_or(Errno::EFAULT)?;
    Ok(After::Again([command.into(), rest, count - BATCH, 0, 0]).into())
}

/// The domain an argument means, or the status that says why not.
fn whose<P: Platform>(caller: &Caller<'_, P>, domain: DomId) -> core::result::Result<DomId, i16> {
    match caller.target(domain) {
        Ok(id) => Ok(id),
        Err(Errno::EPERM) => Err(status::PERMISSION_DENIED),
        Err(_) => Err(status::BAD_DOMAIN),
    }
}

fn setup_table<P: Platform>(caller: &mut Caller<'_, P>, arg: u64) -> Result<Reply> {
    let mut args: SetupTable = caller.get(arg)?;
    args.status = match whose(caller, args.dom) {
        Err(status) => status,
        Ok(id) if caller.system.grow_grants(id, args.nr_frames).is_err() => status::GENERAL_ERROR,
        Ok(id) => {
            let mut done = status::OKAY;
            for index in 0..args.nr_frames {
                let frames = caller.system.domain(id)?.grants.frames(false);
                let place = frames.get(index as usize).and_then(|(_, place)| *place);
                // Where the domain does not see it, there is no number.
                let gfn = place.map_or(u64::MAX, |gfn| gfn.0);
                if caller.put_at(args.frame_list, index.into(), &gfn).is_err() {
                    done = status::BAD_VIRT_ADDR;
                    break;
                }
            }
            done
        }
    };
    caller.put(arg, &args)?;
    Ok(Reply::Value(0))
}

fn query_size<P: Platform>(caller: &mut Caller<'_, P>, arg: u64) -> Result<Reply> {
    let mut args: QuerySize = caller.get(arg)?;
    args.status = match whose(caller, args.dom) {
        Err(status) => status,
        Ok(id) => {
            let table = &caller.system.domain(id)?.grants;
            args.nr_frames = table.frames(false).len() as u32;
            args.max_nr_frames = table.most_frames(false);
            status::OKAY
        }
    };
    caller.put(arg, &args)?;
    Ok(Reply::Value(0))
}

/// The version that is, is told even if it is not the wanted one.
fn set_version<P: Platform>(caller: &mut Caller<'_, P>, arg: u64) -> Result<Reply> {
    let mut args: SetVersion = caller.get(arg)?;
    let id = caller.vcpu.domain;
    let result = caller.system.set_grant_version(id, args.version);
    args.version = caller.system.domain(id)?.grants.version();
    caller.put(arg, &args)?;
    result.map(Reply::from)
}
