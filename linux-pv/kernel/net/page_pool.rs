// SPDX-License-Identifier: GPL-2.0

//! Pages for received packets, which come back when the packets are freed.

use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use kernel::bindings as k;
use kernel::device::Device;
use kernel::error::from_err_ptr;
use kernel::prelude::*;
use xen_bindings as b;

use kernel::page::PAGE_SIZE;

/// A pool of pages (`struct page_pool`). Dropping it leaves it alive until its last page has come back.
///
/// # Invariants
///
/// `0` is a pool that was not destroyed.
pub struct PagePool(NonNull<k::page_pool>);

// SAFETY: Pages may be allocated from one context at a time, which takes a mutable reference, and returned
// from any.
unsafe impl Send for PagePool {}
// SAFETY: As above.
unsafe impl Sync for PagePool {}

impl PagePool {
    /// A pool that keeps up to about `pages` pages for the next use. May sleep.
    pub fn new(pages: u32, dev: &Device) -> Result<Self> {
        // A transparent wrapper, which keeps this to itself.
        let parent = core::ptr::from_ref(dev).cast_mut().cast::<k::device>();
        // SAFETY: The device is valid; the pool is not used for DMA, so it is only asked for its memory node.
        let pool = unsafe { b::xen_rs_page_pool_create(pages, k::NUMA_NO_NODE, parent) };
        let pool = NonNull::new(from_err_ptr(pool)?).ok_or(ENOMEM)?;
        // INVARIANT: Just made.
        Ok(Self(pool))
    }

    #[inline]
    pub(super) fn as_ptr(&self) -> *mut k::page_pool {
        self.0.as_ptr()
    }

    /// Takes a page. One that is new is zeroed; one that comes back has what was in it. In a NAPI context, or
    /// with bottom halves off.
    #[inline]
    pub fn get(&mut self) -> Option<PoolPage> {
        // SAFETY: By the type invariant; the mutable reference keeps others from allocating.
        let page = unsafe { b::xen_rs_page_pool_alloc(self.0.as_ptr()) };
        // INVARIANT: The page is from this pool.
        Some(PoolPage {
            page: NonNull::new(page)?,
            pool: self.0,
        })
    }
}

impl Drop for PagePool {
    fn drop(&mut self) {
        // SAFETY: By the type invariant. The pool waits for its pages by itself.
        unsafe { b::page_pool_destroy(self.0.as_ptr()) }
    }
}

/// A page of a [`PagePool`], to which it returns when dropped.
///
/// # Invariants
///
/// `page` is a page that was taken from `pool` and not returned, which keeps the pool alive, and only this
/// refers to it. No reference into it exists.
pub struct PoolPage {
    page: NonNull<k::page>,
    pool: NonNull<k::page_pool>,
}

// SAFETY: Owned memory, returned to its pool from any context.
unsafe impl Send for PoolPage {}
// SAFETY: As above; what a shared reference allows only copies.
unsafe impl Sync for PoolPage {}

impl PoolPage {
    /// The page, for C.
    #[inline]
    pub fn as_ptr(&self) -> *mut k::page {
        self.page.as_ptr()
    }

    /// The page's kernel address.
    #[inline]
    pub(super) fn address(&self) -> *mut u8 {
        // SAFETY: By the type invariant; pages of a pool are not in high memory.
        unsafe { b::xen_rs_page_address(self.as_ptr()) }.cast()
    }

    /// Overwrites the whole page with zeroes.
    pub fn zero(&self) {
        // SAFETY: By the type invariant.
        unsafe { b::xen_rs_zero(self.address().cast(), PAGE_SIZE) }
    }

    /// Gives the page to a packet, from which it returns to the pool.
    #[inline]
    pub(super) fn into_raw(self) -> *mut k::page {
        ManuallyDrop::new(self).page.as_ptr()
    }
}

impl Drop for PoolPage {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { b::xen_rs_page_pool_put(self.pool.as_ptr(), self.as_ptr()) }
    }
}
