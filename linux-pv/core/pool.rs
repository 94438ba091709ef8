// SPDX-License-Identifier: GPL-2.0

//! The kernel's pool of bounce buffers (`linux/swiotlb.h`). How its buffers are handed out is the kernel's; that they are
//! contiguous in the machine is the doing of whoever exchanges its memory (`swiotlb`).

use core::ptr::{addr_of, NonNull};

use core_bindings as bindings;
use xen_dma::{Bus, Phys};

use crate::device::Device;
use crate::dma_ops::{raw, Attrs, Buffer};
use crate::{p2m, series};
use xen_dma::Direction;

/// Bytes of the pieces the pool hands out buffers from: no buffer is larger, none crosses from one to the next.
pub const PIECE: u64 = (bindings::IO_TLB_SEGSIZE as u64) << bindings::IO_TLB_SHIFT;

/// A bounce buffer in the pool.
pub struct Slot<'a> {
    device: Device<'a>,
    pool: NonNull<bindings::io_tlb_pool>,
    at: Phys,
}

fn mem(device: Device<'_>) -> Option<NonNull<bindings::io_tlb_mem>> {
    // SAFETY: The device is valid; the field is set before a driver may use DMA.
    let mem = unsafe { addr_of!((*device.as_raw()).dma_io_tlb_mem).read() };
    NonNull::new(mem.cast())
}

/// Whether everything is to be bounced.
#[inline]
pub fn is_forced(device: Device<'_>) -> bool {
    // SAFETY: A device's pool is never freed while it has a driver.
    mem(device).is_some_and(|mem| unsafe { addr_of!((*mem.as_ptr()).force_bounce).read() })
}

/// The size of the largest buffer the pool may have for a device, in bytes.
#[inline]
pub fn most(device: Device<'_>) -> u64 {
    // SAFETY: The device is valid.
    unsafe { bindings::swiotlb_max_mapping_size(device.as_raw()) as u64 }
}

/// The last address of the pool, in the domain's memory.
pub fn last() -> Phys {
    // SAFETY: Only reads.
    Phys(unsafe { bindings::default_swiotlb_limit() })
}

/// Takes a buffer from the pool and copies the data into it. None if the pool is full; the kernel has said so then. Any
/// context.
pub fn take<'a>(
    device: Device<'a>,
    buffer: &Buffer,
    direction: Direction,
    attrs: Attrs,
) -> Option<Phys> {
    // SAFETY: The device is valid, and the buffer is memory that the driver has handed over.
    let at = unsafe {
        series::take_from_pool(
            device.as_raw(),
            buffer.at().0,
            buffer.size() as usize,
            raw(direction),
            attrs.0,
        )
    };
    (at != Bus::NONE.0).then_some(Phys(at))
}

/// The bounce buffer that a device uses at an address, if it is one.
#[inline]
pub fn find(device: Device<'_>, at: Bus) -> Option<Slot<'_>> {
    let mem = mem(device)?;
    in_pool(device, mem, p2m::local(device.machine(at)))
}

/// The bounce buffer at an address of the domain's, if it is one.
pub fn at(device: Device<'_>, at: Phys) -> Option<Slot<'_>> {
    in_pool(device, mem(device)?, at)
}

#[cfg(not(CONFIG_SWIOTLB_DYNAMIC))]
#[inline]
fn in_pool(device: Device<'_>, mem: NonNull<bindings::io_tlb_mem>, at: Phys) -> Option<Slot<'_>> {
    // SAFETY: The pool is valid, and there is only this one; its bounds are set while the kernel boots.
    let (pool, start, end) = unsafe {
        let pool = &raw mut (*mem.as_ptr()).defpool;
        (pool, (*pool).start, (*pool).end)
    };
    let pool = NonNull::new(pool)?;
    (start..end)
        .contains(&at.0)
        .then_some(Slot { device, pool, at })
}

#[cfg(CONFIG_SWIOTLB_DYNAMIC)]
#[inline]
fn in_pool(device: Device<'_>, _mem: NonNull<bindings::io_tlb_mem>, at: Phys) -> Option<Slot<'_>> {
    // SAFETY: The device is valid; any address may be asked for.
    let pool = unsafe { bindings::xen_core_find_pool(device.as_raw(), at.0) };
    let pool = NonNull::new(pool)?;
    Some(Slot { device, pool, at })
}

impl Slot<'_> {
    /// Gives it back, after copying what the device wrote unless the attributes say otherwise. Any context.
    pub fn give_back(self, size: u64, direction: Direction, attrs: Attrs) {
        // SAFETY: The buffer was found in this pool; whether it was given back before is between the driver and the
        // kernel, which checks its slots.
        unsafe {
            bindings::__swiotlb_tbl_unmap_single(
                self.device.as_raw(),
                self.at.0,
                size as usize,
                raw(direction),
                attrs.0,
                self.pool.as_ptr(),
            )
        }
    }

    /// Copies what the device wrote to where the driver reads it. Any context.
    pub fn sync_for_cpu(&self, size: u64, direction: Direction) {
        // SAFETY: The buffer was found in this pool.
        unsafe {
            bindings::__swiotlb_sync_single_for_cpu(
                self.device.as_raw(),
                self.at.0,
                size as usize,
                raw(direction),
                self.pool.as_ptr(),
            )
        }
    }

    /// Copies what the driver wrote to where the device reads it. Any context.
    pub fn sync_for_device(&self, size: u64, direction: Direction) {
        // SAFETY: The buffer was found in this pool.
        unsafe {
            bindings::__swiotlb_sync_single_for_device(
                self.device.as_raw(),
                self.at.0,
                size as usize,
                raw(direction),
                self.pool.as_ptr(),
            )
        }
    }
}

/// Says that a mapping is bounced, to whoever traces it.
pub fn trace_bounced(device: Device<'_>, at: Bus, size: u64) {
    // SAFETY: The device is valid.
    unsafe { bindings::xen_core_trace_bounced(device.as_raw(), at.0, size as usize) }
}
