// SPDX-License-Identifier: GPL-2.0

//! Mappings of drivers' buffers.

use kernel::prelude::*;

use xen_core::{
    device::Device,
    dma_ops::{
        Attrs,
        Buffer, //
    },
    large_bounce::SyncFor,
    p2m::P2m,
    pool, //
};

use xen_dma::{
    plan::{
        decide,
        BounceReason,
        MapRequest,
        Plan, //
    },
    stats::Stat,
    BusAddr,
    Direction, //
};

use crate::{
    large,
    stats::row, //
};

/// Maps a buffer.
#[inline]
pub(crate) fn map(
    device: Device<'_>,
    buffer: Buffer,
    direction: Direction,
    attrs: Attrs,
) -> Option<BusAddr> {
    if attrs.is_mmio() {
        return map_registers(device, &buffer);
    }
    let bus = device.bus(&P2m, buffer.at());
    let request = MapRequest {
        at: buffer.at(),
        size: buffer.size(),
        mask: device.dma_mask(),
        forced: pool::is_forced(device),
    };
    match decide(&P2m, &request, bus, || pool::max_size(device)) {
        Plan::Direct(bus) => Some(bus),
        Plan::Pool(reason) => bounce(device, &buffer, bus, direction, attrs, reason),
        Plan::Large(reason) => {
            pool::trace_bounced(device, bus, buffer.size());
            large::map(device, &buffer, attrs, reason)
        }
        Plan::Refuse => refuse(device, &buffer),
    }
}

/// Maps registers of another device, which cannot be bounced.
#[cold]
fn map_registers(device: Device<'_>, buffer: &Buffer) -> Option<BusAddr> {
    let bus = BusAddr(buffer.at().0);
    if device.dma_mask().covers(bus, buffer.size()) {
        return Some(bus);
    }
    row(device).add(Stat::Failed, 1);
    dev_err!(
        device.device(),
        "registers at {:#x}+{:#x} are beyond {:#x}, the last address of the device's DMA\n",
        bus.0,
        buffer.size(),
        device.dma_mask().limit()
    );
    None
}

/// Maps a buffer through the pool.
#[cold]
fn bounce(
    device: Device<'_>,
    buffer: &Buffer,
    bus: BusAddr,
    direction: Direction,
    attrs: Attrs,
    reason: BounceReason,
) -> Option<BusAddr> {
    let size = buffer.size();
    pool::trace_bounced(device, bus, size);
    let row = row(device);
    let Some(at) = pool::map(device, buffer, direction, attrs) else {
        row.add(Stat::Failed, 1);
        return None;
    };
    let bus = device.bus(&P2m, at);
    if !device.dma_mask().covers(bus, size) {
        // The device cannot access all of the pool.
        if let Some(slot) = pool::at(device, at) {
            slot.unmap(size, direction, attrs.without_sync());
        }
        row.add(Stat::Failed, 1);
        return None;
    }
    row.add(Stat::PoolBytes, size as i64);
    row.add(Stat::Bounced(reason), 1);
    Some(bus)
}

/// Refuses an address where there is no memory, such as ballooned pages.
#[cold]
fn refuse(device: Device<'_>, buffer: &Buffer) -> Option<BusAddr> {
    row(device).add(Stat::Failed, 1);
    dev_err!(
        device.device(),
        "DMA to {:#x}+{:#x}, where this domain has no memory\n",
        buffer.at().0,
        buffer.size()
    );
    None
}

/// Ends a mapping.
#[inline]
pub(crate) fn unmap(
    device: Device<'_>,
    at: BusAddr,
    size: u64,
    direction: Direction,
    attrs: Attrs,
) {
    if large::unmap(device, at, direction, attrs) {
        return;
    }
    if let Some(slot) = pool::find(device, at) {
        slot.unmap(size, direction, attrs);
        row(device).add(Stat::PoolBytes, -(size as i64));
    }
}

/// Synchronises a mapping so that the driver sees what the device wrote.
pub(crate) fn sync_for_cpu(device: Device<'_>, at: BusAddr, size: u64, direction: Direction) {
    if direction.device_writes() && large::sync(at, size, SyncFor::Cpu) {
        return;
    }
    if let Some(slot) = pool::find(device, at) {
        slot.sync_for_cpu(size, direction);
    }
}

/// Synchronises a mapping so that the device sees what the driver wrote.
pub(crate) fn sync_for_device(device: Device<'_>, at: BusAddr, size: u64, direction: Direction) {
    if direction.device_reads() && large::sync(at, size, SyncFor::Device) {
        return;
    }
    if let Some(slot) = pool::find(device, at) {
        slot.sync_for_device(size, direction);
    }
}
