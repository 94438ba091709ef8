// SPDX-License-Identifier: GPL-2.0

//! What a domain may have: memory, pages for its nested page tables, processor time, the machine's devices.

use crate::error::{Errno, Result};
use crate::mem::PAGE_SHIFT;
use crate::mem::frames::DomId;
use crate::system::domain::Domain;
use crate::system::{Platform, System};
use xen_abi::domctl::{IomemPermission, IoportPermission, IrqPermission, SchedulerOp, schedop};
use xen_abi::sysctl::SCHED_CREDIT;

/// Pages that are added to or taken from a paging pool before the hypercall is preempted.
const POOL_BATCH: u64 = 256;
/// A cap that leaves the domain's as it is.
const KEEP_CAP: u16 = u16::MAX;
/// Number of I/O ports.
const PORTS: u32 = 0x1_0000;

/// `XEN_DOMCTL_max_mem`. The limit may be below what the domain has: it gets no more until it is below it.
pub(super) fn max_mem(domain: &mut Domain, kib: u64) {
    let pages = kib >> (PAGE_SHIFT - 10);
    domain.config.max_pages = pages.min(u32::MAX.into());
}

/// `XEN_DOMCTL_get_paging_mempool_size`, in bytes.
pub(super) fn paging_pool_size(domain: &Domain) -> u64 {
    domain.paging_pool.len() << PAGE_SHIFT
}

/// `XEN_DOMCTL_set_paging_mempool_size`, in bytes. Returns whether the pool has that size; else the call is to be made
/// again.
///
/// # Errors
///
/// [`Errno::EINVAL`] if the size is not one of whole pages or the domain is being destroyed, [`Errno::ENOMEM`] without
/// free memory or if more pages are in use.
pub(super) fn set_paging_pool_size<P: Platform>(
    system: &mut System<P>,
    id: DomId,
    bytes: u64,
) -> Result<bool> {
    let pages = bytes >> PAGE_SHIFT;
    if bytes != pages << PAGE_SHIFT || pages > u32::MAX.into() {
        return Err(Errno::EINVAL);
    }
    system.living_domain(id)?;
    let domain = system.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
    let pool = &mut domain.paging_pool;
    pool.resize(&mut system.frames, pages, POOL_BATCH)
}

/// `XEN_DOMCTL_scheduler_op` of the credit scheduler.
///
/// # Errors
///
/// [`Errno::EINVAL`] for another scheduler and for parameters of a vCPU.
pub(super) fn scheduler_op<P: Platform>(
    system: &mut System<P>,
    id: DomId,
    args: &mut SchedulerOp,
) -> Result<()> {
    if args.sched_id != SCHED_CREDIT {
        return Err(Errno::EINVAL);
    }
    match args.cmd {
        schedop::GETINFO => {
            let domain = system.domain(id)?;
            (args.weight, args.cap) = (domain.weight, domain.cap);
            Ok(())
        }
        schedop::PUTINFO => {
            // This weight stands for the one that the domain has.
            if args.weight != 0 {
                system.set_weight(id, args.weight)?;
            }
            match args.cap {
                KEEP_CAP => Ok(()),
                cap => system.set_cap(id, cap),
            }
        }
        _ => Err(Errno::EINVAL),
    }
}

/// Giving a device to a domain is not supported; taking what it does not have succeeds.
fn permission(allow: u8) -> Result<()> {
    match allow {
        0 => Ok(()),
        _ => Err(Errno::EOPNOTSUPP),
    }
}

/// `XEN_DOMCTL_irq_permission`.
pub(super) fn irq_permission(args: &IrqPermission) -> Result<()> {
    permission(args.allow_access)
}

/// `XEN_DOMCTL_iomem_permission`. [`Errno::EINVAL`] for a range that wraps or is empty.
pub(super) fn iomem_permission(args: &IomemPermission) -> Result<()> {
    let last = args.nr_mfns.checked_sub(1).ok_or(Errno::EINVAL)?;
    args.first_mfn.checked_add(last).ok_or(Errno::EINVAL)?;
    permission(args.allow_access)
}

/// `XEN_DOMCTL_ioport_permission`. [`Errno::EINVAL`] for a range that is empty or ends beyond the last port.
pub(super) fn ioport_permission(args: &IoportPermission) -> Result<()> {
    let end = args.first_port.checked_add(args.nr_ports);
    match end {
        Some(end) if args.nr_ports > 0 && end <= PORTS => permission(args.allow_access),
        _ => Err(Errno::EINVAL),
    }
}
