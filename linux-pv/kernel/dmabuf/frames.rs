// SPDX-License-Identifier: GPL-2.0

//! A device whose DMA addresses are physical addresses.
//!
//! An importer that needs the pages of a buffer, for instance to grant them to another domain, does
//! not get them from the addresses of an ordinary device, which may be those of bounce buffers or
//! of an IOMMU, or machine addresses. For this device, memory is neither translated nor bounced.

use core::ptr::NonNull;

use kernel::{
    bindings as k,
    error::to_result,
    ffi::{
        c_int,
        c_ulong, //
    },
    prelude::*,
    str::CString,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
};

use xen_bindings as bindings;

use super::AsDevice;

/// `DMA_MAPPING_ERROR`.
const MAPPING_ERROR: k::dma_addr_t = k::dma_addr_t::MAX;

/// A virtual device whose DMA addresses are physical addresses.
///
/// # Invariants
///
/// `0` is registered by this value, and has `OPERATIONS`.
pub struct FrameDevice(NonNull<k::faux_device>);

// SAFETY: Devices have locks of their own, and may be deregistered by any task.
unsafe impl Send for FrameDevice {}
// SAFETY: Devices have locks of their own, and may be deregistered by any task.
unsafe impl Sync for FrameDevice {}

impl FrameDevice {
    /// Registers a device. Its name in `/sys/devices/faux` is `name` and a number, since a previous
    /// device of that name exists as long as its last buffer. May sleep.
    ///
    /// # Errors
    ///
    /// `ENODEV` if registering fails.
    pub fn new(name: &str) -> Result<Arc<Self>> {
        static NUMBER: Atomic<u32> = Atomic::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let name = CString::try_from_fmt(fmt!("{name}.{number}"))?;
        let none = core::ptr::null_mut();
        // SAFETY: The name is copied; parent and callbacks are null.
        let device = unsafe { k::faux_device_create(name.as_char_ptr(), none, core::ptr::null()) };
        let this = Self(NonNull::new(device).ok_or(ENODEV)?);
        let device = this.raw();
        // SAFETY: The device is valid, and only used here yet.
        unsafe {
            (*device).dma_ops = (&raw const OPERATIONS.0).cast_mut().cast();
            (*device).dma_mask = &raw mut (*device).coherent_dma_mask;
        }
        // INVARIANT: The device is registered and has the operations.
        // SAFETY: The device is valid, and has a mask.
        to_result(unsafe { k::dma_set_mask_and_coherent(device, u64::MAX) })?;
        Ok(Arc::new(this, GFP_KERNEL)?)
    }

    fn raw(&self) -> *mut k::device {
        // SAFETY: By the type invariant the device is valid; only an address is computed.
        unsafe { &raw mut (*self.0.as_ptr()).dev }
    }
}

// SAFETY: By the type invariant the device is registered, and it has a mask. The `Arc` keeps it
// registered.
unsafe impl AsDevice for Arc<FrameDevice> {
    fn as_raw(&self) -> *mut k::device {
        self.raw()
    }
}

impl Drop for FrameDevice {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the device is registered.
        unsafe { k::faux_device_destroy(self.0.as_ptr()) };
    }
}

struct Operations(bindings::dma_map_ops);

// SAFETY: The operations are only read.
unsafe impl Sync for Operations {}

static OPERATIONS: Operations = Operations(bindings::dma_map_ops {
    map_phys: Some(map_phys),
    map_sg: Some(map_sg),
    // SAFETY: All fields are optional functions, for which zero is none.
    ..unsafe { core::mem::zeroed() }
});

/// Maps contiguous memory.
///
/// # Safety
///
/// None: the pointer is not used.
unsafe extern "C" fn map_phys(
    _device: *mut k::device,
    phys: k::phys_addr_t,
    _size: usize,
    _direction: k::dma_data_direction,
    attributes: c_ulong,
) -> k::dma_addr_t {
    // SAFETY: The shim takes any address.
    let is_memory = !unsafe { bindings::xen_rs_memory_at(phys) }.is_null();
    if is_memory && attributes & k::DMA_ATTR_MMIO as c_ulong == 0 {
        phys
    } else {
        MAPPING_ERROR
    }
}

/// Maps a scatterlist.
///
/// # Safety
///
/// `entries` is a scatterlist of `count` entries.
unsafe extern "C" fn map_sg(
    _device: *mut k::device,
    entries: *mut k::scatterlist,
    count: c_int,
    _direction: k::dma_data_direction,
    _attributes: c_ulong,
) -> c_int {
    let mut entry = entries;
    for _ in 0..count {
        // SAFETY: By the requirement of this function this is a valid entry.
        let phys = unsafe { bindings::xen_rs_sg_phys(entry) };
        // SAFETY: The shim takes any address.
        if unsafe { bindings::xen_rs_memory_at(phys) }.is_null() {
            // Memory of a device, for example.
            return -(k::EREMOTEIO as c_int);
        }
        // SAFETY: By the requirement of this function this is a valid entry.
        entry = unsafe {
            bindings::xen_rs_sg_map_there(entry);
            k::sg_next(entry)
        };
    }
    count
}
