// SPDX-License-Identifier: GPL-2.0

//! Bouncing mappings that are larger than any buffer of the pool.
//!
//! A buffer of the pool has at most 256 KiB. Drivers that do not ask for the maximum size, in
//! particular those of graphics cards, exceed it: with the C object such a mapping fails ("swiotlb
//! buffer is full ... used 0 (slots)"), and so does the device. Here it gets pages that are
//! exchanged for contiguous memory until the mapping ends, which is slow. So the maximum size that
//! drivers can ask for does not change.

use kernel::pr_warn_once;

use xen_core::{
    device::Device,
    dma_ops::{
        Attrs,
        Buffer, //
    },
    large_bounce::{
        LargeBounceBuffers,
        SyncFor, //
    },
    pages::{
        Gfp,
        Pages,
        ANY_CONTEXT_ORDER, //
    },
};

use xen_dma::{
    order_of,
    plan::BounceReason,
    stats::Stat,
    BusAddr,
    Direction, //
};

use crate::stats::row;

static BUFFERS: LargeBounceBuffers = LargeBounceBuffers::new();

/// Maps a buffer through a bounce buffer of its own.
#[cold]
pub(crate) fn map(
    device: Device<'_>,
    buffer: &Buffer,
    attrs: Attrs,
    reason: BounceReason,
) -> Option<BusAddr> {
    let row = row(device);
    match try_map(device, buffer) {
        Ok(bus) => {
            // The DMA layer skips synchronisation for devices that did not need it before.
            device.needs_sync();
            row.add(Stat::LargeMappings, 1);
            row.add(Stat::LargeBytes, buffer.size() as i64);
            row.add(Stat::Bounced(reason), 1);
            Some(bus)
        }
        Err(failure) => {
            row.add(Stat::Failed, 1);
            if !attrs.is_quiet() {
                pr_warn_once!(
                    "a mapping of {} bytes is {} for a device and larger than a bounce buffer of \
                     the pool, and {}; /sys/kernel/debug/xen/swiotlb counts such failures\n",
                    buffer.size(),
                    reason.name(),
                    failure
                );
            }
            None
        }
    }
}

fn try_map(device: Device<'_>, buffer: &Buffer) -> Result<BusAddr, &'static str> {
    // A size that wraps is a driver's bug; its order is too large for any allocation.
    let size = buffer.at().offset().saturating_add(buffer.size());
    if order_of(size) > ANY_CONTEXT_ORDER {
        return Err("larger than what can be exchanged at a time");
    }
    let mut pages = Pages::new(size, Gfp::ATOMIC_QUIET)
        .ok_or("this domain has no free memory of that size in one piece")?;
    if !pages.exchange(device.dma_mask()) {
        return Err("the hypervisor has no contiguous memory of that size in the device's reach");
    }
    let bus = BUFFERS
        .map(device, buffer, pages)
        .ok_or("the maximum number of such buffers is in use")?;
    if !device.dma_mask().covers(bus, buffer.size()) {
        BUFFERS.unmap(bus, false);
        return Err("the device does not reach what the hypervisor gave");
    }
    Ok(bus)
}

/// Ends such a mapping; returns whether it was one.
#[inline]
pub(crate) fn unmap(device: Device<'_>, at: BusAddr, direction: Direction, attrs: Attrs) -> bool {
    let copy_back = direction.device_writes() && !attrs.skips_sync();
    match BUFFERS.unmap(at, copy_back) {
        Some(size) => {
            row(device).add(Stat::LargeBytes, -(size as i64));
            true
        }
        None => false,
    }
}

/// Synchronises a part of such a mapping; returns whether it was one.
#[inline]
pub(crate) fn sync(at: BusAddr, size: u64, sync_for: SyncFor) -> bool {
    BUFFERS.sync(at, size, sync_for)
}
