// SPDX-License-Identifier: GPL-2.0

//! Pages in a scatter-gather table, mapped for a device.

use kernel::bindings as k;
use kernel::error::to_result;
use kernel::page::PAGE_SHIFT;
use kernel::prelude::*;
use kernel::types::Opaque;
use xen_bindings as bindings;

use super::Pages;
use crate::series;

/// A table of pages: neighbours in memory are one entry.
///
/// # Invariants
///
/// It is zeroed, or filled.
struct Entries(Opaque<k::sg_table>);

impl Entries {
    fn new(pages: Pages<'_>) -> Result<KBox<Self>> {
        let pages = pages.as_slice();
        let count = u32::try_from(pages.len()).map_err(|_| EINVAL)?;
        // INVARIANT: It is zeroed.
        let entries = KBox::new(Self(Opaque::zeroed()), GFP_KERNEL_ACCOUNT)?;
        // INVARIANT: It is filled; if this fails it is left alone.
        // SAFETY: There are as many pages, of which only the addresses are looked at.
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
        // SAFETY: By the type invariant; there is nothing to free in a zeroed one.
        unsafe { k::sg_free_table(self.0.get()) };
    }
}

/// Pages that a device sees. Dropped, it does no longer.
///
/// # Invariants
///
/// `entries`, whose address does not change, are mapped for `device` in `direction`.
pub(super) struct Table {
    entries: KBox<Entries>,
    device: *mut k::device,
    direction: k::dma_data_direction,
}

// SAFETY: What is mapped for a device can be unmapped by any task.
unsafe impl Send for Table {}
// SAFETY: A reference only lets the memory be handed over, which several tasks may do.
unsafe impl Sync for Table {}

impl Table {
    /// Maps pages for a device, which is then to have them. May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no page or no direction; whatever mapping for this device fails with (`dma_map_sgtable`).
    ///
    /// # Safety
    ///
    /// The device is registered and the pages stay, until this is dropped.
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
        // SAFETY: The table is filled, and by the requirement of this function the device is registered.
        to_result(unsafe { k::dma_map_sgtable(device, entries.0.get(), direction, 0) })?;
        // INVARIANT: They are mapped.
        Ok(Self {
            entries,
            device,
            direction,
        })
    }

    /// What importers get.
    pub(super) fn as_raw(&self) -> *mut k::sg_table {
        self.entries.0.get()
    }

    /// From now on CPUs see what the device has written.
    pub(super) fn hand_to_cpus(&self, direction: k::dma_data_direction) {
        // SAFETY: By the type invariant.
        unsafe { bindings::xen_rs_sgtable_for_cpu(self.device, self.as_raw(), direction) }
    }

    /// From now on the device sees what CPUs have written.
    pub(super) fn hand_to_device(&self, direction: k::dma_data_direction) {
        // SAFETY: By the type invariant.
        unsafe { bindings::xen_rs_sgtable_for_device(self.device, self.as_raw(), direction) }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: By the type invariant. Importers have given it back.
        unsafe { k::dma_unmap_sgtable(self.device, self.as_raw(), self.direction, 0) };
    }
}
