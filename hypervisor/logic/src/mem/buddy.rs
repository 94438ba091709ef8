// SPDX-License-Identifier: GPL-2.0

//! The buddy allocator of frames: free blocks whose sizes are powers of two, in lists threaded through the frame table.
//!
//! A free block's order and links stand in the [`PageInfo`] of its first frame. Nothing is written to those of the
//! other frames, so that a GiB of memory is added as fast as a single frame.

use super::page_info::{PageInfo, kind};
use core::ops::Range;

/// Binary logarithm of the largest block, a GiB.
pub const MAX_ORDER: u8 = 18;
const ORDERS: usize = MAX_ORDER as usize + 1;
/// End of a list. Frame 0 is never free, so its number is not needed.
const NONE: u32 = 0;

/// The heads of the lists, one for each order.
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
    pub(super) fn free_count(&self) -> u64 {
        self.free
    }

    /// The free block a frame lies in: its first frame and its order.
    pub(super) fn block_of(&self, pages: &[PageInfo], frame: u64) -> Option<(u64, u8)> {
        (0..=MAX_ORDER).find_map(|order| {
            let start = frame & !((1 << order) - 1);
            let head = pages.get(usize::try_from(start).ok()?)?;
            (head.kind == kind::FREE && head.order >= order).then_some((start, head.order))
        })
    }

    /// Allocates a block of an order that ends at or below frame `below`, and returns its first frame.
    pub(super) fn alloc(&mut self, pages: &mut [PageInfo], order: u8, below: u64) -> Option<u64> {
        for from in order..=MAX_ORDER {
            let mut at = self.heads[usize::from(from)];
            while at != NONE {
                if u64::from(at) + (1 << order) <= below {
                    let start = u64::from(at);
                    self.unlink(pages, at, from);
                    self.split_down(pages, start, from, start, order);
                    return Some(start);
                }
                at = pages[at as usize].refs_or_next;
            }
        }
        None
    }

    /// Allocates the block of this order that starts at a frame, if all of it is free.
    pub(super) fn alloc_at(&mut self, pages: &mut [PageInfo], frame: u64, order: u8) -> Option<()> {
        if order > MAX_ORDER || frame % (1 << order) != 0 {
            return None;
        }
        match self.block_of(pages, frame) {
            Some((start, of)) if of >= order => {
                self.unlink(pages, start as u32, of);
                self.split_down(pages, start, of, frame, order);
                Some(())
            }
            _ => None,
        }
    }

    /// Splits a block of order `of` until the one of order `order` that holds `wanted` is left, and frees the other
    /// halves.
    fn split_down(&mut self, pages: &mut [PageInfo], start: u64, of: u8, wanted: u64, order: u8) {
        let (mut start, mut of) = (start, of);
        while of > order {
            of -= 1;
            let upper = start + (1 << of);
            if wanted < upper {
                self.link(pages, upper, of);
            } else {
                self.link(pages, start, of);
                start = upper;
            }
        }
    }

    /// Frees a block, and joins it with its buddy as long as that is free too.
    pub(super) fn free(&mut self, pages: &mut [PageInfo], start: u64, order: u8) {
        let (mut start, mut order) = (start, order);
        while order < MAX_ORDER {
            let buddy = start ^ (1 << order);
            let whole = pages
                .get(buddy as usize)
                .is_some_and(|r| r.kind == kind::FREE && r.order == order);
            if !whole || buddy == 0 {
                break;
            }
            self.unlink(pages, buddy as u32, order);
            // The upper half's first frame no longer begins a block.
            pages[start.max(buddy) as usize].kind = kind::FREE_TAIL;
            start = start.min(buddy);
            order += 1;
        }
        self.link(pages, start, order);
    }

    fn link(&mut self, pages: &mut [PageInfo], start: u64, order: u8) {
        let head = self.heads[usize::from(order)];
        pages[start as usize] = PageInfo {
            refs_or_next: head,
            writers_or_prev: NONE,
            kind: kind::FREE,
            order,
            ..PageInfo::default()
        };
        if head != NONE {
            pages[head as usize].writers_or_prev = start as u32;
        }
        self.heads[usize::from(order)] = start as u32;
        self.free += 1 << order;
    }

    fn unlink(&mut self, pages: &mut [PageInfo], at: u32, order: u8) {
        let PageInfo {
            refs_or_next: next,
            writers_or_prev: previous,
            ..
        } = pages[at as usize];
        match previous {
            NONE => self.heads[usize::from(order)] = next,
            previous => pages[previous as usize].refs_or_next = next,
        }
        if next != NONE {
            pages[next as usize].writers_or_prev = previous;
        }
        self.free -= 1 << order;
    }

    /// All free blocks, in no order.
    pub(super) fn blocks<'a>(
        &'a self,
        pages: &'a [PageInfo],
    ) -> impl Iterator<Item = Range<u64>> + 'a {
        (0..ORDERS).flat_map(move |order| {
            let first = self.heads[order];
            let next =
                move |&at: &u32| Some(pages[at as usize].refs_or_next).filter(|&next| next != NONE);
            core::iter::successors(Some(first).filter(|&at| at != NONE), next)
                .map(move |at| u64::from(at)..u64::from(at) + (1 << order))
        })
    }
}
