// SPDX-License-Identifier: GPL-2.0

//! How a domain's time-stamp counter counts. It is always the processor's.

use crate::error::{Errno, Result};
use crate::mem::frames::DomId;
use crate::system::{Platform, System};
use xen_abi::cpuid::tsc_mode;
use xen_abi::domctl::TscInfo;

/// `XEN_DOMCTL_gettscinfo`.
pub(super) fn tsc_info<P: Platform>(system: &System<P>, id: DomId) -> Result<TscInfo> {
    let domain = system.domain(id)?;
    let mut info = TscInfo {
        tsc_mode: domain.tsc_mode,
        incarnation: domain.tsc_incarnation,
        ..TscInfo::default()
    };
    if domain.tsc_mode == tsc_mode::DEFAULT {
        info.gtsc_khz = system.host.tsc_khz;
        info.elapsed_nsec = system.platform.now();
    }
    Ok(info)
}

/// `XEN_DOMCTL_settscinfo`.
///
/// # Errors
///
/// [`Errno::EINVAL`] for an unknown mode, [`Errno::EOPNOTSUPP`] if the counter would have to be emulated: in that mode,
/// or at another rate than the machine's.
pub(super) fn set_tsc_info<P: Platform>(
    system: &mut System<P>,
    id: DomId,
    args: &TscInfo,
) -> Result<()> {
    let host_khz = system.host.tsc_khz;
    match args.tsc_mode {
        tsc_mode::DEFAULT if args.gtsc_khz == 0 || args.gtsc_khz == host_khz => {}
        tsc_mode::NEVER_EMULATE => {}
        tsc_mode::DEFAULT | tsc_mode::ALWAYS_EMULATE => return Err(Errno::EOPNOTSUPP),
        _ => return Err(Errno::EINVAL),
    }
    let domain = system.domain_mut(id)?;
    domain.tsc_mode = args.tsc_mode;
    domain.tsc_incarnation = args.incarnation.wrapping_add(1);
    Ok(())
}
