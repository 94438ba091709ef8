// SPDX-License-Identifier: GPL-2.0

//! `sysctl`: what `xl info`, `xl list` and `xl dmesg` of Xen 4.20 need.

mod keys;
mod topology;

use super::Reply;
use super::bitmap::{CpuBitmap, write_bitmap};
use super::command::Command;
use super::domctl::{domain_info, write_leaves, write_msrs};
use crate::cpuid::policy::{CpuPolicy, FEATURE_WORD_COUNT};
use crate::error::{Errno, Result};
use crate::mem::PAGE_SHIFT;
use crate::mem::access::{GuestMemory, NativeStructures};
use crate::sched::credit::{RATELIMIT, TIMESLICE};
use crate::system::{Caller, Platform, System};
use alloc::vec::Vec;
use xen_abi::domctl::schedop;
use xen_abi::sysctl::{
    Availheap, CpuFeatureset, CpuPolicy as CpuPolicyArgs, CpupoolOp, Cputopo, Cputopoinfo,
    Getcpuinfo, Getdomaininfolist, Header, Meminfo, Numainfo, Physinfo, Readconsole, SCHED_CREDIT,
    SchedulerOp, cpu_featureset, cpu_policy, cpupool, op, physcap,
};

/// Distance of a NUMA node to itself.
const NEAR: u32 = 10;

pub(super) fn do_sysctl<P: Platform>(caller: &mut Caller<'_, P>, arg: u64) -> Result<Reply> {
    let command: Command<Header> = Command::copy_from_guest(caller, arg)?;
    match command.header.cmd {
        op::READCONSOLE => {
            let mut args: Readconsole = command.argument();
            let from = (args.incremental != 0).then_some(args.index);
            let read = caller.system.console.read(from, args.count);
            caller.raw_copy_to_guest(args.buffer, &read.bytes)?;
            if args.clear != 0 {
                caller.system.console.clear(read.next);
            }
            args.count = read.bytes.len() as u32;
            args.index = read.next;
            command.copyback(caller, &args)
        }
        op::PHYSINFO => {
            let info = physinfo(caller);
            command.copyback(caller, &info)
        }
        op::SCHED_ID => command.copyback(caller, &SCHED_CREDIT),
        op::GETDOMAININFOLIST => {
            let mut args: Getdomaininfolist = command.argument();
            let ids = caller
                .system
                .domains
                .range(args.first_domain..)
                .map(|(id, _)| *id);
            let ids: Vec<u16> = ids.take(args.max_domains as usize).collect();
            for (index, id) in ids.iter().enumerate() {
                let info = domain_info(caller.system, *id)?;
                caller.copy_to_guest_offset(args.buffer, index as u64, &info)?;
            }
            args.num_domains = ids.len() as u32;
            command.copyback(caller, &args)
        }
        op::GETCPUINFO => {
            let mut args: Getcpuinfo = command.argument();
            let idle: Vec<u64> = caller.system.host.cpus.iter().map(|cpu| cpu.idle).collect();
            args.nr_cpus = args.max_cpus.min(idle.len() as u32);
            for (index, idle) in idle.iter().take(args.nr_cpus as usize).enumerate() {
                caller.copy_to_guest_offset(args.info, index as u64, idle)?;
            }
            command.copyback(caller, &args)
        }
        op::AVAILHEAP => {
            let mut args: Availheap = command.argument();
            args.avail_bytes = available(caller.system, &args);
            command.copyback(caller, &args)
        }
        op::CPUTOPOINFO => {
            let mut args: Cputopoinfo = command.argument();
            let cpus = caller.system.host.cpus.clone();
            let mut count = cpus.len() as u32;
            if args.cputopo != 0 {
                count = count.min(args.num_cpus);
                for (index, cpu) in cpus.iter().take(count as usize).enumerate() {
                    let [core, socket, node] = cpu.topology;
                    caller.copy_to_guest_offset(
                        args.cputopo,
                        index as u64,
                        &Cputopo { core, socket, node },
                    )?;
                }
            }
            args.num_cpus = count;
            command.copyback(caller, &args)
        }
        op::DEBUG_KEYS => keys::press(caller, &command.argument()),
        op::PCITOPOINFO => topology::pci(caller, &command),
        op::NUMAINFO => numainfo(caller, &command),
        op::CPUPOOL_OP => pool(caller, &command),
        op::SCHEDULER_OP => {
            let mut args: SchedulerOp = command.argument();
            scheduler_op(&mut args)?;
            command.copyback(caller, &args)
        }
        // No CPUID masking.
        op::GET_CPU_LEVELLING_CAPS => command.copyback(caller, &0u32),
        op::GET_CPU_FEATURESET => featureset(caller, &command),
        op::GET_CPU_POLICY => {
            let mut args: CpuPolicyArgs = command.argument();
            if args.rsvd != 0 {
                return Err(Errno::EINVAL);
            }
            let policy = match args.index {
                cpu_policy::RAW | cpu_policy::HOST => &caller.system.host.processor_policy,
                cpu_policy::HVM_MAX | cpu_policy::HVM_DEFAULT => &caller.system.host.guest_policy,
                cpu_policy::PV_MAX | cpu_policy::PV_DEFAULT => return Err(Errno::EOPNOTSUPP),
                _ => return Err(Errno::EINVAL),
            };
            let policy = CpuPolicy::clone(policy);
            write_leaves(caller, &policy, args.leaves, &mut args.nr_leaves)?;
            write_msrs(caller, args.msrs, &mut args.nr_msrs)?;
            command.copyback(caller, &args)
        }
        _ => Err(Errno::ENOSYS),
    }
}

/// Free memory in bytes with addresses of so many bits, on a node.
fn available<P: Platform>(system: &System<P>, args: &Availheap) -> u64 {
    if !matches!(args.node, -1 | 0) {
        return 0;
    }
    let frames = |bits: u32| {
        1u64.checked_shl(bits.saturating_sub(PAGE_SHIFT))
            .unwrap_or(u64::MAX)
    };
    let first = match args.min_bitwidth {
        0 => 0,
        bits => frames(bits),
    };
    let end = match args.max_bitwidth {
        0 => u64::MAX,
        bits => frames(bits),
    };
    let within = |block: core::ops::Range<u64>| {
        let (start, end) = (block.start.max(first), block.end.min(end));
        end.saturating_sub(start)
    };
    system.frames.free_blocks().map(within).sum::<u64>() << PAGE_SHIFT
}

/// `XEN_SYSCTL_get_cpu_featureset`. An array that is too small is filled, and the call fails afterwards, which the
/// toolstack tolerates.
fn featureset<P: Platform>(caller: &mut Caller<'_, P>, command: &Command<Header>) -> Result<Reply> {
    let mut args: CpuFeatureset = command.argument();
    let known = FEATURE_WORD_COUNT as u32;
    if args.features == 0 {
        args.nr_features = known;
        return command.copyback(caller, &args);
    }
    let host = &caller.system.host;
    let features = match args.index {
        cpu_featureset::RAW | cpu_featureset::HOST => host.processor_policy.features(),
        cpu_featureset::HVM | cpu_featureset::HVM_MAX => host.guest_policy.features(),
        cpu_featureset::PV | cpu_featureset::PV_MAX => return Err(Errno::EOPNOTSUPP),
        _ => return Err(Errno::EINVAL),
    };
    args.nr_features = args.nr_features.min(known);
    for (index, word) in features.iter().take(args.nr_features as usize).enumerate() {
        caller.copy_to_guest_offset(args.features, index as u64, word)?;
    }
    command.copyback(caller, &args)?;
    if args.nr_features < known {
        return Err(Errno::ENOBUFS);
    }
    Ok(Reply::Value(0))
}

fn physinfo<P: Platform>(caller: &Caller<'_, P>) -> Physinfo {
    let host = &caller.system.host;
    let cpus = host.cpus.len() as u32;
    let same_core = |cpu: &&crate::system::Cpu| cpu.topology == host.cpus[0].topology;
    let same_socket = |cpu: &&crate::system::Cpu| cpu.topology[1] == host.cpus[0].topology[1];
    let threads = (host.cpus.iter().filter(same_core).count() as u32).max(1);
    Physinfo {
        threads_per_core: threads,
        cores_per_socket: (host.cpus.iter().filter(same_socket).count() as u32 / threads).max(1),
        nr_cpus: cpus,
        max_cpu_id: cpus.saturating_sub(1),
        nr_nodes: 1,
        max_node_id: 0,
        cpu_khz: host.tsc_khz,
        capabilities: physcap::HVM | physcap::HAP | physcap::GNTTAB_V1 | physcap::GNTTAB_V2,
        total_pages: caller.system.frames.total(),
        free_pages: caller.system.frames.free_count(),
        outstanding_pages: caller.system.frames.outstanding_claims(),
        max_mfn: caller.system.frames.end().saturating_sub(1),
        hw_cap: host.hw_cap,
        ..Physinfo::default()
    }
}

/// `XEN_SYSCTL_numainfo`: there is one node.
fn numainfo<P: Platform>(caller: &mut Caller<'_, P>, command: &Command<Header>) -> Result<Reply> {
    let mut args: Numainfo = command.argument();
    let mut count = 1;
    if args.meminfo != 0 || args.distance != 0 {
        count = count.min(args.num_nodes);
        if count == 1 && args.meminfo != 0 {
            let info = Meminfo {
                memsize: caller.system.frames.total() << crate::mem::PAGE_SHIFT,
                memfree: caller.system.frames.free_count() << crate::mem::PAGE_SHIFT,
            };
            caller.copy_to_guest(args.meminfo, &info)?;
        }
        if count == 1 && args.distance != 0 {
            caller.copy_to_guest(args.distance, &NEAR)?;
        }
    }
    args.num_nodes = count;
    command.copyback(caller, &args)
}

/// `XEN_SYSCTL_scheduler_op`: the parameters of the credit scheduler, which cannot be changed.
///
/// # Errors
///
/// [`Errno::ESRCH`] for another pool than the one, [`Errno::EINVAL`] for another scheduler.
fn scheduler_op(args: &mut SchedulerOp) -> Result<()> {
    const MICROSECOND: u64 = 1_000;
    const MILLISECOND: u64 = 1_000_000;
    if args.cpupool_id != 0 {
        return Err(Errno::ESRCH);
    }
    if args.sched_id != SCHED_CREDIT {
        return Err(Errno::EINVAL);
    }
    match args.cmd {
        schedop::GETINFO => {
            args.tslice_ms = (TIMESLICE / MILLISECOND) as u32;
            args.ratelimit_us = (RATELIMIT / MICROSECOND) as u32;
            args.vcpu_migr_delay_us = 0;
            Ok(())
        }
        schedop::PUTINFO => Err(Errno::EOPNOTSUPP),
        _ => Err(Errno::EINVAL),
    }
}

/// `XEN_SYSCTL_cpupool_op`: there is one CPU pool, number 0, with all CPUs.
fn pool<P: Platform>(caller: &mut Caller<'_, P>, command: &Command<Header>) -> Result<Reply> {
    let mut args: CpupoolOp = command.argument();
    let cpus = caller.system.host.cpus.len() as u32;
    match args.op {
        cpupool::INFO if args.cpupool_id == 0 => {
            args.sched_id = SCHED_CREDIT;
            args.n_dom = caller.system.domains.len() as u32;
            write_bitmap(caller, &args.cpumap, &CpuBitmap::all(cpus))?;
            command.copyback(caller, &args)
        }
        cpupool::INFO => Err(Errno::ENOENT),
        cpupool::FREEINFO => {
            write_bitmap(caller, &args.cpumap, &CpuBitmap::none(cpus))?;
            command.copyback(caller, &args)
        }
        _ => Err(Errno::EOPNOTSUPP),
    }
}
