//! The allocator of frames: free blocks of powers of two, in lists threaded through the frame table's records.
//!
//! A free block's order and links stand in its first frame's record. Nothing needs to be written to the records of
//! the other frames, so a GiB of memory is added as fast as a single frame.

use super::frames::{Record, kind};
use core::ops::Range;

/// Binary logarithm of the largest block, a GiB.
pub const MAX_ORDER: u8 = 18;
const ORDERS: usize = MAX_ORDER as usize + 1;
/// End of a list. Frame 0 is never free, so it can say that.
const NONE: u32 = 0;

/// The heads of the lists.
pub(super) struct Buddy {
    heads: [u32; ORDERS],
    free: u64,
}

impl Buddy {
    pub(super) fn new() -> Self {
        Self {
            heads: [NONE; ORDERS],
            free: 0,
        }
    }

    /// Number of free frames.
    pub(super) fn free(&self) -> u64 {
        self.free
    }

    /// The free block a frame lies in: its first frame and its order.
    pub(super) fn block_of(&self, records: &[Record], frame: u64) -> Option<(u64, u8)> {
        (0..=MAX_ORDER).find_map(|order| {
            let start = frame & !((1 << order) - 1);
            let head = records.get(usize::try_from(start).ok()?)?;
            (head.kind == kind::FREE && head.order >= order).then_some((start, head.order))
        })
    }

    /// Takes a block of an order that ends at or below frame `below`.
    pub(super) fn take(&mut self, records: &mut [Record], order: u8, below: u64) -> Option<u64> {
        for from in order..=MAX_ORDER {
            let mut at = self.heads[usize::from(from)];
            while at != NONE {
                if u64::from(at) + (1 << order) <= below {
                    let start = u64::from(at);
                    self.unlink(records, at, from);
                    self.split_down(records, start, from, start, order);
                    return Some(start);
                }
                at = records[at as usize].a;
            }
        }
        None
    }

    /// Takes the block of this order that starts at a frame, if all of it is free.
    pub(super) fn take_at(&mut self, records: &mut [Record], frame: u64, order: u8) -> Option<()> {
        if order > MAX_ORDER || frame % (1 << order) != 0 {
            return None;
        }
        match self.block_of(records, frame) {
            Some((start, of)) if of >= order => {
                self.unlink(records, start as u32, of);
                self.split_down(records, start, of, frame, order);
                Some(())
            }
            _ => None,
        }
    }

    /// Gives back the parts of a block of order `of` that are not the wanted one of order `order`.
    fn split_down(&mut self, records: &mut [Record], start: u64, of: u8, wanted: u64, order: u8) {
        let (mut start, mut of) = (start, of);
        while of > order {
            of -= 1;
            let upper = start + (1 << of);
            if wanted < upper {
                self.link(records, upper, of);
            } else {
                self.link(records, start, of);
                start = upper;
            }
        }
    }

    /// Gives a block back, and joins it with its neighbour as long as that is free too.
    pub(super) fn put(&mut self, records: &mut [Record], start: u64, order: u8) {
        let (mut start, mut order) = (start, order);
        while order < MAX_ORDER {
            let buddy = start ^ (1 << order);
            let whole = records
                .get(buddy as usize)
                .is_some_and(|r| r.kind == kind::FREE && r.order == order);
            if !whole || buddy == 0 {
                break;
            }
            self.unlink(records, buddy as u32, order);
            // The upper half's head is no head any more, and its record must not say that it is.
            records[start.max(buddy) as usize].kind = kind::FREE_TAIL;
            start = start.min(buddy);
            order += 1;
        }
        self.link(records, start, order);
    }

    fn link(&mut self, records: &mut [Record], start: u64, order: u8) {
        let head = self.heads[usize::from(order)];
        records[start as usize] = Record {
            a: head,
            b: NONE,
            kind: kind::FREE,
            order,
            ..Record::default()
        };
        if head != NONE {
            records[head as usize].b = start as u32;
        }
        self.heads[usize::from(order)] = start as u32;
        self.free += 1 << order;
    }

    fn unlink(&mut self, records: &mut [Record], at: u32, order: u8) {
        let Record {
            a: next,
            b: previous,
            ..
        } = records[at as usize];
        match previous {
            NONE => self.heads[usize::from(order)] = next,
            previous => records[previous as usize].a = next,
        }
        if next != NONE {
            records[next as usize].b = previous;
        }
        self.free -= 1 << order;
    }

    /// All free blocks, in no order.
    pub(super) fn blocks<'a>(
        &'a self,
        records: &'a [Record],
    ) -> impl Iterator<Item = Range<u64>> + 'a {
        (0..ORDERS).flat_map(move |order| {
            let first = self.heads[order];
            let next = move |&at: &u32| Some(records[at as usize].a).filter(|&next| next != NONE);
            core::iter::successors(Some(first).filter(|&at| at != NONE), next)
                .map(move |at| u64::from(at)..u64::from(at) + (1 << order))
        })
    }
}
