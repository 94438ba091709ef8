// SPDX-License-Identifier: GPL-2.0

//! The hypervisor's memory: the RAM of the machine, its own address space, its heap.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use arrayvec::ArrayVec;
use paravane::mem::FrameTable;
use paravane::multiboot::{Loader, MAX_ENTRIES, Memory, kind};
use spin::Mutex;
use talc::{ErrOnOom, Span, Talc, Talck};

use super::{frames, image, paging, phys};
use frames::{FRAME, Frames};

/// Least size of the heap in bytes.
const MIN_HEAP: u64 = 16 << 20;
/// The heap gets one byte of so many, if that is more: it grows with what domains map of each other.
const HEAP_SHARE: u64 = 128;

#[global_allocator]
static HEAP_ALLOCATOR: Talck<spin::mutex::SpinMutex<()>, ErrOnOom> = Talc::new(ErrOnOom).lock();

/// The RAM of the firmware's memory map, in bytes.
static RAM: Mutex<ArrayVec<Range<u64>, MAX_ENTRIES>> = Mutex::new(ArrayVec::new_const());

/// End of the direct map; 4 GiB on the boot tables.
static DIRECT_MAP_END: AtomicU64 = AtomicU64::new(4 << 30);

/// Takes over the machine's memory: makes the final page tables, the heap and the frame table. Called on the boot
/// tables.
///
/// # Panics
///
/// Without enough memory.
pub fn init<M: Memory>(loader: &Loader<M>) -> FrameTable {
    let map = loader.map();
    for region in map.regions().filter(|region| region.kind == kind::RAM) {
        frames::add_free(region.start..region.end);
        RAM.lock().push(region.start..region.end);
    }
    // Reserved are the first MiB, for the trampoline and the firmware's data, the image, and the loader's structures
    // and modules.
    frames::reserve(0..1 << 20);
    frames::reserve(image::physical());
    loader.in_use(&mut frames::reserve);
    let top = RAM.lock().iter().map(|range| range.end).max();
    let top = top.expect("the boot loader reports RAM");
    paging::init(top);
    DIRECT_MAP_END.store(top, Ordering::Relaxed);
    let frames = heap_bytes() / FRAME;
    let heap = Frames::alloc(frames, u64::MAX).expect("contiguous memory for the heap");
    let start = phys::pointer::<u8>(heap.leak());
    let span = Span::from_base_size(start, (frames * FRAME) as usize);
    // SAFETY: the direct map maps the frames, which were leaked, so nothing else ever uses them.
    let claimed = unsafe { HEAP_ALLOCATOR.lock().claim(span) };
    claimed.expect("the heap is large enough to be one");
    let table = frames::into_frame_table(top);
    log::info!(
        "memory: {} MiB free of {} MiB",
        table.free_count() * FRAME >> 20,
        ram_bytes() >> 20
    );
    table
}

/// The frames that are wholly RAM by the firmware's memory map.
pub fn ram_frames() -> impl Iterator<Item = Range<u64>> {
    let ram = RAM.lock().clone();
    ram.into_iter()
        .map(|range| range.start.div_ceil(FRAME)..range.end / FRAME)
}

/// Runs `work` with additional frames on the heap. `None` if the heap does not accept them.
///
/// Afterwards the frames are freed. If something else was allocated there meanwhile, they stay in the heap.
pub fn with_room<T>(room: Frames, work: impl FnOnce() -> T) -> Option<T> {
    let range = room.range();
    let span = Span::from_base_size(
        phys::pointer::<u8>(range.start),
        (range.end - range.start) as usize,
    );
    // SAFETY:
    // - The direct map maps the frames, and `room` owns them, so nothing else uses them.
    // - They are freed only after the heap was truncated, and leaked otherwise.
    let claimed = unsafe { HEAP_ALLOCATOR.lock().claim(span) };
    let Ok(heap) = claimed else { return None };
    let result = work();
    let mut allocator = HEAP_ALLOCATOR.lock();
    // SAFETY: `claim` has returned this heap, and nothing has extended or truncated it since.
    let used = unsafe { allocator.get_allocated_span(heap) };
    if used.is_empty() {
        // SAFETY: `claim` has returned this heap, nothing has changed it since, and nothing is allocated in it.
        unsafe { allocator.truncate(heap, Span::empty()) };
        drop(allocator);
        drop(room);
    } else {
        drop(allocator);
        log::warn!("{} KiB of the heap's room stay in use", used.size() >> 10);
        room.leak();
    }
    Some(result)
}

/// Size of the heap.
pub fn heap_bytes() -> u64 {
    (ram_bytes() / HEAP_SHARE).max(MIN_HEAP)
}

/// Bytes of the heap that are allocated.
pub fn heap_used() -> usize {
    HEAP_ALLOCATOR.lock().get_counters().allocated_bytes
}

/// End of the direct map as a physical address. Below it, only the image's frames are not mapped.
pub fn direct_map_end() -> u64 {
    DIRECT_MAP_END.load(Ordering::Relaxed)
}

/// Size of all RAM in bytes.
pub fn ram_bytes() -> u64 {
    RAM.lock().iter().map(|range| range.end - range.start).sum()
}

/// Whether any byte of a range is RAM by the firmware's memory map.
pub fn is_ram(range: &Range<u64>) -> bool {
    RAM.lock()
        .iter()
        .any(|ram| ram.start < range.end && range.start < ram.end)
}
