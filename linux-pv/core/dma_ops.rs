// SPDX-License-Identifier: GPL-2.0

//! Being the way of the kernel's DMA layer to devices (`struct dma_map_ops`).
//!
//! An implementation of [`MapOps`] says what happens to one buffer; lists of buffers are walked here. The table for the
//! kernel is made by [`dma_map_ops!`](crate::dma_map_ops).
//!
//! What the DMA layer promises to the functions of the table: the device is valid; a buffer is memory, or another device's
//! registers, that stays what it is until the mapping ends; what ends or synchronises a mapping names one that was made;
//! a list has as many entries as it says; coherent memory that is freed was allocated with that size, for that device.

use core::ffi::c_void;
use core::marker::PhantomData;
#[cfg(CONFIG_SPARSEMEM_VMEMMAP)]
use core::mem::size_of;

use core_bindings as bindings;
use kernel::bindings as kernel_bindings;
use kernel::pr_err_once;
use xen_dma::{Bus, Direction, Phys};

use crate::device::Device;
use crate::pages::{Early, Gfp, Pages};
use crate::series;

/// What a caller of the DMA layer asks for besides (`DMA_ATTR_…`).
#[derive(Clone, Copy)]
pub struct Attrs(pub(crate) usize);

impl Attrs {
    /// The data need not be brought up to date: the driver does so itself, or does not want it.
    #[inline]
    pub fn skips_sync(self) -> bool {
        self.0 & kernel_bindings::DMA_ATTR_SKIP_CPU_SYNC as usize != 0
    }

    /// The same without bringing the data up to date.
    #[must_use]
    pub fn without_sync(self) -> Self {
        Self(self.0 | kernel_bindings::DMA_ATTR_SKIP_CPU_SYNC as usize)
    }

    /// What is mapped is no memory but another device's registers.
    #[inline]
    pub fn is_mmio(self) -> bool {
        self.0 & kernel_bindings::DMA_ATTR_MMIO as usize != 0
    }

    /// Nobody wants to read about a failure.
    pub fn is_quiet(self) -> bool {
        self.0 & kernel_bindings::DMA_ATTR_NO_WARN as usize != 0
    }
}

/// A buffer that a driver has handed over for a mapping: memory that stays where it is until the mapping ends.
pub struct Buffer {
    at: Phys,
    size: u64,
}

impl Buffer {
    /// Where it is, in the domain's memory.
    #[inline]
    pub fn at(&self) -> Phys {
        self.at
    }

    /// Its size in bytes.
    #[inline]
    pub fn size(&self) -> u64 {
        self.size
    }
}

/// What happens to a device's buffers. All but [`MapOps::alloc`] and [`MapOps::free`] may be called in any context.
pub trait MapOps: 'static {
    /// Makes a buffer accessible to a device; returns where the device sees it, or none if that cannot be.
    fn map(device: Device<'_>, buffer: Buffer, direction: Direction, attrs: Attrs) -> Option<Bus>;

    /// Ends a mapping.
    fn unmap(device: Device<'_>, at: Bus, size: u64, direction: Direction, attrs: Attrs);

    /// Lets the driver see what the device wrote.
    fn sync_for_cpu(device: Device<'_>, at: Bus, size: u64, direction: Direction);

    /// Lets the device see what the driver wrote.
    fn sync_for_device(device: Device<'_>, at: Bus, size: u64, direction: Direction);

    /// Allocates zeroed memory that driver and device see at the same time, with where the device sees it. May sleep if
    /// `gfp` allows.
    fn alloc(device: Device<'_>, size: u64, gfp: Gfp) -> Option<(Pages, Bus)>;

    /// Takes such memory back.
    fn free(device: Device<'_>, size: u64, pages: Pages, at: Bus);

    /// Whether a device with this mask can be served at all.
    fn is_supported(device: Device<'_>, mask: u64) -> bool;

    /// The size of the largest mapping that a driver should make, in bytes.
    fn max_mapping_size(device: Device<'_>) -> u64;
}

/// The kernel's number for a direction.
#[inline]
pub(crate) fn raw(direction: Direction) -> kernel_bindings::dma_data_direction {
    match direction {
        Direction::Both => series::DMA_BIDIRECTIONAL,
        Direction::ToDevice => series::DMA_TO_DEVICE,
        Direction::FromDevice => series::DMA_FROM_DEVICE,
    }
}

/// The direction behind a number. A driver that maps for no direction has a bug; its buffer is taken as one that either side
/// writes, which is safe, and it is told once.
#[inline]
fn direction(raw: kernel_bindings::dma_data_direction) -> Direction {
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

/// The table of functions for one implementation.
pub struct Table<T>(PhantomData<T>);

/// A table as a constant that the kernel may read from everywhere.
#[repr(transparent)]
pub struct Ops(bindings::dma_map_ops);

// SAFETY: It is only ever read.
unsafe impl Sync for Ops {}

impl<T: MapOps> Table<T> {
    /// The table.
    pub const OPS: Ops = Ops(bindings::dma_map_ops {
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
    /// Only the DMA layer calls it, with what it promises there: see the module.
    unsafe extern "C" fn alloc(
        device: *mut kernel_bindings::device,
        size: usize,
        handle: *mut kernel_bindings::dma_addr_t,
        gfp: kernel_bindings::gfp_t,
        _attrs: usize,
    ) -> *mut c_void {
        // SAFETY: The kernel passes a valid device.
        let device = unsafe { Device::from_raw(device) };
        let Some((pages, bus)) = T::alloc(device, size as u64, Gfp(gfp)) else {
            return core::ptr::null_mut();
        };
        // SAFETY: The kernel passes where the address is to go.
        unsafe { handle.write(bus.0) };
        pages.into_raw()
    }

    /// `dma_map_ops::free`.
    ///
    /// # Safety
    ///
    /// Only the DMA layer calls it, with what it promises there: see the module.
    unsafe extern "C" fn free(
        device: *mut kernel_bindings::device,
        size: usize,
        start: *mut c_void,
        handle: kernel_bindings::dma_addr_t,
        _attrs: usize,
    ) {
        // SAFETY: The kernel passes a valid device, and memory that `alloc` returned for the same size.
        let (device, pages) = unsafe {
            (
                Device::from_raw(device),
                Pages::from_raw(start, size as u64),
            )
        };
        if let Some(pages) = pages {
            T::free(device, size as u64, pages, Bus(handle));
        }
    }

    /// `dma_map_ops::map_phys`.
    ///
    /// # Safety
    ///
    /// Only the DMA layer calls it, with what it promises there: see the module.
    unsafe extern "C" fn map_phys(
        device: *mut kernel_bindings::device,
        at: kernel_bindings::phys_addr_t,
        size: usize,
        dir: kernel_bindings::dma_data_direction,
        attrs: usize,
    ) -> kernel_bindings::dma_addr_t {
        // SAFETY: The kernel passes a valid device.
        let device = unsafe { Device::from_raw(device) };
        let buffer = Buffer {
            at: Phys(at),
            size: size as u64,
        };
        T::map(device, buffer, direction(dir), Attrs(attrs))
            .unwrap_or(Bus::NONE)
            .0
    }

    /// `dma_map_ops::unmap_phys`.
    ///
    /// # Safety
    ///
    /// Only the DMA layer calls it, with what it promises there: see the module.
    unsafe extern "C" fn unmap_phys(
        device: *mut kernel_bindings::device,
        at: kernel_bindings::dma_addr_t,
        size: usize,
        dir: kernel_bindings::dma_data_direction,
        attrs: usize,
    ) {
        // SAFETY: The kernel passes a valid device.
        let device = unsafe { Device::from_raw(device) };
        T::unmap(device, Bus(at), size as u64, direction(dir), Attrs(attrs));
    }

    /// `dma_map_ops::map_sg`.
    ///
    /// # Safety
    ///
    /// Only the DMA layer calls it, with what it promises there: see the module.
    unsafe extern "C" fn map_sg(
        device: *mut kernel_bindings::device,
        list: *mut kernel_bindings::scatterlist,
        count: i32,
        dir: kernel_bindings::dma_data_direction,
        attrs: usize,
    ) -> i32 {
        // SAFETY: The kernel passes a valid device and a list with so many entries.
        let (device, entries) = unsafe { (Device::from_raw(device), Entries::new(list, count)) };
        let (dir, attrs) = (direction(dir), Attrs(attrs));
        for (done, entry) in entries.enumerate() {
            let buffer = entry.buffer();
            let size = buffer.size();
            match T::map(device, buffer, dir, attrs) {
                Some(at) => entry.set_mapping(at, size as u32),
                None => {
                    // SAFETY: As above; that many are mapped.
                    for entry in unsafe { Entries::new(list, done as i32) } {
                        let (at, size) = entry.mapping();
                        T::unmap(device, at, size, dir, attrs.without_sync());
                    }
                    // SAFETY: A list has at least one entry.
                    for first in unsafe { Entries::new(list, 1) } {
                        first.set_mapping(Bus::NONE, 0);
                    }
                    return -(kernel_bindings::EIO as i32);
                }
            }
        }
        count
    }

    /// `dma_map_ops::unmap_sg`.
    ///
    /// # Safety
    ///
    /// Only the DMA layer calls it, with what it promises there: see the module.
    unsafe extern "C" fn unmap_sg(
        device: *mut kernel_bindings::device,
        list: *mut kernel_bindings::scatterlist,
        count: i32,
        dir: kernel_bindings::dma_data_direction,
        attrs: usize,
    ) {
        // SAFETY: The kernel passes a valid device and a list with so many entries.
        let (device, entries) = unsafe { (Device::from_raw(device), Entries::new(list, count)) };
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
    /// Only the DMA layer calls it, with what it promises there: see the module.
    unsafe extern "C" fn sync_single_for_cpu(
        device: *mut kernel_bindings::device,
        at: kernel_bindings::dma_addr_t,
        size: usize,
        dir: kernel_bindings::dma_data_direction,
    ) {
        // SAFETY: The kernel passes a valid device.
        let device = unsafe { Device::from_raw(device) };
        T::sync_for_cpu(device, Bus(at), size as u64, direction(dir));
    }

    /// `dma_map_ops::sync_single_for_device`.
    ///
    /// # Safety
    ///
    /// Only the DMA layer calls it, with what it promises there: see the module.
    unsafe extern "C" fn sync_single_for_device(
        device: *mut kernel_bindings::device,
        at: kernel_bindings::dma_addr_t,
        size: usize,
        dir: kernel_bindings::dma_data_direction,
    ) {
        // SAFETY: The kernel passes a valid device.
        let device = unsafe { Device::from_raw(device) };
        T::sync_for_device(device, Bus(at), size as u64, direction(dir));
    }

    /// `dma_map_ops::sync_sg_for_cpu`.
    ///
    /// # Safety
    ///
    /// Only the DMA layer calls it, with what it promises there: see the module.
    unsafe extern "C" fn sync_sg_for_cpu(
        device: *mut kernel_bindings::device,
        list: *mut kernel_bindings::scatterlist,
        count: i32,
        dir: kernel_bindings::dma_data_direction,
    ) {
        // SAFETY: The kernel passes a valid device and a list with so many entries.
        let (device, entries) = unsafe { (Device::from_raw(device), Entries::new(list, count)) };
        for entry in entries {
            T::sync_for_cpu(device, entry.mapping().0, entry.length(), direction(dir));
        }
    }

    /// `dma_map_ops::sync_sg_for_device`.
    ///
    /// # Safety
    ///
    /// Only the DMA layer calls it, with what it promises there: see the module.
    unsafe extern "C" fn sync_sg_for_device(
        device: *mut kernel_bindings::device,
        list: *mut kernel_bindings::scatterlist,
        count: i32,
        dir: kernel_bindings::dma_data_direction,
    ) {
        // SAFETY: The kernel passes a valid device and a list with so many entries.
        let (device, entries) = unsafe { (Device::from_raw(device), Entries::new(list, count)) };
        for entry in entries {
            T::sync_for_device(device, entry.mapping().0, entry.length(), direction(dir));
        }
    }

    /// `dma_map_ops::dma_supported`.
    ///
    /// # Safety
    ///
    /// Only the DMA layer calls it, with what it promises there: see the module.
    unsafe extern "C" fn dma_supported(device: *mut kernel_bindings::device, mask: u64) -> i32 {
        // SAFETY: The kernel passes a valid device.
        let device = unsafe { Device::from_raw(device) };
        T::is_supported(device, mask).into()
    }

    /// `dma_map_ops::max_mapping_size`.
    ///
    /// # Safety
    ///
    /// Only the DMA layer calls it, with what it promises there: see the module.
    unsafe extern "C" fn max_mapping_size(device: *mut kernel_bindings::device) -> usize {
        // SAFETY: The kernel passes a valid device.
        let device = unsafe { Device::from_raw(device) };
        T::max_mapping_size(device) as usize
    }
}

/// The first entries of a scatterlist.
struct Entries {
    next: *mut kernel_bindings::scatterlist,
    left: i32,
}

impl Entries {
    /// # Safety
    ///
    /// `list` has at least `count` entries, which nobody else changes while this value lives.
    #[inline]
    unsafe fn new(list: *mut kernel_bindings::scatterlist, count: i32) -> Self {
        Self {
            next: list,
            left: count,
        }
    }
}

impl Iterator for Entries {
    type Item = Entry;

    #[inline]
    fn next(&mut self) -> Option<Entry> {
        if self.left <= 0 || self.next.is_null() {
            return None;
        }
        let entry = Entry(self.next);
        self.left -= 1;
        if self.left > 0 {
            // SAFETY: The entry is valid by the promise to `new`; after the last one comes null.
            self.next = unsafe { kernel_bindings::sg_next(self.next) };
        }
        Some(entry)
    }
}

/// An entry of a scatterlist, valid by the promise to `Entries::new`.
struct Entry(*mut kernel_bindings::scatterlist);

impl Entry {
    #[inline]
    fn buffer(&self) -> Buffer {
        Buffer {
            at: self.at(),
            size: self.length(),
        }
    }

    /// Where its buffer is. What the C macro is, in the memory model that distributions have: the kernel's array of pages
    /// begins at `vmemmap_base`, and the low two bits of a link are marks (`SG_PAGE_LINK_MASK`).
    #[cfg(CONFIG_SPARSEMEM_VMEMMAP)]
    #[inline]
    fn at(&self) -> Phys {
        // SAFETY: The entry is valid; the array's place is written while the kernel boots.
        let (link, offset, base) = unsafe {
            (
                (*self.0).page_link as u64,
                (*self.0).offset,
                core::ptr::addr_of!(kernel_bindings::vmemmap_base).read() as u64,
            )
        };
        let pfn = (link & !3).wrapping_sub(base) / size_of::<kernel_bindings::page>() as u64;
        Phys((pfn << xen_dma::PAGE_SHIFT).wrapping_add(offset.into()))
    }

    /// Where its buffer is.
    #[cfg(not(CONFIG_SPARSEMEM_VMEMMAP))]
    #[inline]
    fn at(&self) -> Phys {
        // SAFETY: The entry is valid.
        Phys(unsafe { bindings::xen_core_sg_phys(self.0) })
    }

    /// The size of its buffer in bytes.
    #[inline]
    fn length(&self) -> u64 {
        // SAFETY: The entry is valid.
        unsafe { (*self.0).length }.into()
    }

    /// Where the device sees it, and its size there.
    #[inline]
    fn mapping(&self) -> (Bus, u64) {
        // SAFETY: The entry is valid.
        let at = Bus(unsafe { (*self.0).dma_address });
        #[cfg(CONFIG_NEED_SG_DMA_LENGTH)]
        // SAFETY: The entry is valid.
        let size = unsafe { (*self.0).dma_length }.into();
        #[cfg(not(CONFIG_NEED_SG_DMA_LENGTH))]
        let size = self.length();
        (at, size)
    }

    #[inline]
    fn set_mapping(&self, at: Bus, size: u32) {
        // SAFETY: The entry is valid.
        unsafe { (*self.0).dma_address = at.0 };
        #[cfg(CONFIG_NEED_SG_DMA_LENGTH)]
        // SAFETY: The entry is valid.
        unsafe {
            (*self.0).dma_length = size
        };
        #[cfg(not(CONFIG_NEED_SG_DMA_LENGTH))]
        let _ = size;
    }
}

/// Prepares the kernel's pool of bounce buffers while the kernel boots; called through [`pool_fixup!`](crate::pool_fixup).
///
/// # Safety
///
/// `start` is `slots` slots of the pool, in which nothing is yet.
pub unsafe fn early(start: *mut c_void, slots: usize) -> Early {
    let bytes = (slots as u64) << bindings::IO_TLB_SHIFT;
    // SAFETY: The caller's promise.
    unsafe { Early::new(start, bytes, crate::pool::PIECE) }
}

/// Gives an implementation of [`MapOps`] to the kernel, under the name of a C constant.
#[macro_export]
macro_rules! dma_map_ops {
    ($(#[$doc:meta])* $name:ident, $type:ty) => {
        $(#[$doc])*
        #[no_mangle]
        #[allow(non_upper_case_globals)]
        pub static $name: $crate::dma_ops::Ops = $crate::dma_ops::Table::<$type>::OPS;
    };
}

/// Gives a function that exchanges the pool's memory to the kernel, under the name of a C function: from
/// `fn(Early) -> Result<(), i32>`.
#[macro_export]
macro_rules! pool_fixup {
    ($(#[$doc:meta])* $name:ident, $function:path) => {
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// `start` is `slots` slots of the kernel's pool of bounce buffers, in which nothing is yet.
        #[no_mangle]
        pub unsafe extern "C" fn $name(start: *mut ::core::ffi::c_void, slots: usize) -> i32 {
            // SAFETY: The kernel's promise, which is the caller's.
            match $function(unsafe { $crate::dma_ops::early(start, slots) }) {
                Ok(()) => 0,
                Err(error) => error,
            }
        }
    };
}
