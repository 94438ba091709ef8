//! All domains and the memory they share: what a hypercall works on.
//!
//! There is one [`System`], and whoever uses it has it alone: a lock around it is the machine part's. So nothing here
//! can be seen half done, and races between a domain's hypercalls, such as XSA-505's between growing and resetting
//! the event array, do not exist.

pub mod copies;
pub mod destroy;
pub mod domain;
pub mod events;
#[cfg(any(test, feature = "heap"))]
pub mod fake;
pub mod grants;
pub mod guest;
pub mod physmap;
pub mod times;
pub mod vcpu;

use crate::console::Ring;
use crate::error::{Errno, Result};
use crate::event::{Events, Places};
use crate::grant::GrantTable;
use crate::mem::frames::DomId;
use crate::mem::p2m;
use crate::mem::{FrameTable, HypFrames, MachineMemory, Mfn};
use crate::pvclock::Clock;
use crate::system::domain::{Callback, Config, Domain};
use crate::system::vcpu::VcpuId;
use crate::trace::Trace;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem::offset_of;
pub use guest::Caller;
use xen_abi::hvm::vcpu::Context;
use xen_abi::vcpu::VcpuInfo;
use xen_abi::xen::domid;

/// How a vCPU is told of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upcall {
    /// A vector of its local APIC, which it acknowledges there.
    Lapic(u8),
    /// A vector that is injected without the local APIC as long as its info says that an event is pending.
    Direct(u8),
    /// Not by an interrupt: it only stops waiting.
    WakeOnly,
}

/// What the hypervisor asks of the machine.
pub trait Platform: MachineMemory {
    /// Nanoseconds since the hypervisor's start.
    fn now(&self) -> u64;

    /// The clock of a vCPU.
    fn clock(&self, vcpu: VcpuId) -> Clock;

    /// An event is pending for a vCPU: interrupt it and, if it waits, wake it.
    fn upcall(&mut self, vcpu: VcpuId, how: Upcall);

    /// The vCPU may run again: it was brought up, unpaused, or has polled with success.
    fn wake(&mut self, vcpu: VcpuId);

    /// The vCPU must stop, at once if it runs elsewhere.
    fn stop(&mut self, vcpu: VcpuId);

    /// Calls [`System::timer`] for a vCPU at a time, or not any more.
    fn set_timer(&mut self, vcpu: VcpuId, at: Option<u64>);

    /// Makes all CPUs forget what they know of a domain's memory, before this returns.
    fn flush(&mut self, domain: DomId);

    /// Sets a vCPU's first registers. [`Errno::EINVAL`] if they cannot be entered.
    fn initialise(&mut self, vcpu: VcpuId, context: &Context) -> Result<()>;

    /// A domain has shut down. If it is dom0, the machine is to do what it says.
    fn shut_down(&mut self, domain: DomId, reason: u8);

    /// The nanoseconds since 1970 at which system time was zero.
    fn wall_clock(&self) -> u64;

    /// Says so from now on.
    fn set_wall_clock(&mut self, nanoseconds: u64);

    /// Writes to the console.
    fn console_write(&mut self, text: &[u8]);

    /// Takes what was typed on the console.
    fn console_read(&mut self, to: &mut [u8]) -> usize;

    /// Routes a line of dom0's: its trigger and polarity are known now. [`Errno::EINVAL`] if there is none.
    fn setup_gsi(&mut self, gsi: u32, level: bool, low: bool) -> Result<()>;

    /// Enters an ACPI sleep state with the values for the two control registers.
    fn enter_sleep(&mut self, state: u32, a: u16, b: u16) -> Result<()>;

    /// Dom0 tells of a PCI device, or that it is gone.
    fn pci_device(&mut self, segment: u16, bus: u8, devfn: u8, present: bool) -> Result<()>;

    /// Dom0 tells of a window of PCI configuration space.
    fn pci_window(
        &mut self,
        address: u64,
        segment: u16,
        buses: core::ops::RangeInclusive<u8>,
    ) -> Result<()>;
}

/// A CPU of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// Its local APIC's number.
    pub apic_id: u32,
    /// Its number in ACPI's tables.
    pub acpi_id: u32,
    /// Its core, socket and node.
    pub topology: [u32; 3],
    /// Nanoseconds it has been idle.
    pub idle: u64,
    /// Revision of its microcode.
    pub microcode: u32,
}

/// What is said of the machine and of the hypervisor.
#[derive(Clone, Debug, Default)]
pub struct HostInfo {
    /// Its CPUs.
    pub cpus: Vec<Cpu>,
    /// Frequency of the time-stamp counter, in kHz.
    pub tsc_khz: u32,
    /// Features of the processor, as `xl info` shows them: leaf 1 EDX and ECX, leaf 0x80000001 EDX and ECX, leaf 7's.
    pub hw_cap: [u32; 8],
    /// The processor's vendor, family, model and stepping.
    pub processor: ([u8; 12], u32, u32, u32),
    /// Signature of the processor, leaf 1 EAX.
    pub signature: u32,
    /// The machine's memory map.
    pub memory_map: Vec<crate::system::domain::E820Entry>,
    /// The hypervisor's command line.
    pub command_line: String,
    /// How it was built: compiler, by whom, where, when, and its version in the source.
    pub build: [String; 5],
    /// The linker's digest of the image; nothing if there is none.
    pub build_id: Vec<u8>,
}

/// Everything.
pub struct System<P> {
    /// The machine.
    pub platform: P,
    /// Who owns which frame.
    pub frames: FrameTable,
    /// The domains by number.
    pub domains: BTreeMap<DomId, Domain>,
    /// How often frames of the hypervisor are seen by domains that they were not made for.
    pub shown: BTreeMap<u64, u32>,
    /// What the console said.
    pub console: Ring,
    /// Which hypercalls were made.
    pub trace: Trace,
    /// What is said of the machine.
    pub host: HostInfo,
}

/// Page tables of domains, in frames of the hypervisor.
pub struct Tables<'a, P> {
    /// Where frames come from.
    pub frames: &'a mut FrameTable,
    /// Where they are.
    pub memory: &'a P,
    /// The tables there are.
    pub owned: &'a mut BTreeMap<u64, HypFrames>,
}

impl<P: MachineMemory> p2m::TableMemory for Tables<'_, P> {
    fn alloc(&mut self) -> Option<Mfn> {
        let frame = self.frames.alloc(0, None)?;
        let mfn = frame.mfn();
        self.memory.clear_frame(mfn.address());
        self.owned.insert(mfn.0, frame);
        Some(mfn)
    }

    fn free(&mut self, table: Mfn) {
        if let Some(frame) = self.owned.remove(&table.0) {
            self.frames.free(frame);
        }
    }

    fn load(&self, table: Mfn, index: u64) -> u64 {
        self.memory.load_u64(table.address() + index * 8)
    }

    fn store(&mut self, table: Mfn, index: u64, entry: u64) {
        self.memory.store_u64(table.address() + index * 8, entry);
    }
}

impl<P: Platform> System<P> {
    /// A system without domains.
    pub fn new(platform: P, frames: FrameTable, host: HostInfo) -> Self {
        Self {
            platform,
            frames,
            domains: BTreeMap::new(),
            shown: BTreeMap::new(),
            console: Ring::new(),
            trace: Trace::default(),
            host,
        }
    }
}
