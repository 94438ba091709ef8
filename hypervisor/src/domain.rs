// SPDX-License-Identifier: GPL-2.0

//! A domain and its vCPUs, as far as all processors share them. What only the processor that runs a vCPU touches is
//! in [`crate::vcpu`].

use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use paravane::mem::p2m::{Kind, P2m};
use paravane::mem::{Gfn, MachineMemory, Mfn};
use spin::{Mutex, Once};
use xen_abi::xen::virq;

use crate::arch::frames::Frames;
use crate::arch::percpu::{self, PerCpu};
use crate::arch::phys::{Machine, NestedTables};
use crate::arch::svm::maps;
use crate::arch::{acpi::Acpi, ioapic, lapic, memory, serial, time};
use crate::calls::events::Events;
use crate::io::msi::{self, Source};
use crate::io::pci::Pci;
use crate::vcpu::runstate::Runstate;
use paravane::irq::vioapic::VIoApic;
use paravane::irq::vlapic::{Command, Destination, VLapic};

/// Parameters of a domain, `HVM_PARAM_*`.
pub const PARAMETERS: usize = 64;
/// `HVM_PARAM_CALLBACK_IRQ`: how a domain is told of events.
pub const PARAM_CALLBACK_IRQ: usize = 0;

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
    pub id: u32,
    /// Its local APIC.
    pub apic: Mutex<VLapic>,
    /// What it does.
    pub activity: Mutex<Activity>,
    /// The processor that runs it.
    pub cpu: &'static PerCpu,
    /// Machine address of its `vcpu_info`.
    pub info: AtomicU64,
    /// The vector its events come with, if it chose one.
    pub upcall_vector: AtomicU8,
    /// When its single-shot timer fires, in nanoseconds; 0: never.
    pub timer: AtomicU64,
    /// Set when its translations may be stale.
    pub flush: AtomicBool,
    /// What its time went to.
    pub runstate: Mutex<Runstate>,
}

/// A domain.
pub struct Domain {
    /// Where it sees which frame.
    pub p2m: Mutex<P2m>,
    /// Its vCPUs.
    pub vcpus: Vec<Vcpu>,
    /// The page it shares with the hypervisor.
    pub shared_info: Frames,
    /// Its event channels.
    pub events: Mutex<Events>,
    /// Its parameters.
    pub parameters: Mutex<[u64; PARAMETERS]>,
    /// Its I/O APICs.
    pub io_apics: Mutex<Vec<VIoApic>>,
    /// Vectors of the global interrupts it uses.
    gsi_vectors: Mutex<Vec<Option<u8>>>,
    /// Its PCI.
    pub pci: Mutex<Pci>,
    /// The I/O ports it reaches.
    pub ports: maps::Ports,
    /// The model-specific registers it reaches.
    pub registers: maps::Registers,
    /// Device registers it does not get.
    withheld: Vec<Range<u64>>,
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

/// Takes pages of registers away from dom0's view, if there is a dom0 yet: the next access is intercepted.
pub fn forget(pages: Range<u64>) {
    let Some(domain) = DOM0.get() else { return };
    let mut p2m = domain.p2m.lock();
    for page in pages.step_by(4096) {
        // Without memory for tables the page stays as it was, and dom0's writes to it reach the device.
        if p2m.unmap(&mut NestedTables, Gfn::of(page)).is_err() {
            log::error!("no memory to intercept the page at {page:#x}");
        }
    }
    drop(p2m);
    domain.flush();
}

/// What [`make`] starts from.
pub struct Plan<'a> {
    /// The firmware's tables.
    pub acpi: &'a Acpi,
    /// How many vCPUs.
    pub vcpus: usize,
    /// dom0's memory, machine addresses.
    pub memory: Vec<Range<u64>>,
}

/// Makes domain 0: memory mapped one to one, one vCPU a processor.
pub fn make(plan: Plan<'_>) -> Option<&'static Domain> {
    let mut p2m = P2m::new(&mut NestedTables)?;
    for range in &plan.memory {
        let (first, count) = (range.start >> 12, (range.end - range.start) >> 12);
        p2m.map(&mut NestedTables, Gfn(first), Mfn(first), count, Kind::Ram)
            .ok()?;
    }
    let shared_info = Frames::one()?;
    let cpus = percpu::all();
    let vcpu = |(id, cpu): (u32, &&'static PerCpu)| Vcpu {
        id,
        apic: Mutex::new(VLapic::new(id * 2, id == 0)),
        activity: Mutex::new(if id == 0 {
            Activity::On
        } else {
            Activity::WaitForStart
        }),
        cpu,
        info: AtomicU64::new(shared_info.start() + u64::from(id) * 64),
        upcall_vector: AtomicU8::new(0),
        timer: AtomicU64::new(0),
        flush: AtomicBool::new(false),
        runstate: Mutex::new(Runstate::new()),
    };
    let vcpus: Vec<Vcpu> = (0..).zip(&cpus).take(plan.vcpus).map(vcpu).collect();
    let io_apics: Vec<VIoApic> = plan
        .acpi
        .io_apics
        .iter()
        .map(|entry| {
            VIoApic::new(
                entry.address,
                entry.id,
                entry.gsi_base,
                ioapic::lines(entry.gsi_base),
            )
        })
        .collect();
    let gsis = plan
        .acpi
        .io_apics
        .iter()
        .map(|entry| entry.gsi_base + ioapic::lines(entry.gsi_base))
        .max();
    let mut withheld = alloc::vec![lapic::address()..lapic::address() + 4096];
    withheld.extend(
        plan.acpi
            .io_apics
            .iter()
            .map(|entry| entry.address & !0xfff..(entry.address | 0xfff) + 1),
    );
    withheld.extend(
        plan.acpi
            .hpet
            .map(|address| address & !0xfff..(address | 0xfff) + 1),
    );
    withheld.extend(plan.acpi.mcfg.iter().map(|&(base, first, last)| {
        base + (u64::from(first) << 20)..base + ((u64::from(last) + 1) << 20)
    }));
    let mut registers = maps::Registers::new()?;
    for number in [
        0x174,
        0x175,
        0x176,
        0xc000_0081,
        0xc000_0082,
        0xc000_0083,
        0xc000_0084,
        0xc000_0100,
        0xc000_0101,
        0xc000_0102,
        0xc000_0103,
    ] {
        registers.allow(number, true);
    }
    registers.allow(0x10, false);
    let domain = Domain {
        p2m: Mutex::new(p2m),
        events: Mutex::new(Events::new()),
        parameters: Mutex::new([0; PARAMETERS]),
        gsi_vectors: Mutex::new(alloc::vec![None; gsis.unwrap_or(0) as usize]),
        pci: Mutex::new(Pci::new(lapic::id())),
        ports: crate::io::ports::for_dom0()?,
        registers,
        io_apics: Mutex::new(io_apics),
        vcpus,
        shared_info,
        withheld,
    };
    let domain = DOM0.call_once(|| domain);
    domain.vcpus.iter().for_each(|vcpu| domain.write_time(vcpu));
    domain.write_wall_clock();
    Some(domain)
}

impl Domain {
    /// The machine address behind a guest-physical one, if it is memory the domain may use.
    pub fn machine_address(&self, gpa: u64, write: bool) -> Option<u64> {
        let seen = self.p2m.lock().lookup(&NestedTables, Gfn::of(gpa))?;
        let usable = seen.kind != Kind::Mmio && (!write || seen.kind.writable());
        usable.then_some(seen.mfn.address() + gpa % 4096)
    }

    /// Lets the domain see a device's registers it touched. False if they are not its to see.
    pub fn map_device(&self, gpa: u64) -> bool {
        let free = |range: &Range<u64>| {
            let overlaps = |other: &Range<u64>| other.start < range.end && range.start < other.end;
            !memory::is_ram(range) && !self.withheld.iter().any(overlaps)
        };
        let page = gpa & !0xfff..(gpa & !0xfff) + 4096;
        if !free(&page) || gpa >= 1 << 46 {
            return false;
        }
        let pci = self.pci.lock();
        if pci.is_table(page.start) {
            return false;
        }
        let large = gpa & !0x1f_ffff..(gpa & !0x1f_ffff) + (2 << 20);
        let whole = free(&large) && !large.clone().step_by(4096).any(|page| pci.is_table(page));
        drop(pci);
        let range = if whole { large } else { page };
        let (first, count) = (range.start >> 12, (range.end - range.start) >> 12);
        let mut p2m = self.p2m.lock();
        // Another vCPU may have been here first.
        if p2m.lookup(&NestedTables, Gfn::of(gpa)).is_some() {
            return true;
        }
        p2m.map(&mut NestedTables, Gfn(first), Mfn(first), count, Kind::Mmio)
            .is_ok()
    }

    /// Has every vCPU forget its translations before it runs on.
    pub fn flush(&self) {
        for vcpu in &self.vcpus {
            vcpu.flush.store(true, Ordering::SeqCst);
            vcpu.kick();
        }
    }

    /// Brings an interrupt to the vCPUs it is for.
    pub fn deliver(&self, to: Destination, vector: u8, level: bool) {
        for vcpu in &self.vcpus {
            let mut apic = vcpu.apic.lock();
            if apic.matches(to) && apic.request(vector, level) {
                drop(apic);
                vcpu.kick();
            }
        }
    }

    /// Carries out an interrupt command of a vCPU's (Intel SDM volume 3, 11.6.1).
    pub fn command(&self, sender: &Vcpu, command: Command) {
        let (vector, kind, shorthand) = (
            command.low as u8,
            command.low >> 8 & 7,
            command.low >> 18 & 3,
        );
        let to = Destination {
            id: command.destination,
            logical: command.low & 1 << 11 != 0,
        };
        for vcpu in &self.vcpus {
            let myself = vcpu.id == sender.id;
            let meant = match shorthand {
                0 => vcpu.apic.lock().matches(to),
                1 => myself,
                2 => true,
                _ => !myself,
            };
            if !meant {
                continue;
            }
            match kind {
                0 | 1 => {
                    vcpu.apic.lock().request(vector, false);
                }
                // INIT: a de-assert is a relic that does nothing.
                5 => {
                    let mut activity = vcpu.activity.lock();
                    // One that waits already keeps its APIC: it may have been told of events before its start.
                    if command.low & 1 << 14 != 0 && *activity == Activity::On {
                        *activity = Activity::WaitForStart;
                        drop(activity);
                        vcpu.apic.lock().reset();
                    }
                }
                6 => {
                    let mut activity = vcpu.activity.lock();
                    if *activity == Activity::WaitForStart {
                        *activity = Activity::Start(vector);
                    }
                }
                _ => log::warn!(
                    "d0v{}: interrupt command {:#x} is not carried out",
                    sender.id,
                    command.low
                ),
            }
            vcpu.kick();
        }
    }

    /// A global interrupt came. Its level line is masked until [`Domain::level_ended`].
    pub fn line_asserted(&self, gsi: u32) {
        let mut io_apics = self.io_apics.lock();
        let Some(io_apic) = io_apics.iter_mut().rev().find(|apic| apic.gsi_base <= gsi) else {
            return;
        };
        let line = gsi - io_apic.gsi_base;
        let delivery = io_apic.asserted(line);
        if delivery.is_none_or(|delivery| delivery.level) {
            ioapic::mask(gsi, true);
        }
        drop(io_apics);
        if let Some(delivery) = delivery {
            self.deliver(delivery.to, delivery.vector, delivery.level);
        }
    }

    /// A vCPU ended a level interrupt.
    pub fn level_ended(&self, vector: u8) {
        for io_apic in self.io_apics.lock().iter_mut() {
            for line in io_apic.ended(vector) {
                if io_apic.line(line) & ioapic::MASKED == 0 {
                    ioapic::mask(io_apic.gsi_base + line, false);
                }
            }
        }
    }

    /// Writes a register of a virtual I/O APIC, and what follows from it to the real one.
    pub fn write_io_apic(&self, index: usize, offset: u64, value: u32) {
        let mut io_apics = self.io_apics.lock();
        let Some(io_apic) = io_apics.get_mut(index) else {
            return;
        };
        let Some(line) = io_apic.write(offset, value) else {
            return;
        };
        let (entry, gsi) = (io_apic.line(line), io_apic.gsi_base + line);
        if gsi == serial::GSI {
            return;
        }
        let mut vectors = self.gsi_vectors.lock();
        let Some(slot) = vectors.get_mut(gsi as usize) else {
            return;
        };
        if entry & ioapic::MASKED != 0 {
            ioapic::mask(gsi, true);
            return;
        }
        if slot.is_none() {
            *slot = msi::take(1, |_| Source::Gsi(gsi));
        }
        let Some(vector) = *slot else {
            log::error!("no vector for GSI {gsi}");
            return;
        };
        let to = io_apic.destination(line);
        let cpu = self
            .vcpus
            .iter()
            .find(|vcpu| vcpu.apic.lock().matches(to))
            .map_or(0, |vcpu| vcpu.cpu.apic_id);
        let waits = if io_apic.waits(line) {
            ioapic::MASKED
        } else {
            0
        };
        let real = u64::from(vector)
            | entry & (ioapic::LEVEL | ioapic::LOW)
            | waits
            | u64::from(cpu) << 56;
        ioapic::set(gsi, real);
    }

    /// Which virtual I/O APIC an address belongs to.
    pub fn io_apic_at(&self, gpa: u64) -> Option<(usize, u64)> {
        let io_apics = self.io_apics.lock();
        let index = io_apics
            .iter()
            .position(|apic| (apic.address..apic.address + 4096).contains(&gpa))?;
        Some((index, gpa - io_apics.get(index)?.address))
    }

    /// Reads a register of a virtual I/O APIC.
    pub fn read_io_apic(&self, index: usize, offset: u64) -> u32 {
        self.io_apics
            .lock()
            .get(index)
            .map_or(!0, |apic| apic.read(offset))
    }

    /// Bytes came on the console: dom0 may read them.
    pub fn console_input(&self) {
        if let Some(vcpu) = self.vcpus.first() {
            self.events.lock().raise_virq(self, vcpu, virq::CONSOLE);
        }
    }

    /// Tells a vCPU that events wait for it.
    pub fn notify(&self, vcpu: &Vcpu) {
        let vector = vcpu.upcall_vector.load(Ordering::Relaxed);
        if vector != 0 {
            vcpu.apic.lock().request_event(vector);
        }
        vcpu.kick();
    }

    /// The vector by which events come to any vCPU that chose none of its own (`HVM_PARAM_CALLBACK_TYPE_VECTOR`).
    pub fn callback_vector(&self) -> Option<u8> {
        let value = self.parameters.lock()[PARAM_CALLBACK_IRQ];
        (value >> 56 == 2).then_some(value as u8)
    }

    /// Writes a vCPU's clock (`vcpu_time_info`): the rate never changes, so once is enough for each place.
    pub fn write_time(&self, vcpu: &Vcpu) {
        let at = vcpu.info.load(Ordering::Relaxed) + 32;
        let (multiplier, shift) = time::scale();
        let version = Machine.load_u32(at);
        Machine.store_u32(at, version | 1);
        Machine.store_u64(at + 8, time::tsc_start());
        Machine.store_u64(at + 16, 0);
        Machine.store_u32(at + 24, multiplier);
        // Shift, and the flag that all vCPUs' clocks agree (XEN_PVCLOCK_TSC_STABLE_BIT).
        Machine.store_u32(at + 28, u32::from(shift as u8) | 1 << 8);
        Machine.store_u32(at, (version | 1).wrapping_add(1));
    }

    /// Writes the wall clock's time at the hypervisor's time 0.
    pub fn write_wall_clock(&self) {
        let seconds = crate::arch::rtc::read().saturating_sub(time::now() / 1_000_000_000);
        self.set_wall_clock(seconds, 0);
    }

    /// Writes the wall clock: seconds and nanoseconds since 1970 at the hypervisor's time 0.
    pub fn set_wall_clock(&self, seconds: u64, nanoseconds: u32) {
        let at = self.shared_info.start() + 3072;
        let version = Machine.load_u32(at);
        Machine.store_u32(at, version | 1);
        Machine.store_u32(at + 4, seconds as u32);
        Machine.store_u32(at + 8, nanoseconds);
        Machine.store_u32(at + 12, (seconds >> 32) as u32);
        Machine.store_u32(at, (version | 1).wrapping_add(1));
    }
}

impl Vcpu {
    /// Makes the vCPU look at what changed, wherever it runs.
    pub fn kick(&self) {
        if self.cpu.index != percpu::this().index {
            lapic::kick(self.cpu);
        }
    }

    /// Whether events wait (`evtchn_upcall_pending`).
    pub fn upcall_pending(&self) -> bool {
        let mut byte = [0];
        Machine.read(self.info.load(Ordering::Relaxed), &mut byte);
        byte[0] != 0
    }
}
