// SPDX-License-Identifier: GPL-2.0

//! A frame of another domain that a process has mapped and that this kernel accesses too.
//!
//! In an auto-translated domain the frame is at a page of this kernel, which has an address. In a
//! PV domain it is in the process's page tables only. (C takes the area's data for pages there as
//! well, and faults.)

use core::{
    ptr::NonNull,
    sync::atomic::{
        fence,
        Ordering, //
    },
};

use kernel::{
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
};

use kernel_ext::chardev::error;
use xen_abi::errno;
use xen_bindings as bindings;

use crate::page::PAGE_SIZE;

use super::{
    Area,
    Backing,
    Foreign, //
};

/// A reference to an area's pages, for access to one of them. The frame is not removed when the
/// process unmaps the area.
///
/// The other domain may change the content at any time. All functions may be called in any context,
/// but dropping the last reference may sleep. Offsets are in bytes; what is not within the page, or
/// not aligned, reads as zero.
///
/// # Invariants
///
/// `at` is the kernel address of a page that is `area`'s, and stays so as long as that lives.
pub struct KeptPage {
    area: Arc<Foreign>,
    at: NonNull<u8>,
}

// SAFETY: `at` is valid in any task as long as `area`, which is `Send`.
unsafe impl Send for KeptPage {}
// SAFETY: The memory is only accessed by volatile and atomic accesses of single values, and `area`
// is `Sync`.
unsafe impl Sync for KeptPage {}

impl Area<'_> {
    /// A reference to the page of an address.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the address is not in the area or no frame is mapped there. `EOPNOTSUPP` in a PV
    /// domain.
    pub fn keep(&self, address: usize) -> Result<KeptPage> {
        let (_, index) = self.range(address, 1).map_err(|_| EFAULT)?;
        let backing = self.data.backing.lock();
        let page = match &*backing {
            Backing::Unused => return Err(EFAULT),
            Backing::Machine => return Err(error(errno::EOPNOTSUPP)),
            Backing::Pages(pages) => pages.filled(index).ok_or(EFAULT)?,
        };
        drop(backing);
        // SAFETY: The page is valid.
        let at = unsafe { bindings::xen_rs_page_address(page) };
        // SAFETY: The area's data is in an `Arc`, to which the area owns a reference while the
        // address space is locked.
        let area = unsafe { ArcBorrow::from_raw(self.data) };
        // INVARIANT: The page is the area's, which never changes its pages.
        Ok(KeptPage {
            area: area.into(),
            at: NonNull::new(at.cast()).ok_or(EFAULT)?,
        })
    }
}

impl KeptPage {
    /// Whether both are the same page.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.area, &other.area) && self.at == other.at
    }

    fn place<T>(&self, at: usize) -> Option<*mut T> {
        let fits = at % size_of::<T>() == 0 && at < PAGE_SIZE;
        // SAFETY: The offset is within the page.
        fits.then(|| unsafe { self.at.as_ptr().add(at) }.cast())
    }

    /// # Safety
    ///
    /// `T` is an unsigned integer.
    unsafe fn load<T: Default>(&self, at: usize) -> T {
        match self.place::<T>(at) {
            // SAFETY: The place is aligned and in the page, and any bytes are an integer.
            Some(place) => unsafe { place.read_volatile() },
            None => T::default(),
        }
    }

    /// Loads a byte.
    #[inline]
    pub fn load8(&self, at: usize) -> u8 {
        // SAFETY: It is an integer.
        unsafe { self.load(at) }
    }

    /// Loads 32 bits.
    #[inline]
    pub fn load32(&self, at: usize) -> u32 {
        // SAFETY: It is an integer.
        unsafe { self.load(at) }
    }

    /// Loads 64 bits.
    #[inline]
    pub fn load64(&self, at: usize) -> u64 {
        // SAFETY: It is an integer.
        unsafe { self.load(at) }
    }

    /// What is loaded later is no older than what was loaded before.
    #[inline]
    pub fn read_barrier(&self) {
        // The device model's page is shared with another domain: see `ring` about barriers.
        fence(Ordering::Acquire);
    }

    /// Stores a byte if there is `old`, and returns whether there was; in one step, and a full
    /// barrier.
    #[inline]
    pub fn replace8(&self, at: usize, old: u8, new: u8) -> bool {
        let Some(place) = self.place(at) else {
            return false;
        };
        // SAFETY: The place is in the page.
        unsafe { bindings::xen_rs_replace_byte(place, old, new) }
    }
}
