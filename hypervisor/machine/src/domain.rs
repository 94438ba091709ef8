// SPDX-License-Identifier: GPL-2.0

//! The machine's part of a domain: its vCPUs as all processors access them, its interrupt controllers, its devices. The
//! rest of a domain is in the library ([`crate::platform::system`]). State that only the processor that runs a vCPU
//! accesses is in [`crate::vcpu`].

mod create;
mod interrupts;
pub mod mistakes;
pub mod policy;
mod registry;
mod vcpu;

pub use create::{Dom0Config, create_dom0, start_dom0};
pub use registry::{create_guest, create_vcpu, destroy, dom0, find, find_vcpu};
pub use vcpu::{MpState, Vcpu};

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

use arrayvec::ArrayVec;
use paravane::cpuid::policy::CpuPolicy;
use paravane::error::{Errno, Result};
use paravane::irq::vioapic::VIoApic;
use paravane::mem::frames::DomId;
use paravane::mem::{Gfn, Mfn};
use paravane::mistake::MistakeLimits;
use paravane::system::gfn_access::NestedAccess;
use spin::{Mutex, Once};

use crate::arch::cpu;
use crate::io::pci::Pci;
use crate::platform::system;
use policy::DomainPolicy;

/// Most vCPUs of a domain (`HVM_MAX_VCPUS`).
const MAX_VCPUS: usize = 128;

/// The machine's part of a domain.
pub struct Domain {
    /// Its domid.
    pub id: DomId,
    /// What it meets outside of its memory.
    pub policy: &'static dyn DomainPolicy,
    /// Machine address of its topmost nested page table (`N_CR3`).
    pub root: Mfn,
    /// Its vCPUs by number, made one after the other and never removed.
    vcpus: Vec<Once<Arc<Vcpu>>>,
    /// Physical address of its I/O permission map: the ports that it accesses without an exit.
    pub iopm: u64,
    /// Physical address of its MSR permission map: the MSRs that it accesses without an exit.
    pub msrpm: u64,
    /// What its CPUID shows; `None` for dom0, which has what guests may have of the processor.
    pub cpu_policy: Mutex<Option<Arc<CpuPolicy>>>,
    /// What it writes to the debug console.
    debug_console: Mutex<policy::DebugConsole>,
    /// How much of what it does wrong may still be logged.
    mistake_limits: Mutex<MistakeLimits>,
    /// Its vIOAPICs, by rising GSI. Guests have none.
    pub io_apics: Mutex<Vec<VIoApic>>,
    /// The vector of each GSI that it has unmasked.
    gsi_vectors: Mutex<Vec<Option<u8>>>,
    /// Its view of the PCI devices, of which guests have none.
    pub pci: Mutex<Pci>,
    /// Windows of PCI configuration space: address of bus 0, first and last bus.
    pub windows: Vec<(u64, u8, u8)>,
}

/// Pages to unmap from dom0's p2m. They are queued while PCI is locked, since the system's lock comes first.
static PENDING_UNMAPS: Mutex<ArrayVec<Range<u64>, 64>> = Mutex::new(ArrayVec::new_const());
/// There are such pages, or they are being unmapped. It changes while [`PENDING_UNMAPS`] is locked.
static HAS_PENDING_UNMAPS: AtomicBool = AtomicBool::new(false);

/// Queues pages of registers to be unmapped from dom0's p2m, if dom0 exists, so that the next access exits.
/// [`Domain::unmap_pending`] does it before the vCPU that caused this continues.
pub fn queue_unmap(pages: Range<u64>) {
    if !registry::has_dom0() {
        return;
    }
    let mut pending = PENDING_UNMAPS.lock();
    if pending.try_push(pages).is_err() {
        log::error!("too many MSI-X tables moved at once");
    }
    HAS_PENDING_UNMAPS.store(true, Ordering::SeqCst);
}

impl Domain {
    /// A domain without vCPUs and devices, with its topmost nested page table and its permission maps.
    fn new(
        id: DomId,
        policy: &'static dyn DomainPolicy,
        root: Mfn,
        iopm: u64,
        msrpm: u64,
    ) -> Result<Self> {
        let mut vcpus = Vec::new();
        vcpus
            .try_reserve_exact(MAX_VCPUS)
            .map_err(|_| Errno::ENOMEM)?;
        vcpus.resize_with(MAX_VCPUS, Once::new);
        Ok(Self {
            id,
            policy,
            root,
            vcpus,
            iopm,
            msrpm,
            cpu_policy: Mutex::new(None),
            debug_console: Mutex::default(),
            mistake_limits: Mutex::default(),
            io_apics: Mutex::new(Vec::new()),
            gsi_vectors: Mutex::new(Vec::new()),
            pci: Mutex::new(Pci::default()),
            windows: Vec::new(),
        })
    }

    /// Its vCPUs, those that were made.
    pub fn vcpus(&self) -> impl Iterator<Item = &Arc<Vcpu>> {
        self.vcpus.iter().map_while(Once::get)
    }

    /// One of its vCPUs.
    pub fn vcpu(&self, number: u32) -> Option<&Arc<Vcpu>> {
        self.vcpus.get(number as usize)?.get()
    }

    /// Adds a vCPU; its number is the next one.
    fn add_vcpu(&self, vcpu: Arc<Vcpu>) {
        if let Some(slot) = self.vcpus.get(vcpu.id.vcpu as usize) {
            slot.call_once(|| vcpu);
        }
    }

    /// Maps the registers of a device that the domain has accessed. True if the access is to be made again: they are mapped,
    /// or the access is allowed by now. False if the domain may not access them.
    pub fn map_device(&self, gpa: u64, access: NestedAccess) -> bool {
        let mut system = system();
        if system.nested_page_fault(self.id, Gfn::of(gpa), access) {
            return true;
        }
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
        let count = frames.end - frames.start;
        let mapped = system.map_mmio(self.id, Gfn(frames.start), Mfn(frames.start), count);
        mapped.is_ok()
    }

    /// Unmaps the pages that [`queue_unmap`] has queued, if this is dom0. If another vCPU is about to, this waits for it.
    pub fn unmap_pending(&self) {
        if self.id != 0 || !HAS_PENDING_UNMAPS.load(Ordering::SeqCst) {
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
        let pending = PENDING_UNMAPS.lock();
        HAS_PENDING_UNMAPS.store(!pending.is_empty(), Ordering::SeqCst);
    }
}
