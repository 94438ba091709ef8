// SPDX-License-Identifier: GPL-2.0

//! The boot allocator: frames for the hypervisor's page tables, stacks and control blocks. At boot it allocates from
//! all of the machine's memory, from the top down. Then [`into_frame_table`] keeps a fixed part of it, and puts the
//! rest into the frame table. Allocated frames are a value; dropping it frees them.

use core::ops::Range;
use core::sync::atomic::AtomicU64;

use arrayvec::ArrayVec;
use paravane::mem::frames::PageInfo;
use paravane::mem::{FrameTable, HypFrames};
use paravane::multiboot::MAX_ENTRIES;
use spin::Mutex;

use super::phys;

/// Bytes of a frame.
pub const FRAME: u64 = 4096;
/// Frames that this allocator keeps when the frame table is made: 8 MiB, which serves some 40 processors of 180 KiB
/// each.
const KEPT: u64 = 8 << 20 >> 12;

/// Free ranges, as many as a memory map can have. Further ones, into which modules cut them, are lost.
type FreeRanges = ArrayVec<Range<u64>, MAX_ENTRIES>;

static FREE: Mutex<FreeRanges> = Mutex::new(FreeRanges::new_const());

/// Contiguous frames of the hypervisor. Dropping the value frees them.
#[derive(Debug)]
pub struct Frames {
    range: Range<u64>,
    /// The frames, if the frame table allocated them.
    from_table: Option<HypFrames>,
}

impl Frames {
    /// Allocates `count` contiguous zeroed frames, the highest that are free, aligned to `count` rounded up to a power
    /// of two, below the address `limit`. `None` if there are none.
    pub fn alloc(count: u64, limit: u64) -> Option<Self> {
        let range = alloc_range(count * FRAME, count.next_power_of_two() * FRAME, limit)?;
        // SAFETY: `alloc_range` has removed the range from the free RAM, so nothing else uses it.
        unsafe { phys::zero(range.start, range.end - range.start) };
        Some(Self {
            range,
            from_table: None,
        })
    }

    /// Allocates `count` contiguous zeroed frames from the frame table, aligned to `count` rounded up to a power of two.
    /// `None` if there are none.
    pub fn alloc_in(table: &mut FrameTable, count: u64) -> Option<Self> {
        let order = count.next_power_of_two().trailing_zeros() as u8;
        let frames = Self::from_table(table.alloc(order, None)?, count);
        // SAFETY: the frame table has allocated the frames for this value, so nothing else uses them.
        unsafe { phys::zero(frames.range.start, count * FRAME) };
        Some(frames)
    }

    /// The first `count` of frames that the frame table has allocated, not zeroed.
    ///
    /// # Panics
    ///
    /// If `frames` are fewer than `count`.
    pub fn from_table(frames: HypFrames, count: u64) -> Self {
        assert!(count <= frames.count(), "more frames than were allocated");
        let start = frames.mfn().address();
        Self {
            range: start..start + count * FRAME,
            from_table: Some(frames),
        }
    }

    /// Allocates one zeroed frame.
    pub fn one() -> Option<Self> {
        Self::alloc(1, u64::MAX)
    }

    /// Physical address of the first byte.
    pub fn start(&self) -> u64 {
        self.range.start
    }

    /// Physical addresses of the frames.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// Keeps the frames for ever, for page tables and other structures that the processor refers to. Returns their
    /// physical address.
    pub fn leak(self) -> u64 {
        let start = self.range.start;
        core::mem::forget(self);
        start
    }

    /// Keeps the frames for ever, as words that are zero and that any processor may change.
    pub fn leak_words(self) -> &'static [AtomicU64] {
        let (start, bytes) = (self.range.start, self.range.end - self.range.start);
        core::mem::forget(self);
        // SAFETY: the frames were owned by `self`, so nothing else uses them.
        unsafe { phys::zero(start, bytes) };
        // SAFETY:
        // - `self` is forgotten and never gives the frames back, so this is the only way to them, for ever.
        // - The direct map maps them, aligned, and they are `bytes` long. Zeroes are valid words.
        unsafe {
            core::slice::from_raw_parts(phys::pointer::<AtomicU64>(start), bytes as usize / 8)
        }
    }

    /// Copies bytes into the frames, from `offset`.
    ///
    /// # Panics
    ///
    /// If they do not fit.
    pub fn write(&mut self, offset: u64, data: &[u8]) {
        let end = offset.checked_add(data.len() as u64);
        assert!(
            end.is_some_and(|end| end <= self.range.end - self.range.start),
            "write beyond frames"
        );
        // SAFETY:
        // - The frames are owned by `self`, which is borrowed exclusively.
        // - The assertion above keeps the write within them.
        unsafe { phys::write_bytes(self.range.start + offset, data) };
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        match self.from_table.take() {
            Some(frames) => DROPPED.lock().push(frames),
            None => add_free(self.range.clone()),
        }
    }
}

/// Frames of the frame table that were dropped, and are free once [`free_dropped`] has put them back. So frames can be
/// dropped anywhere, whether the frame table is locked or not.
static DROPPED: Mutex<DroppedList> = Mutex::new(DroppedList { first: None });

/// A list that is threaded through the frames themselves: it needs no memory.
struct DroppedList {
    /// Physical address of the first node.
    first: Option<u64>,
}

/// What is written to the first of some dropped frames.
struct DroppedNode {
    frames: HypFrames,
    next: Option<u64>,
}

impl DroppedList {
    fn push(&mut self, frames: HypFrames) {
        let at = frames.mfn().address();
        let next = self.first.replace(at);
        // SAFETY:
        // - `frames` are the hypervisor's, owned by this function: nothing else uses them.
        // - The direct map maps them, a frame's address is aligned for a node, and a node is smaller than a frame.
        unsafe { phys::pointer::<DroppedNode>(at).write(DroppedNode { frames, next }) };
    }

    fn pop(&mut self) -> Option<HypFrames> {
        let at = self.first?;
        // SAFETY: `push` has written a node at each address on the list, and nothing uses the frames until the node is
        // read here, once.
        let node = unsafe { phys::pointer::<DroppedNode>(at).read() };
        self.first = node.next;
        Some(node.frames)
    }
}

/// Puts frames that were dropped back into the frame table.
pub fn free_dropped(table: &mut FrameTable) {
    loop {
        let Some(frames) = DROPPED.lock().pop() else {
            return;
        };
        table.free(frames);
    }
}

/// Adds the whole frames of a range to the free memory.
pub fn add_free(range: Range<u64>) {
    let range = range.start.next_multiple_of(FRAME)..range.end / FRAME * FRAME;
    if range.is_empty() {
        return;
    }
    let mut free = FREE.lock();
    let mut joined = range;
    // Merged with adjacent ranges on both sides.
    free.retain(|other| {
        let touches = other.end == joined.start || other.start == joined.end;
        if touches {
            joined = other.start.min(joined.start)..other.end.max(joined.end);
        }
        !touches
    });
    push_free(&mut free, joined);
}

/// Adds a range to a list. Without room for another one its memory is lost, of which the log says how much.
fn push_free(list: &mut FreeRanges, range: Range<u64>) {
    let kib = (range.end - range.start) >> 10;
    if list.try_push(range).is_err() {
        log::warn!("{kib} KiB of memory are not used: the memory map has too many pieces");
    }
}

/// Removes a range from the free memory.
pub fn reserve(range: Range<u64>) {
    let range = range.start / FRAME * FRAME..range.end.next_multiple_of(FRAME);
    let mut free = FREE.lock();
    let mut rest = FreeRanges::new();
    for other in free.iter() {
        for piece in [
            other.start..other.end.min(range.start),
            other.start.max(range.end)..other.end,
        ] {
            if !piece.is_empty() {
                push_free(&mut rest, piece);
            }
        }
    }
    *free = rest;
}

/// Makes the frame table of all frames below the address `top`. What is free now is free in the table, except the
/// frames that this allocator keeps.
///
/// # Panics
///
/// Without memory for the table.
pub fn into_frame_table(top: u64) -> FrameTable {
    let count = top / FRAME;
    let bytes = (count * size_of::<PageInfo>() as u64).next_multiple_of(FRAME);
    let array = alloc_range(bytes, FRAME, u64::MAX).expect("memory for the frame table");
    let kept = alloc_range(KEPT * FRAME, FRAME, u64::MAX).expect("memory for the boot allocator");
    // SAFETY: `alloc_range` has removed the range from the free RAM, so nothing else uses it.
    unsafe { phys::zero(array.start, bytes) };
    // SAFETY:
    // - `alloc_range` has removed the frames from the free RAM for ever, so this is the only reference to them.
    // - The direct map maps them, aligned, and `bytes` covers `count` elements.
    // - All-zero bytes are valid `PageInfo`s.
    let pages = unsafe {
        core::slice::from_raw_parts_mut(phys::pointer::<PageInfo>(array.start), count as usize)
    };
    let mut table = FrameTable::new(&mut *pages);
    let mut free = FREE.lock();
    for range in free.drain(..) {
        table.add_free(range.start / FRAME..range.end / FRAME);
    }
    let _ = free.try_push(kept);
    table
}

/// Removes a range of `bytes` from the free memory: the highest below `limit`, aligned to `align`.
fn alloc_range(bytes: u64, align: u64, limit: u64) -> Option<Range<u64>> {
    let mut free = FREE.lock();
    let mut best: Option<(usize, u64)> = None;
    for (index, range) in free.iter().enumerate() {
        let Some(start) = range.end.min(limit).checked_sub(bytes) else {
            continue;
        };
        let start = start / align * align;
        if start >= range.start && best.is_none_or(|(_, other)| start > other) {
            best = Some((index, start));
        }
    }
    let (index, start) = best?;
    let old = free.get(index)?.clone();
    let rest = start + bytes..old.end;
    if let Some(range) = free.get_mut(index) {
        range.end = start;
    }
    if !rest.is_empty() {
        push_free(&mut free, rest);
    }
    free.retain(|range| !range.is_empty());
    Some(start..start + bytes)
}
