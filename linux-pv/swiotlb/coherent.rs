// SPDX-License-Identifier: GPL-2.0

//! Coherent memory.

use core::mem::forget;

use kernel::prelude::*;

use xen_core::{
    device::Device,
    p2m::P2m,
    pages::{
        Gfp,
        Pages, //
    },
};

use xen_dma::{
    stats::Stat,
    BusAddr,
    PAGE_SIZE, //
};

use crate::stats::row;

/// Allocates zeroed memory. May sleep if `gfp` allows.
///
/// The memory is contiguous in the machine, within the device's mask, and aligned to its size
/// rounded up to a power of two of pages. Memory of the domain that is not so is exchanged.
pub(crate) fn alloc(device: Device<'_>, size: u64, gfp: Gfp) -> Option<(Pages, BusAddr)> {
    let size = whole_pages(size)?;
    let mask = device.coherent_dma_mask();
    let mut pages = Pages::new(size, gfp)?;
    let bus = device.bus(&P2m, pages.at());
    let exchanged = !mask.covers(bus, size) || !pages.is_contiguous(size);
    if exchanged && !pages.exchange(mask) {
        row(device).add(Stat::Failed, 1);
        return None;
    }
    let bus = device.bus(&P2m, pages.at());
    if !mask.covers(bus, size) {
        row(device).add(Stat::Failed, 1);
        return None;
    }
    // The exchange zeroes the old pages; the new ones may have any content.
    pages.zero(size);
    count(device, size, exchanged, 1);
    Some((pages, bus))
}

/// Frees coherent memory. Memory that was not allocated for the device is leaked: a device may
/// still write to it.
pub(crate) fn free(device: Device<'_>, size: u64, pages: Pages, at: BusAddr) {
    let fits = whole_pages(size).filter(|size| {
        device.bus(&P2m, pages.at()) == at
            && device.coherent_dma_mask().covers(at, *size)
            && pages.is_contiguous(*size)
    });
    let Some(size) = fits else {
        dev_err!(
            device.device(),
            "coherent memory of {} bytes at {:#x} given back is not what was allocated; \
             it is lost\n",
            size,
            at.0
        );
        forget(pages);
        return;
    };
    count(device, size, pages.is_exchanged(), -1);
}

/// Rounds up to whole pages, the unit of an exchange.
fn whole_pages(size: u64) -> Option<u64> {
    size.checked_next_multiple_of(PAGE_SIZE)
}

fn count(device: Device<'_>, size: u64, exchanged: bool, sign: i64) {
    let row = row(device);
    row.add(Stat::CoherentBytes, sign * size as i64);
    if exchanged {
        row.add(Stat::ExchangedBytes, sign * size as i64);
    }
}
