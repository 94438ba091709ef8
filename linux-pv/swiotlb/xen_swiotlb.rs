// SPDX-License-Identifier: GPL-2.0

//! DMA of devices that a PV domain drives itself, in place of `drivers/xen/swiotlb-xen.c`.
//!
//! A buffer that the device can use where it is, is used there: that is the usual case and asks a table for each page. If
//! it is out of the device's reach or not contiguous in the machine, its data goes through a buffer of the kernel's pool,
//! whose memory was exchanged for contiguous and low memory while the kernel booted ([`pool`]). What is larger than any
//! buffer of the pool gets one of its own ([`large`]); the C object fails there.
//!
//! [`streaming`] has mappings of drivers' buffers, [`coherent`] memory that driver and device share, [`users`] the view in
//! debugfs. Policy only, without unsafe code: mechanism is in crate `xen_core`, arithmetic in `xen_dma`.
//!
//! Only x86: devices there see what the processor sees, so no cache is ever flushed.

#![forbid(unsafe_code)]

mod coherent;
mod large;
mod pool;
mod streaming;
mod users;

use kernel::prelude::*;
use xen_core::device::Device;
use xen_core::dma_ops::{Attrs, Buffer, MapOps};
use xen_core::pages::{Gfp, Pages};
use xen_dma::{Bus, Direction};

/// The way to devices.
struct Swiotlb;

impl MapOps for Swiotlb {
    #[inline]
    fn map(device: Device<'_>, buffer: Buffer, direction: Direction, attrs: Attrs) -> Option<Bus> {
        streaming::map(device, buffer, direction, attrs)
    }

    #[inline]
    fn unmap(device: Device<'_>, at: Bus, size: u64, direction: Direction, attrs: Attrs) {
        streaming::unmap(device, at, size, direction, attrs);
    }

    fn sync_for_cpu(device: Device<'_>, at: Bus, size: u64, direction: Direction) {
        streaming::sync_for_cpu(device, at, size, direction);
    }

    fn sync_for_device(device: Device<'_>, at: Bus, size: u64, direction: Direction) {
        streaming::sync_for_device(device, at, size, direction);
    }

    fn alloc(device: Device<'_>, size: u64, gfp: Gfp) -> Option<(Pages, Bus)> {
        coherent::alloc(device, size, gfp)
    }

    fn free(device: Device<'_>, size: u64, pages: Pages, at: Bus) {
        coherent::free(device, size, pages, at);
    }

    fn is_supported(device: Device<'_>, mask: u64) -> bool {
        pool::is_in_reach(device, mask)
    }

    fn max_mapping_size(device: Device<'_>) -> u64 {
        xen_core::pool::most(device)
    }
}

xen_core::dma_map_ops! {
    /// What the kernel calls for every device without operations of its own.
    xen_swiotlb_dma_ops, Swiotlb
}

xen_core::pool_fixup! {
    /// Called once while the kernel boots, with the memory of its pool.
    xen_swiotlb_fixup, pool::exchange
}

module! {
    type: Module,
    name: "xen_swiotlb",
    authors: ["Paravane developers"],
    description: "DMA of Xen PV domains",
    license: "GPL",
}

/// What comes when the kernel has booted far enough: the view in debugfs.
struct Module {
    _files: users::Files,
}

impl kernel::Module for Module {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self {
            _files: users::Files::new()?,
        })
    }
}
