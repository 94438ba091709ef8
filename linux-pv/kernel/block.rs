// SPDX-License-Identifier: GPL-2.0

//! Multi-queue block devices (blk-mq), a complete and safe abstraction.
//!
//! The kernel's own `kernel::block::mq` can serve a ramdisk, but tells a driver neither operation nor
//! sector, segments or flags of a request, and knows neither queue limits, error status nor
//! per-hardware-queue data. This module is a complete abstraction, kept free of driver policy so that
//! it can be proposed upstream.
//!
//! A driver implements [`Operations`], makes a [`TagSet`], builds a [`Disk`] on it and adds that:
//!
//! - A request arrives as an [`IdleRequest`]. The driver either refuses it, which hands it back to
//!   the block layer, or [starts](IdleRequest::start) it and owns it as an [`OwnedRequest`].
//! - An [`OwnedRequest`] is a value: it can be stored in a table, moved into a list, requeued, or
//!   completed, and the compiler sees to it that it is completed no more than once. One that is
//!   dropped fails with an I/O error, so none is ever lost.
//! - [`Disk`] removes itself when dropped, which waits until every request came back.
//!
//! C headers: `include/linux/blk-mq.h`, `include/linux/blkdev.h`.

mod batch;
mod disk;
mod fops;
mod limits;
mod major;
mod operations;
mod request;
mod segments;
mod status;
mod tag_set;

pub use self::batch::{CompletionBatch, RequestList};
pub use self::disk::{Disk, DiskBuilder, RequestQueue};
pub use self::fops::{
    DiskOperations, Geometry, CDROM_GET_CAPABILITY, CDROM_MULTISESSION, CDROM_MULTISESSION_SIZE,
};
pub use self::limits::{Feature, Features, QueueLimits};
pub use self::major::{Major, MinorRange};
pub use self::operations::{Operations, QueueResult};
pub use self::request::{IdleRequest, Op, OwnedRequest, Progress, Refused, Request};
pub use self::segments::{Segment, Segments};
pub use self::status::BlkStatus;
pub use self::tag_set::{TagSet, TagSetOptions};

/// Bytes of a sector, the block layer's unit of addresses and capacities whatever the device's own
/// block size is.
pub const SECTOR_SIZE: u32 = kernel::bindings::SECTOR_SIZE;

/// Binary logarithm of [`SECTOR_SIZE`].
pub const SECTOR_SHIFT: u32 = kernel::bindings::SECTOR_SHIFT;

/// How many hardware queues make sense on this machine: one a CPU, `most` at most.
pub fn online_queues(most: u32) -> u32 {
    // SAFETY: Only counts CPUs.
    unsafe { kernel::bindings::blk_mq_num_online_queues(most) }
}

/// To be called before anything else of this module.
///
/// # Safety
///
/// Called once, before [`MinorRange`] is used.
pub unsafe fn init() {
    // SAFETY: By the requirement of this function.
    unsafe { major::init() };
}
