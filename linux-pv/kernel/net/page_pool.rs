// SPDX-License-Identifier: GPL-2.0

//! Page pools: pages for received packets, which are recycled when the packets are freed.

use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use kernel::{
    bindings as k,
    device::Device,
    error::from_err_ptr,
    page::PAGE_SIZE,
    prelude::*, //
};

use xen_bindings as b;

/// A pool of pages (`struct page_pool`). After it is dropped, it exists until its last page has
/// returned.
///
/// # Invariants
///
/// `0` is a valid pool that this value owns.
pub struct PagePool(NonNull<k::page_pool>);

// SAFETY: Allocating takes a mutable reference, and so is not concurrent; pages may be returned in
// any context.
unsafe impl Send for PagePool {}
// SAFETY: Allocating takes a mutable reference, and so is not concurrent; pages may be returned in
// any context.
unsafe impl Sync for PagePool {}

impl PagePool {
    /// Makes a pool that keeps up to about `pages` pages for reuse. May sleep.
    pub fn new(pages: u32, dev: &Device) -> Result<Self> {
        // `Device` is a transparent wrapper, but its pointer is private.
        let parent = core::ptr::from_ref(dev).cast_mut().cast::<k::device>();
        // SAFETY: The device is valid. The pool is not used for DMA, so only the device's memory
        // node is read.
        let pool = unsafe { b::xen_rs_page_pool_create(pages, k::NUMA_NO_NODE, parent) };
        let pool = NonNull::new(from_err_ptr(pool)?).ok_or(ENOMEM)?;
        // INVARIANT: The pool was just made.
        Ok(Self(pool))
    }

    #[inline]
    pub(super) fn as_ptr(&self) -> *mut k::page_pool {
        self.0.as_ptr()
    }

    /// Takes a page. A new page is zeroed, a recycled page has its old content. To be called in a
    /// NAPI poll, or with softirqs disabled.
    #[inline]
    pub fn get(&mut self) -> Option<PoolPage> {
        // SAFETY: By the type invariant the pool is valid; the mutable reference prevents
        // concurrent allocations.
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
        // SAFETY: By the type invariant this value owns the pool, which is freed with its last
        // page.
        unsafe { b::page_pool_destroy(self.0.as_ptr()) }
    }
}

/// A page of a [`PagePool`], to which it returns when it is dropped.
///
/// # Invariants
///
/// This value owns `page`, which is from `pool` and keeps it alive. There is no Rust reference into
/// the page.
pub struct PoolPage {
    page: NonNull<k::page>,
    pool: NonNull<k::page_pool>,
}

// SAFETY: A page may be used and returned in any context.
unsafe impl Send for PoolPage {}
// SAFETY: The functions that take a shared reference only copy, without a reference into the page.
unsafe impl Sync for PoolPage {}

impl PoolPage {
    /// The page, for C functions.
    #[inline]
    pub fn as_ptr(&self) -> *mut k::page {
        self.page.as_ptr()
    }

    /// The page's kernel address.
    #[inline]
    pub(super) fn address(&self) -> *mut u8 {
        // SAFETY: By the type invariant the page is valid; pages of a pool are not in high memory.
        unsafe { b::xen_rs_page_address(self.as_ptr()) }.cast()
    }

    /// Overwrites the whole page with zeroes.
    pub fn zero(&self) {
        // SAFETY: By the type invariant the page is owned, and there is no reference into it.
        unsafe { b::xen_rs_zero(self.address().cast(), PAGE_SIZE) }
    }

    /// Gives up the ownership, to a packet whose freeing returns the page.
    #[inline]
    pub(super) fn into_raw(self) -> *mut k::page {
        ManuallyDrop::new(self).page.as_ptr()
    }
}

impl Drop for PoolPage {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant the page is owned, and from this pool.
        unsafe { b::xen_rs_page_pool_put(self.pool.as_ptr(), self.as_ptr()) }
    }
}
