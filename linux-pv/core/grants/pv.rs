// SPDX-License-Identifier: GPL-2.0

//! Where the table lies in a PV domain: the hypervisor's frames, mapped at addresses that are
//! reserved for as many as there may be. Their page-table entries are known, so that frames can be
//! mapped in any context.

use kernel::{
    bindings as k,
    ffi::{
        c_int,
        c_ulong,
        c_void, //
    },
    prelude::*, //
};

use core_bindings as bindings;

use xen_abi::PAGE_SIZE;

use xen_core::error::{
    Error,
    Result, //
};

use xen_grant::Version;

use crate::{
    entries::Place,
    frames::{
        entries_of_pv,
        status_of_pv, //
    },
};

/// `VM_IOREMAP` (`linux/vmalloc.h`).
const VM_IOREMAP: c_ulong = 1;

/// Addresses for frames, each with its page-table entry.
///
/// # Invariants
///
/// As many pages as there are entries are reserved from `start` on, for ever.
struct Area {
    start: usize,
    entries: KVVec<*mut k::pte_t>,
}

/// `pte_fn_t`: notes a page-table entry. Called while changes of page tables are collected, so it
/// allocates nothing.
///
/// # Safety
///
/// `area` is an [`Area`] that nobody else accesses.
unsafe extern "C" fn note(pte: *mut k::pte_t, _: c_ulong, area: *mut c_void) -> c_int {
    // SAFETY: By the requirement of this function.
    let area = unsafe { &mut *area.cast::<Area>() };
    match area.entries.push_within_capacity(pte) {
        Ok(()) => 0,
        Err(_) => Error::ENOMEM.to_raw(),
    }
}

impl Area {
    fn new(frames: u32) -> Result<Self> {
        let bytes = (frames as usize).saturating_mul(PAGE_SIZE);
        let entries = KVVec::with_capacity(frames as usize, GFP_KERNEL)?;
        // SAFETY: Reserves addresses.
        let reserved = unsafe { bindings::get_vm_area(bytes, VM_IOREMAP) };
        if reserved.is_null() {
            return Err(Error::ENOMEM);
        }
        let mut area = Self {
            // SAFETY: It was just made.
            start: unsafe { (*reserved).addr }.expose_provenance(),
            entries,
        };
        let this = (&raw mut area).cast();
        // SAFETY: The addresses are reserved for this, and the function gets what it expects.
        let result = Error::check(unsafe {
            k::apply_to_page_range(&raw mut k::init_mm, area.start, bytes, Some(note), this)
        });
        if let Err(error) = result {
            // SAFETY: Nothing was mapped there, and nobody knows of it.
            unsafe { bindings::free_vm_area(reserved) };
            return Err(error);
        }
        Ok(area)
    }

    /// The pages of a range, with their page-table entries.
    fn pages(&self, from: usize, to: usize) -> impl Iterator<Item = (*mut k::pte_t, usize)> + '_ {
        let all = (0..to).zip(self.entries.iter());
        all.skip(from).map(|(page, pte)| {
            let at = page.wrapping_mul(PAGE_SIZE);
            (*pte, self.start.wrapping_add(at))
        })
    }

    /// Maps machine frames, from the page `from` on to the end of the list.
    ///
    /// # Safety
    ///
    /// The frames are shared with this domain.
    unsafe fn map(&self, from: usize, list: &[u64]) {
        let pages = self.pages(from, list.len());
        for ((pte, address), frame) in pages.zip(list.iter().skip(from)) {
            // SAFETY: By the type invariant this entry is the address's, which is reserved.
            unsafe { bindings::xen_core_map_table_frame(pte, address, *frame as usize) };
        }
    }

    fn unmap(&self) {
        for (pte, address) in self.pages(0, self.entries.len()) {
            // SAFETY: By the type invariant this entry is the address's, which is reserved.
            unsafe { bindings::xen_core_unmap_table_frame(pte, address) };
        }
    }

    fn address(&self) -> *mut u8 {
        core::ptr::with_exposed_provenance_mut(self.start)
    }
}

/// The table of a PV domain.
pub(crate) struct PvTable {
    entries: Area,
    /// In version 2.
    status: Option<Area>,
    /// Memory for the hypervisor's answers.
    list: KVVec<u64>,
}

// SAFETY: The pointers are to page-table entries of the kernel, which any CPU may change that holds
// the lock around this.
unsafe impl Send for PvTable {}

impl PvTable {
    /// Room for a table of at most so many frames of entries. May sleep.
    pub(crate) fn new(version: Version, max: u32) -> Result<Self> {
        let mut list = KVVec::new();
        for _ in 0..max.max(version.status_frames(max)) {
            list.push(0, GFP_KERNEL)?;
        }
        let status = match version {
            Version::V1 => None,
            Version::V2 => Some(Area::new(version.status_frames(max))?),
        };
        Ok(Self {
            entries: Area::new(max)?,
            status,
            list,
        })
    }

    /// See [`Mapping::map`](crate::frames::Mapping::map).
    pub(crate) fn map(&mut self, version: Version, from: u32, to: u32) -> Result<Place> {
        let mut place = Place {
            entries: self.entries.address(),
            status: core::ptr::null_mut(),
        };
        let no_room = Error::ENOSPC;
        let list = self.list.get_mut(..to as usize).ok_or(no_room)?;
        // Makes the table grow, and the status frames with it.
        // SAFETY: This is a PV domain.
        unsafe { entries_of_pv(list) }?;
        // SAFETY: The hypervisor has shared them.
        unsafe { self.entries.map(from as usize, list) };
        if version == Version::V2 {
            let status = self.status.as_ref().ok_or(no_room)?;
            let frames = version.status_frames(to) as usize;
            let list = self.list.get_mut(..frames).ok_or(no_room)?;
            // SAFETY: This is a PV domain, and the frames are those that the hypervisor has shared.
            unsafe {
                status_of_pv(list)?;
                status.map(0, list);
            }
            place.status = status.address();
        }
        Ok(place)
    }

    /// Unmaps all.
    pub(crate) fn unmap(&mut self) {
        self.entries.unmap();
        if let Some(status) = &self.status {
            status.unmap();
        }
    }
}
