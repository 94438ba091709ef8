// SPDX-License-Identifier: GPL-2.0

//! What processes can ask of the disk itself: its geometry, and whether it is a CD-ROM.

use kernel::{
    prelude::*,
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};
use kernel_ext::block::{
    DiskOperations,
    Geometry,
    CDROM_GET_CAPABILITY,
    CDROM_MULTISESSION,
    CDROM_MULTISESSION_SIZE, //
};

use crate::queue::Blk;

/// The driver's data of a disk, to its block device.
pub(crate) struct Opened {
    pub(crate) cdrom: bool,
}

kernel_ext::in_module!(Blk);

#[vtable]
impl DiskOperations for Blk {
    type DiskData = KBox<Opened>;

    /// There is no real geometry, but what is returned is consistent with the size.
    fn geometry(_opened: &Opened, capacity: u64) -> Result<Geometry> {
        const HEADS: u64 = 255;
        const SECTORS: u64 = 63;
        let cylinders = capacity / (HEADS * SECTORS);
        Ok(Geometry {
            heads: HEADS as u8,
            sectors: SECTORS as u8,
            cylinders: u16::try_from(cylinders).unwrap_or(u16::MAX),
        })
    }

    fn ioctl(opened: &Opened, cmd: u32, arg: usize) -> Result<i32> {
        match cmd {
            CDROM_MULTISESSION => {
                let mut user =
                    UserSlice::new(UserPtr::from_addr(arg), CDROM_MULTISESSION_SIZE).writer();
                user.write_slice(&[0; CDROM_MULTISESSION_SIZE])?;
                Ok(0)
            }
            CDROM_GET_CAPABILITY if opened.cdrom => Ok(0),
            _ => Err(EINVAL),
        }
    }
}
