// SPDX-License-Identifier: GPL-2.0

//! Operations of a disk other than I/O (`struct block_device_operations`).

use core::marker::PhantomData;

use kernel::{
    bindings as k,
    error::from_result,
    ffi::{
        c_int,
        c_uint,
        c_ulong, //
    },
    prelude::*,
    types::ForeignOwnable, //
};

use xen_bindings as b;

use crate::module::InModule;

/// `ioctl` command: the start of the last session of a multi-session CD.
pub const CDROM_MULTISESSION: u32 = b::XEN_RS_CDROMMULTISESSION;

/// Size in bytes of the structure that [`CDROM_MULTISESSION`] fills in.
pub const CDROM_MULTISESSION_SIZE: usize = b::XEN_RS_CDROM_MULTISESSION_SIZE as usize;

/// `ioctl` command: the capabilities of a CD-ROM drive.
pub const CDROM_GET_CAPABILITY: u32 = b::XEN_RS_CDROM_GET_CAPABILITY;

/// The geometry of a disk, for `HDIO_GETGEO`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Geometry {
    /// Number of heads.
    pub heads: u8,
    /// Sectors of a track.
    pub sectors: u8,
    /// Number of cylinders.
    pub cylinders: u16,
}

/// Operations of an opened disk. The driver's module cannot be unloaded while a disk is open.
#[vtable]
pub trait DiskOperations: InModule + Sized + 'static {
    /// Data of the disk. It lives until the disk is closed, which may be after it was removed.
    type DiskData: ForeignOwnable + Send + Sync + 'static;

    /// The geometry of a disk of `capacity` sectors.
    fn geometry(
        _data: <Self::DiskData as ForeignOwnable>::Borrowed<'_>,
        _capacity: u64,
    ) -> Result<Geometry> {
        build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }

    /// An `ioctl` that the block layer does not handle. `arg` is a number or an address in user
    /// space.
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
    /// To be called by the block layer only, for a disk of `T`.
    unsafe extern "C" fn getgeo(disk: *mut k::gendisk, geometry: *mut k::hd_geometry) -> c_int {
        // SAFETY: The block layer passes a live disk.
        let (data, capacity) = unsafe { ((*disk).private_data, (*(*disk).part0).bd_nr_sectors) };
        // SAFETY: `DiskBuilder` stored the data there, and `free_disk` was not called yet.
        let data = unsafe { T::DiskData::borrow(data) };
        from_result(|| {
            let result = T::geometry(data, capacity)?;
            let geometry = geometry.cast::<b::hd_geometry>();
            // SAFETY: The block layer passes a valid structure, of which `start` is set already.
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
    /// To be called by the block layer only, once for a disk of `T`.
    unsafe extern "C" fn free_disk(disk: *mut k::gendisk) {
        // SAFETY: `DiskBuilder` stored the data there, and the disk is not used any more.
        drop(unsafe { T::DiskData::from_foreign((*disk).private_data) });
    }
}
