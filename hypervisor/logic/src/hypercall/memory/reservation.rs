// SPDX-License-Identifier: GPL-2.0

//! A domain's reservation: memory that it gets and gives back.

use super::create_continuation;
use crate::error::{Errno, Result};
use crate::hypercall::{PREEMPT_BATCH, Reply};
use crate::mem::Gfn;
use crate::mem::frames::DomId;
use crate::system::{Caller, Platform};
use xen_abi::compat::Ulong;
use xen_abi::memory::{EXTENT_SHIFT, Exchange, PodTarget, Reservation, memf, op};

/// Largest extent order for an unprivileged caller: 2 MiB.
const MAX_ORDER_DOMU: u32 = 9;
/// Largest extent order for a privileged caller: 1 GiB.
const MAX_ORDER_PRIVILEGED: u32 = 18;
/// Largest extent order of memory that is populated: 2 MiB. It is cleared while the system is locked. libxc tries 1 GiB
/// first and falls back to this.
const MAX_ORDER_POPULATE: u32 = 9;

/// `XENMEM_increase_reservation`, `_decrease_reservation` and `_populate_physmap`. They never fail: they return how
/// many extents were done, also if the argument is bad.
pub(super) fn reservation<P: Platform>(
    caller: &mut Caller<'_, P>,
    command: u32,
    start: u64,
    arg: u64,
) -> Result<Reply> {
    let nothing = Ok(Reply::Value(start));
    let Ok(args) = caller.read_arg::<Reservation>(arg) else {
        return nothing;
    };
    let max_extents = u64::from(u32::MAX >> EXTENT_SHIFT);
    if args.nr_extents > max_extents || start >= args.nr_extents {
        return nothing;
    }
    let Ok(id) = caller.target_by_any_id(args.domid) else {
        return nothing;
    };
    let max_order = if caller.is_privileged() {
        MAX_ORDER_PRIVILEGED
    } else {
        MAX_ORDER_DOMU
    };
    let max_order = match command {
        op::POPULATE_PHYSMAP => max_order.min(MAX_ORDER_POPULATE),
        _ => max_order,
    };
    if args.extent_order > max_order {
        return nothing;
    }
    let on_demand = args.mem_flags & memf::POPULATE_ON_DEMAND != 0;
    // A domain that runs cannot have its own memory marked.
    if on_demand && id == caller.vcpu.domain {
        return nothing;
    }
    let bits = args.mem_flags & 0xff;
    if bits != 0 && bits <= crate::mem::PAGE_SHIFT {
        return nothing;
    }
    let below = (bits != 0 && bits < 52).then(|| 1u64 << (bits - crate::mem::PAGE_SHIFT));
    let mut done = start;
    // With large extents, a batch is a single one.
    let batch = (PREEMPT_BATCH >> args.extent_order).max(1);
    while done < args.nr_extents {
        if done - start == batch {
            return Ok(create_continuation(command, done, arg));
        }
        let order = args.extent_order as u8;
        caller.system.items_done += 1 << order;
        let step = match command {
            // A translated domain would get frames without a gfn: it could never use them or give them back.
            op::INCREASE_RESERVATION => Err(Errno::ENOSYS),
            _ => match caller.read_arg_at::<Ulong>(args.extent_start, done) {
                Ok(Ulong(gfn)) if command == op::POPULATE_PHYSMAP && on_demand => {
                    caller.system.mark_populate_on_demand(id, Gfn(gfn), order)
                }
                Ok(Ulong(gfn)) if command == op::POPULATE_PHYSMAP => {
                    caller.system.populate_physmap(id, Gfn(gfn), order, below)
                }
                Ok(Ulong(gfn)) => decrease(caller, id, gfn, order),
                Err(errno) => Err(errno),
            },
        };
        if step.is_err() {
            break;
        }
        done += 1;
    }
    Ok(Reply::Value(done))
}

/// Unmaps one extent.
fn decrease<P: Platform>(caller: &mut Caller<'_, P>, id: DomId, gfn: u64, order: u8) -> Result<()> {
    for frame in 0..1u64 << order {
        let gfn = gfn.checked_add(frame).ok_or(Errno::EINVAL)?;
        caller.system.remove_from_physmap(id, Gfn(gfn))?;
    }
    Ok(())
}

/// `XENMEM_exchange`: only checks the argument. A translated domain does not know its mfns, so it has nothing to
/// exchange; Xen refuses it as well.
pub(super) fn exchange<P: Platform>(caller: &mut Caller<'_, P>, args: &mut Exchange) -> Result<()> {
    let (input, output) = (args.input, args.output);
    let frames = |r: &Reservation| {
        r.nr_extents
            .checked_shl(r.extent_order)
            .filter(|f| f >> r.extent_order == r.nr_extents)
    };
    let consistent = args.nr_exchanged <= input.nr_extents
        && input.extent_order < 64
        && output.extent_order < 64
        && input.domid == output.domid
        && frames(&input).is_some()
        && frames(&input) == frames(&output);
    if !consistent {
        return Err(Errno::EINVAL);
    }
    let max_order = if caller.is_privileged() {
        MAX_ORDER_PRIVILEGED
    } else {
        MAX_ORDER_DOMU
    };
    if input.extent_order > max_order || output.extent_order > max_order {
        return Err(Errno::EPERM);
    }
    caller.target_by_any_id(input.domid)?;
    Err(Errno::EOPNOTSUPP)
}

/// `XENMEM_claim_pages`: keeps free memory for a domain that is to be built, until it has as many pages. No pages cancel a
/// claim.
///
/// # Errors
///
/// [`Errno::EINVAL`] if the domain has a claim, or as many pages already, or may not have as many, [`Errno::ENOMEM`] if there
/// is not as much memory that nobody has claimed.
pub(super) fn claim_pages<P: Platform>(
    caller: &mut Caller<'_, P>,
    args: Reservation,
) -> Result<()> {
    if args.extent_start != 0 || args.extent_order != 0 || args.mem_flags != 0 {
        return Err(Errno::EINVAL);
    }
    let domain = caller.system.domain(args.domid);
    let id = domain.map_err(|_| Errno::EINVAL)?.id();
    if !caller.is_privileged() {
        return Err(Errno::EPERM);
    }
    let max_pages = caller.system.living_domain(id)?.config.max_pages;
    let frames = &mut caller.system.frames;
    let pages = args.nr_extents;
    if pages == 0 {
        frames.set_claim(id, 0);
        return Ok(());
    }
    let present = frames.tot_pages(id);
    if frames.claim_of(id) > 0 || pages <= present || pages > max_pages {
        return Err(Errno::EINVAL);
    }
    match frames.set_claim(id, pages - present) {
        true => Ok(()),
        false => Err(Errno::ENOMEM),
    }
}

/// `XENMEM_set_pod_target` and `_get_pod_target`, which `xl mem-set` makes of every domain. Where nothing is populated on
/// demand, a target changes nothing: the domain's balloon driver gives pages back or takes them.
///
/// # Errors
///
/// [`Errno::EPERM`] without privilege, [`Errno::EINVAL`] for more than the domain may have, [`Errno::ENOMEM`] without free
/// memory.
pub(super) fn pod_target<P: Platform>(
    caller: &mut Caller<'_, P>,
    command: u32,
    arg: u64,
) -> Result<Reply> {
    let mut args: PodTarget = caller.read_arg(arg)?;
    let id = caller.domain_by_any_id(args.domid)?;
    if !caller.is_privileged() {
        return Err(Errno::EPERM);
    }
    if command == op::SET_POD_TARGET {
        if args.target_pages > caller.system.domain(id)?.config.max_pages {
            return Err(Errno::EINVAL);
        }
        if !caller.system.set_pod_target(id, args.target_pages)? {
            return Ok(create_continuation(command, 0, arg));
        }
    }
    args.tot_pages = caller.system.frames.tot_pages(id);
    let on_demand = &caller.system.domain(id)?.on_demand;
    (args.pod_cache_pages, args.pod_entries) = (on_demand.cache.count(), on_demand.entries);
    caller.write_arg(arg, &args)?;
    Ok(Reply::Value(0))
}
