// SPDX-License-Identifier: GPL-2.0

//! Affinities: the CPUs that a vCPU runs on, and the NUMA nodes that a domain's memory comes from.

use crate::error::{Errno, Result};
use crate::hypercall::bitmap::{CpuBitmap, read_bitmap, write_bitmap};
use crate::mem::frames::DomId;
use crate::sched::CpuSet;
use crate::system::vcpu::VcpuId;
use crate::system::{Caller, Platform};
use xen_abi::domctl::{Bitmap, Vcpuaffinity};

/// Bits of [`Vcpuaffinity::flags`].
const HARD: u32 = 1;
const SOFT: u32 = 2;
const FORCE: u32 = 4;

/// Checks the argument of a command about affinities.
fn check<P: Platform>(caller: &Caller<'_, P>, id: DomId, args: &Vcpuaffinity) -> Result<()> {
    let domain = caller.system.domain(id)?;
    if args.vcpu >= domain.config.max_vcpus {
        return Err(Errno::EINVAL);
    }
    domain.vcpu(args.vcpu).ok_or(Errno::ESRCH)?;
    let is_valid = |flag, map: &Bitmap| args.flags & flag == 0 || map.bitmap != 0;
    match args.flags & (HARD | SOFT) {
        0 => Err(Errno::EINVAL),
        _ if args.flags & !(HARD | SOFT | FORCE) != 0 => Err(Errno::EINVAL),
        _ if is_valid(HARD, &args.cpumap_hard) && is_valid(SOFT, &args.cpumap_soft) => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

/// `XEN_DOMCTL_getvcpuaffinity`: the affinities as they were set.
pub(super) fn get<P: Platform>(
    caller: &mut Caller<'_, P>,
    id: DomId,
    args: &Vcpuaffinity,
) -> Result<()> {
    check(caller, id, args)?;
    let all = CpuBitmap::all(caller.system.host.cpus.len() as u32);
    let state = caller.system.domain_mut(id)?.vcpu_mut(args.vcpu)?;
    let (hard, soft) = (state.hard_affinity.clone(), state.soft_affinity.clone());
    if args.flags & HARD != 0 {
        write_bitmap(caller, &args.cpumap_hard, hard.as_ref().unwrap_or(&all))?;
    }
    if args.flags & SOFT != 0 {
        write_bitmap(caller, &args.cpumap_soft, soft.as_ref().unwrap_or(&all))?;
    }
    Ok(())
}

/// `XEN_DOMCTL_setvcpuaffinity`. The caller gets back which CPUs the vCPU really runs on. The soft affinity is kept, and
/// has no effect: it is a wish.
///
/// # Errors
///
/// [`Errno::EINVAL`] for a hard affinity without any CPU of the machine. Nothing is changed then.
pub(super) fn set<P: Platform>(
    caller: &mut Caller<'_, P>,
    id: DomId,
    args: &Vcpuaffinity,
) -> Result<()> {
    check(caller, id, args)?;
    let cpus = caller.system.host.cpus.len() as u32;
    let all = CpuBitmap::all(cpus);
    let mut map = |flag, map: &Bitmap| match args.flags & flag {
        0 => Ok(None),
        _ => read_bitmap(caller, map, cpus).map(Some),
    };
    let hard = map(HARD, &args.cpumap_hard)?;
    let soft = map(SOFT, &args.cpumap_soft)?;
    if hard.as_ref().is_some_and(CpuBitmap::is_empty) {
        return Err(Errno::EINVAL);
    }
    let unless_all = |map: &CpuBitmap| Some(map.clone()).filter(|map| *map != all);
    let state = caller.system.domain_mut(id)?.vcpu_mut(args.vcpu)?;
    if let Some(soft) = &soft {
        state.soft_affinity = unless_all(soft);
    }
    if let Some(hard) = &hard {
        state.hard_affinity = unless_all(hard);
    }
    let effective = state.hard_affinity.clone().unwrap_or(all);
    if let Some(hard) = hard {
        let vcpu = VcpuId {
            domain: id,
            vcpu: args.vcpu,
        };
        let cpus = match caller.system.vcpu_mut(vcpu)?.hard_affinity {
            Some(_) => hard.iter().collect(),
            None => CpuSet::ALL,
        };
        caller.system.platform.set_affinity(vcpu, cpus);
        write_bitmap(caller, &args.cpumap_hard, &effective)?;
    }
    if let Some(soft) = soft {
        let soft = soft.intersection(&effective);
        write_bitmap(caller, &args.cpumap_soft, &soft)?;
    }
    Ok(())
}

/// `XEN_DOMCTL_setnodeaffinity`. There is one node, so a valid affinity changes nothing.
///
/// # Errors
///
/// [`Errno::EINVAL`] for nodes that the machine does not have.
pub(super) fn set_nodes<P: Platform>(caller: &mut Caller<'_, P>, map: &Bitmap) -> Result<()> {
    let nodes = read_bitmap(caller, map, 1)?;
    if nodes.is_empty() {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

/// `XEN_DOMCTL_getnodeaffinity`: the one node.
pub(super) fn get_nodes<P: Platform>(caller: &mut Caller<'_, P>, map: &Bitmap) -> Result<()> {
    write_bitmap(caller, map, &CpuBitmap::all(1))
}
