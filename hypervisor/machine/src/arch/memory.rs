// SPDX-License-Identifier: GPL-2.0

//! From the loader's memory map to the hypervisor's own address space and heap.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use arrayvec::ArrayVec;
use paravane::multiboot::{ENTRIES, kind};
use spin::Mutex;
use talc::{ErrOnOom, Span, Talc, Talck};

use super::{frames, paging, phys};
use crate::boot::{self, image};
use crate::platform;
use frames::{FRAME, Frames};

/// Least bytes of the hypervisor's heap, and of how many bytes of memory one is the heap's if that is more: what domains
/// map of each other is noted there.
const HEAP: u64 = 16 << 20;
const HEAP_SHARE: u64 = 128;

#[global_allocator]
static HEAP_ALLOCATOR: Talck<spin::mutex::SpinMutex<()>, ErrOnOom> = Talc::new(ErrOnOom).lock();

/// The RAM of the firmware's memory map: as many pieces as a map can tell of.
static RAM: Mutex<ArrayVec<Range<u64>, ENTRIES>> = Mutex::new(ArrayVec::new_const());

/// The first address behind what the direct map maps: on the boot tables 4 GiB.
static MAPPED: AtomicU64 = AtomicU64::new(4 << 30);

/// Takes over the machine's memory. Runs on the boot tables, returns on the final ones.
pub fn init(magic: u32, info: u64) {
    let loader = boot::loader(magic, info);
    let map = loader.map();
    for region in map.regions().filter(|region| region.kind == kind::RAM) {
        frames::give(region.start..region.end);
        RAM.lock().push(region.start..region.end);
    }
    // What must survive: the first MiB for the trampoline and the firmware's data, the image, and what the loader put
    // anywhere for us to read.
    frames::withhold(0..1 << 20);
    frames::withhold(image::physical());
    loader.in_use(&mut frames::withhold);
    let top = RAM.lock().iter().map(|range| range.end).max();
    let top = top.expect("the boot loader tells of memory");
    paging::init(top);
    MAPPED.store(top, Ordering::Relaxed);
    let frames = (ram_bytes() / HEAP_SHARE).max(HEAP) / FRAME;
    let heap = Frames::take(frames, u64::MAX).expect("contiguous memory for the heap");
    let start = phys::pointer::<u8>(heap.leak());
    let span = Span::from_base_size(start, (frames * FRAME) as usize);
    // SAFETY: the frames are mapped, ours for ever, and used for nothing else.
    let claimed = unsafe { HEAP_ALLOCATOR.lock().claim(span) };
    claimed.expect("the heap is large enough to be one");
    let table = frames::hand_over(top);
    log::info!(
        "memory: {} MiB free of {} MiB",
        table.free_count() * FRAME >> 20,
        ram_bytes() >> 20
    );
    platform::init(table);
}

/// The frames that are RAM as a whole by the firmware's memory map.
pub fn ram_frames() -> impl Iterator<Item = Range<u64>> {
    let ram = RAM.lock().clone();
    ram.into_iter()
        .map(|range| range.start.div_ceil(FRAME)..range.end / FRAME)
}

/// Has `work` run with so many bytes more on the heap. `None` if the machine has not as many in one piece.
///
/// Somebody else may have put something there meanwhile, as long as `work` runs: then that part stays the heap's.
pub fn with_room<T>(bytes: u64, work: impl FnOnce() -> T) -> Option<T> {
    let room = Frames::take_run(bytes.div_ceil(FRAME))?;
    let range = room.range();
    let span = Span::from_base_size(
        phys::pointer::<u8>(range.start),
        (range.end - range.start) as usize,
    );
    // SAFETY: the frames are mapped, nobody else's, and stay ours until the heap has given them back.
    let claimed = unsafe { HEAP_ALLOCATOR.lock().claim(span) };
    let Ok(heap) = claimed else { return None };
    let result = work();
    let mut allocator = HEAP_ALLOCATOR.lock();
    // SAFETY: `heap` is what claiming returned, and was not changed since.
    let used = unsafe { allocator.get_allocated_span(heap) };
    if used.is_empty() {
        // SAFETY: the same, and there is nothing in it.
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

/// The first physical address that the direct map may not have. Before it only the image's own are missing.
pub fn mapped() -> u64 {
    MAPPED.load(Ordering::Relaxed)
}

/// All RAM of the machine in bytes.
pub fn ram_bytes() -> u64 {
    RAM.lock().iter().map(|range| range.end - range.start).sum()
}

/// Whether any byte of the range is RAM by the firmware's memory map.
pub fn is_ram(range: &Range<u64>) -> bool {
    RAM.lock()
        .iter()
        .any(|ram| ram.start < range.end && range.start < ram.end)
}
