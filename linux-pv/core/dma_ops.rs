// SPDX-License-Identifier: GPL-2.0

//! DMA operations of devices (`struct dma_map_ops`).
//!
//! An implementation of [`MapOps`] maps single buffers; scatterlists are walked here.
//! [`dma_map_ops!`](crate::dma_map_ops) makes the table of C functions.
//!
//! The DMA layer guarantees to the functions of the table:
//!
//! - The device is valid.
//! - A buffer is memory, or registers of another device, and stays so until the mapping ends.
//! - A mapping that is ended or synchronised was made before.
//! - A scatterlist has as many entries as passed.
//! - Coherent memory that is freed was allocated with the same size for the same device.

mod scatterlist;
mod table;

use kernel::{
    bindings as k,
    pr_err_once, //
};

use xen_dma::{
    BusAddr,
    Direction,
    PhysAddr, //
};

use crate::{
    device::Device,
    pages::{
        Gfp,
        Pages, //
    },
    series, //
};

pub use table::{
    DmaMapOps,
    OpsTable, //
};

/// Attributes of a mapping (`DMA_ATTR_*`).
#[derive(Clone, Copy)]
pub struct Attrs(pub(crate) usize);

impl Attrs {
    /// Whether the data is not synchronised when the mapping is made or ended.
    #[inline]
    pub fn skips_sync(self) -> bool {
        self.0 & k::DMA_ATTR_SKIP_CPU_SYNC as usize != 0
    }

    /// The same attributes without synchronisation.
    #[must_use]
    pub fn without_sync(self) -> Self {
        Self(self.0 | k::DMA_ATTR_SKIP_CPU_SYNC as usize)
    }

    /// Whether registers of another device are mapped instead of memory.
    #[inline]
    pub fn is_mmio(self) -> bool {
        self.0 & k::DMA_ATTR_MMIO as usize != 0
    }

    /// Whether failures are not to be logged.
    pub fn is_quiet(self) -> bool {
        self.0 & k::DMA_ATTR_NO_WARN as usize != 0
    }
}

/// A driver's buffer that is to be mapped: memory that stays valid until the mapping ends.
pub struct Buffer {
    at: PhysAddr,
    size: u64,
}

impl Buffer {
    /// The physical address.
    #[inline]
    pub fn at(&self) -> PhysAddr {
        self.at
    }

    /// The size in bytes.
    #[inline]
    pub fn size(&self) -> u64 {
        self.size
    }
}

/// DMA operations of a device. All but [`MapOps::alloc`] and [`MapOps::free`] may be called in any
/// context.
pub trait MapOps: 'static {
    /// Maps a buffer; returns the device's address, or none if that fails.
    fn map(
        device: Device<'_>,
        buffer: Buffer,
        direction: Direction,
        attrs: Attrs,
    ) -> Option<BusAddr>;

    /// Ends a mapping.
    fn unmap(device: Device<'_>, at: BusAddr, size: u64, direction: Direction, attrs: Attrs);

    /// Synchronises a mapping so that the driver sees what the device wrote.
    fn sync_for_cpu(device: Device<'_>, at: BusAddr, size: u64, direction: Direction);

    /// Synchronises a mapping so that the device sees what the driver wrote.
    fn sync_for_device(device: Device<'_>, at: BusAddr, size: u64, direction: Direction);

    /// Allocates zeroed coherent memory; returns it with the device's address. May sleep if `gfp`
    /// allows.
    fn alloc(device: Device<'_>, size: u64, gfp: Gfp) -> Option<(Pages, BusAddr)>;

    /// Frees coherent memory.
    fn free(device: Device<'_>, size: u64, pages: Pages, at: BusAddr);

    /// Whether devices with this DMA mask are supported.
    fn is_supported(device: Device<'_>, mask: u64) -> bool;

    /// The maximum size of a mapping for drivers that ask, in bytes.
    fn max_mapping_size(device: Device<'_>) -> u64;
}

/// The kernel's value of a direction.
#[inline]
pub(crate) fn raw(direction: Direction) -> k::dma_data_direction {
    match direction {
        Direction::Both => series::DMA_BIDIRECTIONAL,
        Direction::ToDevice => series::DMA_TO_DEVICE,
        Direction::FromDevice => series::DMA_FROM_DEVICE,
    }
}

/// The direction of a kernel's value. `DMA_NONE`, which is a driver's bug, is treated as both
/// directions, which is safe, and logged once.
#[inline]
fn direction(raw: k::dma_data_direction) -> Direction {
    match raw {
        series::DMA_TO_DEVICE => Direction::ToDevice,
        series::DMA_FROM_DEVICE => Direction::FromDevice,
        series::DMA_BIDIRECTIONAL => Direction::Both,
        _ => no_direction(),
    }
}

#[cold]
fn no_direction() -> Direction {
    pr_err_once!("a driver has mapped memory for no direction of DMA\n");
    Direction::Both
}

/// Defines the C constant with the operations of an implementation of [`MapOps`].
#[macro_export]
macro_rules! dma_map_ops {
    ($(#[$doc:meta])* $name:ident, $type:ty) => {
        $(#[$doc])*
        #[no_mangle]
        #[allow(non_upper_case_globals)]
        pub static $name: $crate::dma_ops::DmaMapOps = $crate::dma_ops::OpsTable::<$type>::OPS;
    };
}
