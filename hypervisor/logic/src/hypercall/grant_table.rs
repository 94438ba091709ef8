// SPDX-License-Identifier: GPL-2.0

//! `grant_table_op`. Most subcommands report a status in each argument, and the hypercall itself succeeds.

use super::commands::Commands;
use super::{Reply, nr};
use crate::error::{Errno, Result};
use crate::mem::frames::DomId;
use crate::system::{Caller, Platform};
use xen_abi::command::grant_table::{
    Copy, GetVersion, MapGrantRef, QuerySize, SetVersion, SetupTable, SwapGrantRef, UnmapGrantRef,
};
use xen_abi::compat::Ulong;
use xen_abi::grant_table::{op, status};

/// The others are for PV domains, which know machine frames: Xen refuses them to translated domains.
pub(super) fn do_grant_table_op<P: Platform>(
    caller: &mut Caller<'_, P>,
    command: u32,
    arg: u64,
    count: u32,
) -> Result<Reply> {
    let id = caller.vcpu.domain;
    let require = |is_met: bool| if is_met { Ok(()) } else { Err(Errno::EINVAL) };
    Commands::<P, { nr::GRANT_TABLE_OP }>::new(caller, command, arg)
        .require(require(count <= i32::MAX as u32))
        .serve_list::<MapGrantRef>(count, |caller, args| caller.system.map_grant(id, args))
        .serve_list::<UnmapGrantRef>(count, |caller, args| caller.system.unmap_grant(id, args))
        .serve_list::<Copy>(count, |caller, args| caller.system.grant_copy(id, args))
        .serve_list::<SwapGrantRef>(count, |caller, args| {
            caller.system.swap_grant_refs(id, args.ref_a, args.ref_b)
        })
        .serve_at::<SetVersion>(set_version)
        .serve::<GetVersion>(|caller, args| {
            let of = caller.target_by_any_id(args.dom)?;
            args.version = caller.system.domain(of)?.grants.version();
            Ok(())
        })
        .require(require(count == 1))
        .serve_with_status::<SetupTable>(setup_table)
        .serve_with_status::<QuerySize>(query_size)
        .reply()
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

fn setup_table<P: Platform>(caller: &mut Caller<'_, P>, args: &mut op::SetupTable) -> Result<i16> {
    let id = match target_or_status(caller, args.dom) {
        Err(status) => return Ok(status),
        Ok(id) => id,
    };
    if caller.system.grow_grant_table(id, args.nr_frames).is_err() {
        return Ok(status::GENERAL_ERROR);
    }
    for index in 0..args.nr_frames {
        let frames = caller.system.domain(id)?.grants.frames(false);
        let gfn = frames.get(index as usize).and_then(|(_, gfn)| *gfn);
        // All ones for a frame that the domain does not map, for which 32-bit code has no room, as in Xen.
        let gfn = Ulong(gfn.map_or(u64::MAX, |gfn| gfn.0));
        match caller.write_arg_at(args.frame_list, index.into(), &gfn) {
            Ok(()) => {}
            Err(Errno::EOVERFLOW) => return Ok(status::ADDRESS_TOO_BIG),
            Err(_) => return Ok(status::BAD_VIRT_ADDR),
        }
    }
    Ok(status::OKAY)
}

fn query_size<P: Platform>(caller: &mut Caller<'_, P>, args: &mut op::QuerySize) -> Result<i16> {
    let id = match target_or_status(caller, args.dom) {
        Err(status) => return Ok(status),
        Ok(id) => id,
    };
    let table = &caller.system.domain(id)?.grants;
    args.nr_frames = table.frames(false).len() as u32;
    args.max_nr_frames = table.max_frames(false);
    Ok(status::OKAY)
}

/// Returns the present version, also if it could not be changed.
fn set_version<P: Platform>(caller: &mut Caller<'_, P>, arg: u64) -> Result<Reply> {
    let mut args: op::SetVersion = caller.read_arg(arg)?;
    let id = caller.vcpu.domain;
    let is_refused = args.version == 2 && caller.domain()?.config.max_grant_version < 2;
    let result = match is_refused {
        // As before there was a second version.
        true => Err(Errno::ENOSYS),
        false => caller.system.set_grant_version(id, args.version),
    };
    args.version = caller.system.domain(id)?.grants.version();
    caller.write_arg(arg, &args)?;
    result.map(Reply::from)
}
