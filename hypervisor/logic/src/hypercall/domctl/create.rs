// SPDX-License-Identifier: GPL-2.0

//! `XEN_DOMCTL_createdomain`: what of a new domain's configuration is served, with the errors that libxl relies on.

use crate::error::{Errno, Result};
use crate::mem::frames::DomId;
use crate::system::domain::Config;
use crate::system::paging_pool::DEFAULT_PAGES;
use crate::system::{Platform, System};
use alloc::vec::Vec;
use xen_abi::domctl::{Createdomain, cdf, emulation, misc};

/// Most vCPUs of a domain (`HVM_MAX_VCPUS`).
const MAX_VCPUS: u32 = 128;
/// Frames of a grant table, if the toolstack leaves that to the hypervisor (`gnttab_max_frames`).
const DEFAULT_GRANT_FRAMES: u32 = 64;
/// Frames of maptrack entries, if the toolstack leaves that to the hypervisor (`gnttab_max_maptrack_frames`).
const DEFAULT_MAPTRACK_FRAMES: u32 = 1024;
/// The part of `grant_opts` that is the grant table's version.
const GRANT_VERSION: u32 = 0xf;
/// The highest version of grant tables.
const MAX_GRANT_VERSION: u32 = 2;

/// Makes a domain. Returns its domid.
///
/// # Errors
///
/// Those of [`System::free_domid`], [`System::create_domain`] and [`check`].
pub(super) fn create_domain<P: Platform>(
    system: &mut System<P>,
    wanted: DomId,
    args: &Createdomain,
) -> Result<DomId> {
    let id = system.free_domid(wanted)?;
    check(args)?;
    let or_default = |limit: i32, default| u32::try_from(limit).unwrap_or(default);
    system.create_domain(Config {
        id,
        handle: args.handle,
        privileged: false,
        direct_mapped: false,
        max_vcpus: args.max_vcpus,
        // Until the toolstack says how much memory it may have.
        max_pages: 0,
        paging_pages: Some(DEFAULT_PAGES),
        max_port: args.max_evtchn_port,
        max_grant_frames: or_default(args.max_grant_frames, DEFAULT_GRANT_FRAMES),
        max_maptrack_frames: or_default(args.max_maptrack_frames, DEFAULT_MAPTRACK_FRAMES),
        max_grant_version: args.grant_opts & GRANT_VERSION,
        emulation_flags: args.emulation_flags,
        is_xenstore: args.flags & cdf::XS_DOMAIN != 0,
        memory_map: Vec::new(),
    })?;
    Ok(id)
}

/// Whether a configuration can be served.
///
/// # Errors
///
/// [`Errno::EINVAL`] for what Xen would refuse on a machine without IOMMU, nested virtualisation, tracing and PV guests;
/// [`Errno::EOPNOTSUPP`] for what Xen serves and this hypervisor does not: device models, and MSRs that do not fault.
fn check(args: &Createdomain) -> Result<()> {
    let served = cdf::HVM | cdf::HAP | cdf::OOS_OFF | cdf::XS_DOMAIN;
    let version = args.grant_opts & GRANT_VERSION;
    let is_valid = args.flags & !served == 0
        && args.flags & cdf::HVM != 0
        && args.flags & cdf::HAP != 0
        && (1..=MAX_VCPUS).contains(&args.max_vcpus)
        && args.iommu_opts == 0
        && args.vmtrace_size == 0
        && args.altp2m_opts == 0
        && args.cpupool_id == 0
        && args.misc_flags & !misc::MSR_RELAXED == 0
        && args.grant_opts & !GRANT_VERSION == 0
        && (1..=MAX_GRANT_VERSION).contains(&version)
        && args.max_grant_frames != 0;
    if !is_valid {
        return Err(Errno::EINVAL);
    }
    let with_device_model = emulation::ALL & !(emulation::VPCI | emulation::USE_PIRQ);
    match args.emulation_flags {
        emulation::LAPIC if args.misc_flags & misc::MSR_RELAXED == 0 => Ok(()),
        emulation::LAPIC => Err(Errno::EOPNOTSUPP),
        flags if flags & !emulation::USE_PIRQ == with_device_model => Err(Errno::EOPNOTSUPP),
        _ => Err(Errno::EINVAL),
    }
}
