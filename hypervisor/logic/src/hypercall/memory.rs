// SPDX-License-Identifier: GPL-2.0

//! `memory_op`: reservations, the p2m of a domain, memory maps.
//!
//! In a continuation the upper bits of the command are the index of the next item of a list. A guest that sets them
//! itself only has its own list done from there.

mod physmap;
mod reservation;

use super::{Reply, with_arg, with_arg_copyback};
use crate::error::{Errno, Result};
use crate::mem::Gfn;
use crate::mem::frames::DomId;
use crate::system::domain::E820Entry;
use crate::system::{Caller, Platform};
use alloc::vec::Vec;
use xen_abi::memory::{EXTENT_SHIFT, ForeignMemoryMap, MemoryMap, RemoveFromPhysmap, op};

/// Most entries of a memory map that can be set (`E820MAX`).
const MAX_E820_ENTRIES: u32 = 1024;
pub(super) fn do_memory_op<P: Platform>(
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
            reservation::reservation(caller, command, start, arg)
        }
        op::MAXIMUM_RAM_PAGE => Ok(Reply::Value(caller.system.frames.end())),
        op::CURRENT_RESERVATION | op::MAXIMUM_RESERVATION | op::MAXIMUM_GPFN => {
            let id: DomId = caller.read_arg(arg)?;
            let id = caller.target_by_any_id(id)?;
            let domain = caller.system.domain(id)?;
            Ok(Reply::Value(match command {
                op::CURRENT_RESERVATION => caller.system.current_reservation(domain),
                op::MAXIMUM_RESERVATION => domain.config.max_pages,
                _ => domain.max_gfn,
            }))
        }
        op::ADD_TO_PHYSMAP => physmap::add_to_physmap(caller, start, arg),
        op::ADD_TO_PHYSMAP_BATCH => physmap::add_to_physmap_batch(caller, start, arg),
        op::REMOVE_FROM_PHYSMAP => with_arg(caller, arg, |caller, args: RemoveFromPhysmap| {
            let id = caller.target_by_any_id(args.domid)?;
            caller.system.remove_from_physmap(id, Gfn(args.gpfn))
        }),
        op::MEMORY_MAP => with_arg_copyback(caller, arg, |caller, args: &mut MemoryMap| {
            let map = caller.domain()?.config.memory_map.clone();
            if map.is_empty() {
                return Err(Errno::ENOSYS);
            }
            args.nr_entries = args.nr_entries.min(map.len() as u32);
            write_map(caller, &map[..args.nr_entries as usize], args.buffer)
        }),
        op::MACHINE_MEMORY_MAP if !caller.is_privileged() => Err(Errno::EPERM),
        op::MACHINE_MEMORY_MAP => with_arg_copyback(caller, arg, |caller, args: &mut MemoryMap| {
            let map = caller.system.host.memory_map.clone();
            if args.buffer != 0 {
                // As in Xen, the buffer needs room for one entry more than there are.
                if args.nr_entries as usize <= map.len() {
                    return Err(Errno::EINVAL);
                }
                write_map(caller, &map, args.buffer)?;
            }
            args.nr_entries = map.len() as u32;
            Ok(())
        }),
        op::SET_MEMORY_MAP => with_arg(caller, arg, |caller, args: ForeignMemoryMap| {
            if args.map.nr_entries > MAX_E820_ENTRIES {
                return Err(Errno::EINVAL);
            }
            let id = caller.target_by_any_id(args.domid)?;
            let mut map: Vec<E820Entry> = Vec::new();
            for index in 0..args.map.nr_entries {
                map.push(caller.read_arg_at(args.map.buffer, index.into())?);
            }
            caller.system.domain_mut(id)?.config.memory_map = map;
            Ok(())
        }),
        op::EXCHANGE => with_arg_copyback(caller, arg, reservation::exchange),
        op::SET_POD_TARGET | op::GET_POD_TARGET => reservation::pod_target(caller, command, arg),
        op::GET_SHARING_FREED_PAGES | op::GET_SHARING_SHARED_PAGES => Ok(Reply::Value(0)),
        op::CLAIM_PAGES => with_arg(caller, arg, reservation::claim_pages),
        op::GET_VNUMAINFO => Err(Errno::EOPNOTSUPP),
        op::RESERVED_DEVICE_MEMORY_MAP => Err(Errno::EOPNOTSUPP),
        op::ACQUIRE_RESOURCE => physmap::acquire_resource(caller, start, arg),
        _ => Err(Errno::ENOSYS),
    }
}

/// Copies a memory map to an array of the guest.
fn write_map<P: Platform>(
    caller: &mut Caller<'_, P>,
    map: &[E820Entry],
    buffer: u64,
) -> Result<()> {
    for (index, entry) in map.iter().enumerate() {
        caller.write_arg_at(buffer, index as u64, entry)?;
    }
    Ok(())
}

/// Continues with the rest of a list (`hypercall_create_continuation`).
fn create_continuation(command: u32, done: u64, arg: u64) -> Reply {
    Reply::continuation([u64::from(command) | done << EXTENT_SHIFT, arg, 0, 0, 0])
}
