// SPDX-License-Identifier: GPL-2.0

//! A machine for tests and fuzzing: memory on the heap, a clock that is set by hand, and a record of the calls it got.

use super::{HostInfo, Platform, System, Upcall};
use crate::error::{Errno, Result};
use crate::mem::access::forward_to_memory;
use crate::mem::frames::{DomId, PageInfo};
use crate::mem::heap::HeapMemory;
use crate::mem::walk::Paging;
use crate::mem::{FrameTable, Gfn, MachineMemory, Mfn};
use crate::pvclock::Clock;
use crate::system::destroy::DestroyProgress;
use crate::system::domain::{Config, E820Entry};
use crate::system::vcpu::VcpuId;
use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use xen_abi::hvm::vcpu::Context;

/// The machine's state.
pub struct FakePlatform {
    memory: HeapMemory,
    /// System time in nanoseconds.
    pub time: u64,
    /// The calls, in order.
    pub calls: Vec<PlatformCall>,
    /// The vCPUs that a CPU runs, set by tests.
    pub running: BTreeSet<VcpuId>,
    wall_clock: u64,
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
    InitialiseVcpu(VcpuId),
    DomainShutdown(DomId, u8),
    EnterAcpiSleep(u32),
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

    fn wall_clock(&self) -> u64 {
        self.wall_clock
    }

    fn set_wall_clock(&mut self, nanoseconds: u64) {
        self.wall_clock = nanoseconds;
    }

    fn console_write(&mut self, _: &[u8]) {}

    fn console_read(&mut self, to: &mut [u8]) -> usize {
        to.fill(b'x');
        to.len()
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
    levels: 0,
    write_protect: true,
};

/// The byte that memory is full of before it is cleared, standing for what its last owner left there.
pub const STALE_BYTE: u8 = 0xa5;

/// A machine of `frames` frames, all free and full of [`STALE_BYTE`].
pub fn machine(frames: usize) -> System<FakePlatform> {
    let mut table = FrameTable::new(vec![PageInfo::default(); frames]);
    table.add_free(0..frames as u64);
    let platform = FakePlatform {
        memory: HeapMemory::filled(frames, STALE_BYTE),
        time: 1_000_000,
        calls: Vec::new(),
        running: BTreeSet::new(),
        wall_clock: 1_700_000_000_000_000_000,
    };
    let host = HostInfo {
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
        vcpus: 2,
        max_pages: 256,
        paging_pages: None,
        max_port: if id == 0 { u32::MAX } else { 1023 },
        max_grant_frames: 4,
        max_maptrack_frames: 1,
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
    for vcpu in 0..config(id).vcpus {
        let vcpu = VcpuId { domain: id, vcpu };
        system.vcpu_up(vcpu).expect("it was made");
    }
    system.pause(id, false).expect("it is paused once");
}
