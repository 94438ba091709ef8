//! `memory_op`: what a domain sees where.
//!
//! The upper bits of a command say where a list is to be gone on with; a guest that sets them itself only has its own
//! list done from there.

use super::{After, BATCH, Reply, given, in_out};
use crate::error::{Errno, Result};
use crate::mem::Gfn;
use crate::mem::access::GuestMemory;
use crate::mem::frames::DomId;
use crate::system::domain::E820Entry;
use crate::system::{Caller, Platform};
use alloc::vec::Vec;
use xen_abi::memory::{
    AcquireResource, AddToPhysmap, AddToPhysmapBatch, EXTENT_SHIFT, Exchange, ForeignMemoryMap,
    GRANT_TABLE_STATUS, MemoryMap, RemoveFromPhysmap, Reservation, op, resource, space,
};

/// Most entries of a memory map that is set (`E820MAX`).
const MOST_ENTRIES: u32 = 1024;
/// The largest extent that is given to a domain at once, 2 MiB, and to a privileged one's guests, 1 GiB.
const MOST_ORDER: u32 = 9;
const MOST_ORDER_PRIVILEGED: u32 = 18;

pub(super) fn serve<P: Platform>(
    caller: &mut Caller<'_, P>,
    command: u64,
    arg: u64,
) -> Result<Reply> {
    let start = command >> EXTENT_SHIFT;
    let command = (command & ((1 << EXTENT_SHIFT) - 1)) as u32;
    let lists = matches!(
        command,
        op::INCREASE_RESERVATION
            | op::DECREASE_RESERVATION
            | op::POPULATE_PHYSMAP
            | op::ADD_TO_PHYSMAP
            | op::ADD_TO_PHYSMAP_BATCH
            | op::ACQUIRE_RESOURCE
    );
    if start != 0 && !lists {
        return Err(Errno::EINVAL);
    }
    match command {
        op::INCREASE_RESERVATION | op::DECREASE_RESERVATION | op::POPULATE_PHYSMAP => {
            reservation(caller, command, start, arg)
        }
        op::MAXIMUM_RAM_PAGE => Ok(Reply::Value(caller.system.frames.end())),
        op::CURRENT_RESERVATION | op::MAXIMUM_RESERVATION | op::MAXIMUM_GPFN => {
            let id: DomId = caller.get(arg)?;
            let id = caller.target(id)?;
            let domain = caller.system.domain(id)?;
            Ok(Reply::Value(match command {
                op::CURRENT_RESERVATION => caller.system.current_pages(domain),
                op::MAXIMUM_RESERVATION => domain.config.max_pages,
                _ => domain.max_gfn,
            }))
        }
        op::ADD_TO_PHYSMAP => add_to_physmap(caller, start, arg),
        op::ADD_TO_PHYSMAP_BATCH => add_batch(caller, start, arg),
        op::REMOVE_FROM_PHYSMAP => given(caller, arg, |caller, args: RemoveFromPhysmap| {
            let id = caller.target(args.domid)?;
            caller.system.remove_page(id, Gfn(args.gpfn))
        }),
        op::MEMORY_MAP => in_out(caller, arg, |caller, args: &mut MemoryMap| {
            let map = caller.domain()?.config.memory_map.clone();
            if map.is_empty() {
                return Err(Errno::ENOSYS);
            }
            args.nr_entries = args.nr_entries.min(map.len() as u32);
            write_map(caller, &map[..args.nr_entries as usize], args.buffer)
        }),
        op::MACHINE_MEMORY_MAP if !caller.is_privileged() => Err(Errno::EPERM),
        op::MACHINE_MEMORY_MAP => in_out(caller, arg, |caller, args: &mut MemoryMap| {
            let map = caller.system.host.memory_map.clone();
            if args.buffer != 0 {
                // As in Xen, there must be room for one more than there are.
                if args.nr_entries as usize <= map.len() {
                    return Err(Errno::EINVAL);
                }
                write_map(caller, &map, args.buffer)?;
            }
            args.nr_entries = map.len() as u32;
            Ok(())
        }),
        op::SET_MEMORY_MAP => given(caller, arg, |caller, args: ForeignMemoryMap| {
            if args.map.nr_entries > MOST_ENTRIES {
                return Err(Errno::EINVAL);
            }
            let id = caller.target(args.domid)?;
            let mut map: Vec<E820Entry> = Vec::new();
            for index in 0..args.map.nr_entries {
                map.push(caller.get_at(args.map.buffer, index.into())?);
            }
            caller.system.domain_mut(id)?.config.memory_map = map;
            Ok(())
        }),
        op::EXCHANGE => in_out(caller, arg, exchange),
        op::GET_SHARING_FREED_PAGES | op::GET_SHARING_SHARED_PAGES => Ok(Reply::Value(0)),
        // A claim only keeps memory for a domain that is being built: with one builder at a time it changes nothing
        // but whether the build fails now or later.
        op::CLAIM_PAGES => given(caller, arg, claim),
        op::GET_VNUMAINFO => Err(Errno::EOPNOTSUPP),
        op::RESERVED_DEVICE_MEMORY_MAP => Err(Errno::EOPNOTSUPP),
        op::ACQUIRE_RESOURCE => acquire(caller, start, arg),
        _ => Err(Errno::ENOSYS),
    }
}

fn write_map<P: Platform>(
    caller: &mut Caller<'_, P>,
    map: &[E820Entry],
    buffer: u64,
) -> Result<()> {
    for (index, entry) in map.iter().enumerate() {
        caller.put_at(buffer, index as u64, entry)?;
    }
    Ok(())
}

/// The command for the rest of a list.
fn again(command: u32, done: u64, arg: u64) -> Reply {
    After::Again([u64::from(command) | done << EXTENT_SHIFT, arg, 0, 0, 0]).into()
}

/// These three never fail: they return how many extents were done, also if the argument is bad.
fn reservation<P: Platform>(
    caller: &mut Caller<'_, P>,
    command: u32,
    start: u64,
    arg: u64,
) -> Result<Reply> {
    let nothing = Ok(Reply::Value(start));
    let Ok(args) = caller.get::<Reservation>(arg) else {
        return nothing;
    };
    let most_extents = u64::from(u32::MAX >> EXTENT_SHIFT);
    if args.nr_extents > most_extents || start >= args.nr_extents {
        return nothing;
    }
    let Ok(id) = caller.target(args.domid) else {
        return nothing;
    };
    let most = if caller.is_privileged() {
        MOST_ORDER_PRIVILEGED
    } else {
        MOST_ORDER
    };
    if args.extent_order > most {
        return nothing;
    }
    let bits = args.mem_flags & 0xff;
    if bits != 0 && bits <= crate::mem::PAGE_SHIFT {
        return nothing;
    }
    let below = (bits != 0 && bits < 52).then(|| 1u64 << (bits - crate::mem::PAGE_SHIFT));
    let mut done = start;
    // Larger extents are done one at a time.
    let batch = (BATCH >> args.extent_order).max(1);
    while done < args.nr_extents {
        if done - start == batch {
            return Ok(again(command, done, arg));
        }
        let order = args.extent_order as u8;
        let step = match command {
            op::INCREASE_RESERVATION => increase(caller, id, order, below),
            _ => match caller.get_at::<u64>(args.extent_start, done) {
                Ok(gfn) if command == op::POPULATE_PHYSMAP => {
                    caller.system.populate(id, Gfn(gfn), order, below)
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

/// Frames that a translated domain has no place for yet: they count, and nothing refers to them. Refused, since they
/// could never be reached or given back.
fn increase<P: Platform>(_: &mut Caller<'_, P>, _: DomId, _: u8, _: Option<u64>) -> Result<()> {
    Err(Errno::ENOSYS)
}

fn decrease<P: Platform>(caller: &mut Caller<'_, P>, id: DomId, gfn: u64, order: u8) -> Result<()> {
    for frame in 0..1u64 << order {
        let gfn = gfn.checked_add(frame).ok_or(Errno::EINVAL)?;
        caller.system.remove_page(id, Gfn(gfn))?;
    }
    Ok(())
}

/// Gives extents back and gets others for them. A translated domain knows no machine frames, so what it gets is as
/// good as what it gave: only arguments are looked at. Xen refuses it to translated domains, too.
fn exchange<P: Platform>(caller: &mut Caller<'_, P>, args: &mut Exchange) -> Result<()> {
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
    let most = if caller.is_privileged() {
        MOST_ORDER_PRIVILEGED
    } else {
        MOST_ORDER
    };
    if input.extent_order > most || output.extent_order > most {
        return Err(Errno::EPERM);
    }
    caller.target(input.domid)?;
    Err(Errno::EOPNOTSUPP)
}

fn claim<P: Platform>(caller: &mut Caller<'_, P>, args: Reservation) -> Result<()> {
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
    // Nothing is kept, but what cannot be had is said now.
    let wanted = args
        .nr_extents
        .saturating_sub(caller.system.frames.count_of(id));
    if wanted > caller.system.frames.free_count() {
        return Err(Errno::ENOMEM);
    }
    Ok(())
}

/// Whether what an index counts may be shown to a domain by the caller.
fn check_space<P: Platform>(caller: &Caller<'_, P>, id: DomId, space: u16) -> Result<DomId> {
    caller.named(id)?;
    if space == space::DEV_MMIO {
        // Devices are where the machine has them.
        return Err(Errno::EOPNOTSUPP);
    }
    caller.target(id)
}

fn add_to_physmap<P: Platform>(caller: &mut Caller<'_, P>, start: u64, arg: u64) -> Result<Reply> {
    if start > u64::from(u16::MAX) {
        return Err(Errno::EDOM);
    }
    let args: AddToPhysmap = caller.get(arg)?;
    let Ok(kind) = u16::try_from(args.space) else {
        return Err(Errno::ENOSYS);
    };
    // Other domains' frames only in batches, where there is room to say whose.
    if kind == space::GMFN_FOREIGN {
        return Err(Errno::ENOSYS);
    }
    let id = check_space(caller, args.domid, kind)?;
    if args.gpfn == u64::MAX {
        return Err(Errno::EINVAL);
    }
    if kind != space::GMFN_RANGE {
        add_one(caller, id, kind, 0, args.idx, args.gpfn)?;
        return Ok(Reply::Value(0));
    }
    let size = u64::from(args.size);
    if size < start {
        return Err(Errno::EILSEQ);
    }
    if args.gpfn.checked_add(size).is_none() || args.idx.checked_add(size).is_none() {
        return Err(Errno::EOVERFLOW);
    }
    // A range that moves up over itself is moved from its end.
    let backwards = args.gpfn > args.idx && args.gpfn < args.idx + size;
    for done in start..size {
        if done - start == BATCH {
            return Ok(again(op::ADD_TO_PHYSMAP, done, arg));
        }
        let at = if backwards { size - 1 - done } else { done };
        add_one(caller, id, space::GMFN, 0, args.idx + at, args.gpfn + at)?;
    }
    Ok(Reply::Value(0))
}

fn add_batch<P: Platform>(caller: &mut Caller<'_, P>, start: u64, arg: u64) -> Result<Reply> {
    if start > u64::from(u16::MAX) {
        return Err(Errno::EDOM);
    }
    let args: AddToPhysmapBatch = caller.get(arg)?;
    if args.space == space::GMFN_RANGE {
        return Err(Errno::EOPNOTSUPP);
    }
    let id = check_space(caller, args.domid, args.space)?;
    let size = u64::from(args.size);
    if size < start || (size == start && start != 0) {
        return Err(Errno::EILSEQ);
    }
    for done in start..size {
        if done - start == BATCH {
            return Ok(again(op::ADD_TO_PHYSMAP_BATCH, done, arg));
        }
        let index: u64 = caller.get_at(args.idxs, done)?;
        let gpfn: u64 = caller.get_at(args.gpfns, done)?;
        if gpfn == u64::MAX {
            return Err(Errno::EINVAL);
        }
        let result = add_one(caller, id, args.space, args.foreign_domid, index, gpfn);
        let error = result.err().map_or(0, |errno| -errno.number());
        caller.put_at(args.errs, done, &error)?;
    }
    Ok(Reply::Value(0))
}

fn add_one<P: Platform>(
    caller: &mut Caller<'_, P>,
    id: DomId,
    kind: u16,
    foreign: DomId,
    index: u64,
    gpfn: u64,
) -> Result<()> {
    let gfn = Gfn(gpfn);
    match kind {
        space::SHARED_INFO => {
            if index != 0 {
                return Err(Errno::EINVAL);
            }
            let (frame, old) = &caller.system.domain(id)?.shared_info;
            let (mfn, old) = (frame.mfn(), *old);
            caller.system.show_special(id, gfn, mfn, old)?;
            caller.system.domain_mut(id)?.shared_info.1 = Some(gfn);
            Ok(())
        }
        space::GRANT_TABLE => {
            let status = index & GRANT_TABLE_STATUS != 0;
            caller
                .system
                .show_grant_frame(id, status, index & !GRANT_TABLE_STATUS, gfn)
        }
        space::GMFN => caller.system.move_page(id, Gfn(index), gfn),
        space::GMFN_FOREIGN => {
            let of = caller.named(foreign)?;
            // To map one's own frames a second time is not foreign.
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

fn acquire<P: Platform>(caller: &mut Caller<'_, P>, start: u64, arg: u64) -> Result<Reply> {
    let mut args: AcquireResource = caller.get(arg)?;
    if args.flags != 0 {
        return Err(Errno::EINVAL);
    }
    let of = caller.named(args.domid)?;
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
        args.nr_frames = caller.system.domain(of)?.grants.most_frames(status);
        caller.put(arg, &args)?;
        return Ok(Reply::Value(0));
    }
    let count = u64::from(args.nr_frames);
    args.frame.checked_add(count).ok_or(Errno::EINVAL)?;
    let id = caller.vcpu.domain;
    for done in start..count {
        if done - start == BATCH {
            return Ok(again(op::ACQUIRE_RESOURCE, done, arg));
        }
        let gfn: u64 = caller.get_at(args.frame_list, done)?;
        caller
            .system
            .show_foreign_grant_frame(id, Gfn(gfn), of, status, args.frame + done)?;
    }
    Ok(Reply::Value(0))
}
