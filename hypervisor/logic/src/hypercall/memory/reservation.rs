// SPDX-License-Identifier: GPL-2.0

//! A domain's reservation: memory that it gets and gives back.

use super::create_continuation;
use crate::error::{Errno, Result};
use crate::hypercall::{PREEMPT_BATCH, Reply};
use crate::mem::Gfn;
use crate::mem::access::GuestMemory;
use crate::mem::frames::DomId;
use crate::system::{Caller, Platform};
use xen_abi::memory::{EXTENT_SHIFT, Exchange, Reservation, op};

/// Largest extent order for an unprivileged caller: 2 MiB.
const MAX_ORDER_DOMU: u32 = 9;
/// Largest extent order for a privileged caller: 1 GiB.
const MAX_ORDER_PRIVILEGED: u32 = 18;

/// `XENMEM_increase_reservation`, `_decrease_reservation` and `_populate_physmap`. They never fail: they return how
/// many extents were done, also if the argument is bad.
pub(super) fn reservation<P: Platform>(
    caller: &mut Caller<'_, P>,
    command: u32,
    start: u64,
    arg: u64,
) -> Result<Reply> {
    let nothing = Ok(Reply::Value(start));
    let Ok(args) = caller.copy_from_guest::<Reservation>(arg) else {
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
    if args.extent_order > max_order {
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
        let step = match command {
            // A translated domain would get frames without a gfn: it could never use them or give them back.
            op::INCREASE_RESERVATION => Err(Errno::ENOSYS),
            _ => match caller.copy_from_guest_offset::<u64>(args.extent_start, done) {
                Ok(gfn) if command == op::POPULATE_PHYSMAP => {
                    caller.system.populate_physmap(id, Gfn(gfn), order, below)
                }
                Ok(gfn) => decrease(caller, id, gfn, order),
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

/// `XENMEM_claim_pages`: reserves nothing, but fails now if the memory is not there.
pub(super) fn claim_pages<P: Platform>(
    caller: &mut Caller<'_, P>,
    args: Reservation,
) -> Result<()> {
    if args.extent_start != 0 || args.extent_order != 0 || args.mem_flags != 0 {
        return Err(Errno::EINVAL);
    }
    let id = caller
        .system
        .domain(args.domid)
        .map_err(|_| Errno::EINVAL)?
        .id();
    if !caller.is_privileged() {
        return Err(Errno::EPERM);
    }
    let missing = args
        .nr_extents
        .saturating_sub(caller.system.frames.tot_pages(id));
    if missing > caller.system.frames.free_count() {
        return Err(Errno::ENOMEM);
    }
    Ok(())
}
