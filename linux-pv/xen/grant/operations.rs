// SPDX-License-Identifier: GPL-2.0

//! What the hypervisor is asked for to map grants and to unmap them, and the pages they are mapped
//! at.
//!
//! Several arrays, as the kernel's functions want them, in one piece of memory: many programs map
//! one grant at a time, and then each piece of memory costs more than what is done with it.

use core::ptr;

use kernel::{
    bindings as k,
    error::to_result,
    prelude::*,
    sync::atomic::{
        AtomicFlag,
        Relaxed, //
    },
};

use xen_abi::grant_table::status;
use xen_bindings as bindings;

use crate::{
    debug,
    domain, //
};

use super::ForeignGrant;

/// Maps a grant.
pub(super) type Map = bindings::gnttab_map_grant_ref;
/// Unmaps one.
pub(super) type Unmap = bindings::gnttab_unmap_grant_ref;

/// Nothing is mapped by a handle of this value (`INVALID_GRANT_HANDLE`).
pub(super) const NO_HANDLE: u32 = u32::MAX;

const NO_MAP: Map = Map {
    host_addr: 0,
    flags: 0,
    ref_: 0,
    dom: 0,
    // Whatever is not touched has failed.
    status: status::GENERAL_ERROR,
    handle: NO_HANDLE,
    dev_bus_addr: 0,
};
const NO_UNMAP: Unmap = Unmap {
    host_addr: 0,
    dev_bus_addr: 0,
    handle: NO_HANDLE,
    status: status::GENERAL_ERROR,
};

/// The unit of memory.
type Word = u64;

/// Words that one of an array takes.
const fn words<T>() -> usize {
    assert!(size_of::<T>() % size_of::<Word>() == 0 && align_of::<T>() <= align_of::<Word>());
    size_of::<T>() / size_of::<Word>()
}

/// An operation of each kind for each grant, in PV domains twice (the second half is for the
/// kernel's own mapping), and a page for each grant. Dropped, the pages go back to where they came
/// from.
///
/// # Invariants
///
/// - `memory` has room for `mappings` of [`Map`], then as many of [`Unmap`], then `count` pointers
///   to pages, all of which are initialised. It does not move, and is only used by the pointers
///   made of it here.
/// - The pages came from `gnttab_alloc_pages`, and their array does not change.
pub(super) struct Operations {
    memory: KVVec<Word>,
    mappings: usize,
    count: usize,
    /// Grants are still mapped at the pages, so they are never freed.
    lost: AtomicFlag,
}

// SAFETY: The memory and the pages are owned.
unsafe impl Send for Operations {}
// SAFETY: Only the array of pages can be reached without unsafe code, and it does not change.
unsafe impl Sync for Operations {}

impl Operations {
    /// Memory for so many grants, and pages to map them at. The operations have the grants in them;
    /// they map nothing and unmap nothing. May sleep.
    ///
    /// # Errors
    ///
    /// Those of `grants`; `ENOMEM`.
    pub(super) fn new(grants: impl ExactSizeIterator<Item = Result<ForeignGrant>>) -> Result<Self> {
        let count = grants.len();
        let mappings = if domain::is_pv() { 2 * count } else { count };
        let words =
            (words::<Map>() + words::<Unmap>()) * mappings + words::<*mut k::page>() * count;
        let mut this = Self {
            memory: KVVec::with_capacity(words, GFP_KERNEL_ACCOUNT | __GFP_NOWARN)?,
            mappings,
            // There are no pages yet.
            count: 0,
            lost: AtomicFlag::new(false),
        };
        for index in 0..mappings {
            // SAFETY: There is room for so many.
            unsafe {
                this.maps().add(index).write(NO_MAP);
                this.unmaps().add(index).write(NO_UNMAP);
            }
        }
        for (index, grant) in grants.take(count).enumerate() {
            let grant = grant?;
            let map = Map {
                dom: grant.domain.get(),
                ref_: grant.reference,
                ..NO_MAP
            };
            // SAFETY: There is room for so many, and more.
            unsafe { this.maps().add(index).write(map) };
        }
        for index in 0..count {
            // SAFETY: There is room for so many.
            unsafe { this.pages_at().add(index).write(ptr::null_mut()) };
        }
        let number = i32::try_from(count).map_err(|_| ENOMEM)?;
        // SAFETY: There is room for as many pages.
        let got = unsafe { bindings::gnttab_alloc_pages(number, this.pages_at()) };
        to_result(got).map_err(|_| ENOMEM)?;
        debug::MAPPED_PAGES.add(count);
        // INVARIANT: All is initialised, and the pages are there.
        this.count = count;
        Ok(this)
    }

    /// How many grants there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// How many operations there are of each kind.
    pub(super) fn mappings(&self) -> usize {
        self.mappings
    }

    /// A place in the memory, so many words from where it begins.
    fn at<T>(&self, words: usize) -> *mut T {
        self.memory.as_ptr().cast_mut().wrapping_add(words).cast()
    }

    /// The operations that map.
    pub(super) fn maps(&self) -> *mut Map {
        self.at(0)
    }

    /// The operations that unmap.
    pub(super) fn unmaps(&self) -> *mut Unmap {
        self.at(words::<Map>() * self.mappings)
    }

    fn pages_at(&self) -> *mut *mut k::page {
        self.at((words::<Map>() + words::<Unmap>()) * self.mappings)
    }

    /// The pages.
    pub(super) fn pages(&self) -> &[*mut k::page] {
        // SAFETY: By the type invariants there are as many, and they do not change.
        unsafe { core::slice::from_raw_parts(self.pages_at(), self.count) }
    }

    /// Forgets the pages: something is mapped there that cannot be unmapped.
    pub(super) fn lose_pages(&self) {
        self.lost.store(true, Relaxed);
    }
}

impl Drop for Operations {
    fn drop(&mut self) {
        if self.count != 0 && !self.lost.load(Relaxed) {
            // SAFETY: By the type invariants they came from there, and nothing is mapped at them.
            unsafe { bindings::gnttab_free_pages(self.count as i32, self.pages_at()) };
            debug::MAPPED_PAGES.sub(self.count);
        }
    }
}
