// SPDX-License-Identifier: GPL-2.0

//! Creating dom0.

use alloc::vec::Vec;

use paravane::acpi::madt::IoApic;
use paravane::error::{Errno, Result};
use paravane::irq::vioapic::VIoApic;
use paravane::mem::{Gfn, HypFrames, MachineMemory};
use paravane::system::domain::{Config, E820Entry};
use paravane::system::vcpu::VcpuId;
use spin::Mutex;

use super::{Domain, Vcpu, policy};
use crate::arch::acpi::Acpi;
use crate::arch::phys::Machine;
use crate::arch::svm::maps;
use crate::arch::{ioapic, lapic, percpu};
use crate::io::pci::Pci;
use crate::io::ports;
use crate::platform::system;

/// Highest event channel port of dom0: no limit.
const MAX_PORT: u32 = u32::MAX;
/// Limit of dom0's grant table in frames, Xen's default.
const GRANT_FRAMES: u32 = 64;
/// Limit of dom0's maptrack in frames, Xen's default.
const MAPTRACK_FRAMES: u32 = 1024;

/// What dom0 consists of.
pub struct Dom0Config<'a> {
    /// The firmware's ACPI tables.
    pub acpi: &'a Acpi,
    /// Number of vCPUs.
    pub vcpus: usize,
    /// Its memory, which is mapped with equal gfn and mfn.
    pub memory: Vec<HypFrames>,
    /// Its memory map.
    pub memory_map: Vec<E820Entry>,
}

/// Creates dom0, direct-mapped.
///
/// # Errors
///
/// [`Errno::ENOMEM`] without memory for its tables.
pub fn create_dom0(config: Dom0Config<'_>) -> Result<&'static Domain> {
    let cpus = percpu::all().len();
    let vcpus: Vec<Vcpu> = (0..config.vcpus as u32)
        .map(|id| Vcpu::new(id, id as usize % cpus))
        .collect();
    let apics = &config.acpi.io_apics;
    let io_apic = |entry: &IoApic| {
        let lines = ioapic::pins(entry.gsi_base);
        VIoApic::new(entry.address.into(), entry.id, entry.gsi_base, lines)
    };
    let ends = apics
        .iter()
        .map(|entry| entry.gsi_base + ioapic::pins(entry.gsi_base));
    let gsis = ends.max().unwrap_or(0) as usize;
    let root = create_in_system(
        config.acpi,
        vcpus.len() as u32,
        config.memory,
        config.memory_map,
    )?;
    let domain = Domain {
        id: 0,
        policy: policy::of(true),
        root,
        vcpus,
        io_apics: Mutex::new(apics.iter().map(io_apic).collect()),
        gsi_vectors: Mutex::new(alloc::vec![None; gsis]),
        pci: Mutex::new(Pci::new(lapic::id())),
        windows: config.acpi.mcfg.clone(),
        ports: ports::for_dom0().ok_or(Errno::ENOMEM)?,
        msrs: msr_permissions().ok_or(Errno::ENOMEM)?,
    };
    let domain = super::DOM0.call_once(|| domain);
    let mut system = system();
    for vcpu in &domain.vcpus {
        system.update_system_time(vcpu.id);
    }
    system.pause(domain.id, false)?;
    drop(system);
    Ok(domain)
}

/// Creates dom0 in the library, with its memory. Returns the machine address of its topmost nested page table.
fn create_in_system(
    acpi: &Acpi,
    vcpus: u32,
    memory: Vec<HypFrames>,
    memory_map: Vec<E820Entry>,
) -> Result<u64> {
    let mut system = system();
    let mut deny = |start: u64, bytes: u64| {
        system
            .frames
            .deny_iomem(start >> 12..(start + bytes).div_ceil(4096));
    };
    deny(lapic::address(), 4096);
    acpi.io_apics
        .iter()
        .for_each(|entry| deny(entry.address.into(), 64));
    acpi.hpet.iter().for_each(|address| deny(*address, 1024));
    for &(base, first, last) in &acpi.mcfg {
        let buses = u64::from(last) - u64::from(first) + 1;
        deny(base + (u64::from(first) << 20), buses << 20);
    }
    let max_pages = memory.iter().map(HypFrames::count).sum::<u64>() + 1;
    system.create_domain(Config {
        id: 0,
        handle: [0; 16],
        privileged: true,
        direct_mapped: true,
        vcpus,
        max_pages,
        paging_pages: None,
        max_port: MAX_PORT,
        max_grant_frames: GRANT_FRAMES,
        max_maptrack_frames: MAPTRACK_FRAMES,
        memory_map,
    })?;
    for frames in memory {
        let at = Gfn(frames.mfn().0);
        system.assign_and_map(0, at, frames)?;
    }
    // Frame 0 is never allocated. dom0 gets a copy, in which it finds the firmware's data.
    let first = system.frames.alloc(0, None).ok_or(Errno::ENOMEM)?;
    let mut data = [0; 4096];
    Machine.read(0, &mut data);
    Machine.write(first.mfn().address(), &data);
    system.assign_and_map(0, Gfn(0), first)?;
    // The others wait for start-up IPIs.
    system.vcpu_up(VcpuId { domain: 0, vcpu: 0 })?;
    Ok(system.domain(0)?.p2m.root().address())
}

/// The MSRs that a guest accesses without an exit: those that the VMCB holds.
fn msr_permissions() -> Option<maps::MsrPermissions> {
    let mut registers = maps::MsrPermissions::new()?;
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
