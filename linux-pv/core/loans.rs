// SPDX-License-Identifier: GPL-2.0

//! Buffers made for one mapping: they stand for a buffer that the device cannot use and the pool cannot replace, until
//! the mapping ends.

use core_bindings as bindings;
use xen_dma::large::{Loan, Table};
use xen_dma::{Bus, Phys};

use crate::device::Device;
use crate::dma_ops::Buffer;
use crate::p2m;
use crate::pages::Pages;

/// How many there may be at a time.
pub const MOST: usize = 64;

/// Those that are on loan. Every function may be called in any context.
pub struct Loans(Table<MOST>);

/// Which of two copies is the newer one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Newer {
    /// The driver's.
    Drivers,
    /// The device's.
    Devices,
}

impl Loans {
    /// None.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(Table::new())
    }

    /// Lends `pages`, which the device can use, for a buffer: the data is copied, at the same offset in its page as in the
    /// buffer's, and the device's address returned. None if there are too many loans or the pages are too small; the pages
    /// are freed then.
    pub fn lend(&self, device: Device<'_>, buffer: &Buffer, pages: Pages) -> Option<Bus> {
        let offset = buffer.at().offset();
        let size = offset + buffer.size();
        if size > pages.size() {
            return None;
        }
        let at = Phys(pages.at().0 + offset);
        let loan = Loan {
            bus: Bus(device.bus(&p2m::P2m, pages.at()).0 + offset),
            size: buffer.size(),
            original: buffer.at(),
            buffer: at,
        };
        copy(buffer.at(), at, buffer.size());
        let raw = pages.into_raw();
        if self.0.insert(loan).is_err() {
            // SAFETY: They were let go of just now, and the table has not taken them up.
            drop(unsafe { Pages::from_raw(raw, size) });
            return None;
        }
        Some(loan.bus)
    }

    /// Brings `size` bytes at `at` of a loan up to date; false if it is none.
    #[inline]
    pub fn sync(&self, at: Bus, size: u64, newer: Newer) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let Some((loan, offset)) = self.0.find(at) else {
            return false;
        };
        let size = size.min(loan.size - offset);
        let (original, buffer) = (Phys(loan.original.0 + offset), Phys(loan.buffer.0 + offset));
        match newer {
            Newer::Drivers => copy(original, buffer, size),
            Newer::Devices => copy(buffer, original, size),
        }
        true
    }

    /// Ends the loan at `at`, if there is one, after copying what the device wrote if `copy_back`. Returns its size in
    /// bytes.
    #[inline]
    pub fn end(&self, at: Bus, copy_back: bool) -> Option<u64> {
        if self.0.is_empty() {
            return None;
        }
        self.end_slowly(at, copy_back)
    }

    #[cold]
    fn end_slowly(&self, at: Bus, copy_back: bool) -> Option<u64> {
        let loan = self.0.take(at)?;
        if copy_back {
            copy(loan.buffer, loan.original, loan.size);
        }
        let offset = loan.buffer.offset();
        // SAFETY: A number, or a pointer into the direct map.
        let start = unsafe { bindings::xen_core_phys_to_virt(loan.buffer.0 - offset) };
        // SAFETY: The pages were let go of in `lend` with this size, and the table gave the loan once.
        drop(unsafe { Pages::from_raw(start, offset + loan.size) });
        Some(loan.size)
    }
}

/// Copies between a driver's buffer and the one that stands for it.
fn copy(from: Phys, to: Phys, size: u64) {
    // SAFETY: Both are memory in the direct map: one is a driver's buffer, which it has handed over until it ends the mapping
    // (`Buffer`), the other our pages. They are different pages.
    unsafe {
        let from = bindings::xen_core_phys_to_virt(from.0);
        let to = bindings::xen_core_phys_to_virt(to.0);
        core::ptr::copy_nonoverlapping(from.cast::<u8>(), to.cast::<u8>(), size as usize);
    }
}
