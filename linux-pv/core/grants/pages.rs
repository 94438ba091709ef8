// SPDX-License-Identifier: GPL-2.0

//! Pages without memory, at which grants of other domains can be mapped, and caches of them.

use core::ptr;

use kernel::{
    bindings as k,
    ffi::{
        c_int,
        c_uint, //
    }, //
};

use core_bindings::{
    self as bindings,
    gnttab_page_cache, //
};

use xen_core::declared_in_c;

use crate::map::list;

declared_in_c! {
    gnttab_pages_set_private: unsafe extern "C" fn(c_int, *mut *mut k::page) -> c_int;
    gnttab_pages_clear_private: unsafe extern "C" fn(c_int, *mut *mut k::page);
    gnttab_alloc_pages: unsafe extern "C" fn(c_int, *mut *mut k::page) -> c_int;
    gnttab_free_pages: unsafe extern "C" fn(c_int, *mut *mut k::page);
    gnttab_page_cache_init: unsafe extern "C" fn(*mut gnttab_page_cache);
    gnttab_page_cache_get:
        unsafe extern "C" fn(*mut gnttab_page_cache, *mut *mut k::page) -> c_int;
    gnttab_page_cache_put:
        unsafe extern "C" fn(*mut gnttab_page_cache, *mut *mut k::page, c_uint);
    gnttab_page_cache_shrink: unsafe extern "C" fn(*mut gnttab_page_cache, c_uint);
}

/// A number of pages as C has it.
fn number(count: c_int) -> c_uint {
    count.max(0) as c_uint
}

/// Lets pages say whose grant is mapped at them.
///
/// # Safety
///
/// So many pages are in the list, which are the caller's.
#[no_mangle]
pub unsafe extern "C" fn gnttab_pages_set_private(count: c_int, pages: *mut *mut k::page) -> c_int {
    // SAFETY: By the requirement of this function.
    unsafe {
        for page in list(pages, number(count)) {
            bindings::xen_core_set_page_has_private(*page);
        }
    }
    0
}

/// Undoes [`gnttab_pages_set_private`].
///
/// # Safety
///
/// As that.
#[no_mangle]
pub unsafe extern "C" fn gnttab_pages_clear_private(count: c_int, pages: *mut *mut k::page) {
    // SAFETY: By the requirement of this function.
    unsafe {
        for page in list(pages, number(count)) {
            bindings::xen_core_clear_page_has_private(*page);
        }
    }
}

/// Allocates pages to map grants at. May sleep.
///
/// # Safety
///
/// There is room for so many in the list.
#[no_mangle]
pub unsafe extern "C" fn gnttab_alloc_pages(count: c_int, pages: *mut *mut k::page) -> c_int {
    // SAFETY: By the requirement of this function; the pages are new then.
    unsafe {
        match bindings::xen_core_alloc_unpopulated(number(count), pages) {
            error @ ..=-1 => error,
            _ => gnttab_pages_set_private(count, pages),
        }
    }
}

/// Frees pages from [`gnttab_alloc_pages`]. May sleep.
///
/// # Safety
///
/// So many pages are in the list, which nobody uses any more.
#[no_mangle]
pub unsafe extern "C" fn gnttab_free_pages(count: c_int, pages: *mut *mut k::page) {
    // SAFETY: By the requirement of this function.
    unsafe {
        gnttab_pages_clear_private(count, pages);
        bindings::xen_core_free_unpopulated(number(count), pages);
    }
}

/// Pages that are freed at a time.
const BATCH: usize = 10;

/// A cache whose lock is held. Its pages are a stack, linked by a word that each page has for its
/// owner. C's structure has a list head for it in some configurations, of which this uses the first
/// word.
struct Locked {
    cache: *mut gnttab_page_cache,
    flags: usize,
}

/// The lock of a cache: without `CONFIG_PREEMPT_RT`, which this object excludes, it begins with the
/// raw one.
///
/// # Safety
///
/// The cache is valid.
unsafe fn lock_of(cache: *mut gnttab_page_cache) -> *mut k::raw_spinlock_t {
    // SAFETY: By the requirement of this function.
    unsafe { (&raw mut (*cache).lock).cast() }
}

impl Locked {
    /// Takes the lock.
    ///
    /// # Safety
    ///
    /// The cache was initialised, and stays until this is dropped.
    unsafe fn new(cache: *mut gnttab_page_cache) -> Self {
        // SAFETY: By the requirement of this function.
        let flags = unsafe { k::_raw_spin_lock_irqsave(lock_of(cache)) };
        Self { cache, flags }
    }

    /// The first page.
    fn first(&mut self) -> *mut *mut k::page {
        // SAFETY: The lock is held, so the cache is valid.
        unsafe { (&raw mut (*self.cache).pages).cast() }
    }

    /// Takes a page out.
    fn pop(&mut self) -> Option<*mut k::page> {
        let first = self.first();
        // SAFETY: The lock is held, so the words are nobody else's. A page of the stack is the
        // cache's.
        unsafe {
            let page = first.read();
            if page.is_null() {
                return None;
            }
            first.write(
                bindings::xen_core_page_link(page)
                    .cast::<*mut k::page>()
                    .read(),
            );
            (*self.cache).num_pages = (*self.cache).num_pages.saturating_sub(1);
            Some(page)
        }
    }

    /// Adds a page.
    ///
    /// # Safety
    ///
    /// It is the caller's, who gives it up.
    unsafe fn push(&mut self, page: *mut k::page) {
        let first = self.first();
        // SAFETY: The lock is held, so the words are nobody else's. The page is the cache's now.
        unsafe {
            let link = bindings::xen_core_page_link(page).cast::<*mut k::page>();
            link.write(first.read());
            first.write(page);
            (*self.cache).num_pages = (*self.cache).num_pages.saturating_add(1);
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // SAFETY: It was taken by `new`, with these flags.
        unsafe { k::_raw_spin_unlock_irqrestore(lock_of(self.cache), self.flags) };
    }
}

/// Initialises a cache without pages.
///
/// # Safety
///
/// The cache is the caller's alone.
#[no_mangle]
pub unsafe extern "C" fn gnttab_page_cache_init(cache: *mut gnttab_page_cache) {
    // SAFETY: By the requirement of this function.
    unsafe {
        bindings::xen_core_raw_spin_lock_init(lock_of(cache));
        (&raw mut (*cache).pages)
            .cast::<*mut k::page>()
            .write(ptr::null_mut());
        (*cache).num_pages = 0;
    }
}

/// Takes a page out of a cache, or allocates one. May sleep.
///
/// # Safety
///
/// The cache was initialised, and there is room for a page.
#[no_mangle]
pub unsafe extern "C" fn gnttab_page_cache_get(
    cache: *mut gnttab_page_cache,
    page: *mut *mut k::page,
) -> c_int {
    // SAFETY: By the requirement of this function.
    unsafe {
        let cached = Locked::new(cache).pop();
        match cached {
            Some(cached) => {
                page.write(cached);
                0
            }
            None => gnttab_alloc_pages(1, page),
        }
    }
}

/// Puts pages into a cache. Any context.
///
/// # Safety
///
/// The cache was initialised; the pages are from [`gnttab_page_cache_get`], and given up.
#[no_mangle]
pub unsafe extern "C" fn gnttab_page_cache_put(
    cache: *mut gnttab_page_cache,
    pages: *mut *mut k::page,
    count: c_uint,
) {
    // SAFETY: By the requirement of this function.
    unsafe {
        let mut locked = Locked::new(cache);
        for page in list(pages, count) {
            locked.push(*page);
        }
    }
}

/// Frees pages of a cache until there are no more than `keep`. May sleep.
///
/// # Safety
///
/// The cache was initialised.
#[no_mangle]
pub unsafe extern "C" fn gnttab_page_cache_shrink(cache: *mut gnttab_page_cache, keep: c_uint) {
    loop {
        let mut batch = [ptr::null_mut(); BATCH];
        let mut count = 0;
        // SAFETY: By the requirement of this function.
        let mut locked = unsafe { Locked::new(cache) };
        for place in &mut batch {
            // SAFETY: The lock is held.
            if unsafe { (*cache).num_pages } <= keep {
                break;
            }
            let Some(page) = locked.pop() else {
                break;
            };
            *place = page;
            count += 1;
        }
        drop(locked);
        if count == 0 {
            return;
        }
        // SAFETY: They are in no cache any more.
        unsafe { gnttab_free_pages(count, batch.as_mut_ptr()) };
    }
}
