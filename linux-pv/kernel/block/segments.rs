// SPDX-License-Identifier: GPL-2.0

//! Segments of a request's data.

use core::{
    marker::PhantomData,
    ptr, //
};

use kernel::bindings as k;
use xen_bindings as b;

use crate::series;

/// Bytes of a page.
const PAGE_SIZE: u32 = k::PAGE_SIZE as u32;

/// A contiguous part of a request's data within one page.
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
    /// Offset in the page, in bytes.
    #[inline]
    pub fn offset(&self) -> u32 {
        self.offset
    }

    /// Length in bytes.
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// The page. Data outside of the segment is not part of the request and may belong to any user
    /// of memory in the kernel.
    #[inline]
    pub fn page_ptr(&self) -> *mut k::page {
        self.page
    }

    /// Copies the data to memory that may change meanwhile.
    ///
    /// # Safety
    ///
    /// `to` is valid for writes of [`len`](Self::len) bytes, which are not in the page.
    #[inline]
    pub unsafe fn copy_to(&self, to: *mut u8) {
        // SAFETY: By the type invariant the page is live and the segment within it; the rest is the
        // requirement of this function.
        unsafe {
            b::xen_rs_copy_from_page(
                to.cast(),
                self.page,
                self.offset as usize,
                self.len as usize,
            )
        }
    }

    /// Fills the data, of a request that reads, from memory that may change meanwhile.
    ///
    /// # Safety
    ///
    /// `from` is valid for reads of [`len`](Self::len) bytes, which are not in the page.
    #[inline]
    pub unsafe fn copy_from(&self, from: *const u8) {
        // SAFETY: By the type invariant the page is live and the segment within it. While the
        // driver owns the request, its data is the driver's to fill in. The rest is the requirement
        // of this function.
        unsafe {
            b::xen_rs_copy_to_page(
                self.page,
                self.offset as usize,
                from.cast(),
                self.len as usize,
            )
        }
    }
}

/// An iterator over the [`Segment`]s of a request.
/// Parts that are separate in the bios are not merged. If the limits of the queue allow segments of
/// at most a page, there are as many as the block layer counts, and otherwise more.
///
/// # Invariants
/// If `budget > 0`, `bio` is a live bio whose position is within its vector, and from there to the
/// end of the last bio linked behind it there are `budget` bytes or more. The bios do not change
/// for the lifetime `'a`.
pub struct Segments<'a> {
    bio: *const k::bio,
    vec: *const k::bio_vec,
    /// Bytes left.
    budget: u32,
    /// Bytes left of the current bio.
    left: u32,
    /// Position in the current vector entry.
    done: u32,
    _request: PhantomData<&'a ()>,
}

impl Segments<'_> {
    /// The segments of the first `budget` bytes of a request.
    ///
    /// # Safety
    ///
    /// `rq` must be a live request whose bios have `budget` bytes of data or more, and do not
    /// change for the lifetime of the result.
    #[inline]
    pub(super) unsafe fn new(rq: *mut k::request, budget: u32) -> Self {
        let mut segments = Self::empty();
        if budget > 0 {
            segments.budget = budget;
            // SAFETY: By the requirements of this function the request is live, and has a bio since
            // it has data.
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

    /// Continues with `bio`.
    ///
    /// # Safety
    ///
    /// `bio` must be a live bio.
    #[inline]
    unsafe fn enter(&mut self, bio: *const k::bio) {
        self.bio = bio;
        // SAFETY: By the requirement of this function the bio is live; `bvec_iter` is packed, so
        // its fields are read unaligned.
        let (vec, idx, done, left) = unsafe {
            let iter = &raw const (*bio).bi_iter;
            (
                (*bio).bi_io_vec,
                (&raw const (*iter).bi_idx).read_unaligned(),
                series::bvec_done(iter),
                (&raw const (*iter).bi_size).read_unaligned(),
            )
        };
        // SAFETY: The position of a bio is within its vector.
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
            // SAFETY: By the type invariant the bio is live, and so is the next one, since bytes
            // are left.
            unsafe { self.enter((*self.bio).bi_next) };
        }
        // SAFETY: Bytes of this bio are left, so the position is within its vector.
        let vec = unsafe { &*self.vec };
        // Nothing wraps here: the position is within the vector entry, and `len` is no more than
        // anything that it is subtracted from. Said so, it costs no checks.
        let start = vec.bv_offset.wrapping_add(self.done);
        let offset = start % PAGE_SIZE;
        let len = (vec.bv_len.wrapping_sub(self.done))
            .min(PAGE_SIZE - offset)
            .min(self.left)
            .min(self.budget);
        // The pages of a vector entry are consecutive in the memory map (bvec.h).
        let page = vec.bv_page.wrapping_add((start / PAGE_SIZE) as usize);

        self.budget = self.budget.wrapping_sub(len);
        self.left = self.left.wrapping_sub(len);
        self.done = self.done.wrapping_add(len);
        if self.done == vec.bv_len {
            self.done = 0;
            // One past the end if no bytes are left.
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
