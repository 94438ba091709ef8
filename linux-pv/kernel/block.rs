// SPDX-License-Identifier: GPL-2.0

//! Multi-queue block devices (blk-mq).
//!
//! The kernel's own `kernel::block::mq` gives a driver no segments of a request, no data of a
//! hardware queue and no completion in batches, and few of the queue limits. This module is an
//! abstraction of all that, without driver policy.
//!
//! A driver implements [`Operations`], makes a [`TagSet`], builds a [`Disk`] on it and adds the
//! disk:
//!
//! - A request arrives as an [`IdleRequest`]. The driver either refuses it, which returns it to the
//!   block layer, or [starts](IdleRequest::start) it and owns it as an [`OwnedRequest`].
//! - An [`OwnedRequest`] is a value: it can be stored in a table, moved into a list, requeued, or
//!   completed, and it is completed at most once. A request that is dropped fails with an I/O
//!   error, so none is lost.
//! - A [`Disk`] is removed when it is dropped, which waits for all its requests.
//!
//! C headers: `include/linux/blk-mq.h`, `include/linux/blkdev.h`.

mod batch;
mod bios;
mod disk;
mod fops;
mod limits;
mod major;
mod operations;
mod request;
mod segments;
mod status;
mod tag_set;

pub use self::batch::{
    CompletionBatch,
    RequestList, //
};
pub use self::bios::Bios;
pub use self::disk::{
    Disk,
    DiskBuilder,
    RequestQueue, //
};
pub use self::fops::{
    DiskOperations,
    Geometry,
    CDROM_GET_CAPABILITY,
    CDROM_MULTISESSION,
    CDROM_MULTISESSION_SIZE, //
};
pub use self::limits::{
    Feature,
    Features,
    QueueLimits, //
};
pub use self::major::{
    Major,
    MinorRange, //
};
pub use self::operations::{
    Operations,
    QueueResult, //
};
pub use self::request::{
    IdleRequest,
    Op,
    OwnedRequest,
    Progress,
    Refused,
    Request, //
};
pub use self::segments::{
    Segment,
    Segments, //
};
pub use self::status::BlkStatus;
pub use self::tag_set::{
    TagSet,
    TagSetOptions, //
};

/// Bytes of a sector, the block layer's unit of addresses and capacities.
pub const SECTOR_SIZE: u32 = kernel::bindings::SECTOR_SIZE;

/// Binary logarithm of [`SECTOR_SIZE`].
pub const SECTOR_SHIFT: u32 = kernel::bindings::SECTOR_SHIFT;

/// The number of hardware queues for this machine: one for each CPU, but at most `max`.
pub fn online_queues(max: u32) -> u32 {
    // SAFETY: Only counts CPUs.
    unsafe { kernel::bindings::blk_mq_num_online_queues(max) }
}

/// Initialises the module.
///
/// # Safety
///
/// To be called once, before [`MinorRange`] is used.
pub unsafe fn init() {
    // SAFETY: By the requirement of this function.
    unsafe { major::init() };
}
