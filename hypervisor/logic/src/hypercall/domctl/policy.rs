// SPDX-License-Identifier: GPL-2.0

//! The CPU policy of a domain, which the toolstack reads and sets while it builds the domain.

use crate::cpuid::policy::{CpuPolicy, MAX_POLICY_LEAVES, PolicyError};
use crate::error::{Errno, Result};
use crate::mem::access::NativeStructures;
use crate::mem::frames::DomId;
use crate::system::domain::LifeStage;
use crate::system::{Caller, Platform};
use alloc::sync::Arc;
use alloc::vec::Vec;
use xen_abi::domctl::{CpuPolicy as PolicyArgs, CpuidLeaf, MsrEntry};

/// Copies the leaves of a policy to an array of the guest, or counts them if there is none. `count` has the array's
/// elements, and then those that are filled.
///
/// # Errors
///
/// [`Errno::ENOBUFS`] if the array is too small.
pub(in crate::hypercall) fn write_leaves<P: Platform>(
    caller: &mut Caller<'_, P>,
    policy: &CpuPolicy,
    array: u64,
    count: &mut u32,
) -> Result<()> {
    if array == 0 {
        *count = MAX_POLICY_LEAVES;
        return Ok(());
    }
    let leaves = policy.leaves();
    if leaves.len() > *count as usize {
        return Err(Errno::ENOBUFS);
    }
    for (index, leaf) in leaves.iter().enumerate() {
        caller.copy_to_guest_offset(array, index as u64, leaf)?;
    }
    *count = leaves.len() as u32;
    Ok(())
}

/// Copies the MSRs of a policy to an array of the guest, or counts them if there is none.
///
/// # Errors
///
/// [`Errno::ENOBUFS`] if the array is too small.
pub(in crate::hypercall) fn write_msrs<P: Platform>(
    caller: &mut Caller<'_, P>,
    array: u64,
    count: &mut u32,
) -> Result<()> {
    let msrs = CpuPolicy::msrs();
    if array != 0 {
        if msrs.len() > *count as usize {
            return Err(Errno::ENOBUFS);
        }
        for (index, msr) in msrs.iter().enumerate() {
            caller.copy_to_guest_offset(array, index as u64, msr)?;
        }
    }
    *count = msrs.len() as u32;
    Ok(())
}

/// `XEN_DOMCTL_get_cpu_policy`.
pub(super) fn get<P: Platform>(
    caller: &mut Caller<'_, P>,
    id: DomId,
    args: &mut PolicyArgs,
) -> Result<()> {
    let policy = caller.system.domain(id)?.cpu_policy.clone();
    write_leaves(caller, &policy, args.leaves, &mut args.nr_leaves)?;
    write_msrs(caller, args.msrs, &mut args.nr_msrs)
}

/// `XEN_DOMCTL_set_cpu_policy`. In `args` it returns what of the policy is refused.
///
/// # Errors
///
/// [`Errno::EEXIST`] for a domain that has run, [`Errno::E2BIG`] for more leaves or MSRs than a policy has, and those of
/// [`CpuPolicy::updated`].
pub(super) fn set<P: Platform>(
    caller: &mut Caller<'_, P>,
    id: DomId,
    args: &mut PolicyArgs,
) -> Result<()> {
    if caller.system.domain(id)?.life() != LifeStage::Building {
        return Err(Errno::EEXIST);
    }
    (args.err_leaf, args.err_subleaf, args.err_msr) = (u32::MAX, u32::MAX, u32::MAX);
    if args.nr_leaves > MAX_POLICY_LEAVES || args.nr_msrs > CpuPolicy::msrs().len() as u32 {
        return Err(Errno::E2BIG);
    }
    let mut leaves: Vec<CpuidLeaf> = Vec::new();
    for index in 0..args.nr_leaves {
        leaves.push(caller.copy_from_guest_offset(args.leaves, index.into())?);
    }
    let mut msrs: Vec<MsrEntry> = Vec::new();
    for index in 0..args.nr_msrs {
        msrs.push(caller.copy_from_guest_offset(args.msrs, index.into())?);
    }
    let may_have = caller.system.host.guest_policy.clone();
    let domain = caller.system.domain_mut(id)?;
    let policy = domain.cpu_policy.updated(&leaves, &msrs, &may_have);
    let policy = policy.map_err(|error| {
        let PolicyError {
            errno,
            leaf,
            subleaf,
            msr,
        } = error;
        (args.err_leaf, args.err_subleaf, args.err_msr) = (leaf, subleaf, msr);
        errno
    })?;
    domain.cpu_policy = Arc::new(policy);
    let policy = domain.cpu_policy.clone();
    caller.system.platform.cpu_policy_changed(id, &policy);
    Ok(())
}
