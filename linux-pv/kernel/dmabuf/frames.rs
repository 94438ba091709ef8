// SPDX-License-Identifier: GPL-2.0

//! A device that sees memory where it is.
//!
//! Who grants pages to another domain wants to know which they are. The addresses that an ordinary device gets from
//! the DMA interface do not say that: they can be those of bounce buffers (with Xen's swiotlb whenever a piece of
//! memory is not in one piece for the hypervisor), an IOMMU's, or machine addresses. To this device memory has the
//! address that it has for the kernel, and it is never bounced.

use core::ptr::NonNull;

use kernel::bindings as k;
use kernel::error::to_result;
use kernel::ffi::{c_int, c_ulong};
use kernel::prelude::*;
use kernel::str::CString;
use kernel::sync::atomic::{Atomic, Relaxed};
use kernel::sync::Arc;
use xen_bindings as bindings;

use super::AsDevice;

/// What there is at no address (`DMA_MAPPING_ERROR`).
const NOWHERE: k::dma_addr_t = k::dma_addr_t::MAX;

/// A device to which memory has its physical address, as this kernel counts them. It does nothing.
///
/// # Invariants
///
/// `0` is registered until this is dropped, and has `OPERATIONS`.
pub struct FrameDevice(NonNull<k::faux_device>);

// SAFETY: Devices have locks of their own, and may be deregistered by any task.
unsafe impl Send for FrameDevice {}
// SAFETY: As above.
unsafe impl Sync for FrameDevice {}

impl FrameDevice {
    /// Registers the device, which shows in `/sys/devices/faux` under that name and a number, for one of that name may
    /// still be there: it goes with the last buffer. May sleep.
    ///
    /// # Errors
    ///
    /// `ENODEV` if that fails.
    pub fn new(name: &str) -> Result<Arc<Self>> {
        static NUMBER: Atomic<u32> = Atomic::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let name = CString::try_from_fmt(fmt!("{name}.{number}"))?;
        let none = core::ptr::null_mut();
        // SAFETY: The name is copied; there is neither a parent nor a callback.
        let device = unsafe { k::faux_device_create(name.as_char_ptr(), none, core::ptr::null()) };
        let this = Self(NonNull::new(device).ok_or(ENODEV)?);
        let device = this.raw();
        // SAFETY: The device is registered, and nobody but this function knows it.
        unsafe {
            (*device).dma_ops = (&raw const OPERATIONS.0).cast_mut().cast();
            (*device).dma_mask = &raw mut (*device).coherent_dma_mask;
        }
        // INVARIANT: It has the operations.
        // SAFETY: The device has a mask.
        to_result(unsafe { k::dma_set_mask_and_coherent(device, u64::MAX) })?;
        Ok(Arc::new(this, GFP_KERNEL)?)
    }

    fn raw(&self) -> *mut k::device {
        // SAFETY: By the type invariant; only an address is computed.
        unsafe { &raw mut (*self.0.as_ptr()).dev }
    }
}

// SAFETY: By the type invariant it is registered and has a mask. The `Arc` keeps it.
unsafe impl AsDevice for Arc<FrameDevice> {
    fn as_raw(&self) -> *mut k::device {
        self.raw()
    }
}

impl Drop for FrameDevice {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is registered.
        unsafe { k::faux_device_destroy(self.0.as_ptr()) };
    }
}

struct Operations(bindings::dma_map_ops);

// SAFETY: They are only read.
unsafe impl Sync for Operations {}

static OPERATIONS: Operations = Operations(bindings::dma_map_ops {
    map_phys: Some(map_phys),
    map_sg: Some(map_sg),
    // SAFETY: All members are functions that may be missing: those that are missing are zero.
    ..unsafe { core::mem::zeroed() }
});

/// A piece of memory.
///
/// # Safety
///
/// None: the pointer is not looked at.
unsafe extern "C" fn map_phys(
    _device: *mut k::device,
    phys: k::phys_addr_t,
    _size: usize,
    _direction: k::dma_data_direction,
    attributes: c_ulong,
) -> k::dma_addr_t {
    // SAFETY: The shim looks up any number.
    let is_memory = !unsafe { bindings::xen_rs_memory_at(phys) }.is_null();
    if is_memory && attributes & k::DMA_ATTR_MMIO as c_ulong == 0 {
        phys
    } else {
        NOWHERE
    }
}

/// A list of pieces.
///
/// # Safety
///
/// `entries` starts a list of as many entries.
unsafe extern "C" fn map_sg(
    _device: *mut k::device,
    entries: *mut k::scatterlist,
    count: c_int,
    _direction: k::dma_data_direction,
    _attributes: c_ulong,
) -> c_int {
    let mut entry = entries;
    for _ in 0..count {
        // SAFETY: By the requirement of this function this is an entry.
        let phys = unsafe { bindings::xen_rs_sg_phys(entry) };
        // SAFETY: The shim looks up any number.
        if unsafe { bindings::xen_rs_memory_at(phys) }.is_null() {
            // Memory of devices, for example.
            return -(k::EREMOTEIO as c_int);
        }
        // SAFETY: As above.
        entry = unsafe {
            bindings::xen_rs_sg_map_there(entry);
            k::sg_next(entry)
        };
    }
    count
}
