// SPDX-License-Identifier: GPL-2.0

//! The memory of a request, page by page.

use core::{marker::PhantomData, ptr, ptr::NonNull};

use kernel::bindings as k;
use xen_bindings as b;

use crate::series;

/// Bytes of a page.
const PAGE_SIZE: u32 = k::PAGE_SIZE as u32;

/// A piece of a request's data that lies within one page.
///
/// # Invariants
///
/// `page` is a live page for the lifetime `'a`; `len > 0` and `offset + len <= PAGE_SIZE`.
#[derive(Clone, Copy)]
pub struct Segment<'a> {
    page: *mut k::page,
    offset: u32,
    len: u32,
    _request: PhantomData<&'a ()>,
}

impl Segment<'_> {
    /// Where the piece begins within its page, in bytes.
    #[inline]
    pub fn offset(&self) -> u32 {
        self.offset
    }

    /// How long it is, in bytes.
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// The page. What is around the piece in that page is not part of the request and may belong to
    /// anybody in the kernel.
    #[inline]
    pub fn page_ptr(&self) -> *mut k::page {
        self.page
    }

    /// Kernel address of the first byte; none for high memory, which 64-bit kernels do not have. Of a
    /// request that reads it is valid for writes of [`len`](Self::len) bytes, of one that writes for
    /// reads.
    #[inline]
    pub fn address(&self) -> Option<NonNull<u8>> {
        // SAFETY: By the type invariant this is a live page; the shim only computes.
        let page = unsafe { b::xen_rs_page_address(self.page) };
        let page = NonNull::new(page.cast::<u8>())?;
        // SAFETY: By the type invariant the offset is within the page.
        Some(unsafe { page.add(self.offset as usize) })
    }
}

/// An iterator over the [`Segment`]s of a request.
///
/// Pieces that the bios keep separate are not joined, so there are as many as the block layer counted
/// if the queue's limits allow a segment to be a page long at most, and more otherwise.
///
/// # Invariants
///
/// If `budget > 0`, `bio` is a live bio whose position lies within its vector, and from there to the end
/// of the last bio linked behind it there are `budget` bytes or more. None of them changes for the
/// lifetime `'a`.
pub struct Segments<'a> {
    bio: *const k::bio,
    vec: *const k::bio_vec,
    /// Bytes that are still to come.
    budget: u32,
    /// Bytes of this bio that are still to come.
    left: u32,
    /// Position in the current vector entry.
    done: u32,
    _request: PhantomData<&'a ()>,
}

impl Segments<'_> {
    /// The first `budget` bytes of a request.
    ///
    /// # Safety
    ///
    /// `rq` must be a live request whose bios carry `budget` bytes of data or more, and do not change
    /// for the lifetime of the result.
    #[inline]
    pub(super) unsafe fn new(rq: *mut k::request, budget: u32) -> Self {
        let mut segments = Self::empty();
        if budget > 0 {
            segments.budget = budget;
            // SAFETY: The request is live and has data, so it has a bio.
            unsafe { segments.enter((*rq).bio) };
        }
        segments
    }

    /// No segments.
    #[inline]
    pub(super) fn empty() -> Self {
        Self {
            bio: ptr::null(),
            vec: ptr::null(),
            budget: 0,
            left: 0,
            done: 0,
            _request: PhantomData,
        }
    }

    /// # Safety
    ///
    /// `bio` must be a live bio.
    #[inline]
    unsafe fn enter(&mut self, bio: *const k::bio) {
        self.bio = bio;
        // SAFETY: The bio is live; `bvec_iter` is packed, so its fields are read by value.
        let (vec, idx, done, left) = unsafe {
            let iter = &raw const (*bio).bi_iter;
            (
                (*bio).bi_io_vec,
                (&raw const (*iter).bi_idx).read_unaligned(),
                series::bvec_done(iter),
                (&raw const (*iter).bi_size).read_unaligned(),
            )
        };
        // SAFETY: A bio's position lies within its vector.
        self.vec = unsafe { vec.add(idx as usize) };
        self.done = done;
        self.left = left;
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    #[inline]
    fn next(&mut self) -> Option<Segment<'a>> {
        if self.budget == 0 {
            return None;
        }
        while self.left == 0 {
            // SAFETY: By the invariant the bio is live, and since there are bytes to come, so is the
            // next one.
            unsafe { self.enter((*self.bio).bi_next) };
        }
        // SAFETY: There are bytes left, so the position lies within the vector.
        let vec = unsafe { &*self.vec };
        let start = vec.bv_offset + self.done;
        let offset = start % PAGE_SIZE;
        let len = (vec.bv_len - self.done)
            .min(PAGE_SIZE - offset)
            .min(self.left)
            .min(self.budget);
        // All pages of a vector entry lie one behind the other in the memory map (bvec.h).
        let page = vec.bv_page.wrapping_add((start / PAGE_SIZE) as usize);

        self.budget -= len;
        self.left -= len;
        self.done += len;
        if self.done == vec.bv_len {
            self.done = 0;
            // Perhaps one past the end, then nothing is left.
            self.vec = self.vec.wrapping_add(1);
        }
        // INVARIANT: `offset + len <= PAGE_SIZE` by construction; entries are never empty.
        Some(Segment {
            page,
            offset,
            len,
            _request: PhantomData,
        })
    }
}
