// SPDX-License-Identifier: GPL-2.0

//! Building dom0: its memory, and where its kernel, initrd, ACPI tables and start information are placed.

mod acpi;
mod packed;
pub mod start;

pub use packed::unpack;

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::ops::Range;

use paravane::bounce::{self, Bouncing};
use paravane::elf;
use paravane::layout::Layout;
use paravane::mem::{FrameTable, HypFrames, Mfn};
use paravane::options::Options;
use paravane::system::domain::E820Entry;

use crate::arch::acpi::Acpi;
use crate::arch::frames::{FRAME, Frames};
use crate::arch::image;
use crate::arch::{memory, percpu, ram};
use crate::boot::{BootInfo, Module};
use crate::domain::{self, Dom0Config};
use crate::platform::{self, system};

/// Where the start information may lie: behind the firmware's data, and where a kernel's first page tables reach
/// (Linux maps the first GiB before it has read it).
const START_INFO: Range<u64> = 0x10_0000..1 << 30;
/// Space for dom0's ACPI tables, in bytes.
const ACPI_ROOM: u64 = 64 << 10;
/// Without `dom0_mem=` the hypervisor keeps a sixteenth of memory, but no more than this.
const MAX_RESERVED: u64 = 128 << 20;

/// Most vCPUs: APIC ids are even and have 8 bits.
const MAX_VCPUS: usize = 127;

/// The entry state of dom0's vCPU 0, and what else the loader has loaded.
pub struct Dom0<'b> {
    /// Address of the kernel's PVH entry.
    pub entry: u32,
    /// Address of the start information.
    pub start_info: u32,
    /// The kernel of a guest, in frames that it was moved to, and its length.
    pub guest: Option<(&'b Module, (Frames, u64))>,
}

/// Builds dom0 from the loader's modules: the first is the kernel, the second its initrd. A third one is a guest's.
///
/// # Errors
///
/// A message about what is wrong.
pub fn build<'b>(
    boot: &'b BootInfo,
    acpi: &Acpi,
    options: &Options,
) -> Result<Dom0<'b>, &'static str> {
    let mut modules = boot.modules.iter();
    let kernel = modules
        .next()
        .ok_or("no dom0 kernel: give one as the first module")?;
    // The modules lie in memory that dom0 gets, so they are moved away first.
    let file = unpack(move_away(kernel)?)?;
    let initrd = modules.next().filter(|module| !module.range.is_empty());
    let initrd = initrd.map(move_away).transpose()?;
    let guest = match modules.next() {
        Some(module) => Some((module, move_away(module)?)),
        None => None,
    };
    release_boot_memory(boot);

    // The low memory is free from here on, since the other processors are up. It includes the page that the firmware's
    // data start in, where dom0 searches for tables.
    let low = boot
        .memory
        .iter()
        .find(|region| region.kind == 1 && region.start == 0);
    let low = low.map_or(0, |region| region.end.min(0xa_0000).div_ceil(FRAME));
    let wanted = options.dom0_memory.unwrap_or_else(|| {
        let free = system().frames.free_count() * FRAME;
        free - (free / 16).min(MAX_RESERVED)
    });
    let frames = {
        let mut system = system();
        system.frames.add_free(0..low);
        alloc_lowest(&mut system.frames, wanted / FRAME)
    };
    let memory = ranges(&frames);
    let vcpus = options
        .dom0_vcpus
        .unwrap_or(percpu::all().len())
        .min(MAX_VCPUS);

    let mut layout = Layout::new(memory.clone());
    let bytes = ram::Bytes::of(&file.0, file.1);
    let entry = elf::load(&bytes, |to, from, size| {
        let range = to..to
            .checked_add(size)
            .ok_or("the kernel's addresses are wrong")?;
        if !layout.reserve(&range) {
            log::error!("the kernel wants {range:#x?}, dom0 has {memory:#x?}");
            return Err(
                "dom0's memory is too small for its kernel, or not where the kernel wants it",
            );
        }
        ram::place(&range, &bytes, from);
        Ok(())
    })?;

    // From the end of the memory below 4 GiB down: ACPI tables, then the initrd.
    let tables = layout
        .place_highest(ACPI_ROOM, START_INFO.start..1 << 32)
        .ok_or("dom0's memory has no room for its ACPI tables below 4 GiB")?;
    let initrd_range = match &initrd {
        Some((frames, len)) => {
            let range = layout
                .place_highest(*len, START_INFO.start..tables.start)
                .ok_or("dom0's memory is too small for its initrd")?;
            ram::place(&range, &ram::Bytes::of(frames, *len), 0..*len);
            Some(range)
        }
        None => None,
    };

    let new = acpi::build(acpi, vcpus, tables.start, ACPI_ROOM as usize)?;
    ram::write(tables.start, &new.bytes);
    let map = start::memory_map(boot, &memory, &tables);
    let entry_of = |(range, kind): &(Range<u64>, u32)| E820Entry {
        address: range.start,
        size: range.end - range.start,
        kind: *kind,
    };
    let command_line = command_line(&kernel.arguments);
    // Its size does not depend on where it lies.
    let info = |at| start::build(at, &command_line, initrd_range.clone(), new.rsdp, &map);
    let start_info = layout
        .place_lowest(info(0).len() as u64, START_INFO)
        .ok_or("dom0's memory has no room for its start information below 1 GiB")?;
    ram::write(start_info.start, &info(start_info.start));

    let total: u64 = memory.iter().map(|range| range.end - range.start).sum();
    log::info!(
        "dom0: {} MiB, {vcpus} vCPUs, entry {entry:#x}, start information at {:#x}",
        total >> 20,
        start_info.start
    );
    let config = Dom0Config {
        acpi,
        vcpus,
        memory: frames,
        memory_map: map.iter().map(entry_of).collect(),
    };
    domain::create_dom0(config).map_err(|_| "no memory for dom0's tables")?;
    // RAM that is not in the frame table yet stays the hypervisor's: the image, the heap, the frame table itself.
    let frames = &mut system().frames;
    memory::ram_frames().for_each(|range| frames.add_hypervisor(range));
    Ok(Dom0 {
        entry,
        start_info: start_info.start as u32,
        guest,
    })
}

/// Frees the memory of the loader's structures, which were copied.
pub fn release_boot_memory(boot: &BootInfo) {
    for range in boot.left_over(image::physical()) {
        system()
            .frames
            .add_free(range.start / FRAME..range.end / FRAME);
    }
}

/// The command line of dom0's kernel. There is no driver for an IOMMU, so dom0 has to bounce what its devices transfer.
fn command_line(arguments: &str) -> Cow<'_, str> {
    match bounce::force(arguments) {
        Bouncing::Added(line) => {
            log::info!(
                "dom0 gets swiotlb=force: without an IOMMU devices do not reach guests' pages"
            );
            line.into()
        }
        Bouncing::Forced => arguments.into(),
        Bouncing::Forbidden => {
            log::warn!(
                "dom0 has swiotlb=noforce: without an IOMMU a device that is given a guest's page overwrites other memory"
            );
            arguments.into()
        }
    }
}

/// Allocates the `count` lowest free frames.
fn alloc_lowest(table: &mut FrameTable, count: u64) -> Vec<HypFrames> {
    let mut blocks: Vec<Range<u64>> = table.free_blocks().collect();
    blocks.sort_unstable_by_key(|block| block.start);
    let mut taken = Vec::new();
    let mut left = count;
    for block in blocks {
        let mut at = block.start;
        while at < block.end && left > 0 {
            // The rest of a block is aligned to each part, since parts get smaller.
            let order = left.min(block.end - at).ilog2().min(at.trailing_zeros()) as u8;
            let Some(frames) = table.alloc_at(Mfn(at), order) else {
                break;
            };
            at += frames.count();
            left -= frames.count();
            taken.push(frames);
        }
    }
    taken
}

/// The address ranges of frames in rising order. Frame 0, of which dom0 gets a copy, is added.
fn ranges(frames: &[HypFrames]) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = alloc::vec![0..FRAME];
    for run in frames {
        let (start, bytes) = (run.mfn().address(), run.count() * FRAME);
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end += bytes,
            _ => ranges.push(start..start + bytes),
        }
    }
    ranges
}

/// Copies a module to frames of the hypervisor, and frees its memory.
pub fn move_away(module: &Module) -> Result<(Frames, u64), &'static str> {
    let len = module.range.end - module.range.start;
    let copy =
        platform::alloc_frames(len.div_ceil(FRAME)).ok_or("no memory to move a module to")?;
    ram::copy_module(&copy, module.range.start, len);
    // Whole frames, as they were reserved.
    let freed = module.range.start / FRAME..module.range.end.div_ceil(FRAME);
    system().frames.add_free(freed);
    Ok((copy, len))
}
