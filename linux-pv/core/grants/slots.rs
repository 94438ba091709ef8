// SPDX-License-Identifier: GPL-2.0

//! Memory for a word of each reference ([`Slots`]): pages that are added as the table grows, found
//! through a list of pages. It is read without a lock.

use core::{
    mem::size_of,
    ptr,
    sync::atomic::{
        AtomicPtr,
        AtomicU32,
        Ordering::{
            Acquire,
            Relaxed,
            Release, //
        }, //
    }, //
};

use kernel::{
    bindings as k,
    prelude::*, //
};

use xen_abi::PAGE_SIZE;

use xen_core::error::Result;

use xen_grant::references::Slots;

/// Slots in a page.
const PER_PAGE: u32 = (PAGE_SIZE / size_of::<AtomicU32>()) as u32;

/// The list of pages, of [`MAX_PAGES`] elements. Written once.
static LIST: AtomicPtr<AtomicPtr<AtomicU32>> = AtomicPtr::new(ptr::null_mut());
static MAX_PAGES: AtomicU32 = AtomicU32::new(0);

/// How many of the list's pages are there, from the first on.
static PAGES: AtomicU32 = AtomicU32::new(0);

/// The slots. There is one set of them.
pub(crate) struct KernelSlots;

/// Makes the list of pages, none of which is there yet, if there is no list. Called by the one who
/// sets the table up. May sleep.
pub(crate) fn make_list(max_pages: u32) -> Result {
    if !LIST.load(Relaxed).is_null() {
        return Ok(());
    }
    let mut list = KVVec::new();
    for _ in 0..max_pages {
        list.push(AtomicPtr::new(ptr::null_mut()), GFP_KERNEL)?;
    }
    let (list, _, _) = list.into_raw_parts();
    MAX_PAGES.store(max_pages, Relaxed);
    // It stays for ever.
    LIST.store(list, Release);
    Ok(())
}

/// The element of the list for a page.
#[inline]
fn element(page: u32) -> Option<&'static AtomicPtr<AtomicU32>> {
    let list = LIST.load(Acquire);
    if list.is_null() || page >= MAX_PAGES.load(Relaxed) {
        return None;
    }
    // SAFETY: The list has so many elements, and stays.
    Some(unsafe { &*list.wrapping_add(page as usize) })
}

#[inline]
fn slot(reference: u32) -> Option<&'static AtomicU32> {
    let page = element(reference / PER_PAGE)?.load(Acquire);
    if page.is_null() {
        return None;
    }
    // SAFETY: A page of the list has `PER_PAGE` slots, and stays.
    Some(unsafe { &*page.wrapping_add((reference % PER_PAGE) as usize) })
}

impl KernelSlots {
    /// Adds pages until there is room for so many slots. The caller holds the lock of the
    /// references, or nobody else uses them. Any context. False if there is no memory; what was
    /// added stays.
    pub(crate) fn make_room(&mut self, slots: u32) -> bool {
        for page in PAGES.load(Relaxed)..slots.div_ceil(PER_PAGE) {
            let Some(element) = element(page) else {
                return false;
            };
            // SAFETY: Allocates a page.
            let address = unsafe { k::get_zeroed_page_noprof(k::GFP_ATOMIC) };
            if address == 0 {
                return false;
            }
            element.store(ptr::with_exposed_provenance_mut(address), Release);
            PAGES.store(page.wrapping_add(1), Release);
        }
        true
    }
}

impl Slots for KernelSlots {
    #[inline]
    fn load(&self, reference: u32) -> u32 {
        slot(reference).map_or(0, |slot| slot.load(Relaxed))
    }

    #[inline]
    fn store(&self, reference: u32, value: u32) {
        if let Some(slot) = slot(reference) {
            slot.store(value, Relaxed);
        }
    }

    #[inline]
    fn room(&self) -> u32 {
        PAGES.load(Acquire).saturating_mul(PER_PAGE)
    }
}
