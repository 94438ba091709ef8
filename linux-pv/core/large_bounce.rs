// SPDX-License-Identifier: GPL-2.0

//! Bounce buffers that are allocated for one mapping, since the pool's are too small.

use core_bindings as bindings;

use xen_dma::{
    large::{
        BounceBuffer,
        LargeBuffers, //
    },
    order_of,
    BusAddr,
    PhysAddr, //
};

use crate::{
    device::Device,
    dma_ops::Buffer,
    p2m,
    pages::Pages, //
};

/// The maximum number of such buffers at a time.
pub const MAX_BUFFERS: usize = 64;

/// The buffers in use. All functions may be called in any context.
pub struct LargeBounceBuffers(LargeBuffers<MAX_BUFFERS>);

/// Direction of a synchronisation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SyncFor {
    /// The device is to see what the driver wrote.
    Device,
    /// The driver is to see what the device wrote.
    Cpu,
}

impl LargeBounceBuffers {
    /// Without a buffer.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(LargeBuffers::new())
    }

    /// Makes `pages`, which the device can access, the bounce buffer of a driver's buffer, copies
    /// the data at the same offset in a page, and returns the device's address. None if there are
    /// [`MAX_BUFFERS`] already, or the pages are not of the order that the offset and the data
    /// need; the pages are freed then.
    pub fn map(&self, device: Device<'_>, buffer: &Buffer, pages: Pages) -> Option<BusAddr> {
        let offset = buffer.at().offset();
        let size = offset.saturating_add(buffer.size());
        // The order is not stored: `unmap_found` computes it from the size.
        if order_of(size) != order_of(pages.size()) {
            return None;
        }
        let at = PhysAddr(pages.at().0 + offset);
        let bounce = BounceBuffer {
            bus: BusAddr(device.bus(&p2m::P2m, pages.at()).0 + offset),
            size: buffer.size(),
            original: buffer.at(),
            buffer: at,
        };
        copy(buffer.at(), at, buffer.size());
        let raw = pages.into_raw();
        if self.0.insert(bounce).is_err() {
            // SAFETY: The pointer is from `into_raw` above, of pages of the order of `size`, and
            // the table has not taken the entry.
            drop(unsafe { Pages::from_raw(raw, size) });
            return None;
        }
        Some(bounce.bus)
    }

    /// Synchronises `size` bytes at `at`; returns whether they are in such a buffer.
    #[inline]
    pub fn sync(&self, at: BusAddr, size: u64, sync_for: SyncFor) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let Some((bounce, offset)) = self.0.find(at) else {
            return false;
        };
        let size = size.min(bounce.size - offset);
        let (original, buffer) = (
            PhysAddr(bounce.original.0 + offset),
            PhysAddr(bounce.buffer.0 + offset),
        );
        match sync_for {
            SyncFor::Device => copy(original, buffer, size),
            SyncFor::Cpu => copy(buffer, original, size),
        }
        true
    }

    /// Ends the mapping at `at` if it has such a buffer, and copies the data back before that if
    /// `copy_back`. Returns the size in bytes.
    #[inline]
    pub fn unmap(&self, at: BusAddr, copy_back: bool) -> Option<u64> {
        if self.0.is_empty() {
            return None;
        }
        self.unmap_found(at, copy_back)
    }

    #[cold]
    fn unmap_found(&self, at: BusAddr, copy_back: bool) -> Option<u64> {
        let bounce = self.0.take(at)?;
        if copy_back {
            copy(bounce.buffer, bounce.original, bounce.size);
        }
        let offset = bounce.buffer.offset();
        // SAFETY: Only computes an address in the direct map.
        let start = unsafe { bindings::xen_core_phys_to_virt(bounce.buffer.0 - offset) };
        // SAFETY: The pointer is from `into_raw` in `map`, of pages of the order of this size, and
        // the table returns an entry once.
        drop(unsafe { Pages::from_raw(start, offset + bounce.size) });
        Some(bounce.size)
    }
}

/// Copies between a driver's buffer and its bounce buffer.
fn copy(from: PhysAddr, to: PhysAddr, size: u64) {
    // SAFETY:
    // - Both are in the direct map. One is a driver's `Buffer`, which stays valid until the mapping
    //   ends; the other is `size` bytes of pages that the table owns.
    // - They do not overlap, for they are different pages.
    unsafe {
        let from = bindings::xen_core_phys_to_virt(from.0);
        let to = bindings::xen_core_phys_to_virt(to.0);
        core::ptr::copy_nonoverlapping(from.cast::<u8>(), to.cast::<u8>(), size as usize);
    }
}
