// SPDX-License-Identifier: GPL-2.0

//! Mappings that are larger than any buffer of the pool, and cannot be used where they are.
//!
//! The pool's buffers have at most 256 KiB. Drivers that ask for the limit keep to it; others, of graphics cards above all,
//! meet it as "swiotlb buffer is full ... used 0 (slots)" and a device that does not work. Here such a mapping gets pages
//! that are exchanged for contiguous ones, and given back when it ends: slow, but it works. The limit that drivers are told
//! stays what it is, so that those that ask for it keep to the fast way.

use kernel::pr_warn_once;
use xen_core::device::Device;
use xen_core::dma_ops::{Attrs, Buffer};
use xen_core::loans::{Loans, Newer};
use xen_core::pages::{Gfp, Pages, ANY_CONTEXT_ORDER};
use xen_dma::ledger::Count;
use xen_dma::plan::Why;
use xen_dma::{order_of, Bus, Direction};

use crate::users::row;

static LOANS: Loans = Loans::new();

/// Lends a buffer.
#[cold]
pub(crate) fn map(device: Device<'_>, buffer: &Buffer, attrs: Attrs, why: Why) -> Option<Bus> {
    let row = row(device);
    match lend(device, buffer) {
        Ok(bus) => {
            // Drivers whose buffers need no synchronising are not asked to any more: this one does.
            device.needs_sync();
            row.add(Count::LargeMappings, 1);
            row.add(Count::LargeNow, buffer.size() as i64);
            row.add(Count::Because(why), 1);
            Some(bus)
        }
        Err(reason) => {
            row.add(Count::Failed, 1);
            if !attrs.is_quiet() {
                pr_warn_once!(
                    "a mapping of {} bytes is {} for a device and larger than a bounce buffer of the pool, and {}; \
                     /sys/kernel/debug/xen/swiotlb counts such failures\n",
                    buffer.size(),
                    why.name(),
                    reason
                );
            }
            None
        }
    }
}

fn lend(device: Device<'_>, buffer: &Buffer) -> Result<Bus, &'static str> {
    let size = buffer.at().offset() + buffer.size();
    if order_of(size) > ANY_CONTEXT_ORDER {
        return Err("larger than what can be exchanged at a time");
    }
    let mut pages = Pages::new(size, Gfp::ATOMIC_QUIET)
        .ok_or("this domain has no free memory of that size in one piece")?;
    if !pages.exchange(device.reach()) {
        return Err("the hypervisor has no contiguous memory of that size in the device's reach");
    }
    let bus = LOANS
        .lend(device, buffer, pages)
        .ok_or("there are as many of them as can be kept")?;
    if !device.reach().covers(bus, buffer.size()) {
        LOANS.end(bus, false);
        return Err("the device does not reach what the hypervisor gave");
    }
    Ok(bus)
}

/// Ends such a mapping; false if it is none.
#[inline]
pub(crate) fn unmap(device: Device<'_>, at: Bus, direction: Direction, attrs: Attrs) -> bool {
    let copy_back = direction.device_writes() && !attrs.skips_sync();
    match LOANS.end(at, copy_back) {
        Some(size) => {
            row(device).add(Count::LargeNow, -(size as i64));
            true
        }
        None => false,
    }
}

/// Brings a part of such a mapping up to date; false if it is none.
#[inline]
pub(crate) fn sync(at: Bus, size: u64, newer: Newer) -> bool {
    LOANS.sync(at, size, newer)
}
