// SPDX-License-Identifier: GPL-2.0

//! What the toolstack asks about domains and vCPUs.

use crate::error::{Errno, Result};
use crate::hypercall::PREEMPT_BATCH;
use crate::mem::access::NativeStructures;
use crate::mem::frames::DomId;
use crate::mem::{Gfn, Owner};
use crate::system::domain::LifeStage;
use crate::system::vcpu::{Runstate, Vcpu, VcpuId};
use crate::system::{Caller, Platform, System};
use xen_abi::domctl::{Getdomaininfo, Getpageframeinfo3, Getvcpuinfo, dominf, pfinfo};

/// Bits of a guest-physical address that nested page tables reach.
const ADDRESS_BITS: u8 = 48;
/// Most pages whose types are asked for at once.
const MAX_PAGE_TYPES: u64 = 1024;

/// `XEN_DOMCTL_getvcpuinfo`.
///
/// # Errors
///
/// [`Errno::EINVAL`] for a vCPU that the domain may not have, [`Errno::ESRCH`] for one that was not made.
pub(super) fn vcpu_info<P: Platform>(
    system: &System<P>,
    id: DomId,
    args: &mut Getvcpuinfo,
) -> Result<()> {
    let now = system.platform.now();
    let domain = system.domain(id)?;
    if args.vcpu >= domain.config.max_vcpus {
        return Err(Errno::EINVAL);
    }
    let state = domain.vcpu(args.vcpu).ok_or(Errno::ESRCH)?;
    args.online = u8::from(!state.down);
    args.blocked = u8::from(is_blocked(system, domain.vcpu_id(args.vcpu), state));
    args.running = u8::from(state.runstate.state() == Runstate::Running);
    args.cpu_time = state.runstate.spent(Runstate::Running, now);
    args.cpu = state.cpu;
    Ok(())
}

/// Whether a vCPU waits for an event, and not for a CPU.
fn is_blocked<P: Platform>(system: &System<P>, id: VcpuId, vcpu: &Vcpu) -> bool {
    vcpu.runstate.state() == Runstate::Blocked && !system.platform.vcpu_is_woken(id)
}

/// `XEN_DOMCTL_getdomaininfo` of one domain.
pub(in crate::hypercall) fn domain_info<P: Platform>(
    system: &System<P>,
    id: DomId,
) -> Result<Getdomaininfo> {
    let domain = system.domain(id)?;
    let now = system.platform.now();
    let mut info = Getdomaininfo {
        domain: id,
        max_vcpu_id: u32::MAX,
        tot_pages: system.current_reservation(domain),
        max_pages: domain.config.max_pages,
        outstanding_pages: system.frames.claim_of(id),
        shared_info_frame: domain.shared_info.1.map_or(u64::MAX, |gfn| gfn.0),
        handle: domain.config.handle,
        gpaddr_bits: ADDRESS_BITS,
        emulation_flags: domain.config.emulation_flags,
        ..Getdomaininfo::default()
    };
    let mut flags = dominf::BLOCKED;
    for (number, vcpu) in domain.vcpus.iter().enumerate() {
        info.cpu_time += vcpu.runstate.spent(Runstate::Running, now);
        info.max_vcpu_id = number as u32;
        if vcpu.down {
            continue;
        }
        info.nr_online_vcpus += 1;
        if !is_blocked(system, domain.vcpu_id(number as u32), vcpu) {
            flags &= !dominf::BLOCKED;
        }
        if vcpu.runstate.state() == Runstate::Running {
            flags |= dominf::RUNNING;
        }
    }
    if info.nr_online_vcpus == 0 {
        flags = 0;
    }
    flags |= dominf::HVM_GUEST | dominf::HAP;
    if domain.config.is_xenstore {
        flags |= dominf::XS_DOMAIN;
    }
    if domain.life() == LifeStage::Dead {
        flags |= dominf::DYING;
    }
    if domain.controller_pause_count > 0 {
        flags |= dominf::PAUSED;
    }
    // All ones stand for "no reason yet".
    let code = domain.shutdown.or(domain.shutdown_code).unwrap_or(u8::MAX);
    if domain.shutdown.is_some() {
        flags |= dominf::SHUTDOWN;
    }
    info.flags = flags | u32::from(code) << dominf::SHUTDOWN_SHIFT;
    Ok(info)
}

/// `XEN_DOMCTL_getpageframeinfo3`: which of some gfns are memory of the domain, to be saved. Returns what is left if it
/// was preempted.
///
/// # Errors
///
/// [`Errno::E2BIG`] for more than 1024 pages.
pub(super) fn page_types<P: Platform>(
    caller: &mut Caller<'_, P>,
    id: DomId,
    args: Getpageframeinfo3,
) -> Result<Option<Getpageframeinfo3>> {
    if args.num > MAX_PAGE_TYPES {
        return Err(Errno::E2BIG);
    }
    let done = args.num.min(PREEMPT_BATCH);
    for index in 0..done {
        let gfn: u64 = caller.copy_from_guest_offset(args.array, index)?;
        let entry = caller.system.get_gfn(id, Gfn(gfn), false);
        let is_memory = entry.is_some_and(|entry| {
            entry.p2mt.is_ram() && caller.system.frames.owner(entry.mfn) == Owner::Domain(id)
        });
        let kind = if is_memory {
            pfinfo::NOTAB
        } else {
            pfinfo::XTAB
        };
        caller.copy_to_guest_offset(args.array, index, &u64::from(kind))?;
    }
    let left = Getpageframeinfo3 {
        num: args.num - done,
        array: args.array.wrapping_add(done * 8),
    };
    Ok((left.num > 0).then_some(left))
}
