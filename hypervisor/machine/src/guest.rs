// SPDX-License-Identifier: GPL-2.0

//! Building and starting PVH guests without a toolstack: the one of a third module beside dom0 ([`start_beside_dom0`]),
//! which is there to test that guests are isolated, and the one in the place of dom0 ([`crate::solo`]).

use alloc::vec::Vec;
use core::ops::Range;

use paravane::acpi::guest as tables;
use paravane::elf;
use paravane::error::Errno;
use paravane::layout::Layout;
use paravane::mem::frames::DomId;
use paravane::mem::{Gfn, MachineMemory};
use paravane::solo::{self, CONSOLE_PAGE};
use paravane::start_state::StartState;
use paravane::system::destroy::DestroyProgress;
use paravane::system::domain::{Config, E820Entry};
use paravane::system::vcpu::VcpuId;
use xen_abi::domctl::emulation;

use crate::arch::frames::{FRAME, Frames};
use crate::arch::ram::Bytes;
use crate::boot::Module;
use crate::dom0::start;
use crate::domain;
use crate::platform::system;

/// Its domid: no other guest exists yet.
pub const ID: DomId = 1;
/// The memory of the guest beside dom0, in guest-physical addresses. Where the hypervisor lies in dom0's it has none: the
/// misbehaving guest expects to find nothing there.
const BESIDE_DOM0: [Range<u64>; 2] = [0..2 << 20, 4 << 20..64 << 20];
/// Memory is allocated in pieces of 2 MiB.
const ORDER: u8 = 9;
/// Pages for its nested page tables, as in Xen.
const PAGING_PAGES: u64 = 256;
/// Limits that libxl sets.
const MAX_PORT: u32 = 1023;
const GRANT_FRAMES: u32 = 64;
const MAPTRACK_FRAMES: u32 = 1024;
/// `XEN_HVM_MEMMAP_TYPE_RAM`.
const RAM: u32 = 1;
/// Where start information, tables and initramfs may lie: above what a BIOS would use, and below 4 GiB.
const PLACES: Range<u64> = 0x10_0000..1 << 32;

/// A guest to be built.
pub struct GuestConfig<'a> {
    /// Its memory, in guest-physical addresses that are multiples of 2 MiB.
    pub memory: Vec<Range<u64>>,
    /// Number of its vCPUs.
    pub vcpus: u32,
    /// Its kernel, an ELF file, and how long that is.
    pub kernel: &'a (Frames, u64),
    /// Its command line.
    pub command_line: &'a str,
    /// Its initramfs.
    pub initramfs: Option<&'a (Frames, u64)>,
    /// It has ACPI tables, and a console whose backend is the hypervisor.
    pub has_console: bool,
    /// The reason for which it shuts down after a triple fault.
    pub triple_fault_reason: u32,
}

/// Builds and starts a guest from the loader's third module, which was moved to `file`. What it writes to port 0xe9 is
/// logged.
///
/// # Errors
///
/// A message about what is wrong.
pub fn start_beside_dom0(module: &Module, file: &(Frames, u64)) -> Result<(), &'static str> {
    start(&GuestConfig {
        memory: BESIDE_DOM0.to_vec(),
        vcpus: 1,
        kernel: file,
        command_line: &module.arguments,
        initramfs: None,
        has_console: false,
        triple_fault_reason: xen_abi::sched::shutdown::REBOOT,
    })
}

/// Builds and starts a guest.
///
/// # Errors
///
/// A message about what is wrong.
pub fn start(config: &GuestConfig<'_>) -> Result<(), &'static str> {
    let mut layout = Layout::new(config.memory.clone());
    let mut map: Vec<_> = config
        .memory
        .iter()
        .map(|range| (range.clone(), RAM))
        .collect();
    let mut rsdp = 0;
    let mut tables_range = None;
    if config.has_console {
        let size = tables::build(config.vcpus, 0).bytes.len() as u64;
        let range = layout
            .place_highest(size.next_multiple_of(FRAME), PLACES)
            .ok_or("its memory has no room for its ACPI tables")?;
        map = solo::memory_map(&config.memory, &range);
        tables_range = Some(range);
    }
    create(config, &map).map_err(|_| "no memory for the guest")?;
    if let Some(range) = &tables_range {
        let tables = tables::build(config.vcpus, range.start);
        write(range.start, &tables.bytes)?;
        rsdp = tables.rsdp;
    }
    let bytes = Bytes::of(&config.kernel.0, config.kernel.1);
    let entry = elf::load(&bytes, |to, from, size| {
        let range = to..to
            .checked_add(size)
            .ok_or("the guest's addresses are wrong")?;
        if !layout.reserve(&range) {
            return Err("the guest does not fit into its memory");
        }
        // The rest of the range is zero already.
        copy(&bytes, from.start, to, from.end - from.start)
    })?;
    let initramfs = match config.initramfs {
        Some((frames, size)) => {
            let range = layout
                .place_highest(*size, PLACES)
                .ok_or("the guest's memory is too small for its initramfs")?;
            copy(&Bytes::of(frames, *size), 0, range.start, *size)?;
            Some(range)
        }
        None => None,
    };
    let info = |at| start::build(at, config.command_line, initramfs.clone(), rsdp, &map);
    let at = layout
        .place_lowest(info(0).len() as u64, PLACES)
        .ok_or("the guest's memory has no room for its start information")?;
    let mut info = info(at.start);
    // It is not the initial domain, and has no privileges.
    info[start::FLAGS_AT..start::FLAGS_AT + 4].fill(0);
    write(at.start, &info)?;
    let vcpu = VcpuId {
        domain: ID,
        vcpu: 0,
    };
    let machine = domain::find_vcpu(vcpu).ok_or("the guest has no vCPU")?;
    machine.set_start_state(StartState::pvh(entry, at.start as u32));
    let bytes = bytes_of(&config.memory);
    log::info!(
        "d{ID}: {} KiB, {} vCPUs, entry {entry:#x}",
        bytes >> 10,
        config.vcpus
    );
    let mut system = system();
    let started = system.vcpu_up(vcpu).and_then(|_| system.pause(ID, false));
    started.map_err(|_| "the guest cannot run")
}

/// Destroys the guest, of which there may be only a part.
pub fn destroy() {
    while let Ok(DestroyProgress::Preempted) = { system().destroy_domain(ID) } {}
}

fn bytes_of(memory: &[Range<u64>]) -> u64 {
    memory.iter().map(|range| range.end - range.start).sum()
}

/// Makes the domain with its memory, zeroed, its vCPUs and its console.
fn create(guest: &GuestConfig<'_>, map: &[(Range<u64>, u32)]) -> Result<(), Errno> {
    let entry = |(range, kind): &(Range<u64>, u32)| E820Entry {
        address: range.start,
        size: range.end - range.start,
        kind: *kind,
    };
    let mut system = system();
    system.create_domain(Config {
        id: ID,
        handle: [0; 16],
        privileged: false,
        direct_mapped: false,
        max_vcpus: guest.vcpus,
        // With the page of its console.
        max_pages: bytes_of(&guest.memory) / FRAME + 1,
        paging_pages: Some(PAGING_PAGES),
        max_port: MAX_PORT,
        max_grant_frames: GRANT_FRAMES,
        max_maptrack_frames: MAPTRACK_FRAMES,
        max_grant_version: 2,
        emulation_flags: emulation::LAPIC,
        is_xenstore: false,
        memory_map: map.iter().map(entry).collect(),
    })?;
    system.create_vcpus(ID)?;
    let gfns = |range: &Range<u64>| (range.start / FRAME..range.end / FRAME).step_by(1 << ORDER);
    let mut pieces: Vec<_> = guest
        .memory
        .iter()
        .flat_map(gfns)
        .map(|gfn| (gfn, ORDER))
        .collect();
    if guest.has_console {
        pieces.push((CONSOLE_PAGE / FRAME, 0));
    }
    for (gfn, order) in pieces {
        let frames = system.frames.alloc(order, None).ok_or(Errno::ENOMEM)?;
        let start = frames.mfn().address();
        for frame in 0..frames.count() {
            system.platform.clear_frame(start + frame * FRAME);
        }
        system.assign_and_map(ID, Gfn(gfn), frames)?;
    }
    let params = &mut system.domain_mut(ID)?.params;
    params[xen_abi::hvm::params::TRIPLE_FAULT_REASON as usize] = guest.triple_fault_reason.into();
    match guest.has_console {
        true => system.connect_console(ID, Gfn::of(CONSOLE_PAGE)),
        false => Ok(()),
    }
}

/// Copies a part of a file to the guest's memory.
fn copy(file: &Bytes, from: u64, to: u64, size: u64) -> Result<(), &'static str> {
    if !file.contains(&(from..from + size)) {
        return Err("the guest's file is too short");
    }
    let mut part: Vec<u8> = alloc::vec![0; FRAME as usize];
    for at in (0..size).step_by(FRAME as usize) {
        let part = &mut part[..(size - at).min(FRAME) as usize];
        file.read(from + at, part);
        write(to + at, part)?;
    }
    Ok(())
}

/// Copies bytes to the guest's memory.
fn write(to: u64, bytes: &[u8]) -> Result<(), &'static str> {
    let written = system().write_physical(ID, to, bytes);
    written.map_err(|_| "the guest's memory cannot be written")
}
