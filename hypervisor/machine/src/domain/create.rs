// SPDX-License-Identifier: GPL-2.0

//! Creating dom0.

use alloc::vec::Vec;

use paravane::acpi::madt::IoApic;
use paravane::error::{Errno, Result};
use paravane::irq::vioapic::VIoApic;
use paravane::mem::{FrameTable, Gfn, HypFrames, MachineMemory, Mfn};
use paravane::start_state::StartState;
use paravane::system::System;
use paravane::system::domain::{Config, E820Entry};
use paravane::system::vcpu::VcpuId;
use spin::Mutex;
use xen_abi::domctl::emulation;

use super::{Domain, policy, registry};
use crate::arch::acpi::Acpi;
use crate::arch::phys::Machine;
use crate::arch::svm::maps;
use crate::arch::{ioapic, lapic};
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

/// Creates dom0, direct-mapped and paused.
///
/// # Errors
///
/// [`Errno::ENOMEM`] without memory for its tables.
pub fn create_dom0(config: Dom0Config<'_>) -> Result<()> {
    let vcpus = config.vcpus as u32;
    let apics = &config.acpi.io_apics;
    let io_apic = |entry: &IoApic| {
        let lines = ioapic::pins(entry.gsi_base);
        VIoApic::new(entry.address.into(), entry.id, entry.gsi_base, lines)
    };
    let ends = apics
        .iter()
        .map(|entry| entry.gsi_base + ioapic::pins(entry.gsi_base));
    let gsis = ends.max().unwrap_or(0) as usize;
    let pci = Pci::new(lapic::id());
    let mut system = system();
    let root = create_in_system(
        &mut system,
        config.acpi,
        vcpus,
        config.memory,
        config.memory_map,
    )?;
    // It is never destroyed, so the processor may use its maps for ever.
    let frames = &mut system.frames;
    let iopm = ports::for_dom0(frames).ok_or(Errno::ENOMEM)?.leak();
    let msrpm = msr_permissions(frames).ok_or(Errno::ENOMEM)?.leak();
    registry::insert(Domain {
        io_apics: Mutex::new(apics.iter().map(io_apic).collect()),
        gsi_vectors: Mutex::new(alloc::vec![None; gsis]),
        pci: Mutex::new(pci),
        windows: config.acpi.mcfg.clone(),
        ..Domain::new(0, policy::of(true), root, iopm, msrpm)?
    })?;
    system.create_vcpus(0)
}

/// Lets dom0 run: its vCPU 0 with the state in which a PVH kernel is entered, the others once they get start-up IPIs.
///
/// # Errors
///
/// If it does not exist or was started already.
pub fn start_dom0(entry: u32, start_info: u32) -> Result<()> {
    let first = VcpuId { domain: 0, vcpu: 0 };
    let vcpu = registry::find_vcpu(first).ok_or(Errno::ESRCH)?;
    vcpu.set_start_state(StartState::pvh(entry, start_info));
    let mut system = system();
    system.vcpu_up(first)?;
    system.pause(0, false)
}

/// Creates dom0 in the library, with its memory. Returns its topmost nested page table.
fn create_in_system(
    system: &mut System<Machine>,
    acpi: &Acpi,
    vcpus: u32,
    memory: Vec<HypFrames>,
    memory_map: Vec<E820Entry>,
) -> Result<Mfn> {
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
        max_vcpus: vcpus,
        max_pages,
        paging_pages: None,
        max_port: MAX_PORT,
        max_grant_frames: GRANT_FRAMES,
        max_maptrack_frames: MAPTRACK_FRAMES,
        max_grant_version: 2,
        emulation_flags: emulation::LAPIC | emulation::IOAPIC | emulation::VPCI,
        is_xenstore: false,
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
    Ok(system.domain(0)?.p2m.root())
}

/// The MSRs that any domain accesses without an exit: those that the VMCB holds. `None` without memory.
pub(super) fn msr_permissions(table: &mut FrameTable) -> Option<maps::MsrPermissions> {
    let mut registers = maps::MsrPermissions::new(table)?;
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
