// SPDX-License-Identifier: GPL-2.0

//! Bounce buffers of the kernel's pool (`linux/swiotlb.h`). The kernel manages the pool; its
//! segments are contiguous in the machine, since `swiotlb` exchanges its memory at boot
//! ([`pool_memory`](crate::pool_memory)).

use core::ptr::{
    addr_of,
    NonNull, //
};

use core_bindings as bindings;

use xen_dma::{
    BusAddr,
    Direction,
    PhysAddr, //
};

use crate::{
    device::Device,
    dma_ops::{
        raw,
        Attrs,
        Buffer, //
    },
    p2m,
    series, //
};

/// Bytes of a segment of the pool. A buffer is within one segment.
pub const SEGMENT_SIZE: u64 = (bindings::IO_TLB_SEGSIZE as u64) << bindings::IO_TLB_SHIFT;

/// A bounce buffer in the pool.
pub struct PoolBuffer<'a> {
    device: Device<'a>,
    pool: NonNull<bindings::io_tlb_pool>,
    at: PhysAddr,
}

fn mem(device: Device<'_>) -> Option<NonNull<bindings::io_tlb_mem>> {
    // SAFETY: The device is valid; the field is set before a driver may use DMA.
    let mem = unsafe { addr_of!((*device.as_raw()).dma_io_tlb_mem).read() };
    NonNull::new(mem.cast())
}

/// Whether all buffers of a device are bounced.
#[inline]
pub fn is_forced(device: Device<'_>) -> bool {
    // SAFETY: A device's pool is not freed while the device has a driver.
    mem(device).is_some_and(|mem| unsafe { addr_of!((*mem.as_ptr()).force_bounce).read() })
}

/// The size of the largest buffer of the pool, in bytes.
#[inline]
pub fn max_size(device: Device<'_>) -> u64 {
    // SAFETY: The device is valid by the invariant of `Device`.
    unsafe { bindings::swiotlb_max_mapping_size(device.as_raw()) as u64 }
}

/// The last physical address of the pool.
pub fn last() -> PhysAddr {
    // SAFETY: Only reads a variable that is constant after boot.
    PhysAddr(unsafe { bindings::default_swiotlb_limit() })
}

/// Allocates a buffer of the pool and copies the data into it. None if the pool is full, which the
/// kernel logs. Any context.
pub fn map<'a>(
    device: Device<'a>,
    buffer: &Buffer,
    direction: Direction,
    attrs: Attrs,
) -> Option<PhysAddr> {
    // SAFETY: The device is valid by the invariant of `Device`; a `Buffer` stays valid until its
    // mapping ends.
    let at = unsafe {
        series::swiotlb_map(
            device.as_raw(),
            buffer.at().0,
            buffer.size() as usize,
            raw(direction),
            attrs.0,
        )
    };
    (at != BusAddr::NONE.0).then_some(PhysAddr(at))
}

/// The buffer of the pool at a device's address, if there is one.
#[inline]
pub fn find(device: Device<'_>, at: BusAddr) -> Option<PoolBuffer<'_>> {
    let mem = mem(device)?;
    in_pool(device, mem, p2m::local_phys(device.machine(at)))
}

/// The buffer of the pool at a physical address, if there is one.
pub fn at(device: Device<'_>, at: PhysAddr) -> Option<PoolBuffer<'_>> {
    in_pool(device, mem(device)?, at)
}

#[cfg(not(CONFIG_SWIOTLB_DYNAMIC))]
#[inline]
fn in_pool(
    device: Device<'_>,
    mem: NonNull<bindings::io_tlb_mem>,
    at: PhysAddr,
) -> Option<PoolBuffer<'_>> {
    // SAFETY: The pool is valid, and the only one of this configuration; its bounds are set at
    // boot.
    let (pool, start, end) = unsafe {
        let pool = &raw mut (*mem.as_ptr()).defpool;
        (pool, (*pool).start, (*pool).end)
    };
    let pool = NonNull::new(pool)?;
    (start..end)
        .contains(&at.0)
        .then_some(PoolBuffer { device, pool, at })
}

#[cfg(CONFIG_SWIOTLB_DYNAMIC)]
#[inline]
fn in_pool(
    device: Device<'_>,
    _mem: NonNull<bindings::io_tlb_mem>,
    at: PhysAddr,
) -> Option<PoolBuffer<'_>> {
    // SAFETY: The device is valid by the invariant of `Device`; the function takes any address.
    let pool = unsafe { bindings::xen_core_find_pool(device.as_raw(), at.0) };
    let pool = NonNull::new(pool)?;
    Some(PoolBuffer { device, pool, at })
}

impl PoolBuffer<'_> {
    /// Frees it, and copies the data back before that unless the attributes skip it. Any context.
    pub fn unmap(self, size: u64, direction: Direction, attrs: Attrs) {
        // SAFETY: The address is in this pool. The kernel checks the slots, as for any driver that
        // ends a mapping twice.
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

    /// Copies data from the bounce buffer to the driver's. Any context.
    pub fn sync_for_cpu(&self, size: u64, direction: Direction) {
        // SAFETY: The address is in this pool.
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

    /// Copies data from the driver's buffer to the bounce buffer. Any context.
    pub fn sync_for_device(&self, size: u64, direction: Direction) {
        // SAFETY: The address is in this pool.
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

/// The tracepoint `swiotlb_bounced`.
pub fn trace_bounced(device: Device<'_>, at: BusAddr, size: u64) {
    // SAFETY: The device is valid by the invariant of `Device`.
    unsafe { bindings::xen_core_trace_bounced(device.as_raw(), at.0, size as usize) }
}
