// SPDX-License-Identifier: GPL-2.0

//! The hypervisor's address space: the image with W^X, the direct map of all other memory, devices uncached, stacks
//! between guard pages. All processors use the same tables.

use spin::Mutex;
use x86_64::registers::control::{Cr3, Cr3Flags};
use x86_64::structures::paging::{
    FrameAllocator, MappedPageTable, Mapper, Page, PageTable, PageTableFlags as Flags, PhysFrame,
    Size1GiB, Size2MiB, Size4KiB, mapper::PageTableFrameMapping,
};
use x86_64::{PhysAddr, VirtAddr};

use super::frames::{FRAME, Frames};
use super::image;
use super::{cpu, phys};

/// Address of the first device mapping; later ones follow.
const DEVICES: u64 = 0xffff_9000_0000_0000;
/// Address of the first stack; later ones follow.
const STACKS: u64 = 0xffff_9100_0000_0000;
/// End of the addresses for stacks.
const STACKS_END: u64 = 0xffff_9200_0000_0000;

struct Direct;

// SAFETY: tables are allocated from RAM outside of the image, and the direct map maps all of that at the address that
// this returns.
unsafe impl PageTableFrameMapping for Direct {
    fn frame_to_pointer(&self, frame: PhysFrame) -> *mut PageTable {
        phys::pointer(frame.start_address().as_u64())
    }
}

/// Allocates frames for tables, below 4 GiB as long as the boot tables are in use.
struct Tables {
    limit: u64,
}

// SAFETY: `Frames` allocates each frame once, and these are leaked.
unsafe impl FrameAllocator<Size4KiB> for Tables {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        let frame = Frames::alloc(1, self.limit)?.leak();
        Some(PhysFrame::containing_address(PhysAddr::new(frame)))
    }
}

struct Space {
    root: u64,
    next_device: u64,
    next_stack: u64,
}

static SPACE: Mutex<Space> = Mutex::new(Space {
    root: 0,
    next_device: DEVICES,
    next_stack: STACKS,
});

impl Space {
    fn mapper(&mut self) -> MappedPageTable<'static, Direct> {
        // SAFETY: `init` has allocated the root table for ever, and the lock on `SPACE` makes this the only reference
        // to it.
        let root = unsafe { &mut *phys::pointer(self.root) };
        // SAFETY: the tables below the root were allocated by `Tables`, in frames that `Direct` translates.
        unsafe { MappedPageTable::new(root, Direct) }
    }
}

/// Makes the tables for memory up to the physical address `top`, and switches to them.
pub fn init(top: u64) {
    let mut tables = Tables { limit: 4 << 30 };
    let root = Frames::alloc(1, tables.limit)
        .expect("a frame for the page table")
        .leak();
    let mut space = SPACE.lock();
    space.root = root;
    let mut mapper = space.mapper();
    let data = Flags::PRESENT | Flags::WRITABLE | Flags::NO_EXECUTE | Flags::GLOBAL;

    let (hole, giant) = (image::physical(), cpu::has_1g_pages());
    let mut at = 0;
    while at < top {
        let clear = |size: u64| at % size == 0 && (hole.start >= at + size || hole.end <= at);
        let address = virt(phys::address(at));
        if giant && clear(1 << 30) {
            let page = Page::<Size1GiB>::containing_address(address);
            // SAFETY: these tables are not in use yet, and map each frame once: the image at its own addresses only,
            // all other frames in the direct map only.
            unsafe { mapper.map_to(page, frame(at), data, &mut tables) }
                .expect("the direct map")
                .ignore();
            at += 1 << 30;
        } else if clear(2 << 20) {
            let page = Page::<Size2MiB>::containing_address(address);
            // SAFETY: these tables are not in use yet, and the direct map leaves the image out, so each frame is mapped
            // once.
            unsafe { mapper.map_to(page, frame(at), data, &mut tables) }
                .expect("the direct map")
                .ignore();
            at += 2 << 20;
        } else {
            if clear(FRAME) {
                let page = Page::<Size4KiB>::containing_address(address);
                // SAFETY: these tables are not in use yet, and the direct map leaves the image out, so each frame is
                // mapped once.
                unsafe { mapper.map_to(page, frame(at), data, &mut tables) }
                    .expect("the direct map")
                    .ignore();
            }
            at += FRAME;
        }
    }

    let parts = [
        (
            image::start()..image::text_end(),
            Flags::PRESENT | Flags::GLOBAL,
        ),
        (
            image::text_end()..image::rodata_end(),
            Flags::PRESENT | Flags::GLOBAL | Flags::NO_EXECUTE,
        ),
        (image::rodata_end()..image::end(), data),
    ];
    for (range, flags) in parts {
        for at in range.step_by(FRAME as usize) {
            let page = Page::<Size4KiB>::containing_address(virt(at));
            // SAFETY: these tables are not in use yet, and the image's frames are mapped here only.
            unsafe { mapper.map_to(page, frame(at - image::VIRT), flags, &mut tables) }
                .expect("the image")
                .ignore();
        }
    }
    drop(space);
    load();
}

/// Switches the calling processor to the hypervisor's tables, and enables its protections.
pub fn load() {
    cpu::enable_protections();
    let root = SPACE.lock().root;
    // SAFETY: `init` has mapped the image, with the code that runs and the boot stack, and `make_stack` all other
    // stacks.
    unsafe { Cr3::write(frame(root), Cr3Flags::empty()) };
}

/// Maps registers of a device, uncached, for ever. The address need not be aligned.
pub fn map_device(physical: u64, len: u64) -> *mut u8 {
    let mut space = SPACE.lock();
    let first = physical / FRAME * FRAME;
    let end = (physical + len).next_multiple_of(FRAME);
    let start = space.next_device;
    space.next_device += end - first + FRAME;
    let flags = Flags::PRESENT
        | Flags::WRITABLE
        | Flags::NO_EXECUTE
        | Flags::GLOBAL
        | Flags::NO_CACHE
        | Flags::WRITE_THROUGH;
    let mut mapper = space.mapper();
    for offset in (0..end - first).step_by(FRAME as usize) {
        let page = Page::<Size4KiB>::containing_address(virt(start + offset));
        // SAFETY: `next_device` only rises, so the page was not mapped before; registers are not Rust objects.
        let mapped = unsafe {
            mapper.map_to(
                page,
                frame(first + offset),
                flags,
                &mut Tables { limit: u64::MAX },
            )
        };
        mapped.expect("a device is mapped").ignore();
    }
    (start + (physical - first)) as *mut u8
}

/// Whether a stack may lie at an address: one that [`make_stack`] has made, or in the image. Nothing may be mapped there,
/// but no device is.
pub fn may_be_stack(address: u64) -> bool {
    (STACKS..STACKS_END).contains(&address) || (image::start()..image::end()).contains(&address)
}

/// Allocates a stack of `frames` frames with an unmapped guard page below it. Returns the address of its end.
pub fn make_stack(frames: u64) -> u64 {
    let mut space = SPACE.lock();
    let start = space.next_stack + FRAME;
    let end = start + frames * FRAME;
    space.next_stack = end;
    let flags = Flags::PRESENT | Flags::WRITABLE | Flags::NO_EXECUTE | Flags::GLOBAL;
    let mut mapper = space.mapper();
    for at in (start..end).step_by(FRAME as usize) {
        let memory = Frames::one().expect("memory for a stack").leak();
        let page = Page::<Size4KiB>::containing_address(virt(at));
        // SAFETY: `next_stack` only rises, so the page was not mapped before; the frame was just allocated for ever and
        // is used through this mapping only.
        let mapped =
            unsafe { mapper.map_to(page, frame(memory), flags, &mut Tables { limit: u64::MAX }) };
        mapped.expect("a stack is mapped").ignore();
    }
    end
}

fn virt(address: u64) -> VirtAddr {
    VirtAddr::new(address)
}

fn frame<S: x86_64::structures::paging::PageSize>(physical: u64) -> PhysFrame<S> {
    PhysFrame::containing_address(PhysAddr::new(physical))
}
