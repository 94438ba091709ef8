// SPDX-License-Identifier: GPL-2.0

//! Scatter-gather tables of pages that are mapped for a device.

use kernel::{
    bindings as k,
    error::to_result,
    page::PAGE_SHIFT,
    prelude::*,
    types::Opaque, //
};

use xen_bindings as bindings;

use super::Pages;
use crate::series;

/// A table of pages, in which contiguous pages are one entry.
///
/// # Invariants
///
/// The table is zeroed, or initialised by the kernel.
struct Entries(Opaque<k::sg_table>);

impl Entries {
    fn new(pages: Pages<'_>) -> Result<KBox<Self>> {
        let pages = pages.as_slice();
        let count = u32::try_from(pages.len()).map_err(|_| EINVAL)?;
        // INVARIANT: The table is zeroed.
        let entries = KBox::new(Self(Opaque::zeroed()), GFP_KERNEL_ACCOUNT)?;
        // INVARIANT: The function initialises the table, or fails and leaves it zeroed.
        // SAFETY: The array has `count` elements and is only read.
        to_result(unsafe {
            k::sg_alloc_table_from_pages_segment(
                entries.0.get(),
                pages.as_ptr().cast_mut(),
                count,
                0,
                (count as usize) << PAGE_SHIFT,
                u32::MAX,
                k::GFP_KERNEL,
            )
        })?;
        Ok(entries)
    }
}

impl Drop for Entries {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the table is initialised, or zeroed, which is valid too.
        unsafe { k::sg_free_table(self.0.get()) };
    }
}

/// Pages that are mapped for a device; unmapped when this is dropped.
///
/// # Invariants
///
/// `entries`, which does not move, is mapped for `device` in `direction`. The device is registered.
pub(super) struct Table {
    entries: KBox<Entries>,
    device: *mut k::device,
    direction: k::dma_data_direction,
}

// SAFETY: Any task may unmap the pages.
unsafe impl Send for Table {}
// SAFETY: Several tasks may synchronise the memory concurrently.
unsafe impl Sync for Table {}

impl Table {
    /// Maps pages for a device. May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no page or the direction is invalid; errors of `dma_map_sgtable`.
    ///
    /// # Safety
    ///
    /// The device is registered and the pages are valid until this is dropped.
    pub(super) unsafe fn new(
        pages: Pages<'_>,
        device: *mut k::device,
        direction: k::dma_data_direction,
    ) -> Result<Self> {
        if !matches!(
            direction,
            series::DMA_BIDIRECTIONAL | series::DMA_TO_DEVICE | series::DMA_FROM_DEVICE
        ) {
            return Err(EINVAL);
        }
        let entries = Entries::new(pages)?;
        // SAFETY: The table is initialised, and by the requirement of this function the device is
        // registered.
        to_result(unsafe { k::dma_map_sgtable(device, entries.0.get(), direction, 0) })?;
        // INVARIANT: The pages are mapped above.
        Ok(Self {
            entries,
            device,
            direction,
        })
    }

    /// The table, which importers get.
    pub(super) fn as_raw(&self) -> *mut k::sg_table {
        self.entries.0.get()
    }

    /// Synchronises the pages so that CPUs see what the device wrote.
    pub(super) fn sync_for_cpu(&self, direction: k::dma_data_direction) {
        // SAFETY: By the type invariant the pages are mapped for this device.
        unsafe { bindings::xen_rs_sgtable_for_cpu(self.device, self.as_raw(), direction) }
    }

    /// Synchronises the pages so that the device sees what CPUs wrote.
    pub(super) fn sync_for_device(&self, direction: k::dma_data_direction) {
        // SAFETY: By the type invariant the pages are mapped for this device.
        unsafe { bindings::xen_rs_sgtable_for_device(self.device, self.as_raw(), direction) }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the pages are mapped so. Importers do not use the table any
        // more.
        unsafe { k::dma_unmap_sgtable(self.device, self.as_raw(), self.direction, 0) };
    }
}
