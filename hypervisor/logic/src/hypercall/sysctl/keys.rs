// SPDX-License-Identifier: GPL-2.0

//! `XEN_SYSCTL_debug_keys`, which is `xl debug-keys`: each key has the hypervisor log something about its state. A key
//! without a meaning is ignored, as in Xen.

use crate::error::{Errno, Result};
use crate::hypercall::Reply;
use crate::mem::access::NativeStructures;
use crate::mem::frames::DomId;
use crate::system::{Caller, Platform, System};
use alloc::vec::Vec;
use xen_abi::sysctl::DebugKeys;

/// Most keys of a call: what they log is short, but the console is slow. Xen has no limit, and the toolstack sends a
/// word's.
const MAX_KEYS: u32 = 64;

/// Presses keys.
pub(super) fn press<P: Platform>(caller: &mut Caller<'_, P>, args: &DebugKeys) -> Result<Reply> {
    if args.nr_keys > MAX_KEYS {
        return Err(Errno::E2BIG);
    }
    for index in 0..args.nr_keys {
        let key: u8 = caller.copy_from_guest_offset(args.keys, index.into())?;
        match key {
            b'h' => help(caller.system),
            b'm' => memory(caller.system),
            b'q' => domains(caller.system),
            // The machine's own, and those without a meaning.
            key => caller.system.platform.debug_key(key),
        }
    }
    Ok(Reply::Value(0))
}

fn help<P: Platform>(system: &mut System<P>) {
    for line in [
        "'h' (ascii '68') => show this message",
        "'l' (ascii '6c') => print lock profile info",
        "'L' (ascii '4c') => reset lock profile info",
        "'m' (ascii '6d') => memory info",
        "'q' (ascii '71') => dump domain (and guest debug) info",
    ] {
        system.platform.printk(format_args!("{line}"));
    }
}

fn memory<P: Platform>(system: &mut System<P>) {
    let frames = &system.frames;
    let (total, free) = (frames.total(), frames.free_count());
    let (claimed, left) = (frames.outstanding_claims(), system.heap_budget.left());
    let used = system.platform.heap_used();
    system.platform.printk(format_args!(
        "memory: {total} pages, {free} free, {claimed} claimed; {used} bytes of the heap used, {left} left to guests"
    ));
}

fn domains<P: Platform>(system: &mut System<P>) {
    let ids: Vec<DomId> = system.domains.keys().copied().collect();
    for id in ids {
        let Some(domain) = system.domains.get(&id) else {
            continue;
        };
        let pages = system.frames.tot_pages(id);
        system.platform.printk(format_args!(
            "d{id}: {:?}, paused {} times, shutdown {:?}, {pages} of {} pages, {} pages for tables, {} populated on demand",
            domain.life(),
            domain.controller_pause_count,
            domain.shutdown,
            domain.config.max_pages,
            domain.paging_pool.len(),
            domain.on_demand.entries,
        ));
        for (vcpu, number) in domain.vcpus.iter().zip(0u32..) {
            system.platform.printk(format_args!(
                "d{id}v{number}: {:?} on CPU {}{}{}",
                vcpu.runstate.state(),
                vcpu.cpu,
                if vcpu.is_down() { ", down" } else { "" },
                if vcpu.poll.is_some() { ", polls" } else { "" },
            ));
        }
    }
}
