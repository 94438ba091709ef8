// SPDX-License-Identifier: GPL-2.0

//! What a disk does besides I/O (`struct block_device_operations`).

use core::marker::PhantomData;

use kernel::{
    bindings as k, error::from_result, ffi::c_int, ffi::c_uint, ffi::c_ulong, prelude::*,
    types::ForeignOwnable,
};
use xen_bindings as b;

use crate::module::InModule;

/// `ioctl` command: where the last session of a multi-session CD begins.
pub const CDROM_MULTISESSION: u32 = b::XEN_RS_CDROMMULTISESSION;

/// Bytes of the structure that [`CDROM_MULTISESSION`] fills in.
pub const CDROM_MULTISESSION_SIZE: usize = b::XEN_RS_CDROM_MULTISESSION_SIZE as usize;

/// `ioctl` command: what a CD-ROM drive can do.
pub const CDROM_GET_CAPABILITY: u32 = b::XEN_RS_CDROM_GET_CAPABILITY;

/// The geometry of a disk that has none, for programs that ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Geometry {
    /// Heads.
    pub heads: u8,
    /// Sectors a track.
    pub sectors: u8,
    /// Cylinders.
    pub cylinders: u16,
}

/// A driver's side of opened disks. Its module cannot be unloaded while a disk is open.
#[vtable]
pub trait DiskOperations: InModule + Sized + 'static {
    /// Data of the disk. It lives until the last opener is gone, which may be long after the disk was
    /// removed.
    type DiskData: ForeignOwnable + Send + Sync + 'static;

    /// The geometry to report for a disk of `capacity` sectors.
    fn geometry(
        _data: <Self::DiskData as ForeignOwnable>::Borrowed<'_>,
        _capacity: u64,
    ) -> Result<Geometry> {
        build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }

    /// An `ioctl` that the block layer does not handle itself. `arg` is what user space passed: a
    /// number, or an address in user space.
    fn ioctl(
        _data: <Self::DiskData as ForeignOwnable>::Borrowed<'_>,
        _cmd: u32,
        _arg: usize,
    ) -> Result<i32> {
        build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }
}

/// The C callbacks of a driver.
pub(super) struct DiskVTable<T: DiskOperations>(PhantomData<T>);

impl<T: DiskOperations> DiskVTable<T> {
    pub(super) const VTABLE: k::block_device_operations = k::block_device_operations {
        ioctl: if T::HAS_IOCTL {
            Some(Self::ioctl)
        } else {
            None
        },
        #[cfg(CONFIG_COMPAT)]
        compat_ioctl: if T::HAS_IOCTL {
            Some(k::blkdev_compat_ptr_ioctl)
        } else {
            None
        },
        getgeo: if T::HAS_GEOMETRY {
            Some(Self::getgeo)
        } else {
            None
        },
        free_disk: Some(Self::free_disk),
        owner: T::MODULE,
        // Some fields exist only in kernels of certain configurations.
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// To be called by the block layer only, for a disk of `T`.
    unsafe extern "C" fn ioctl(
        bdev: *mut k::block_device,
        _mode: k::blk_mode_t,
        cmd: c_uint,
        arg: c_ulong,
    ) -> c_int {
        // SAFETY: The block layer passes an open device, whose disk lives.
        let data = unsafe { (*(*bdev).bd_disk).private_data };
        // SAFETY: `DiskBuilder` stored the data there, and `free_disk` was not called yet.
        let data = unsafe { T::DiskData::borrow(data) };
        from_result(|| T::ioctl(data, cmd, arg))
    }

    /// # Safety
    ///
    /// As for `ioctl`.
    unsafe extern "C" fn getgeo(disk: *mut k::gendisk, geometry: *mut k::hd_geometry) -> c_int {
        // SAFETY: The block layer passes a live disk.
        let (data, capacity) = unsafe { ((*disk).private_data, (*(*disk).part0).bd_nr_sectors) };
        // SAFETY: `DiskBuilder` stored the data there, and `free_disk` was not called yet.
        let data = unsafe { T::DiskData::borrow(data) };
        from_result(|| {
            let result = T::geometry(data, capacity)?;
            let geometry = geometry.cast::<b::hd_geometry>();
            // SAFETY: The block layer passes a structure to fill in; `start` is set already.
            unsafe {
                (*geometry).heads = result.heads;
                (*geometry).sectors = result.sectors;
                (*geometry).cylinders = result.cylinders;
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// As for `ioctl`; called once.
    unsafe extern "C" fn free_disk(disk: *mut k::gendisk) {
        // SAFETY: `DiskBuilder` stored the data there, and nobody can use the disk any more.
        drop(unsafe { T::DiskData::from_foreign((*disk).private_data) });
    }
}
