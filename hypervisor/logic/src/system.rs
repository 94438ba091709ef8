// SPDX-License-Identifier: GPL-2.0

//! All domains and the frame table: what a hypercall works on.
//!
//! There is one [`System`], which is used through `&mut`; the machine part puts it behind one lock. So no intermediate
//! state can be observed, and races between a domain's hypercalls, such as that of XSA-505 between growing and
//! resetting the event array, do not exist.

pub mod areas;
pub mod copies;
pub mod create;
pub mod destroy;
pub mod domain;
pub mod events;
#[cfg(any(test, feature = "heap"))]
pub mod fake;
pub mod gfn_access;
pub mod grants;
pub mod guest;
pub mod guest_console;
pub mod heap_budget;
pub mod hvm_context;
pub mod log_dirty;
pub mod on_demand;
pub mod paging_pool;
pub mod pause;
pub mod physmap;
pub mod timers;
pub mod vcpu;

use crate::console::ConsoleRing;
use crate::cpuid::policy::CpuPolicy;
use crate::error::{Errno, Result};
use crate::event::{Events, SharedAreas};
use crate::grant::GrantTable;
use crate::hypercall_counts::HypercallCounts;
use crate::irq::vlapic::VLapic;
use crate::mem::frames::DomId;
use crate::mem::{FrameTable, MachineMemory, Mfn};
use crate::mistake::Mistake;
use crate::pvclock::Clock;
use crate::sched::CpuSet;
use crate::system::domain::{Callback, Config, Domain};
use crate::system::vcpu::{VcpuId, VcpuRegisters};
use crate::trace::TraceEvent;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem::offset_of;
pub use guest::Caller;
pub use heap_budget::HeapBudget;
use paging_pool::{P2mTables, PagingPool};
use xen_abi::hvm::save::CpuXsave;
use xen_abi::hvm::vcpu::Context;
use xen_abi::vcpu::VcpuInfo;
use xen_abi::xen::domid;

/// How an upcall reaches a vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upcall {
    /// By a vector of its local APIC, which the guest acknowledges there (`HVMOP_set_evtchn_upcall_vector`).
    LapicVector(u8),
    /// By the domain's callback vector, which is injected without the local APIC as long as `evtchn_upcall_pending` is
    /// set.
    CallbackVector(u8),
    /// Not by an interrupt: a vCPU that blocks only wakes up.
    WakeOnly,
}

/// What the library needs from the machine besides its memory.
pub trait Platform: MachineMemory {
    /// Nanoseconds since the hypervisor's start.
    fn now(&self) -> u64;

    /// The clock of a vCPU: how its time-stamp counter becomes system time.
    fn clock(&self, vcpu: VcpuId) -> Clock;

    /// An event has become pending for a vCPU: interrupts it and, if it blocks, wakes it.
    fn upcall(&mut self, vcpu: VcpuId, how: Upcall);

    /// Lets a vCPU run: the last reason not to has gone ([`Domain::vcpu_runnable`]).
    fn vcpu_wake(&mut self, vcpu: VcpuId);

    /// Keeps a vCPU from running. If it runs on another CPU, it leaves the guest soon:
    /// [`Platform::vcpu_is_running`] tells when.
    fn vcpu_sleep_nosync(&mut self, vcpu: VcpuId);

    /// What a vCPU blocks for in a hypercall has come: it no longer blocks. Whether it may run does not change.
    fn vcpu_unblock(&mut self, vcpu: VcpuId);

    /// Whether a CPU runs a vCPU or still holds a part of its state.
    fn vcpu_is_running(&self, vcpu: VcpuId) -> bool;

    /// Whether a vCPU that blocks was woken and waits for a CPU, which only then changes its runstate.
    fn vcpu_is_woken(&self, vcpu: VcpuId) -> bool;

    /// Makes the machine's part of a domain that has no vCPUs yet. `root` is the topmost table of its p2m. Memory comes
    /// from `frames`. [`Errno::ENOMEM`] without it.
    fn domain_create(&mut self, frames: &mut FrameTable, domain: DomId, root: Mfn) -> Result<()>;

    /// Makes the machine's part of a vCPU, which is down and has not been initialised. [`Errno::ENOMEM`] without memory.
    fn vcpu_create(&mut self, frames: &mut FrameTable, vcpu: VcpuId) -> Result<()>;

    /// A domain's CPUID is what this policy says, by [`CpuPolicy::guest_leaf`]. None of its vCPUs has run yet.
    fn cpu_policy_changed(&mut self, domain: DomId, policy: &Arc<CpuPolicy>);

    /// The registers of a vCPU that no CPU runs.
    ///
    /// # Errors
    ///
    /// [`Errno::EAGAIN`] if a CPU is about to let go of it: the caller asks again after that.
    fn vcpu_registers(&mut self, vcpu: VcpuId) -> Result<VcpuRegisters>;

    /// Loads the registers of a vCPU that no CPU runs and that is down. They were checked by
    /// [`check_cpu`](vcpu::registers::check_cpu). It runs with them once it is up, and waits for no start-up IPI.
    ///
    /// # Errors
    ///
    /// [`Errno::EAGAIN`] as above, [`Errno::EINVAL`] if the processor would refuse them.
    fn set_vcpu_registers(&mut self, vcpu: VcpuId, registers: &VcpuRegisters) -> Result<()>;

    /// Sets the page attribute table of a vCPU that no CPU runs and that is down. How it is started stays.
    ///
    /// # Errors
    ///
    /// [`Errno::EAGAIN`] as above.
    fn set_vcpu_pat(&mut self, vcpu: VcpuId, pat: u64) -> Result<()>;

    /// The extended states of a vCPU that no CPU runs: what a record of them has, and the states behind the fixed part.
    /// `None` if the processor has no XSAVE.
    ///
    /// # Errors
    ///
    /// [`Errno::EAGAIN`] as above, [`Errno::ENOMEM`].
    fn vcpu_xstate(&mut self, vcpu: VcpuId) -> Result<Option<(CpuXsave, Vec<u8>)>>;

    /// Loads the extended states of a vCPU that no CPU runs. They were checked by
    /// [`check_xstate`](vcpu::registers::check_xstate); the states behind the fixed part may be cut short, and what lies
    /// behind them is ignored.
    ///
    /// # Errors
    ///
    /// [`Errno::EAGAIN`] as above.
    fn set_vcpu_xstate(&mut self, vcpu: VcpuId, fixed: &CpuXsave, states: &[u8]) -> Result<()>;

    /// Works on a vCPU's local APIC. [`Errno::ESRCH`] if there is no such vCPU.
    fn vlapic<T>(&mut self, vcpu: VcpuId, work: impl FnOnce(&mut VLapic) -> T) -> Result<T>;

    /// The machine's time-stamp counter.
    fn tsc(&self) -> u64;

    /// A vCPU's time-stamp counter minus the machine's.
    fn tsc_offset(&self, vcpu: VcpuId) -> u64;

    /// Sets a vCPU's time-stamp counter minus the machine's. No CPU runs it.
    ///
    /// # Errors
    ///
    /// [`Errno::EAGAIN`] as above.
    fn set_tsc_offset(&mut self, vcpu: VcpuId, offset: u64) -> Result<()>;

    /// Sets a vCPU's share of processor time, relative to others'.
    fn set_weight(&mut self, vcpu: VcpuId, weight: u16);

    /// Sets how much processor time the vCPUs of a domain get together, in hundredths of a CPU; 0 for no limit.
    fn set_cap(&mut self, domain: DomId, percent: u16);

    /// Sets the CPUs that a vCPU may run on, of which at least one exists. If it runs on another one, it is moved soon.
    fn set_affinity(&mut self, vcpu: VcpuId, cpus: CpuSet);

    /// Drops the machine's part of a domain and of its vCPUs, which no CPU runs and which will never run. Nothing happens
    /// if there is none.
    fn domain_destroy(&mut self, frames: &mut FrameTable, domain: DomId);

    /// Has [`System::timer_expired`] called for a vCPU at a system time in nanoseconds; `None` stops the timer.
    fn set_timer(&mut self, vcpu: VcpuId, at: Option<u64>);

    /// Flushes a domain's translations from the TLBs of all CPUs, before this returns.
    fn flush_tlb(&mut self, domain: DomId);

    /// Sets the registers with which a vCPU starts. [`Errno::EINVAL`] if the processor would refuse them.
    fn initialise_vcpu(&mut self, vcpu: VcpuId, context: &Context) -> Result<()>;

    /// A domain has shut down. The reason of dom0 decides what the machine does: power off, reboot, report a crash.
    fn domain_shutdown(&mut self, domain: DomId, reason: u8);

    /// Bytes of the heap that are allocated.
    fn heap_used(&self) -> usize;

    /// Writes down what happens, if there is a trace. Nothing depends on it.
    fn trace(&mut self, event: TraceEvent);

    /// Logs a line that the toolstack asks for, or about the end of a domain.
    fn printk(&mut self, what: core::fmt::Arguments<'_>);

    /// A vCPU's guest has made a mistake, which is logged if the options and the domain's limits let it be.
    fn report(&mut self, vcpu: VcpuId, mistake: Mistake, what: core::fmt::Arguments<'_>);

    /// The nanoseconds since 1970 at which system time was zero.
    fn wall_clock(&self) -> u64;

    /// Sets what [`Platform::wall_clock`] returns.
    fn set_wall_clock(&mut self, nanoseconds: u64);

    /// Writes to the hypervisor's console.
    fn console_write(&mut self, text: &[u8]);

    /// Reads input from the console. Returns how many bytes there were.
    fn console_read(&mut self, to: &mut [u8]) -> usize;

    /// Acts on a debug key of Xen (`xl debug-keys`). Unknown ones do nothing.
    fn debug_key(&mut self, key: u8);

    /// dom0 has set trigger and polarity of a GSI (`PHYSDEVOP_setup_gsi`). [`Errno::EINVAL`] if there is none.
    fn setup_gsi(&mut self, gsi: u32, level: bool, low: bool) -> Result<()>;

    /// Enters an ACPI sleep state, with the values for the two PM1 control registers.
    fn enter_acpi_sleep(&mut self, state: u32, a: u16, b: u16) -> Result<()>;

    /// dom0 has found a PCI device, or has removed it.
    fn pci_device(&mut self, segment: u16, bus: u8, devfn: u8, present: bool) -> Result<()>;

    /// dom0 has reserved a window of PCI configuration space in memory (`PHYSDEVOP_pci_mmcfg_reserved`).
    fn pci_mmcfg_reserved(
        &mut self,
        address: u64,
        segment: u16,
        buses: core::ops::RangeInclusive<u8>,
    ) -> Result<()>;
}

/// A physical CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// Its local APIC id.
    pub apic_id: u32,
    /// Its processor id in the MADT.
    pub acpi_id: u32,
    /// Its core, socket and node.
    pub topology: [u32; 3],
    /// Nanoseconds it has been idle.
    pub idle: u64,
    /// Its microcode revision.
    pub microcode: u32,
}

/// What the toolstack and guests can ask about the machine and the hypervisor.
#[derive(Clone, Debug, Default)]
pub struct HostInfo {
    /// All physical CPUs.
    pub cpus: Vec<Cpu>,
    /// Frequency of the time-stamp counter, in kHz.
    pub tsc_khz: u32,
    /// The `hw_caps` of `xl info`: leaf 1 EDX and ECX, leaf 0x80000001 EDX and ECX, leaf 0xd.1 EAX, leaf 7 EBX, ECX and
    /// EDX.
    pub hw_cap: [u32; 8],
    /// The processor's vendor, family, model and stepping.
    pub processor: ([u8; 12], u32, u32, u32),
    /// The processor's signature, leaf 1 EAX.
    pub signature: u32,
    /// What CPUID of the processor says.
    pub processor_policy: CpuPolicy,
    /// What of that guests may have: the policy that a domain is created with.
    pub guest_policy: Arc<CpuPolicy>,
    /// The firmware's memory map.
    pub memory_map: Vec<crate::system::domain::E820Entry>,
    /// The hypervisor's command line.
    pub command_line: String,
    /// How it was built: compiler, by whom, where, when, and its version in the source.
    pub build: [String; 5],
    /// The linker's build id of the image; empty if there is none.
    pub build_id: Vec<u8>,
}

/// The state of the whole hypervisor.
pub struct System<P> {
    /// The machine that it runs on.
    pub platform: P,
    /// The frame table.
    pub frames: FrameTable,
    /// The domains, by domid.
    pub domains: BTreeMap<DomId, Domain>,
    /// The domid that was chosen last for a new domain.
    pub(crate) last_domid: DomId,
    /// The PCI devices that dom0 has added: segment, bus, device and function.
    pub(crate) pci_devices: BTreeSet<(u16, u8, u8)>,
    /// How often a resource frame of the hypervisor (by mfn) is mapped by domains other than the one it belongs to.
    pub resource_mappings: BTreeMap<u64, u32>,
    /// What unprivileged domains may still make of the heap. Without a limit unless the machine sets one.
    pub heap_budget: HeapBudget,
    /// The console ring, for `xl dmesg`.
    pub console: ConsoleRing,
    /// Counts of the hypercalls that were made.
    pub hypercall_counts: HypercallCounts,
    /// Pages and elements of lists that the hypercall in progress has worked on, all calls of a multicall together.
    pub(crate) items_done: u64,
    /// Facts about the machine.
    pub host: HostInfo,
}

impl<P: Platform> System<P> {
    /// Without domains.
    pub fn new(platform: P, frames: FrameTable, host: HostInfo) -> Self {
        Self {
            platform,
            frames,
            domains: BTreeMap::new(),
            last_domid: 0,
            pci_devices: BTreeSet::new(),
            resource_mappings: BTreeMap::new(),
            heap_budget: HeapBudget::new(usize::MAX),
            console: ConsoleRing::new(),
            hypercall_counts: HypercallCounts::default(),
            items_done: 0,
            host,
        }
    }
}
