// SPDX-License-Identifier: GPL-2.0

//! Pages that may be shown to another domain.
//!
//! A grant always covers a whole page, so a page that is granted must hold nothing else, and
//! nothing that was there before (XSA-403). [`GrantablePage`] is such a page: zeroed when it is
//! made, a page of its own, and never seen through a reference, for a peer may write to it at any
//! time. Data is copied in and out.

use core::{
    mem,
    ptr::NonNull, //
};

use kernel::{
    alloc::{
        flags::__GFP_HIGHMEM,
        AllocError,
        Flags, //
    },
    page::Page,
    prelude::*, //
};

use xen_bindings as bindings;

use crate::debug;

/// Bytes in a page and in a grant (`XEN_PAGE_SIZE`).
pub const PAGE_SIZE: usize = 4096;

// Grants have 4 KiB. Larger kernel pages, which x86 does not have, would need several grants a
// page.
const _: () = assert!(kernel::page::PAGE_SIZE == PAGE_SIZE);

/// The frame number a peer's grant needs: a machine frame in PV domains, else our own frame number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Gfn(pub(crate) usize);

impl Gfn {
    /// The frame of a page.
    ///
    /// # Safety
    ///
    /// `page` points to the `struct page` of a page of this kernel's memory.
    #[inline]
    pub unsafe fn of(page: *mut kernel::bindings::page) -> Self {
        // SAFETY: By the requirement of this function; the shim only computes.
        Self(unsafe { bindings::xen_rs_page_to_gfn(page) })
    }

    /// The frame of the page at an address.
    ///
    /// # Safety
    ///
    /// `at` is an address in the kernel's direct mapping.
    #[inline]
    pub(crate) unsafe fn at(at: *const u8) -> Self {
        // SAFETY: By the requirement of this function; the shim only computes.
        Self(unsafe { bindings::xen_rs_virt_to_gfn(at.cast()) })
    }
}

/// One zeroed page that holds nothing but what is copied into it.
///
/// # Invariants
///
/// - `virt` is the kernel address, in the direct mapping, of an order-0 page from the page
///   allocator with one reference, which this owns. It is valid for reads and writes of
///   [`PAGE_SIZE`] bytes while this lives.
/// - No reference into the page exists, ever.
#[repr(transparent)]
pub struct GrantablePage {
    virt: NonNull<u8>,
}

// SAFETY: By the type invariant the page is owned, and may be freed by any task.
unsafe impl Send for GrantablePage {}
// SAFETY: By the type invariant there is no reference into the page: it is only accessed by opaque
// copies and volatile accesses. Concurrent copies may tear, as those of the peer may, and nothing
// relies on what they read.
unsafe impl Sync for GrantablePage {}

impl GrantablePage {
    /// Allocates a zeroed page. With `GFP_ATOMIC` or `GFP_NOWAIT` it does not sleep.
    pub fn new(flags: Flags) -> Result<Self, AllocError> {
        // High memory has no address that lasts.
        let flags = (flags & !__GFP_HIGHMEM) | __GFP_ZERO;
        let page = Page::alloc_page(flags)?;
        // SAFETY: The page is valid.
        let virt = unsafe { bindings::xen_rs_page_address(page.as_ptr()) };
        let virt = NonNull::new(virt.cast()).ok_or(AllocError)?;
        mem::forget(page);
        debug::PAGES.add(1);
        // INVARIANT: The page was just allocated, is not in high memory, and only used here yet;
        // `virt` is its address.
        Ok(Self { virt })
    }

    /// The page's frame number.
    #[inline]
    pub fn gfn(&self) -> Gfn {
        // SAFETY: By the type invariant the address is in the direct mapping.
        unsafe { Gfn::at(self.virt.as_ptr()) }
    }

    /// Copies bytes into the page, starting at byte `offset`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it does not fit; nothing is copied then.
    pub fn copy_in(&self, offset: usize, from: &[u8]) -> Result {
        let to = self.range(offset, from.len())?;
        // SAFETY: `range` has checked that `to` is valid for that many bytes. A page is never
        // referenced, so `from` cannot overlap it.
        unsafe { bindings::xen_rs_copy(to.as_ptr().cast(), from.as_ptr().cast(), from.len()) };
        Ok(())
    }

    /// Like [`copy_in`](Self::copy_in) from raw memory.
    ///
    /// # Safety
    ///
    /// `from` is valid for reads of `len` bytes that are not in this page.
    #[inline]
    pub unsafe fn copy_in_raw(&self, offset: usize, from: *const u8, len: usize) -> Result {
        let to = self.range(offset, len)?;
        // SAFETY: `range` has checked the destination; the source is valid by the requirement of
        // this function.
        unsafe { bindings::xen_rs_copy(to.as_ptr().cast(), from.cast(), len) };
        Ok(())
    }

    /// Overwrites the whole page with zeroes.
    pub fn zero(&self) {
        // SAFETY: By the type invariant `virt` is valid for writes of a page, and not referenced.
        unsafe { bindings::xen_rs_zero(self.virt.as_ptr().cast(), PAGE_SIZE) }
    }

    /// Writes a plain value at byte `offset`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it does not fit or `offset` is not a multiple of the value's alignment.
    #[inline]
    pub fn write<T: zerocopy::IntoBytes + zerocopy::Immutable>(
        &self,
        offset: usize,
        value: &T,
    ) -> Result {
        self.copy_in(offset, value.as_bytes())
    }

    #[inline]
    fn range(&self, offset: usize, len: usize) -> Result<NonNull<u8>> {
        if offset > PAGE_SIZE || len > PAGE_SIZE - offset {
            return Err(EINVAL);
        }
        // SAFETY: `offset` is within the page or one past its end.
        Ok(unsafe { self.virt.add(offset) })
    }

    /// Kernel address of the page, for crate-internal mappings that keep to volatile accesses.
    #[inline]
    pub(crate) fn virt(&self) -> NonNull<u8> {
        self.virt
    }

    /// The page's `struct page`.
    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut kernel::bindings::page {
        // SAFETY: By the type invariant the address is in the direct mapping; the shim only
        // computes.
        unsafe { bindings::xen_rs_virt_to_page(self.virt.as_ptr().cast()) }
    }
}

impl Drop for GrantablePage {
    fn drop(&mut self) {
        debug::PAGES.sub(1);
        // SAFETY: By the type invariant this is the only owner of an order-0 page.
        unsafe { kernel::bindings::__free_pages(self.as_ptr(), 0) };
    }
}

/// A bounded last-in, first-out store of pages, so that a page that is hot in the cache is used
/// next.
pub struct PagePool {
    bound: usize,
    pages: KVec<GrantablePage>,
}

impl PagePool {
    /// A pool that keeps up to `bound` pages and holds `filled` of them at once. May sleep.
    pub fn new(bound: usize, filled: usize) -> Result<Self> {
        let mut pages = KVec::with_capacity(bound, GFP_KERNEL)?;
        for _ in 0..filled.min(bound) {
            pages.push(GrantablePage::new(GFP_KERNEL)?, GFP_KERNEL)?;
        }
        Ok(Self { bound, pages })
    }

    /// Takes a page out, if there is one. Does not allocate.
    #[inline]
    pub fn get(&mut self) -> Option<GrantablePage> {
        self.pages.pop()
    }

    /// Takes a page out, or allocates one with `flags`.
    #[inline]
    pub fn get_or_new(&mut self, flags: Flags) -> Result<GrantablePage, AllocError> {
        match self.get() {
            Some(page) => Ok(page),
            None => GrantablePage::new(flags),
        }
    }

    /// Puts a page in; if the pool is full, the page comes back to be dropped by the caller,
    /// outside of locks if it likes.
    #[inline]
    pub fn put(&mut self, page: GrantablePage) -> Result<(), GrantablePage> {
        if self.pages.len() >= self.bound {
            return Err(page);
        }
        self.pages.push_within_capacity(page).map_err(|e| e.0)
    }

    /// Pages in the pool.
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// Whether the pool holds no page.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }
}
