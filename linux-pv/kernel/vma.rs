// SPDX-License-Identifier: GPL-2.0

//! Areas of a program's address space (`struct vm_area_struct`) that show what is not the program's own
//! memory.
//!
//! Each kind of area is a table of [`Callbacks`] of its own, by which an area is known when its address
//! comes back in a request ([`AddressSpace::find`]), and an `Arc` that every area made from the same
//! `mmap` has a share in: areas multiply (fork, `mremap`) and go in any order.
//!
//! C headers: `include/linux/mm.h`, `include/linux/mmap_lock.h`.

use core::marker::PhantomData;

use kernel::bindings as k;
use kernel::error::to_result;
use kernel::page::PAGE_SHIFT;
use kernel::prelude::*;
use kernel::sync::{Arc, ArcBorrow};
use kernel::types::NotThreadSafe;
use xen_bindings as bindings;

/// An area that a program is about to get, in `mmap`.
///
/// # Invariants
///
/// `vma` is being set up for this call, and belongs to nobody else yet.
pub struct NewArea<'a> {
    vma: *mut k::vm_area_struct,
    _call: PhantomData<&'a ()>,
}

impl NewArea<'_> {
    /// # Safety
    ///
    /// `vma` is the argument of an `mmap` callback that is running.
    pub unsafe fn from_raw(vma: *mut k::vm_area_struct) -> Self {
        Self {
            vma,
            _call: PhantomData,
        }
    }

    /// The area, for C. It may be changed as long as this exists.
    pub fn as_raw(&self) -> *mut k::vm_area_struct {
        self.vma
    }

    /// How many pages it has.
    pub fn pages(&self) -> usize {
        // SAFETY: By the type invariant.
        let (start, end) = unsafe { bounds(self.vma) };
        (end - start) >> PAGE_SHIFT
    }

    /// Whether changes are to be seen by all who have it mapped (`MAP_SHARED`).
    pub fn is_shared(&self) -> bool {
        // SAFETY: By the type invariant; the flags are not changed by others.
        let flags = unsafe { (*self.vma).__bindgen_anon_2.vm_flags };
        flags & k::VM_SHARED as k::vm_flags_t != 0
    }

    /// Whether the program may write to it.
    pub fn is_writable(&self) -> bool {
        // SAFETY: As in `is_shared`.
        let flags = unsafe { (*self.vma).__bindgen_anon_2.vm_flags };
        flags & k::VM_WRITE as k::vm_flags_t != 0
    }

    /// The offset in the file that is to show at its beginning, in bytes; a multiple of a page.
    pub fn offset(&self) -> u64 {
        // SAFETY: By the type invariant.
        let pages = unsafe { (*self.vma).vm_pgoff };
        (pages as u64) << PAGE_SHIFT
    }

    /// Maps pages from the one on that the area's offset says, each of which it has a reference to until it is gone.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the area is private, `ENXIO` if there are not as many pages from there on.
    #[cfg(CONFIG_DMA_SHARED_BUFFER)]
    pub(crate) fn map_pages(self, pages: &[*mut k::page]) -> Result {
        if !self.is_shared() {
            return Err(EINVAL);
        }
        let flags = k::VM_DONTEXPAND | k::VM_DONTDUMP | k::VM_MIXEDMAP;
        // SAFETY: What is mapped are pages with a `struct page`.
        unsafe { self.set_flags(flags as k::vm_flags_t) };
        // SAFETY: The area is being set up, and there are as many pages, whose addresses are only read.
        to_result(unsafe { k::vm_map_pages(self.vma, pages.as_ptr().cast_mut(), pages.len()) })
    }

    /// Sets flags (`VM_*`).
    ///
    /// # Safety
    ///
    /// What the flags promise of the area's pages holds.
    pub unsafe fn set_flags(&self, flags: k::vm_flags_t) {
        // SAFETY: By the type invariant the area may be changed; by the requirement of this function to
        // these flags.
        unsafe { bindings::xen_rs_vma_set_flags(self.vma, flags) }
    }

    /// Sets the callbacks and their data: the last step.
    ///
    /// # Safety
    ///
    /// `callbacks` were made for this `T`.
    pub unsafe fn finish<T>(self, callbacks: &'static Callbacks, data: Arc<T>) {
        // SAFETY: By the type invariant the area may be changed.
        unsafe { (*self.vma).vm_ops = &raw const callbacks.0 };
        // SAFETY: As above.
        unsafe { (*self.vma).vm_private_data = Arc::into_raw(data).cast_mut().cast() };
    }
}

/// The C callbacks of a kind of area, in a static: areas are known by its address.
pub struct Callbacks(k::vm_operations_struct);

// SAFETY: It is only read.
unsafe impl Sync for Callbacks {}

impl Callbacks {
    /// The callbacks of areas whose data is a share in an `Arc<T>`. Those of `more` are added; its `open`,
    /// `close` and `fault` are not used.
    ///
    /// # Safety
    ///
    /// The callbacks in `more` may be called for any area that is [finished](NewArea::finish) with these
    /// and an `Arc<T>`.
    pub const unsafe fn new<T>(more: k::vm_operations_struct) -> Self {
        Self(k::vm_operations_struct {
            open: Some(open::<T>),
            close: Some(close::<T>),
            fault: Some(no_page),
            ..more
        })
    }
}

/// First address of an area, and the one behind its last.
///
/// # Safety
///
/// `vma` is valid, and its lock held at least for reading.
pub unsafe fn bounds(vma: *const k::vm_area_struct) -> (usize, usize) {
    // SAFETY: By the requirements of this function.
    let bounds = unsafe { (*vma).__bindgen_anon_1.__bindgen_anon_1 };
    (bounds.vm_start, bounds.vm_end)
}

/// A new area has come to share in the data of an old one.
///
/// # Safety
///
/// To be called as `open` of an area whose data is a share in an `Arc<T>`.
unsafe extern "C" fn open<T>(vma: *mut k::vm_area_struct) {
    // SAFETY: The data was copied from the old area, which keeps its share.
    let data = unsafe { ArcBorrow::from_raw((*vma).vm_private_data.cast::<T>()) };
    let _ = Arc::into_raw(Arc::from(data));
}

/// An area goes, and with it its share in its data.
///
/// # Safety
///
/// To be called as `close` of an area whose data is a share in an `Arc<T>`.
unsafe extern "C" fn close<T>(vma: *mut k::vm_area_struct) {
    // SAFETY: By the requirements of this function; this is the last use of the area's data.
    drop(unsafe { Arc::from_raw((*vma).vm_private_data.cast::<T>()) });
}

/// A program has touched a page of which there is none.
///
/// # Safety
///
/// None.
unsafe extern "C" fn no_page(_fault: *mut k::vm_fault) -> k::vm_fault_t {
    k::vm_fault_reason_VM_FAULT_SIGBUS
}

/// The current program's address space, in which no area comes, goes or changes while this lives.
///
/// A program's memory must not be copied to or from meanwhile, for that may need the same lock.
///
/// # Invariants
///
/// `mm` is the current program's, and its `mmap_lock` held for writing.
pub struct AddressSpace {
    mm: *mut k::mm_struct,
    _task: NotThreadSafe,
}

impl AddressSpace {
    /// Locks it. May sleep.
    ///
    /// # Errors
    ///
    /// `EINTR` if the program is being killed.
    pub fn lock() -> Result<Self> {
        let mm = kernel::current!().mm().ok_or(EFAULT)?.as_raw();
        // SAFETY: A task's address space does not change while it is in the kernel.
        to_result(unsafe { bindings::xen_rs_mmap_write_lock_killable(mm) })?;
        Ok(Self {
            mm,
            _task: NotThreadSafe,
        })
    }

    /// The area that an address is in, if it is of the kind that has these callbacks. It stays as it is as
    /// long as this exists, and so does its share in its data.
    pub fn find(
        &self,
        address: usize,
        callbacks: &'static Callbacks,
    ) -> Option<*mut k::vm_area_struct> {
        // SAFETY: By the type invariant.
        let vma = unsafe { k::vma_lookup(self.mm, address) };
        if vma.is_null() {
            return None;
        }
        // SAFETY: The area does not go while the lock is held.
        let kind = unsafe { (*vma).vm_ops };
        core::ptr::eq(kind, &raw const callbacks.0).then_some(vma)
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::xen_rs_mmap_write_unlock(self.mm) }
    }
}
