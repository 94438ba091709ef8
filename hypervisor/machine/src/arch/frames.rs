// SPDX-License-Identifier: GPL-2.0

//! Frames of the hypervisor's own: page tables, stacks, control blocks. While it starts they come from all of the
//! machine's memory, from the top down; then [`hand_over`] sets some apart for it and makes the table of all frames,
//! which owns the rest ([`crate::platform`]). A frame taken is a value; who drops it gives it back.

use core::ops::Range;

use arrayvec::ArrayVec;
use paravane::mem::frames::Record;
use paravane::mem::{FrameTable, HypFrames, Mfn};
use paravane::multiboot::ENTRIES;
use spin::Mutex;

use super::phys;
use crate::platform::system;

/// Bytes in a frame.
pub const FRAME: u64 = 4096;
/// Frames that stay the hypervisor's own once the table exists, for stacks, control blocks and device mappings: 8 MiB,
/// which serves some 40 processors of 180 KiB each.
const OWN: u64 = 8 << 20 >> 12;

/// The free pieces: as many as a memory map can tell of. More that modules cut it into are lost.
type Pieces = ArrayVec<Range<u64>, ENTRIES>;

static FREE: Mutex<Pieces> = Mutex::new(Pieces::new_const());

/// A run of frames that belongs to whoever holds this value, filled with zeroes when taken.
#[derive(Debug)]
pub struct Frames {
    range: Range<u64>,
    /// Where the table of all frames gave them.
    from_table: Option<HypFrames>,
}

impl Frames {
    /// Takes `count` contiguous frames, the highest there are, aligned to their own number (a power of two) and
    /// below `limit`. `None` if there are none.
    pub fn take(count: u64, limit: u64) -> Option<Self> {
        let range = take_range(count * FRAME, count.next_power_of_two() * FRAME, limit)?;
        // SAFETY: the range was free and is nobody's but ours now.
        unsafe { phys::zero(range.start, range.end - range.start) };
        Some(Self {
            range,
            from_table: None,
        })
    }

    /// Takes `count` contiguous frames from the table, the highest there are, not zeroed: the caller overwrites them.
    /// To be dropped where the system is not locked.
    pub fn take_run(count: u64) -> Option<Self> {
        let order = count.next_power_of_two().trailing_zeros() as u8;
        let frames = &mut system().frames;
        let fits = |block: &Range<u64>| block.end - block.start >= 1 << order;
        let ends = frames.free_blocks().filter(fits).map(|block| block.end);
        let start = ends.max()? - (1 << order);
        let taken = frames.alloc_at(Mfn(start), order)?;
        Some(Self {
            range: start * FRAME..(start + count) * FRAME,
            from_table: Some(taken),
        })
    }

    /// Takes one frame.
    pub fn one() -> Option<Self> {
        Self::take(1, u64::MAX)
    }

    /// The first byte's physical address.
    pub fn start(&self) -> u64 {
        self.range.start
    }

    /// The range of physical addresses.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// Keeps the frames for ever: page tables and other things the processor refers to.
    pub fn leak(self) -> u64 {
        let start = self.range.start;
        core::mem::forget(self);
        start
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
        // SAFETY: the frames are ours, the range was checked.
        unsafe { phys::write_bytes(self.range.start + offset, data) };
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        match self.from_table.take() {
            Some(frames) => system().frames.free(frames),
            None => give(self.range.clone()),
        }
    }
}

/// Adds free memory; only whole frames count.
pub fn give(range: Range<u64>) {
    let range = range.start.next_multiple_of(FRAME)..range.end / FRAME * FRAME;
    if range.is_empty() {
        return;
    }
    let mut free = FREE.lock();
    let mut joined = range;
    // Neighbours on both sides become one range with it.
    free.retain(|other| {
        let touches = other.end == joined.start || other.start == joined.end;
        if touches {
            joined = other.start.min(joined.start)..other.end.max(joined.end);
        }
        !touches
    });
    // More holes than there is room to remember: the memory is lost, nothing else is.
    let _ = free.try_push(joined);
}

/// Takes a range out of the free memory, wherever it overlaps it.
pub fn withhold(range: Range<u64>) {
    let range = range.start / FRAME * FRAME..range.end.next_multiple_of(FRAME);
    let mut free = FREE.lock();
    let mut pieces = Pieces::new();
    for other in free.iter() {
        for piece in [
            other.start..other.end.min(range.start),
            other.start.max(range.end)..other.end,
        ] {
            if !piece.is_empty() {
                let _ = pieces.try_push(piece);
            }
        }
    }
    *free = pieces;
}

/// Makes the table of all frames below `top`, in which what is free now is free, but for the hypervisor's own.
///
/// # Panics
///
/// Without memory for it.
pub fn hand_over(top: u64) -> FrameTable {
    let count = top / FRAME;
    let bytes = (count * size_of::<Record>() as u64).next_multiple_of(FRAME);
    let place = take_range(bytes, FRAME, u64::MAX).expect("memory for the table of frames");
    let own = take_range(OWN * FRAME, FRAME, u64::MAX).expect("memory for the hypervisor's own");
    // SAFETY: the range was free and is nobody's but ours now.
    unsafe { phys::zero(place.start, bytes) };
    // SAFETY: the frames are in the direct map, taken for ever and reached by this reference alone; zeroes are records.
    let records = unsafe {
        core::slice::from_raw_parts_mut(phys::pointer::<Record>(place.start), count as usize)
    };
    let mut table = FrameTable::new(&mut *records);
    let mut free = FREE.lock();
    for range in free.drain(..) {
        table.add_free(range.start / FRAME..range.end / FRAME);
    }
    let _ = free.try_push(own);
    table
}

fn take_range(bytes: u64, align: u64, limit: u64) -> Option<Range<u64>> {
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
    if !rest.is_empty() && free.try_push(rest.clone()).is_err() {
        // No room to remember the rest: take it too.
        free[index].end = start;
    }
    free.retain(|range| !range.is_empty());
    Some(start..start + bytes)
}
