// SPDX-License-Identifier: GPL-2.0

//! `sysctl`: what `xl info`, `xl list` and `xl dmesg` of Xen 4.20 need.

use super::Reply;
use super::bitmap::{CpuBitmap, write_bitmap};
use super::command::Command;
use super::domctl::domain_info;
use crate::error::{Errno, Result};
use crate::mem::access::GuestMemory;
use crate::system::{Caller, Platform};
use alloc::vec::Vec;
use xen_abi::sysctl::{
    CpupoolOp, Cputopo, Cputopoinfo, Getcpuinfo, Getdomaininfolist, Header, Meminfo, Numainfo,
    Physinfo, Readconsole, SCHED_CREDIT, cpupool, op, physcap,
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
        op::NUMAINFO => numainfo(caller, &command),
        op::CPUPOOL_OP => pool(caller, &command),
        // No CPUID masking.
        op::GET_CPU_LEVELLING_CAPS => command.copyback(caller, &0u32),
        _ => Err(Errno::ENOSYS),
    }
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
