// SPDX-License-Identifier: GPL-2.0

//! Memory that driver and device see at the same time.

use core::mem::forget;
use kernel::prelude::*;
use xen_core::device::Device;
use xen_core::p2m::P2m;
use xen_core::pages::{Gfp, Pages};
use xen_dma::ledger::Count;
use xen_dma::{Bus, PAGE_SIZE};

use crate::users::row;

/// Allocates zeroed memory. May sleep if `gfp` allows.
///
/// It is contiguous in the machine, within the device's reach, and aligned to its size up to the next power of two of
/// pages: as the domain's memory rarely is that in the machine, it is exchanged if not.
pub(crate) fn alloc(device: Device<'_>, size: u64, gfp: Gfp) -> Option<(Pages, Bus)> {
    let size = whole_pages(size)?;
    let reach = device.coherent_reach();
    let mut pages = Pages::new(size, gfp)?;
    let bus = device.bus(&P2m, pages.at());
    let exchanged = !reach.covers(bus, size) || !pages.is_contiguous(size);
    if exchanged && !pages.exchange(reach) {
        row(device).add(Count::Failed, 1);
        return None;
    }
    let bus = device.bus(&P2m, pages.at());
    if !reach.covers(bus, size) {
        row(device).add(Count::Failed, 1);
        return None;
    }
    // What is exchanged was zeroed, but Xen's new pages need not be.
    pages.zero(size);
    count(device, size, exchanged, 1);
    Some((pages, bus))
}

/// Takes it back. Memory that is not what a device was given is kept for ever: the device may still write to it.
pub(crate) fn free(device: Device<'_>, size: u64, pages: Pages, at: Bus) {
    let fits = whole_pages(size).filter(|size| {
        device.bus(&P2m, pages.at()) == at
            && device.coherent_reach().covers(at, *size)
            && pages.is_contiguous(*size)
    });
    let Some(size) = fits else {
        dev_err!(
            device.device(),
            "coherent memory of {} bytes at {:#x} given back is not what was allocated; it is lost\n",
            size,
            at.0
        );
        forget(pages);
        return;
    };
    count(device, size, pages.is_exchanged(), -1);
}

/// Rounded up to whole pages, as Xen exchanges them.
fn whole_pages(size: u64) -> Option<u64> {
    size.checked_next_multiple_of(PAGE_SIZE)
}

fn count(device: Device<'_>, size: u64, exchanged: bool, sign: i64) {
    let row = row(device);
    row.add(Count::CoherentNow, sign * size as i64);
    if exchanged {
        row.add(Count::ExchangedNow, sign * size as i64);
    }
}
