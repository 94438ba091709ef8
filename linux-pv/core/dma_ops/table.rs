// SPDX-License-Identifier: GPL-2.0

//! The table of C functions (`struct dma_map_ops`) of an implementation of [`MapOps`].

use core::{
    ffi::c_void,
    marker::PhantomData, //
};

use core_bindings as bindings;
use kernel::bindings as k;

use xen_dma::{
    BusAddr,
    PhysAddr, //
};

use crate::{
    device::Device,
    pages::{
        Gfp,
        Pages, //
    },
};

use super::{
    direction,
    scatterlist::SgEntries,
    Attrs,
    Buffer,
    MapOps, //
};

/// The table of an implementation.
pub struct OpsTable<T>(PhantomData<T>);

/// A `struct dma_map_ops` in a static.
#[repr(transparent)]
pub struct DmaMapOps(bindings::dma_map_ops);

// SAFETY: It is only read.
unsafe impl Sync for DmaMapOps {}

impl<T: MapOps> OpsTable<T> {
    /// The table.
    pub const OPS: DmaMapOps = DmaMapOps(bindings::dma_map_ops {
        alloc: Some(Self::alloc),
        free: Some(Self::free),
        alloc_pages_op: Some(bindings::dma_common_alloc_pages),
        free_pages: Some(bindings::dma_common_free_pages),
        mmap: Some(bindings::dma_common_mmap),
        get_sgtable: Some(bindings::dma_common_get_sgtable),
        map_phys: Some(Self::map_phys),
        unmap_phys: Some(Self::unmap_phys),
        map_sg: Some(Self::map_sg),
        unmap_sg: Some(Self::unmap_sg),
        sync_single_for_cpu: Some(Self::sync_single_for_cpu),
        sync_single_for_device: Some(Self::sync_single_for_device),
        sync_sg_for_cpu: Some(Self::sync_sg_for_cpu),
        sync_sg_for_device: Some(Self::sync_sg_for_device),
        cache_sync: None,
        dma_supported: Some(Self::dma_supported),
        get_required_mask: None,
        max_mapping_size: Some(Self::max_mapping_size),
        opt_mapping_size: None,
        get_merge_boundary: None,
    });

    /// `dma_map_ops::alloc`.
    ///
    /// # Safety
    ///
    /// To be called by the DMA layer, with the guarantees that the module [`dma_ops`](super) lists.
    unsafe extern "C" fn alloc(
        device: *mut k::device,
        size: usize,
        handle: *mut k::dma_addr_t,
        gfp: k::gfp_t,
        _attrs: usize,
    ) -> *mut c_void {
        // SAFETY: By the guarantees of the DMA layer the device is valid.
        let device = unsafe { Device::from_raw(device) };
        let Some((pages, bus)) = T::alloc(device, size as u64, Gfp(gfp)) else {
            return core::ptr::null_mut();
        };
        // SAFETY: The DMA layer passes a valid pointer for the address.
        unsafe { handle.write(bus.0) };
        pages.into_raw()
    }

    /// `dma_map_ops::free`.
    ///
    /// # Safety
    ///
    /// To be called by the DMA layer, with the guarantees that the module [`dma_ops`](super) lists.
    unsafe extern "C" fn free(
        device: *mut k::device,
        size: usize,
        start: *mut c_void,
        handle: k::dma_addr_t,
        _attrs: usize,
    ) {
        // SAFETY: By the guarantees of the DMA layer the device is valid, and the memory is from
        // `alloc` with the same size.
        let (device, pages) = unsafe {
            (
                Device::from_raw(device),
                Pages::from_raw(start, size as u64),
            )
        };
        if let Some(pages) = pages {
            T::free(device, size as u64, pages, BusAddr(handle));
        }
    }

    /// `dma_map_ops::map_phys`.
    ///
    /// # Safety
    ///
    /// To be called by the DMA layer, with the guarantees that the module [`dma_ops`](super) lists.
    unsafe extern "C" fn map_phys(
        device: *mut k::device,
        at: k::phys_addr_t,
        size: usize,
        dir: k::dma_data_direction,
        attrs: usize,
    ) -> k::dma_addr_t {
        // SAFETY: By the guarantees of the DMA layer the device is valid.
        let device = unsafe { Device::from_raw(device) };
        let buffer = Buffer {
            at: PhysAddr(at),
            size: size as u64,
        };
        T::map(device, buffer, direction(dir), Attrs(attrs))
            .unwrap_or(BusAddr::NONE)
            .0
    }

    /// `dma_map_ops::unmap_phys`.
    ///
    /// # Safety
    ///
    /// To be called by the DMA layer, with the guarantees that the module [`dma_ops`](super) lists.
    unsafe extern "C" fn unmap_phys(
        device: *mut k::device,
        at: k::dma_addr_t,
        size: usize,
        dir: k::dma_data_direction,
        attrs: usize,
    ) {
        // SAFETY: By the guarantees of the DMA layer the device is valid.
        let device = unsafe { Device::from_raw(device) };
        T::unmap(
            device,
            BusAddr(at),
            size as u64,
            direction(dir),
            Attrs(attrs),
        );
    }

    /// `dma_map_ops::map_sg`.
    ///
    /// # Safety
    ///
    /// To be called by the DMA layer, with the guarantees that the module [`dma_ops`](super) lists.
    unsafe extern "C" fn map_sg(
        device: *mut k::device,
        list: *mut k::scatterlist,
        count: i32,
        dir: k::dma_data_direction,
        attrs: usize,
    ) -> i32 {
        // SAFETY: By the guarantees of the DMA layer the device is valid, and the list has `count`
        // entries.
        let (device, entries) = unsafe { (Device::from_raw(device), SgEntries::new(list, count)) };
        let (dir, attrs) = (direction(dir), Attrs(attrs));
        for (done, entry) in entries.enumerate() {
            let buffer = entry.buffer();
            let size = buffer.size();
            match T::map(device, buffer, dir, attrs) {
                Some(at) => entry.set_mapping(at, size as u32),
                None => {
                    // SAFETY: The list has `count` entries, of which `done` are mapped.
                    for entry in unsafe { SgEntries::new(list, done as i32) } {
                        let (at, size) = entry.mapping();
                        T::unmap(device, at, size, dir, attrs.without_sync());
                    }
                    // SAFETY: A list has at least one entry.
                    for first in unsafe { SgEntries::new(list, 1) } {
                        first.set_mapping(BusAddr::NONE, 0);
                    }
                    return -(k::EIO as i32);
                }
            }
        }
        count
    }

    /// `dma_map_ops::unmap_sg`.
    ///
    /// # Safety
    ///
    /// To be called by the DMA layer, with the guarantees that the module [`dma_ops`](super) lists.
    unsafe extern "C" fn unmap_sg(
        device: *mut k::device,
        list: *mut k::scatterlist,
        count: i32,
        dir: k::dma_data_direction,
        attrs: usize,
    ) {
        // SAFETY: By the guarantees of the DMA layer the device is valid, and the list has `count`
        // entries.
        let (device, entries) = unsafe { (Device::from_raw(device), SgEntries::new(list, count)) };
        let dir = direction(dir);
        for entry in entries {
            let (at, size) = entry.mapping();
            T::unmap(device, at, size, dir, Attrs(attrs));
        }
    }

    /// `dma_map_ops::sync_single_for_cpu`.
    ///
    /// # Safety
    ///
    /// To be called by the DMA layer, with the guarantees that the module [`dma_ops`](super) lists.
    unsafe extern "C" fn sync_single_for_cpu(
        device: *mut k::device,
        at: k::dma_addr_t,
        size: usize,
        dir: k::dma_data_direction,
    ) {
        // SAFETY: By the guarantees of the DMA layer the device is valid.
        let device = unsafe { Device::from_raw(device) };
        T::sync_for_cpu(device, BusAddr(at), size as u64, direction(dir));
    }

    /// `dma_map_ops::sync_single_for_device`.
    ///
    /// # Safety
    ///
    /// To be called by the DMA layer, with the guarantees that the module [`dma_ops`](super) lists.
    unsafe extern "C" fn sync_single_for_device(
        device: *mut k::device,
        at: k::dma_addr_t,
        size: usize,
        dir: k::dma_data_direction,
    ) {
        // SAFETY: By the guarantees of the DMA layer the device is valid.
        let device = unsafe { Device::from_raw(device) };
        T::sync_for_device(device, BusAddr(at), size as u64, direction(dir));
    }

    /// `dma_map_ops::sync_sg_for_cpu`.
    ///
    /// # Safety
    ///
    /// To be called by the DMA layer, with the guarantees that the module [`dma_ops`](super) lists.
    unsafe extern "C" fn sync_sg_for_cpu(
        device: *mut k::device,
        list: *mut k::scatterlist,
        count: i32,
        dir: k::dma_data_direction,
    ) {
        // SAFETY: By the guarantees of the DMA layer the device is valid, and the list has `count`
        // entries.
        let (device, entries) = unsafe { (Device::from_raw(device), SgEntries::new(list, count)) };
        for entry in entries {
            T::sync_for_cpu(device, entry.mapping().0, entry.length(), direction(dir));
        }
    }

    /// `dma_map_ops::sync_sg_for_device`.
    ///
    /// # Safety
    ///
    /// To be called by the DMA layer, with the guarantees that the module [`dma_ops`](super) lists.
    unsafe extern "C" fn sync_sg_for_device(
        device: *mut k::device,
        list: *mut k::scatterlist,
        count: i32,
        dir: k::dma_data_direction,
    ) {
        // SAFETY: By the guarantees of the DMA layer the device is valid, and the list has `count`
        // entries.
        let (device, entries) = unsafe { (Device::from_raw(device), SgEntries::new(list, count)) };
        for entry in entries {
            T::sync_for_device(device, entry.mapping().0, entry.length(), direction(dir));
        }
    }

    /// `dma_map_ops::dma_supported`.
    ///
    /// # Safety
    ///
    /// To be called by the DMA layer, with the guarantees that the module [`dma_ops`](super) lists.
    unsafe extern "C" fn dma_supported(device: *mut k::device, mask: u64) -> i32 {
        // SAFETY: By the guarantees of the DMA layer the device is valid.
        let device = unsafe { Device::from_raw(device) };
        T::is_supported(device, mask).into()
    }

    /// `dma_map_ops::max_mapping_size`.
    ///
    /// # Safety
    ///
    /// To be called by the DMA layer, with the guarantees that the module [`dma_ops`](super) lists.
    unsafe extern "C" fn max_mapping_size(device: *mut k::device) -> usize {
        // SAFETY: By the guarantees of the DMA layer the device is valid.
        let device = unsafe { Device::from_raw(device) };
        T::max_mapping_size(device) as usize
    }
}
