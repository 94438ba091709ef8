// SPDX-License-Identifier: GPL-2.0

//! A machine for tests and fuzzing: memory on the heap, a clock that is set by hand, and a record of the calls it got.

use super::{HostInfo, Platform, System, Upcall};
use crate::cpuid::CpuidRegs;
use crate::cpuid::policy::CpuPolicy;
use crate::error::{Errno, Result};
use crate::irq::vlapic::VLapic;
use crate::mem::access::forward_to_memory;
use crate::mem::frames::{DomId, PageInfo};
use crate::mem::heap::HeapMemory;
use crate::mem::walk::{Paging, PagingMode};
use crate::mem::{FrameTable, Gfn, MachineMemory, Mfn};
use crate::mistake::Mistake;
use crate::pvclock::Clock;
use crate::sched::CpuSet;
use crate::system::destroy::DestroyProgress;
use crate::system::domain::{Config, E820Entry};
use crate::system::vcpu::registers::PAT_RESET;
use crate::system::vcpu::{VcpuId, VcpuRegisters};
use crate::trace::TraceEvent;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use xen_abi::domctl::emulation;
use xen_abi::hvm::save::{Cpu, CpuXsave};
use xen_abi::hvm::vcpu::Context;
use zerocopy::FromZeros;

/// The machine's state.
pub struct FakePlatform {
    memory: HeapMemory,
    /// System time in nanoseconds.
    pub time: u64,
    /// The calls, in order.
    pub calls: Vec<PlatformCall>,
    /// What the trace would have.
    pub traced: Vec<TraceEvent>,
    /// The vCPUs that a CPU runs, set by tests.
    pub running: BTreeSet<VcpuId>,
    /// The vCPUs that were woken and wait for a CPU, set by tests.
    pub woken: BTreeSet<VcpuId>,
    /// The registers of vCPUs that were set.
    pub registers: BTreeMap<VcpuId, VcpuRegisters>,
    /// Page attribute tables that were set since then.
    pub pats: BTreeMap<VcpuId, u64>,
    /// Extended states that were set.
    pub xstates: BTreeMap<VcpuId, (CpuXsave, Vec<u8>)>,
    /// The local APICs, once they were accessed.
    pub vlapics: BTreeMap<VcpuId, VLapic>,
    /// What vCPUs' time-stamp counters have added.
    pub tsc_offsets: BTreeMap<VcpuId, u64>,
    /// After how many successful calls the machine has no memory for domains and vCPUs; `None` for never.
    pub memory_for: Option<u32>,
    /// What was written to the console.
    pub printed: Vec<u8>,
    /// What was typed on the console and not read yet.
    pub typed: VecDeque<u8>,
    /// The lines that were logged.
    pub lines: Vec<alloc::string::String>,
    /// What guests did wrong.
    pub mistakes: Vec<(Mistake, alloc::string::String)>,
    wall_clock: u64,
}

impl FakePlatform {
    fn refuse(&mut self) -> Result<()> {
        match &mut self.memory_for {
            Some(0) => Err(Errno::ENOMEM),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// A call of a function of [`Platform`].
#[allow(missing_docs, reason = "named as the functions of `Platform`")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlatformCall {
    Upcall(VcpuId, Upcall),
    VcpuWake(VcpuId),
    VcpuSleep(VcpuId),
    VcpuUnblock(VcpuId),
    SetTimer(VcpuId, Option<u64>),
    FlushTlb(DomId),
    DomainCreate(DomId),
    VcpuCreate(VcpuId),
    DomainDestroy(DomId),
    CpuPolicyChanged(DomId),
    SetWeight(VcpuId, u16),
    SetCap(DomId, u16),
    SetAffinity(VcpuId, CpuSet),
    InitialiseVcpu(VcpuId),
    DomainShutdown(DomId, u8),
    EnterAcpiSleep(u32),
    DebugKey(u8),
}

impl MachineMemory for FakePlatform {
    forward_to_memory!(accesses);
    forward_to_memory!(exchanges);
}

impl Platform for FakePlatform {
    fn now(&self) -> u64 {
        self.time
    }

    fn clock(&self, _: VcpuId) -> Clock {
        let (mul, shift) = crate::pvclock::scale(1_000_000_000);
        Clock {
            tsc: self.time,
            system_time: self.time,
            mul,
            shift,
            stable: true,
        }
    }

    fn upcall(&mut self, vcpu: VcpuId, how: Upcall) {
        self.calls.push(PlatformCall::Upcall(vcpu, how));
    }

    fn vcpu_wake(&mut self, vcpu: VcpuId) {
        self.calls.push(PlatformCall::VcpuWake(vcpu));
    }

    fn vcpu_sleep_nosync(&mut self, vcpu: VcpuId) {
        self.calls.push(PlatformCall::VcpuSleep(vcpu));
    }

    fn vcpu_unblock(&mut self, vcpu: VcpuId) {
        self.calls.push(PlatformCall::VcpuUnblock(vcpu));
    }

    fn vcpu_is_running(&self, vcpu: VcpuId) -> bool {
        self.running.contains(&vcpu)
    }

    fn vcpu_is_woken(&self, vcpu: VcpuId) -> bool {
        self.woken.contains(&vcpu)
    }

    fn domain_create(&mut self, _: &mut FrameTable, domain: DomId, _: Mfn) -> Result<()> {
        self.calls.push(PlatformCall::DomainCreate(domain));
        self.refuse()
    }

    fn vcpu_create(&mut self, _: &mut FrameTable, vcpu: VcpuId) -> Result<()> {
        self.calls.push(PlatformCall::VcpuCreate(vcpu));
        self.refuse()
    }

    fn cpu_policy_changed(&mut self, domain: DomId, _: &Arc<CpuPolicy>) {
        self.calls.push(PlatformCall::CpuPolicyChanged(domain));
    }

    fn vcpu_registers(&mut self, vcpu: VcpuId) -> Result<VcpuRegisters> {
        assert!(!self.running.contains(&vcpu), "{vcpu} runs");
        let reset = VcpuRegisters {
            cpu: Cpu::new_zeroed(),
            pat: PAT_RESET,
        };
        let mut registers = self.registers.get(&vcpu).copied().unwrap_or(reset);
        registers.pat = self.pats.get(&vcpu).copied().unwrap_or(registers.pat);
        Ok(registers)
    }

    fn set_vcpu_registers(&mut self, vcpu: VcpuId, registers: &VcpuRegisters) -> Result<()> {
        assert!(!self.running.contains(&vcpu), "{vcpu} runs");
        self.registers.insert(vcpu, *registers);
        self.pats.remove(&vcpu);
        Ok(())
    }

    fn set_vcpu_pat(&mut self, vcpu: VcpuId, pat: u64) -> Result<()> {
        assert!(!self.running.contains(&vcpu), "{vcpu} runs");
        self.pats.insert(vcpu, pat);
        Ok(())
    }

    fn vcpu_xstate(&mut self, vcpu: VcpuId) -> Result<Option<(CpuXsave, Vec<u8>)>> {
        assert!(!self.running.contains(&vcpu), "{vcpu} runs");
        Ok(self.xstates.get(&vcpu).cloned())
    }

    fn set_vcpu_xstate(&mut self, vcpu: VcpuId, fixed: &CpuXsave, states: &[u8]) -> Result<()> {
        assert!(!self.running.contains(&vcpu), "{vcpu} runs");
        self.xstates.insert(vcpu, (*fixed, states.to_vec()));
        Ok(())
    }

    fn vlapic<T>(&mut self, vcpu: VcpuId, work: impl FnOnce(&mut VLapic) -> T) -> Result<T> {
        let new = || VLapic::new(2 * vcpu.vcpu, vcpu.vcpu == 0);
        Ok(work(self.vlapics.entry(vcpu).or_insert_with(new)))
    }

    fn tsc(&self) -> u64 {
        self.time
    }

    fn tsc_offset(&self, vcpu: VcpuId) -> u64 {
        self.tsc_offsets.get(&vcpu).copied().unwrap_or(0)
    }

    fn set_tsc_offset(&mut self, vcpu: VcpuId, offset: u64) -> Result<()> {
        self.tsc_offsets.insert(vcpu, offset);
        Ok(())
    }

    fn set_weight(&mut self, vcpu: VcpuId, weight: u16) {
        self.calls.push(PlatformCall::SetWeight(vcpu, weight));
    }

    fn set_cap(&mut self, domain: DomId, percent: u16) {
        self.calls.push(PlatformCall::SetCap(domain, percent));
    }

    fn set_affinity(&mut self, vcpu: VcpuId, cpus: CpuSet) {
        self.calls.push(PlatformCall::SetAffinity(vcpu, cpus));
    }

    fn domain_destroy(&mut self, _: &mut FrameTable, domain: DomId) {
        self.registers.retain(|vcpu, _| vcpu.domain != domain);
        self.pats.retain(|vcpu, _| vcpu.domain != domain);
        self.xstates.retain(|vcpu, _| vcpu.domain != domain);
        self.vlapics.retain(|vcpu, _| vcpu.domain != domain);
        self.tsc_offsets.retain(|vcpu, _| vcpu.domain != domain);
        self.calls.push(PlatformCall::DomainDestroy(domain));
    }

    fn set_timer(&mut self, vcpu: VcpuId, at: Option<u64>) {
        self.calls.push(PlatformCall::SetTimer(vcpu, at));
    }

    fn flush_tlb(&mut self, domain: DomId) {
        self.calls.push(PlatformCall::FlushTlb(domain));
    }

    fn initialise_vcpu(&mut self, vcpu: VcpuId, _: &Context) -> Result<()> {
        self.calls.push(PlatformCall::InitialiseVcpu(vcpu));
        Ok(())
    }

    fn domain_shutdown(&mut self, domain: DomId, reason: u8) {
        self.calls
            .push(PlatformCall::DomainShutdown(domain, reason));
    }

    fn printk(&mut self, what: core::fmt::Arguments<'_>) {
        self.lines.push(alloc::format!("{what}"));
    }

    fn report(&mut self, vcpu: VcpuId, mistake: Mistake, what: core::fmt::Arguments<'_>) {
        let text = alloc::format!("{vcpu}: {what}");
        self.mistakes.push((mistake, text));
    }

    fn wall_clock(&self) -> u64 {
        self.wall_clock
    }

    fn set_wall_clock(&mut self, nanoseconds: u64) {
        self.wall_clock = nanoseconds;
    }

    fn console_write(&mut self, text: &[u8]) {
        self.printed.extend(text);
    }

    fn console_read(&mut self, to: &mut [u8]) -> usize {
        let count = to.len().min(self.typed.len());
        for (to, typed) in to.iter_mut().zip(self.typed.drain(..count)) {
            *to = typed;
        }
        count
    }

    fn heap_used(&self) -> usize {
        4096
    }

    fn trace(&mut self, event: TraceEvent) {
        self.traced.push(event);
    }

    fn debug_key(&mut self, key: u8) {
        self.calls.push(PlatformCall::DebugKey(key));
    }

    fn setup_gsi(&mut self, gsi: u32, _: bool, _: bool) -> Result<()> {
        if gsi < 24 { Ok(()) } else { Err(Errno::EINVAL) }
    }

    fn enter_acpi_sleep(&mut self, state: u32, _: u16, _: u16) -> Result<()> {
        self.calls.push(PlatformCall::EnterAcpiSleep(state));
        Ok(())
    }

    fn pci_device(&mut self, _: u16, _: u8, _: u8, _: bool) -> Result<()> {
        Ok(())
    }

    fn pci_mmcfg_reserved(&mut self, _: u64, _: u16, _: RangeInclusive<u8>) -> Result<()> {
        Ok(())
    }
}

/// The paging mode of a vCPU that makes hypercalls with guest-physical addresses.
pub const UNPAGED: Paging = Paging {
    cr3: 0,
    mode: PagingMode::Unpaged,
    write_protect: true,
};

/// The byte that memory is full of before it is cleared, standing for what its last owner left there.
pub const STALE_BYTE: u8 = 0xa5;

/// CPUID of the machine's processor: an AMD one with features that guests do not get, such as SVM.
pub fn fake_cpuid(leaf: u32, subleaf: u32) -> CpuidRegs {
    let regs = |a, b, c, d| CpuidRegs { a, b, c, d };
    match (leaf, subleaf) {
        (0, _) => regs(0xd, 0x6874_7541, 0x444d_4163, 0x6974_6e65),
        (1, _) => regs(0x00a2_0f12, 0x0002_0800, 0x7efa_320b, 0x178b_fbff),
        (7, 0) => regs(1, 0x219c_97a9, 0x0040_069c, 0x0000_0010),
        (7, 1) => regs(0x30, 0, 0, 0),
        (0xb, 0) => regs(1, 2, 0x100, 0),
        (0xd, 0) => regs(7, 0x340, 0x340, 0),
        (0xd, 1) => regs(0xf, 0x340, 0, 0),
        (0xd, 2) => regs(0x100, 0x240, 0, 0),
        (0x8000_0000, _) => regs(0x8000_0021, 0x6874_7541, 0x444d_4163, 0x6974_6e65),
        (0x8000_0001, _) => regs(0x00a2_0f12, 0, 0x75c2_37ff, 0x2fd3_fbff),
        (0x8000_0007, _) => regs(0, 0, 0, 1 << 8),
        (0x8000_0008, _) => regs(0x0000_3030, 0x1111_1205, 0x4007, 0),
        (0x8000_0021, _) => regs(1 << 2, 0, 0, 0),
        _ => CpuidRegs::default(),
    }
}

/// A machine of `frames` frames, all free and full of [`STALE_BYTE`].
pub fn machine(frames: usize) -> System<FakePlatform> {
    let mut table = FrameTable::new(vec![PageInfo::default(); frames]);
    table.add_free(0..frames as u64);
    let platform = FakePlatform {
        memory: HeapMemory::filled(frames, STALE_BYTE),
        time: 1_000_000,
        calls: Vec::new(),
        traced: Vec::new(),
        running: BTreeSet::new(),
        woken: BTreeSet::new(),
        registers: BTreeMap::new(),
        pats: BTreeMap::new(),
        xstates: BTreeMap::new(),
        vlapics: BTreeMap::new(),
        tsc_offsets: BTreeMap::new(),
        memory_for: None,
        printed: Vec::new(),
        typed: VecDeque::new(),
        lines: Vec::new(),
        mistakes: Vec::new(),
        wall_clock: 1_700_000_000_000_000_000,
    };
    let processor_policy = CpuPolicy::of_processor(fake_cpuid);
    let host = HostInfo {
        guest_policy: Arc::new(processor_policy.for_guests()),
        processor_policy,
        tsc_khz: 1_000_000,
        cpus: vec![super::Cpu::default(); 2],
        memory_map: vec![E820Entry {
            address: 0,
            size: 4096 * frames as u64,
            kind: 1,
        }],
        ..HostInfo::default()
    };
    System::new(platform, table, host)
}

/// The configuration of the domains in tests.
pub fn config(id: DomId) -> Config {
    Config {
        id,
        handle: [id as u8; 16],
        privileged: id == 0,
        direct_mapped: id == 0,
        max_vcpus: 2,
        max_pages: 256,
        paging_pages: None,
        max_port: if id == 0 { u32::MAX } else { 1023 },
        max_grant_frames: 4,
        max_maptrack_frames: 1,
        max_grant_version: 2,
        emulation_flags: emulation::LAPIC,
        is_xenstore: false,
        memory_map: vec![E820Entry {
            address: 0,
            size: 0x10_0000,
            kind: 1,
        }],
    }
}

/// Destroys a domain, in as many parts as that takes.
pub fn destroy_domain(system: &mut System<FakePlatform>, id: DomId) -> Result<()> {
    while system.destroy_domain(id)? == DestroyProgress::Preempted {}
    Ok(())
}

/// Creates a domain that maps `frames` frames of its own from `gfn` on, cleared as by a domain builder. For dom0 gfn
/// and mfn are equal.
pub fn add_domain(system: &mut System<FakePlatform>, id: DomId, gfn: u64, frames: u64) {
    // Allocated before its p2m tables, which would lie in between.
    let mut page = |frame| {
        let page = match id {
            0 => system.frames.alloc_at(Mfn(frame), 0),
            _ => system.frames.alloc(0, None),
        };
        page.expect("memory for its frames")
    };
    let pages: Vec<_> = (gfn..gfn + frames)
        .map(|frame| (frame, page(frame)))
        .collect();
    system
        .create_domain(config(id))
        .expect("memory for a domain");
    for (frame, page) in pages {
        system.platform.clear_frame(page.mfn().address());
        system
            .assign_and_map(id, Gfn(frame), page)
            .expect("memory for its tables");
    }
    system.create_vcpus(id).expect("memory for its vCPUs");
    for vcpu in 0..config(id).max_vcpus {
        let vcpu = VcpuId { domain: id, vcpu };
        system.vcpu_up(vcpu).expect("it was made");
    }
    system.pause(id, false).expect("it is paused once");
}
