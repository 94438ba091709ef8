// SPDX-License-Identifier: GPL-2.0

//! Pages that can be exchanged with the hypervisor for memory that is contiguous in the machine and
//! within a device's DMA mask.

use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use kernel::{
    bindings as kernel_bindings,
    ffi::c_void, //
};

use core_bindings as bindings;

use xen_dma::{
    mask::DmaMask,
    order_of,
    p2m::{
        loses_alignment,
        straddles, //
    },
    PhysAddr,
    PAGE_SIZE, //
};

use crate::p2m::P2m;

/// Flags of an allocation (`gfp_t`).
#[derive(Clone, Copy)]
pub struct Gfp(pub(crate) kernel_bindings::gfp_t);

impl Gfp {
    /// For any context, without a warning if there is no memory.
    pub const ATOMIC_QUIET: Self =
        Self(kernel_bindings::GFP_ATOMIC | kernel_bindings::__GFP_NOWARN);
}

/// The maximum order of an exchange in atomic context. For larger ones the kernel's function
/// allocates memory and may sleep (`MIN_CONTIG_ORDER` of arch/x86/xen/mmu_pv.c).
pub const ANY_CONTEXT_ORDER: u32 = 9;

/// A power of two of pages that are contiguous in the domain's memory. Dropping frees them, and
/// undoes an exchange before. May be dropped in any context.
///
/// # Invariants
///
/// `start` is the first of 2^`order` pages that this value owns.
pub struct Pages {
    start: NonNull<c_void>,
    order: u32,
}

impl Pages {
    /// Allocates pages for `size` bytes, with undefined content.
    pub fn new(size: u64, gfp: Gfp) -> Option<Self> {
        let order = order_of(size);
        // SAFETY: The function takes any order, and fails if it is too large.
        let start = unsafe { kernel_bindings::get_free_pages_noprof(gfp.0, order) };
        // INVARIANT: They were just allocated.
        NonNull::new(start as *mut c_void).map(|start| Self { start, order })
    }

    /// The physical address.
    #[inline]
    pub fn at(&self) -> PhysAddr {
        // SAFETY: The pages are in the kernel's direct map.
        PhysAddr(unsafe { bindings::xen_core_virt_to_phys(self.start.as_ptr()) })
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        PAGE_SIZE << self.order
    }

    /// Whether the first `size` bytes are contiguous in the machine, and aligned as in the domain.
    pub fn is_contiguous(&self, size: u64) -> bool {
        !straddles(&P2m, self.at(), size) && !loses_alignment(&P2m, self.at(), size)
    }

    /// Exchanges their memory for memory that is contiguous in the machine and within a mask. The
    /// content is lost. Any context up to [`ANY_CONTEXT_ORDER`], else one that may sleep.
    ///
    /// Returns false if the hypervisor has no such memory; the pages keep theirs, zeroed.
    pub fn exchange(&mut self, mask: DmaMask) -> bool {
        if !self.try_exchange(mask.bits()) {
            return false;
        }
        // SAFETY: The first page is owned by the type's invariant.
        unsafe { bindings::xen_core_set_exchanged(self.start.as_ptr()) };
        true
    }

    /// Exchanges the memory for such with machine addresses of at most `bits` bits.
    fn try_exchange(&self, bits: u32) -> bool {
        let mut handle = 0;
        // SAFETY: The pages are owned by the type's invariant, and nothing refers to their content.
        let result = unsafe {
            bindings::xen_create_contiguous_region(self.at().0, self.order, bits, &mut handle)
        };
        result == 0
    }

    /// Whether they were exchanged.
    pub fn is_exchanged(&self) -> bool {
        // SAFETY: The first page is owned by the type's invariant.
        unsafe { bindings::xen_core_is_exchanged(self.start.as_ptr()) }
    }

    /// Zeroes the first `size` bytes.
    pub fn zero(&mut self, size: u64) {
        let size = size.min(self.size()) as usize;
        // SAFETY: The pages are owned by the type's invariant, and at least that large.
        unsafe { self.start.as_ptr().cast::<u8>().write_bytes(0, size) }
    }

    /// Gives up the value without freeing the pages; undone by [`Pages::from_raw`].
    pub(crate) fn into_raw(self) -> *mut c_void {
        ManuallyDrop::new(self).start.as_ptr()
    }

    /// Undoes [`Pages::into_raw`].
    ///
    /// # Safety
    ///
    /// `start` is from [`Pages::into_raw`] of pages for a size of the same order, and is used once.
    pub(crate) unsafe fn from_raw(start: *mut c_void, size: u64) -> Option<Self> {
        // INVARIANT: By the requirement of this function.
        NonNull::new(start).map(|start| Self {
            start,
            order: order_of(size),
        })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: The first page is owned by the type's invariant.
        if unsafe { bindings::xen_core_test_clear_exchanged(self.start.as_ptr()) } {
            // SAFETY: The pages are owned by the type's invariant, and were exchanged as a whole.
            unsafe { bindings::xen_destroy_contiguous_region(self.at().0, self.order) };
        }
        // SAFETY: The pages are owned by the type's invariant, and nothing refers to them any more.
        unsafe { kernel_bindings::free_pages(self.start.as_ptr() as usize, self.order) }
    }
}
