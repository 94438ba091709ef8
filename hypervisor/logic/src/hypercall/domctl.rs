// SPDX-License-Identifier: GPL-2.0

//! `domctl`: what `xl list` and `xl vcpu-list` of Xen 4.20 need.

use super::bitmap::{CpuBitmap, write_bitmap};
use super::command::Command;
use super::{Reply, VcpuAction};
use crate::error::{Errno, Result};
use crate::mem::frames::DomId;
use crate::system::domain::LifeStage;
use crate::system::vcpu::Runstate;
use crate::system::{Caller, Platform, System};
use xen_abi::domctl::{Getdomaininfo, Getvcpuinfo, Header, Vcpuaffinity, dominf, emulation, op};

/// Bits of [`Vcpuaffinity::flags`].
const HARD: u32 = 1;
const SOFT: u32 = 2;
/// Bits of a guest-physical address that nested page tables reach.
const ADDRESS_BITS: u8 = 48;

pub(super) fn do_domctl<P: Platform>(caller: &mut Caller<'_, P>, arg: u64) -> Result<Reply> {
    let command: Command<Header> = Command::copy_from_guest(caller, arg)?;
    // A domctl names its domain by number: `DOMID_SELF` is not allowed.
    let id = caller
        .system
        .domain(command.header.domain)
        .map(|domain| domain.id());
    match command.header.cmd {
        op::GETDOMAININFO => {
            let info = domain_info(caller.system, id?)?;
            command.copyback(caller, &info)
        }
        op::GETVCPUINFO => {
            let mut args: Getvcpuinfo = command.argument();
            let now = caller.system.platform.now();
            let domain = caller.system.domain(id?)?;
            let state = domain.vcpu(args.vcpu).ok_or(Errno::EINVAL)?;
            args.online = u8::from(!state.down);
            args.blocked = u8::from(state.runstate.state() == Runstate::Blocked);
            args.running = u8::from(state.runstate.state() == Runstate::Running);
            args.cpu_time = state.runstate.spent(Runstate::Running, now);
            args.cpu = state.cpu;
            command.copyback(caller, &args)
        }
        op::GETVCPUAFFINITY => {
            let args: Vcpuaffinity = command.argument();
            let domain = caller.system.domain(id?)?;
            if args.flags & (HARD | SOFT) == 0 {
                return Err(Errno::EINVAL);
            }
            domain.vcpu(args.vcpu).ok_or(Errno::EINVAL)?;
            // There is no affinity: every vCPU runs on any CPU.
            let all = CpuBitmap::all(caller.system.host.cpus.len() as u32);
            if args.flags & HARD != 0 {
                write_bitmap(caller, &args.cpumap_hard, &all)?;
            }
            if args.flags & SOFT != 0 {
                write_bitmap(caller, &args.cpumap_soft, &all)?;
            }
            command.copyback(caller, &args)
        }
        op::PAUSEDOMAIN | op::UNPAUSEDOMAIN => {
            let id = id?;
            if id == caller.vcpu.domain {
                return Err(Errno::EINVAL);
            }
            caller
                .system
                .pause(id, command.header.cmd == op::PAUSEDOMAIN)?;
            // The caller may rely on it that the domain has stopped.
            Ok(match command.header.cmd {
                op::PAUSEDOMAIN => VcpuAction::SyncPause(id).into(),
                _ => Reply::Value(0),
            })
        }
        _ => Err(Errno::ENOSYS),
    }
}

/// `XEN_DOMCTL_getdomaininfo` of one domain.
pub(super) fn domain_info<P: Platform>(system: &System<P>, id: DomId) -> Result<Getdomaininfo> {
    let domain = system.domain(id)?;
    let now = system.platform.now();
    let mut info = Getdomaininfo {
        domain: id,
        max_vcpu_id: u32::MAX,
        tot_pages: system.current_reservation(domain),
        max_pages: domain.config.max_pages,
        shared_info_frame: domain.shared_info.1.map_or(u64::MAX, |gfn| gfn.0),
        handle: domain.config.handle,
        gpaddr_bits: ADDRESS_BITS,
        emulation_flags: emulation::LAPIC
            | if domain.config.privileged {
                emulation::IOAPIC | emulation::VPCI
            } else {
                0
            },
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
        if vcpu.runstate.state() != Runstate::Blocked {
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
