// SPDX-License-Identifier: GPL-2.0

//! The machine's free memory: ranges of frames from which the hypervisor takes its own, from the top down, and
//! from which dom0 gets its share, from the bottom up. A frame taken is a value; who drops it gives it back.

use core::ops::Range;

use arrayvec::ArrayVec;
use spin::Mutex;

use super::phys;

/// Bytes in a frame.
pub const FRAME: u64 = 4096;

static FREE: Mutex<ArrayVec<Range<u64>, 128>> = Mutex::new(ArrayVec::new_const());

/// A run of frames that belongs to whoever holds this value, filled with zeroes when taken.
#[derive(Debug)]
pub struct Frames {
    range: Range<u64>,
}

impl Frames {
    /// Takes `count` contiguous frames, the highest there are, aligned to their own number (a power of two) and
    /// below `limit`. `None` if there are none.
    pub fn take(count: u64, limit: u64) -> Option<Self> {
        let range = take_range(count * FRAME, count.next_power_of_two() * FRAME, limit)?;
        // SAFETY: the range was free and is nobody's but ours now.
        unsafe { phys::zero(range.start, range.end - range.start) };
        Some(Self { range })
    }

    /// Takes `count` contiguous frames of any alignment, not zeroed: the caller overwrites them.
    pub fn take_run(count: u64) -> Option<Self> {
        Some(Self {
            range: take_range(count * FRAME, FRAME, u64::MAX)?,
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
        give(self.range.clone());
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
    let mut pieces = ArrayVec::<Range<u64>, 128>::new();
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

/// Free memory in bytes.
pub fn free_bytes() -> u64 {
    FREE.lock()
        .iter()
        .map(|range| range.end - range.start)
        .sum()
}

/// Takes the lowest free memory, `bytes` in all, away from the hypervisor for good: a domain's.
pub fn take_lowest(bytes: u64) -> alloc::vec::Vec<Range<u64>> {
    let mut left = bytes / FRAME * FRAME;
    let mut taken = alloc::vec::Vec::with_capacity(16);
    let mut free = FREE.lock();
    free.sort_unstable_by_key(|range| range.start);
    for range in free.iter_mut() {
        let size = left.min(range.end - range.start);
        if size == 0 {
            break;
        }
        taken.push(range.start..range.start + size);
        range.start += size;
        left -= size;
    }
    free.retain(|range| !range.is_empty());
    taken
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
