// SPDX-License-Identifier: GPL-2.0

//! Mappings of drivers' buffers.

use kernel::prelude::*;
use xen_core::device::Device;
use xen_core::dma_ops::{Attrs, Buffer};
use xen_core::loans::Newer;
use xen_core::p2m::P2m;
use xen_core::pool;
use xen_dma::ledger::Count;
use xen_dma::plan::{decide, Plan, Why, Wish};
use xen_dma::{Bus, Direction};

use crate::large;
use crate::users::row;

/// Makes a buffer accessible to a device.
#[inline]
pub(crate) fn map(
    device: Device<'_>,
    buffer: Buffer,
    direction: Direction,
    attrs: Attrs,
) -> Option<Bus> {
    if attrs.is_mmio() {
        return map_registers(device, &buffer);
    }
    let bus = device.bus(&P2m, buffer.at());
    let wish = Wish {
        at: buffer.at(),
        size: buffer.size(),
        reach: device.reach(),
        forced: pool::is_forced(device),
    };
    match decide(&P2m, &wish, bus, || pool::most(device)) {
        Plan::Direct(bus) => Some(bus),
        Plan::Pool(why) => bounce(device, &buffer, bus, direction, attrs, why),
        Plan::Large(why) => {
            pool::trace_bounced(device, bus, buffer.size());
            large::map(device, &buffer, attrs, why)
        }
        Plan::Refuse => refuse(device, &buffer),
    }
}

/// Registers of another device are where they are: there is nothing behind them that could be exchanged or copied.
#[cold]
fn map_registers(device: Device<'_>, buffer: &Buffer) -> Option<Bus> {
    let bus = Bus(buffer.at().0);
    if device.reach().covers(bus, buffer.size()) {
        return Some(bus);
    }
    row(device).add(Count::Failed, 1);
    dev_err!(
        device.device(),
        "registers at {:#x}+{:#x} are beyond {:#x}, the last address of the device's DMA\n",
        bus.0,
        buffer.size(),
        device.reach().last()
    );
    None
}

/// Through the pool.
#[cold]
fn bounce(
    device: Device<'_>,
    buffer: &Buffer,
    bus: Bus,
    direction: Direction,
    attrs: Attrs,
    why: Why,
) -> Option<Bus> {
    let size = buffer.size();
    pool::trace_bounced(device, bus, size);
    let row = row(device);
    let Some(at) = pool::take(device, buffer, direction, attrs) else {
        row.add(Count::Failed, 1);
        return None;
    };
    let bus = device.bus(&P2m, at);
    if !device.reach().covers(bus, size) {
        // A device that reaches less than the pool.
        if let Some(slot) = pool::at(device, at) {
            slot.give_back(size, direction, attrs.without_sync());
        }
        row.add(Count::Failed, 1);
        return None;
    }
    row.add(Count::PoolNow, size as i64);
    row.add(Count::Because(why), 1);
    Some(bus)
}

/// Memory that was given back to the hypervisor.
#[cold]
fn refuse(device: Device<'_>, buffer: &Buffer) -> Option<Bus> {
    row(device).add(Count::Failed, 1);
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
pub(crate) fn unmap(device: Device<'_>, at: Bus, size: u64, direction: Direction, attrs: Attrs) {
    if large::unmap(device, at, direction, attrs) {
        return;
    }
    if let Some(slot) = pool::find(device, at) {
        slot.give_back(size, direction, attrs);
        row(device).add(Count::PoolNow, -(size as i64));
    }
}

/// Lets the driver see what the device wrote.
pub(crate) fn sync_for_cpu(device: Device<'_>, at: Bus, size: u64, direction: Direction) {
    if direction.device_writes() && large::sync(at, size, Newer::Devices) {
        return;
    }
    if let Some(slot) = pool::find(device, at) {
        slot.sync_for_cpu(size, direction);
    }
}

/// Lets the device see what the driver wrote.
pub(crate) fn sync_for_device(device: Device<'_>, at: Bus, size: u64, direction: Direction) {
    if direction.device_reads() && large::sync(at, size, Newer::Drivers) {
        return;
    }
    if let Some(slot) = pool::find(device, at) {
        slot.sync_for_device(size, direction);
    }
}
