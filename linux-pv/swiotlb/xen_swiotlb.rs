// SPDX-License-Identifier: GPL-2.0

//! DMA of devices that a PV domain drives itself, in place of `drivers/xen/swiotlb-xen.c`.
//!
//! A device usually accesses a buffer directly, which costs a lookup for each page. A buffer that
//! the device cannot address, or that is not contiguous in the machine, is bounced through the
//! kernel's pool, whose memory is exchanged for low and contiguous memory at boot ([`pool`]). If it
//! is larger than any buffer of the pool, it is bounced through pages of its own ([`large`]); the C
//! object fails there.
//!
//! [`streaming`] has the mappings of drivers' buffers, [`coherent`] coherent memory, [`stats`] the
//! file in debugfs. This is policy without unsafe code: the mechanism is in crate `xen_core`, the
//! arithmetic in `xen_dma`.
//!
//! Only for x86, where DMA is coherent with the caches.

#![forbid(unsafe_code)]

mod coherent;
mod large;
mod pool;
mod stats;
mod streaming;

use kernel::prelude::*;

use xen_core::{
    device::Device,
    dma_ops::{
        Attrs,
        Buffer,
        MapOps, //
    },
    pages::{
        Gfp,
        Pages, //
    },
};

use xen_dma::{
    BusAddr,
    Direction, //
};

/// The DMA operations.
struct Swiotlb;

impl MapOps for Swiotlb {
    #[inline]
    fn map(
        device: Device<'_>,
        buffer: Buffer,
        direction: Direction,
        attrs: Attrs,
    ) -> Option<BusAddr> {
        streaming::map(device, buffer, direction, attrs)
    }

    #[inline]
    fn unmap(device: Device<'_>, at: BusAddr, size: u64, direction: Direction, attrs: Attrs) {
        streaming::unmap(device, at, size, direction, attrs);
    }

    fn sync_for_cpu(device: Device<'_>, at: BusAddr, size: u64, direction: Direction) {
        streaming::sync_for_cpu(device, at, size, direction);
    }

    fn sync_for_device(device: Device<'_>, at: BusAddr, size: u64, direction: Direction) {
        streaming::sync_for_device(device, at, size, direction);
    }

    fn alloc(device: Device<'_>, size: u64, gfp: Gfp) -> Option<(Pages, BusAddr)> {
        coherent::alloc(device, size, gfp)
    }

    fn free(device: Device<'_>, size: u64, pages: Pages, at: BusAddr) {
        coherent::free(device, size, pages, at);
    }

    fn is_supported(device: Device<'_>, mask: u64) -> bool {
        pool::is_in_reach(device, mask)
    }

    fn max_mapping_size(device: Device<'_>) -> u64 {
        xen_core::pool::max_size(device)
    }
}

xen_core::dma_map_ops! {
    /// The operations of all devices without operations of their own.
    xen_swiotlb_dma_ops, Swiotlb
}

xen_core::pool_fixup! {
    /// Called once at boot, with the memory of the pool.
    xen_swiotlb_fixup, pool::exchange
}

module! {
    type: Module,
    name: "xen_swiotlb",
    authors: ["Paravane developers"],
    description: "DMA of Xen PV domains",
    license: "GPL",
}

/// Initialised when there is debugfs.
struct Module {
    _file: stats::DebugFile,
}

impl kernel::Module for Module {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self {
            _file: stats::DebugFile::new()?,
        })
    }
}
