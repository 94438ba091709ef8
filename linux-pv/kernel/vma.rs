// SPDX-License-Identifier: GPL-2.0

//! Areas of a process's address space (`struct vm_area_struct`) that a driver maps.
//!
//! Each kind of area has a table of [`Callbacks`] of its own, by which an area is recognised when a
//! process passes its address in a request ([`AddressSpace::find`]). The data of an area is an
//! `Arc`: all areas made from the same `mmap` (by fork, `mremap`) have a reference to it, and are
//! removed in any order.
//!
//! C headers: `include/linux/mm.h`, `include/linux/mmap_lock.h`.

use core::marker::PhantomData;

use kernel::{
    bindings as k,
    error::to_result,
    page::PAGE_SHIFT,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
    types::NotThreadSafe, //
};

use xen_bindings as bindings;

/// The area of an `mmap` call in progress.
///
/// # Invariants
///
/// `vma` is valid and being set up by the current `mmap` call, which alone accesses it.
pub struct NewArea<'a> {
    vma: *mut k::vm_area_struct,
    _call: PhantomData<&'a ()>,
}

impl NewArea<'_> {
    /// # Safety
    ///
    /// `vma` is the argument of the `mmap` callback that calls this.
    pub unsafe fn from_raw(vma: *mut k::vm_area_struct) -> Self {
        // INVARIANT: By the requirement of this function.
        Self {
            vma,
            _call: PhantomData,
        }
    }

    /// The area, for C functions.
    pub fn as_raw(&self) -> *mut k::vm_area_struct {
        self.vma
    }

    /// The size in pages.
    pub fn pages(&self) -> usize {
        // SAFETY: By the type invariant the area is valid and only accessed here.
        let (start, end) = unsafe { bounds(self.vma) };
        (end - start) >> PAGE_SHIFT
    }

    /// Whether it is shared (`MAP_SHARED`).
    pub fn is_shared(&self) -> bool {
        // SAFETY: By the type invariant the area is valid and only accessed here.
        let flags = unsafe { (*self.vma).__bindgen_anon_2.vm_flags };
        flags & k::VM_SHARED as k::vm_flags_t != 0
    }

    /// Whether it is writable.
    pub fn is_writable(&self) -> bool {
        // SAFETY: By the type invariant the area is valid and only accessed here.
        let flags = unsafe { (*self.vma).__bindgen_anon_2.vm_flags };
        flags & k::VM_WRITE as k::vm_flags_t != 0
    }

    /// The offset in the file, in bytes; a multiple of the page size.
    pub fn offset(&self) -> u64 {
        // SAFETY: By the type invariant the area is valid and only accessed here.
        let pages = unsafe { (*self.vma).vm_pgoff };
        (pages as u64) << PAGE_SHIFT
    }

    /// Maps pages, from the one at the area's offset on. The area keeps a reference to each.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the area is private, `ENXIO` if it extends beyond the last page.
    #[cfg(CONFIG_DMA_SHARED_BUFFER)]
    pub(crate) fn map_pages(self, pages: &[*mut k::page]) -> Result {
        if !self.is_shared() {
            return Err(EINVAL);
        }
        let flags = k::VM_DONTEXPAND | k::VM_DONTDUMP | k::VM_MIXEDMAP;
        // SAFETY: Only pages with a `struct page` are mapped, as `VM_MIXEDMAP` permits.
        unsafe { self.set_flags(flags as k::vm_flags_t) };
        // SAFETY: By the type invariant the area is being set up; the array is only read.
        to_result(unsafe { k::vm_map_pages(self.vma, pages.as_ptr().cast_mut(), pages.len()) })
    }

    /// Sets flags (`VM_*`).
    ///
    /// # Safety
    ///
    /// The pages of the area are such as the flags require.
    pub unsafe fn set_flags(&self, flags: k::vm_flags_t) {
        // SAFETY: By the type invariant the area is being set up; by the requirement of this
        // function the flags are right.
        unsafe { bindings::xen_rs_vma_set_flags(self.vma, flags) }
    }

    /// Sets the callbacks and their data. The last step of setting up an area.
    ///
    /// # Safety
    ///
    /// `callbacks` are from [`Callbacks::new`] with the same `T`.
    pub unsafe fn finish<T>(self, callbacks: &'static Callbacks, data: Arc<T>) {
        // SAFETY: By the type invariant the area is valid and only accessed here.
        unsafe { (*self.vma).vm_ops = &raw const callbacks.0 };
        // SAFETY: By the type invariant the area is valid and only accessed here.
        unsafe { (*self.vma).vm_private_data = Arc::into_raw(data).cast_mut().cast() };
    }
}

/// The C callbacks of a kind of area. The address of this static identifies the kind.
pub struct Callbacks(k::vm_operations_struct);

// SAFETY: It is only read.
unsafe impl Sync for Callbacks {}

impl Callbacks {
    /// The callbacks of areas whose data is an `Arc<T>`, and those of `more` except for `open`,
    /// `close` and `fault`.
    ///
    /// # Safety
    ///
    /// The callbacks in `more` may be called for any area that was [finished](NewArea::finish) with
    /// these callbacks and an `Arc<T>`.
    pub const unsafe fn new<T>(more: k::vm_operations_struct) -> Self {
        Self(k::vm_operations_struct {
            open: Some(open::<T>),
            close: Some(close::<T>),
            fault: Some(no_page),
            ..more
        })
    }
}

/// The first address of an area, and the first one after it.
///
/// # Safety
///
/// `vma` is valid, and its lock held at least for reading.
pub unsafe fn bounds(vma: *const k::vm_area_struct) -> (usize, usize) {
    // SAFETY: By the requirements of this function.
    let bounds = unsafe { (*vma).__bindgen_anon_1.__bindgen_anon_1 };
    (bounds.vm_start, bounds.vm_end)
}

/// A new area was made from another: it gets a reference to the data.
///
/// # Safety
///
/// To be called as `open` of an area whose data is an `Arc<T>`.
unsafe extern "C" fn open<T>(vma: *mut k::vm_area_struct) {
    // SAFETY: The pointer was copied from the old area, which keeps its reference.
    let data = unsafe { ArcBorrow::from_raw((*vma).vm_private_data.cast::<T>()) };
    let _ = Arc::into_raw(Arc::from(data));
}

/// An area is removed: drops its reference to the data.
///
/// # Safety
///
/// To be called as `close` of an area whose data is an `Arc<T>`.
unsafe extern "C" fn close<T>(vma: *mut k::vm_area_struct) {
    // SAFETY: By the requirement of this function the area owns a reference, which it does not use
    // any more.
    drop(unsafe { Arc::from_raw((*vma).vm_private_data.cast::<T>()) });
}

/// A page that is not mapped was accessed: the process gets `SIGBUS`.
///
/// # Safety
///
/// None.
unsafe extern "C" fn no_page(_fault: *mut k::vm_fault) -> k::vm_fault_t {
    k::vm_fault_reason_VM_FAULT_SIGBUS
}

/// The current process's address space, with `mmap_lock` held for writing: its areas do not change.
///
/// User memory must not be copied while this exists, since that may take the same lock.
///
/// # Invariants
///
/// `mm` is the current process's, and its `mmap_lock` is held for writing by this value.
pub struct AddressSpace {
    mm: *mut k::mm_struct,
    _task: NotThreadSafe,
}

impl AddressSpace {
    /// Takes the lock. May sleep.
    ///
    /// # Errors
    ///
    /// `EINTR` if the process is being killed.
    pub fn lock() -> Result<Self> {
        let mm = kernel::current!().mm().ok_or(EFAULT)?.as_raw();
        // SAFETY: The address space of a task does not change during a system call.
        to_result(unsafe { bindings::xen_rs_mmap_write_lock_killable(mm) })?;
        Ok(Self {
            mm,
            _task: NotThreadSafe,
        })
    }

    /// The area that contains an address, if it has these callbacks. The area and its data are
    /// valid as long as this value exists.
    pub fn find(
        &self,
        address: usize,
        callbacks: &'static Callbacks,
    ) -> Option<*mut k::vm_area_struct> {
        // SAFETY: By the type invariant the lock is held.
        let vma = unsafe { k::vma_lookup(self.mm, address) };
        if vma.is_null() {
            return None;
        }
        // SAFETY: Areas are not removed while the lock is held.
        let kind = unsafe { (*vma).vm_ops };
        core::ptr::eq(kind, &raw const callbacks.0).then_some(vma)
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the lock is held by this value.
        unsafe { bindings::xen_rs_mmap_write_unlock(self.mm) }
    }
}
