// SPDX-License-Identifier: GPL-2.0

//! The entries of a scatterlist (`linux/scatterlist.h`).

#[cfg(CONFIG_SPARSEMEM_VMEMMAP)]
use core::mem::size_of;

use kernel::bindings as k;

#[cfg(not(CONFIG_SPARSEMEM_VMEMMAP))]
use core_bindings as bindings;

use xen_dma::{
    BusAddr,
    PhysAddr, //
};

use super::Buffer;

/// The first entries of a scatterlist.
pub(super) struct SgEntries {
    next: *mut k::scatterlist,
    left: i32,
}

impl SgEntries {
    /// # Safety
    ///
    /// `list` has at least `count` entries, which only the caller accesses while this value and the
    /// entries that it yields live.
    #[inline]
    pub(super) unsafe fn new(list: *mut k::scatterlist, count: i32) -> Self {
        Self {
            next: list,
            left: count,
        }
    }
}

impl Iterator for SgEntries {
    type Item = SgEntry;

    #[inline]
    fn next(&mut self) -> Option<SgEntry> {
        if self.left <= 0 || self.next.is_null() {
            return None;
        }
        let entry = SgEntry(self.next);
        self.left -= 1;
        if self.left > 0 {
            // SAFETY: The entry is valid by the requirement of `new`; the last one is followed by
            // null.
            self.next = unsafe { k::sg_next(self.next) };
        }
        Some(entry)
    }
}

/// An entry of a scatterlist.
///
/// # Invariants
///
/// The entry is valid, and accessed by the owner of this value only, by the requirement of
/// [`SgEntries::new`].
pub(super) struct SgEntry(*mut k::scatterlist);

impl SgEntry {
    /// The buffer.
    #[inline]
    pub(super) fn buffer(&self) -> Buffer {
        Buffer {
            at: self.at(),
            size: self.length(),
        }
    }

    /// The physical address of the buffer (`sg_phys`), in the memory model of distributions: the
    /// kernel's array of pages begins at `vmemmap_base`, and the low two bits of a link are flags
    /// (`SG_PAGE_LINK_MASK`).
    #[cfg(CONFIG_SPARSEMEM_VMEMMAP)]
    #[inline]
    fn at(&self) -> PhysAddr {
        // SAFETY: The entry is valid by the type's invariant; `vmemmap_base` is written at boot.
        let (link, offset, base) = unsafe {
            (
                (*self.0).page_link as u64,
                (*self.0).offset,
                core::ptr::addr_of!(k::vmemmap_base).read() as u64,
            )
        };
        let pfn = (link & !3).wrapping_sub(base) / size_of::<k::page>() as u64;
        PhysAddr((pfn << xen_dma::PAGE_SHIFT).wrapping_add(offset.into()))
    }

    /// The physical address of the buffer.
    #[cfg(not(CONFIG_SPARSEMEM_VMEMMAP))]
    #[inline]
    fn at(&self) -> PhysAddr {
        // SAFETY: The entry is valid by the type's invariant.
        PhysAddr(unsafe { bindings::xen_core_sg_phys(self.0) })
    }

    /// The size of the buffer in bytes.
    #[inline]
    pub(super) fn length(&self) -> u64 {
        // SAFETY: The entry is valid by the type's invariant.
        unsafe { (*self.0).length }.into()
    }

    /// The device's address and the size of the mapping.
    #[inline]
    pub(super) fn mapping(&self) -> (BusAddr, u64) {
        // SAFETY: The entry is valid by the type's invariant.
        let at = BusAddr(unsafe { (*self.0).dma_address });
        #[cfg(CONFIG_NEED_SG_DMA_LENGTH)]
        // SAFETY: The entry is valid by the type's invariant.
        let size = unsafe { (*self.0).dma_length }.into();
        #[cfg(not(CONFIG_NEED_SG_DMA_LENGTH))]
        let size = self.length();
        (at, size)
    }

    /// Sets the device's address and the size of the mapping.
    #[inline]
    pub(super) fn set_mapping(&self, at: BusAddr, size: u32) {
        // SAFETY: The entry is valid, and accessed here only, by the type's invariant.
        unsafe { (*self.0).dma_address = at.0 };
        #[cfg(CONFIG_NEED_SG_DMA_LENGTH)]
        // SAFETY: The entry is valid, and accessed here only, by the type's invariant.
        unsafe {
            (*self.0).dma_length = size
        };
        #[cfg(not(CONFIG_NEED_SG_DMA_LENGTH))]
        let _ = size;
    }
}
