// SPDX-License-Identifier: GPL-2.0

//! The machine's part of a domain: its vCPUs as all processors access them, its interrupt controllers, its devices. The
//! rest of a domain is in the library ([`crate::platform::system`]). State that only the processor that runs a vCPU
//! accesses is in [`crate::vcpu`].

mod create;
mod interrupts;
pub mod policy;
mod vcpu;

pub use create::{Dom0Config, create_dom0};
pub use vcpu::{MpState, Vcpu};

use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

use arrayvec::ArrayVec;
use paravane::irq::vioapic::VIoApic;
use paravane::mem::frames::DomId;
use paravane::mem::{Gfn, Mfn};
use spin::{Mutex, Once};

use crate::arch::cpu;
use crate::arch::svm::maps;
use crate::io::pci::Pci;
use crate::platform::system;
use policy::DomainPolicy;

/// The machine's part of a domain.
pub struct Domain {
    /// Its domid.
    pub id: DomId,
    /// What it meets outside of its memory.
    pub policy: &'static dyn DomainPolicy,
    /// Machine address of its topmost nested page table (`N_CR3`).
    pub root: u64,
    /// Its vCPUs.
    pub vcpus: Vec<Vcpu>,
    /// Its vIOAPICs, by rising GSI.
    pub io_apics: Mutex<Vec<VIoApic>>,
    /// The vector of each GSI that it has unmasked.
    gsi_vectors: Mutex<Vec<Option<u8>>>,
    /// Its view of the PCI devices.
    pub pci: Mutex<Pci>,
    /// Windows of PCI configuration space: address of bus 0, first and last bus.
    pub windows: Vec<(u64, u8, u8)>,
    /// The I/O ports that it accesses without an exit.
    pub ports: maps::IoPermissions,
    /// The MSRs that it accesses without an exit.
    pub msrs: maps::MsrPermissions,
}

static DOM0: Once<Domain> = Once::new();

/// Domain 0.
///
/// # Panics
///
/// Before it was created.
pub fn dom0() -> &'static Domain {
    DOM0.get().expect("dom0 was created")
}

/// A domain by its domid. There is only dom0 yet.
pub fn find(id: DomId) -> Option<&'static Domain> {
    DOM0.get().filter(|domain| domain.id == id)
}

/// Pages to unmap from dom0's p2m. They are queued while PCI is locked, since the system's lock comes first.
static PENDING_UNMAPS: Mutex<ArrayVec<Range<u64>, 64>> = Mutex::new(ArrayVec::new_const());
static HAS_PENDING_UNMAPS: AtomicBool = AtomicBool::new(false);

/// Queues pages of registers to be unmapped from dom0's p2m, if dom0 exists, so that the next access exits.
/// [`Domain::unmap_pending`] does it before the vCPU that caused this continues.
pub fn queue_unmap(pages: Range<u64>) {
    if DOM0.get().is_some() && PENDING_UNMAPS.lock().try_push(pages).is_err() {
        log::error!("too many MSI-X tables moved at once");
    }
    HAS_PENDING_UNMAPS.store(true, Ordering::SeqCst);
}

impl Domain {
    /// Maps the registers of a device that the domain has accessed. False if it may not access them.
    pub fn map_device(&self, gpa: u64) -> bool {
        let mut system = system();
        let pci = self.pci.lock();
        let free = |frames: &Range<u64>| {
            let mut pages = frames.clone().map(|frame| frame << 12);
            system.frames.is_mmio(frames.clone()) && !pages.any(|page| pci.is_table(page))
        };
        let page = gpa >> 12..(gpa >> 12) + 1;
        if gpa >> cpu::physical_bits() != 0 || !free(&page) {
            return false;
        }
        let large = gpa >> 21 << 9..((gpa >> 21) + 1) << 9;
        let frames = if free(&large) { large } else { page };
        drop(pci);
        // Another vCPU may have mapped them meanwhile.
        if system.lookup(self.id, Gfn::of(gpa)).is_some() {
            return true;
        }
        let count = frames.end - frames.start;
        let mapped = system.map_mmio(self.id, Gfn(frames.start), Mfn(frames.start), count);
        mapped.is_ok()
    }

    /// Unmaps the pages that [`queue_unmap`] has queued.
    pub fn unmap_pending(&self) {
        if !HAS_PENDING_UNMAPS.swap(false, Ordering::SeqCst) {
            return;
        }
        let mut system = system();
        let ranges = core::mem::take(&mut *PENDING_UNMAPS.lock());
        for page in ranges.into_iter().flat_map(|pages| pages.step_by(4096)) {
            // Without memory for p2m tables the page stays mapped, and dom0's writes reach the device.
            if system.unmap_mmio(self.id, Gfn::of(page)).is_err() {
                log::error!("the page at {page:#x} is not intercepted");
            }
        }
    }
}
