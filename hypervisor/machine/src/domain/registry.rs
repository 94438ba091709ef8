// SPDX-License-Identifier: GPL-2.0

//! The domains that there are, by domid, and their life in the machine part: made before they have vCPUs, and dropped when
//! the last processor has left them. The library decides when ([`paravane::system::Platform`]), with the system locked.

use alloc::sync::Arc;

use paravane::error::{Errno, Result};
use paravane::mem::frames::DomId;
use paravane::mem::{FrameTable, Mfn};
use paravane::sorted_map::SortedMap;
use paravane::system::vcpu::VcpuId;
use spin::{Once, RwLock};

use super::{Domain, Vcpu, policy};
use crate::arch::percpu;
use crate::arch::svm::maps::{IoPermissions, MsrPermissions};
use crate::{schedule, solo};

/// All domains. The lock is held for look-ups and changes of the list only, and no other lock is taken
/// under it.
static DOMAINS: RwLock<SortedMap<DomId, Arc<Domain>>> = RwLock::new(SortedMap::new());

static DOM0: Once<Arc<Domain>> = Once::new();

/// The permission maps that all guests share: they may access no port, and the MSRs that the VMCB holds.
static GUEST_MAPS: Once<(IoPermissions, MsrPermissions)> = Once::new();

/// Domain 0.
///
/// # Panics
///
/// Before it was created.
pub fn dom0() -> &'static Arc<Domain> {
    DOM0.get().expect("dom0 was created")
}

/// Whether dom0 was created.
pub(super) fn has_dom0() -> bool {
    DOM0.is_completed()
}

/// A domain by its domid.
pub fn find(id: DomId) -> Option<Arc<Domain>> {
    DOMAINS.read().get(&id).cloned()
}

/// A vCPU by its domain and number.
pub fn find_vcpu(id: VcpuId) -> Option<Arc<Vcpu>> {
    find(id.domain)?.vcpu(id.vcpu).cloned()
}

/// Adds a domain.
pub(super) fn insert(domain: Domain) -> Result<Arc<Domain>> {
    let domain = Arc::try_new(domain).map_err(|_| Errno::ENOMEM)?;
    DOMAINS.write().try_insert(domain.id, domain.clone())?;
    if domain.id == 0 {
        DOM0.call_once(|| domain.clone());
    }
    Ok(domain)
}

/// Makes the machine's part of a guest without vCPUs. `root` is the topmost table of its p2m.
///
/// # Errors
///
/// [`Errno::ENOMEM`].
pub fn create_guest(frames: &mut FrameTable, id: DomId, root: Mfn) -> Result<()> {
    if !GUEST_MAPS.is_completed() {
        let ports = IoPermissions::new(frames).ok_or(Errno::ENOMEM)?;
        let msrs = super::create::msr_permissions(frames).ok_or(Errno::ENOMEM)?;
        // The system is locked, so nobody else makes them at the same time.
        GUEST_MAPS.call_once(|| (ports, msrs));
    }
    let (ports, msrs) = GUEST_MAPS.get().ok_or(Errno::ENOMEM)?;
    let (iopm, msrpm) = (ports.address(), msrs.address());
    let policy = match solo::is_enabled() {
        true => policy::of_solo_guest(),
        false => policy::of(false),
    };
    insert(Domain::new(id, policy, root, iopm, msrpm)?).map(drop)
}

/// Makes the machine's part of a domain's next vCPU. A guest's first vCPU runs with the registers that the toolstack sets;
/// the others may also be started by INIT and start-up IPIs.
///
/// # Errors
///
/// [`Errno::ENOMEM`]; [`Errno::ESRCH`] if there is no such domain.
pub fn create_vcpu(frames: &mut FrameTable, id: VcpuId) -> Result<()> {
    let domain = find(id.domain).ok_or(Errno::ESRCH)?;
    let cpus = percpu::all().len();
    let vcpu = Vcpu::new(id, id.vcpu as usize % cpus.max(1));
    let vcpu = Arc::try_new(vcpu).map_err(|_| Errno::ENOMEM)?;
    schedule::add_vcpu(frames, &domain, &vcpu)?;
    domain.add_vcpu(vcpu);
    Ok(())
}

/// Drops the machine's part of a domain and of its vCPUs. A processor that looks at one of them just now drops what it
/// holds soon.
pub fn destroy(id: DomId) {
    schedule::remove_vcpus(id);
    let removed = DOMAINS.write().remove(&id);
    // Its memory is freed outside of the lock.
    drop(removed);
}
