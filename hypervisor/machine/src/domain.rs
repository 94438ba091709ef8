// SPDX-License-Identifier: GPL-2.0

//! A domain's side towards the machine: its vCPUs as all processors see them, its interrupt controllers, its devices.
//! What it may do and has is the library's ([`crate::platform::system`]); what only the processor that runs a vCPU
//! touches is in [`crate::vcpu`].

mod interrupts;

use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use arrayvec::ArrayVec;
use paravane::acpi::madt::IoApic;
use paravane::error::{Errno, Result};
use paravane::irq::vioapic::VIoApic;
use paravane::irq::vlapic::VLapic;
use paravane::mem::frames::DomId;
use paravane::mem::{Gfn, HypFrames, MachineMemory, Mfn};
use paravane::system::domain::{Config, E820Entry};
use paravane::system::vcpu::VcpuId;
use spin::{Mutex, Once};

use crate::arch::percpu::{self, PerCpu};
use crate::arch::phys::Machine;
use crate::arch::svm::maps;
use crate::arch::{acpi::Acpi, cpu, ioapic, lapic};
use crate::io::pci::Pci;
use crate::platform::system;
use crate::schedule;

/// Ports dom0 may have: all that there are.
const MAX_PORT: u32 = u32::MAX;
/// Frames of dom0's grant table and of what it has mapped of others' grants, as Xen gives them.
const GRANT_FRAMES: u32 = 64;
const MAPTRACK_FRAMES: u32 = 1024;

/// What a vCPU is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Runs, or sleeps until an interrupt.
    On,
    /// Waits for a start-up interrupt.
    WaitForStart,
    /// Is to start in real mode at this page.
    Start(u8),
}

/// A vCPU as the others see it.
pub struct Vcpu {
    /// Its number.
    pub id: VcpuId,
    /// Its local APIC.
    pub apic: Mutex<VLapic>,
    /// What it does.
    pub activity: Mutex<Activity>,
    /// The number of the processor that runs it or ran it last.
    pub cpu: AtomicUsize,
    /// A processor runs it, or looks whether it can.
    pub running: AtomicBool,
    /// The scheduler takes it for one that waits.
    pub asleep: AtomicBool,
    /// It may not run: it is down, or its domain is paused.
    pub stopped: AtomicBool,
    /// Something came that ends its wait in a hypercall.
    pub woken: AtomicBool,
    /// A non-maskable interrupt waits for it.
    pub nmi: AtomicBool,
    /// The system may have one for it.
    pub checks_nmi: AtomicBool,
    /// It runs guest code, or is about to: it looks at `flush` and `stopped` once more after having said so.
    pub in_guest: AtomicBool,
    /// Set when its translations may be stale.
    pub flush: AtomicBool,
    /// The vector that its events come with past the local APIC, as long as its info says that there are any; 0: none.
    pub direct: AtomicU8,
    /// When the next of its timers in the system fires, in nanoseconds.
    pub deadline: AtomicU64,
    /// When it is to look for lines whose pause is over, in nanoseconds; written by the processor that runs it.
    pub lines_resume: AtomicU64,
    /// What it adds to the processor's time-stamp counter.
    pub tsc_offset: AtomicU64,
}

/// A domain.
pub struct Domain {
    /// Its number.
    pub id: DomId,
    /// Machine address of its topmost nested page table.
    pub root: u64,
    /// Its vCPUs.
    pub vcpus: Vec<Vcpu>,
    /// Its I/O APICs.
    pub io_apics: Mutex<Vec<VIoApic>>,
    /// Vectors of the global interrupts it uses.
    gsi_vectors: Mutex<Vec<Option<u8>>>,
    /// Its PCI.
    pub pci: Mutex<Pci>,
    /// Windows of PCI configuration space: address, first and last bus.
    pub windows: Vec<(u64, u8, u8)>,
    /// The I/O ports it reaches.
    pub ports: maps::Ports,
    /// The model-specific registers it reaches.
    pub registers: maps::Registers,
}

static DOM0: Once<Domain> = Once::new();

/// Domain 0.
///
/// # Panics
///
/// Before it was made.
pub fn dom0() -> &'static Domain {
    DOM0.get().expect("dom0 is made")
}

/// The domain of a number. As yet there is one.
pub fn find(id: DomId) -> Option<&'static Domain> {
    DOM0.get().filter(|domain| domain.id == id)
}

/// Pages that dom0 is no longer to reach without an exit. PCI finds them while it is locked, and the system comes first.
static FORGOTTEN: Mutex<ArrayVec<Range<u64>, 64>> = Mutex::new(ArrayVec::new_const());
static FORGETS: AtomicBool = AtomicBool::new(false);

/// Takes pages of registers away from dom0's view, if there is a dom0 yet: the next access is intercepted. It is done
/// before the vCPU that caused it goes on ([`Domain::forget_pages`]).
pub fn forget(pages: Range<u64>) {
    if DOM0.get().is_some() && FORGOTTEN.lock().try_push(pages).is_err() {
        log::error!("too many tables of MSI-X moved at once");
    }
    FORGETS.store(true, Ordering::SeqCst);
}

/// What [`make`] starts from.
pub struct Plan<'a> {
    /// The firmware's tables.
    pub acpi: &'a Acpi,
    /// How many vCPUs.
    pub vcpus: usize,
    /// dom0's memory, which it sees where it is.
    pub memory: Vec<HypFrames>,
    /// What it is told of its memory.
    pub memory_map: Vec<E820Entry>,
}

/// Makes domain 0: memory mapped one to one.
pub fn make(plan: Plan<'_>) -> Result<&'static Domain> {
    let cpus = percpu::all().len();
    let vcpu = |id: u32| Vcpu {
        id: VcpuId {
            domain: 0,
            vcpu: id,
        },
        apic: Mutex::new(VLapic::new(id * 2, id == 0)),
        activity: Mutex::new(if id == 0 {
            Activity::On
        } else {
            Activity::WaitForStart
        }),
        cpu: AtomicUsize::new(id as usize % cpus),
        running: AtomicBool::new(false),
        asleep: AtomicBool::new(false),
        stopped: AtomicBool::new(false),
        woken: AtomicBool::new(false),
        nmi: AtomicBool::new(false),
        checks_nmi: AtomicBool::new(false),
        in_guest: AtomicBool::new(false),
        flush: AtomicBool::new(false),
        direct: AtomicU8::new(0),
        deadline: AtomicU64::new(u64::MAX),
        lines_resume: AtomicU64::new(u64::MAX),
        tsc_offset: AtomicU64::new(0),
    };
    let vcpus: Vec<Vcpu> = (0..plan.vcpus as u32).map(vcpu).collect();
    let apics = &plan.acpi.io_apics;
    let io_apic = |entry: &IoApic| {
        let lines = ioapic::lines(entry.base);
        VIoApic::new(entry.address.into(), entry.id, entry.base, lines)
    };
    let ends = apics
        .iter()
        .map(|entry| entry.base + ioapic::lines(entry.base));
    let gsis = ends.max().unwrap_or(0) as usize;
    let root = give_memory(plan.acpi, vcpus.len() as u32, plan.memory, plan.memory_map)?;
    let domain = Domain {
        id: 0,
        root,
        vcpus,
        io_apics: Mutex::new(apics.iter().map(io_apic).collect()),
        gsi_vectors: Mutex::new(alloc::vec![None; gsis]),
        pci: Mutex::new(Pci::new(lapic::id())),
        windows: plan.acpi.mcfg.clone(),
        ports: crate::io::ports::for_dom0().ok_or(Errno::ENOMEM)?,
        registers: registers().ok_or(Errno::ENOMEM)?,
    };
    let domain = DOM0.call_once(|| domain);
    for vcpu in &domain.vcpus {
        system().update_clock(vcpu.id);
    }
    Ok(domain)
}

/// Makes dom0 in the system. Returns the address of its topmost nested page table.
fn give_memory(
    acpi: &Acpi,
    vcpus: u32,
    memory: Vec<HypFrames>,
    memory_map: Vec<E820Entry>,
) -> Result<u64> {
    let mut system = system();
    let mut withhold = |start: u64, bytes: u64| {
        system
            .frames
            .withhold(start >> 12..(start + bytes).div_ceil(4096));
    };
    withhold(lapic::address(), 4096);
    acpi.io_apics
        .iter()
        .for_each(|entry| withhold(entry.address.into(), 64));
    acpi.hpet
        .iter()
        .for_each(|address| withhold(*address, 1024));
    for &(base, first, last) in &acpi.mcfg {
        let buses = u64::from(last) - u64::from(first) + 1;
        withhold(base + (u64::from(first) << 20), buses << 20);
    }
    let max_pages = memory.iter().map(HypFrames::count).sum::<u64>() + 1;
    system.create_domain(Config {
        id: 0,
        handle: [0; 16],
        privileged: true,
        direct_mapped: true,
        vcpus,
        max_pages,
        max_port: MAX_PORT,
        max_grant_frames: GRANT_FRAMES,
        max_maptrack_frames: MAPTRACK_FRAMES,
        memory_map,
    })?;
    for frames in memory {
        let at = Gfn(frames.mfn().0);
        system.give_memory(0, at, frames)?;
    }
    // Frame 0 is nobody's to give; the firmware's data in it are dom0's to read.
    let first = system.frames.alloc(0, None).ok_or(Errno::ENOMEM)?;
    let mut data = [0; 4096];
    Machine.read(0, &mut data);
    Machine.write(first.mfn().address(), &data);
    system.give_memory(0, Gfn(0), first)?;
    let domain = system.domain_mut(0)?;
    if let Some(vcpu) = domain.vcpus.first_mut() {
        (vcpu.initialised, vcpu.down) = (true, false);
    }
    Ok(domain.p2m.root().address())
}

/// The model-specific registers that a guest reaches without an exit: those the VMCB holds.
fn registers() -> Option<maps::Registers> {
    let mut registers = maps::Registers::new()?;
    let held = [
        0x174..0x177,
        0xc000_0081..0xc000_0085,
        0xc000_0100..0xc000_0104,
    ];
    for number in held.into_iter().flatten() {
        registers.allow(number, true);
    }
    registers.allow(0x10, false);
    Some(registers)
}

impl Domain {
    /// Lets the domain see a device's registers it touched. False if they are not its to see.
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
        // Another vCPU may have been here first.
        if system.lookup(self.id, Gfn::of(gpa)).is_some() {
            return true;
        }
        let count = frames.end - frames.start;
        let mapped = system.map_mmio(self.id, Gfn(frames.start), Mfn(frames.start), count);
        mapped.is_ok()
    }

    /// Does what [`forget`] was asked to do.
    pub fn forget_pages(&self) {
        if !FORGETS.swap(false, Ordering::SeqCst) {
            return;
        }
        let mut system = system();
        let ranges = core::mem::take(&mut *FORGOTTEN.lock());
        for page in ranges.into_iter().flat_map(|pages| pages.step_by(4096)) {
            // Without memory for tables the page stays as it was, and dom0's writes to it reach the device.
            if system.unmap_mmio(self.id, Gfn::of(page)).is_err() {
                log::error!("the page at {page:#x} is not intercepted");
            }
        }
    }
}

impl Vcpu {
    /// The processor that runs it now.
    pub fn runs_on(&self) -> Option<&'static PerCpu> {
        let running = self.running.load(Ordering::SeqCst);
        let cpu = running.then(|| self.cpu.load(Ordering::SeqCst));
        cpu.and_then(percpu::get)
    }

    /// Makes the vCPU look at what changed, wherever it runs or sleeps.
    pub fn kick(&self) {
        let here = percpu::this().index;
        if let Some(cpu) = self.runs_on().filter(|cpu| cpu.index != here) {
            lapic::kick(cpu);
        }
        // Also if it runs: it may be about to sleep.
        schedule::wake(self);
    }

    /// When its next timer fires, in nanoseconds of system time.
    pub fn next_timer(&self) -> Option<u64> {
        let set = |at: &AtomicU64| Some(at.load(Ordering::SeqCst)).filter(|at| *at != u64::MAX);
        let apic = self.apic.lock().deadline();
        let timers = [set(&self.deadline), set(&self.lines_resume), apic];
        timers.into_iter().flatten().min()
    }
}
