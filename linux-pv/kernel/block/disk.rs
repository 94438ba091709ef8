// SPDX-License-Identifier: GPL-2.0

//! Disks and their request queues.

use core::{marker::PhantomData, ptr};

use kernel::{
    bindings as k,
    device::Device,
    error::{from_err_ptr, to_result},
    fmt::{self, Write},
    prelude::*,
    str::NullTerminatedFormatter,
    sync::atomic::{Acquire, Atomic, AtomicFlag, AtomicType, Full, Release},
    sync::Arc,
    types::{ForeignOwnable, Opaque, ScopeGuard},
};

use super::{
    fops::{DiskOperations, DiskVTable},
    limits::QueueLimits,
    operations::Operations,
    tag_set::TagSet,
};

/// A request queue (`struct request_queue`), borrowed from a disk or a request.
#[repr(transparent)]
pub struct RequestQueue(Opaque<k::request_queue>);

// SAFETY: The functions below do their own locking.
unsafe impl Send for RequestQueue {}

// SAFETY: See above.
unsafe impl Sync for RequestQueue {}

impl RequestQueue {
    /// # Safety
    ///
    /// `queue` must be live for the lifetime `'a`.
    #[inline]
    pub(super) unsafe fn from_raw<'a>(queue: *mut k::request_queue) -> &'a Self {
        // SAFETY: `Self` is a transparent wrapper; the rest is promised by the caller.
        unsafe { &*queue.cast() }
    }

    /// Makes the block layer submit requeued requests again. Any context.
    pub fn kick_requeue_list(&self) {
        // SAFETY: The queue is live.
        unsafe { k::blk_mq_kick_requeue_list(self.0.get()) };
    }

    /// Stops offering discards, when the device turns out not to do them. Any context.
    pub fn disable_discard(&self) {
        // SAFETY: The queue is live. The block layer reads and writes this field without a lock, as
        // blk_queue_disable_discard() does.
        unsafe { (&raw mut (*self.0.get()).limits.max_discard_sectors).write_volatile(0) };
    }

    /// Stops offering secure erases, as [`Self::disable_discard`].
    pub fn disable_secure_erase(&self) {
        // SAFETY: As in `disable_discard`.
        unsafe { (&raw mut (*self.0.get()).limits.max_secure_erase_sectors).write_volatile(0) };
    }

    /// Changes the limits of a queue in use. Requests that were built before are not split again: the
    /// driver must cope with those that exceed the new limits. May sleep.
    pub fn update_limits(&self, limits: &QueueLimits) -> Result {
        let queue = self.0.get();
        // SAFETY: The queue is live. These two statements are queue_limits_start_update().
        let mut raw = unsafe {
            k::mutex_lock(&raw mut (*queue).limits_lock);
            (*queue).limits
        };
        limits.apply(&mut raw);
        // SAFETY: The lock is quiesced, and the function releases it.
        to_result(unsafe { k::queue_limits_commit_update(queue, &mut raw) })
    }
}

/// Describes a disk to be made.
pub struct DiskBuilder<'a> {
    /// Its device numbers: major, first minor, and how many minors there are. With more than one minor,
    /// these are its partitions'; further partitions get numbers of the block layer's choice.
    pub numbers: (u32, u32, u32),
    /// Its name below `/dev`.
    pub name: fmt::Arguments<'a>,
    /// Its size in sectors of 512 bytes.
    pub capacity: u64,
    /// What its queue can do.
    pub limits: QueueLimits,
    /// Whether it can only be read.
    pub read_only: bool,
    /// Whether its medium can be changed.
    pub removable: bool,
}

/// Whether a [`Disk`] is visible to others.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
enum DiskState {
    /// It was made, and not added.
    New,
    /// It is being added.
    Adding,
    /// It was added.
    Added,
}

// SAFETY: The enumeration has the size and alignment of an `i32`, and is round-trip transmutable to it.
unsafe impl AtomicType for DiskState {
    type Repr = i32;
}

/// A disk (`struct gendisk`) that is not yet, or no longer, visible to anybody else: see
/// [`Self::add`]. When dropped it is removed, which waits until its requests came back.
///
/// # Invariants
///
/// `disk` is live, its operations are those of `T` and `D`, its `private_data` is a `D::DiskData`.
pub struct Disk<T: Operations, D: DiskOperations> {
    disk: *mut k::gendisk,
    state: Atomic<DiskState>,
    quiesced: AtomicFlag,
    tag_set: Arc<TagSet<T>>,
    _data: PhantomData<D>,
}

// SAFETY: A disk may be used and dropped by any task.
unsafe impl<T: Operations, D: DiskOperations> Send for Disk<T, D> {}

// SAFETY: What `&Disk` allows does its own locking.
unsafe impl<T: Operations, D: DiskOperations> Sync for Disk<T, D> {}

impl DiskBuilder<'_> {
    /// Makes a disk on `tag_set`. Its driver may get requests from now on, but there is nobody to
    /// send any before [`Disk::add`].
    pub fn build<T: Operations, D: DiskOperations>(
        self,
        tag_set: Arc<TagSet<T>>,
        data: D::DiskData,
    ) -> Result<Disk<T, D>> {
        let mut limits: k::queue_limits = pin_init::zeroed();
        self.limits.apply(&mut limits);
        // SAFETY: The tag set is initialised, and the disk keeps a reference to it.
        let disk = from_err_ptr(unsafe {
            k::__blk_mq_alloc_disk(
                tag_set.raw(),
                &mut limits,
                ptr::null_mut(),
                kernel::static_lock_class!().as_ptr(),
            )
        })?;
        let guard = ScopeGuard::new_with_data(disk, |disk| {
            // SAFETY: The disk was not added; this is the only reference.
            unsafe { k::put_disk(disk) };
        });

        // SAFETY: Nobody else uses the disk yet.
        let raw = unsafe { &mut *disk };
        let mut writer = NullTerminatedFormatter::new(&mut raw.disk_name).ok_or(EINVAL)?;
        writer.write_fmt(self.name)?;
        let (major, first_minor, minors) = self.numbers;
        raw.major = i32::try_from(major)?;
        raw.first_minor = i32::try_from(first_minor)?;
        raw.minors = i32::try_from(minors)?;
        raw.fops = &DiskVTable::<D>::VTABLE;
        if self.removable {
            raw.flags |= k::GENHD_FL_REMOVABLE as i32;
        }
        raw.private_data = data.into_foreign();
        guard.dismiss();
        // INVARIANT: All of it was set just now.
        let disk = Disk {
            disk,
            state: Atomic::new(DiskState::New),
            quiesced: AtomicFlag::new(false),
            tag_set,
            _data: PhantomData,
        };
        disk.set_read_only(self.read_only);
        // SAFETY: The disk is live.
        unsafe { k::set_capacity(disk.disk, self.capacity) };
        Ok(disk)
    }
}

impl<T: Operations, D: DiskOperations> Disk<T, D> {
    /// Makes the disk visible below `parent`, and reads its partition table: this sleeps until the
    /// driver has completed the requests for that, with or without success.
    ///
    /// # Errors
    ///
    /// [`EBUSY`] if it was added before; else what the block layer says, and the disk is of no use then.
    pub fn add(&self, parent: &Device) -> Result {
        let swapped = self.state.cmpxchg(DiskState::New, DiskState::Adding, Full);
        swapped.map_err(|_| EBUSY)?;
        let parent = ptr::from_ref(parent).cast_mut().cast::<k::device>();
        // SAFETY: Both are live; `Device` is a transparent wrapper of `struct device`.
        let result = to_result(unsafe { k::device_add_disk(parent, self.disk, ptr::null_mut()) });
        let state = if result.is_ok() {
            DiskState::Added
        } else {
            DiskState::New
        };
        self.state.store(state, Release);
        result
    }

    /// Whether the disk was added.
    pub fn is_added(&self) -> bool {
        self.state.load(Acquire) == DiskState::Added
    }

    /// Keeps requests from the driver until [`Self::unquiesce`]. Waits
    /// until no call of `queue_rq` is running; requests that were taken before stay in flight. Doing it twice has no further effect. May sleep.
    pub fn quiesce(&self) {
        if !self.quiesced.xchg(true, Full) {
            // SAFETY: The disk and its queue are live.
            unsafe { k::blk_mq_quiesce_queue((*self.disk).queue) };
        }
    }

    /// Ends what [`Self::quiesce`] began, if it did.
    pub fn unquiesce(&self) {
        if self.quiesced.xchg(false, Full) {
            // SAFETY: The disk and its queue are live; it was quiesced once by `quiesce`.
            unsafe { k::blk_mq_unquiesce_queue((*self.disk).queue) };
        }
    }

    /// The tag set.
    pub fn tag_set(&self) -> &Arc<TagSet<T>> {
        &self.tag_set
    }

    /// The queue.
    pub fn queue(&self) -> &RequestQueue {
        // SAFETY: A disk holds its queue.
        unsafe { RequestQueue::from_raw((*self.disk).queue) }
    }

    /// The name below `/dev`.
    pub fn name(&self) -> &CStr {
        // SAFETY: The name is terminated, and constant once the disk is made.
        unsafe { CStr::from_char_ptr((&raw const (*self.disk).disk_name).cast()) }
    }

    /// The size in sectors of 512 bytes.
    pub fn capacity(&self) -> u64 {
        // SAFETY: The disk is live; the field is read without a lock, as get_capacity() does.
        unsafe { (&raw const (*(*self.disk).part0).bd_nr_sectors).read_volatile() }
    }

    /// Changes the size, and tells user space with a `RESIZE` event. Returns whether it did: it does
    /// not if nothing changed, or one of the sizes is zero. May sleep.
    pub fn set_capacity(&self, sectors: u64) -> bool {
        // SAFETY: The disk is live.
        unsafe { k::set_capacity_and_notify(self.disk, sectors) }
    }

    /// Makes the disk read-only, or writable.
    pub fn set_read_only(&self, read_only: bool) {
        // SAFETY: The disk is live.
        unsafe { k::set_disk_ro(self.disk, read_only) };
    }

    /// Says that the device is gone without notice: new I/O fails at once, file systems are told to
    /// shut down. May sleep; does not wait for requests in flight.
    pub fn mark_dead(&self) {
        if self.state.load(Acquire) != DiskState::New {
            // SAFETY: The disk is live and was added, or is just being added, which copes with it.
            unsafe { k::blk_mark_disk_dead(self.disk) };
        }
    }
}

impl<T: Operations, D: DiskOperations> Drop for Disk<T, D> {
    fn drop(&mut self) {
        // A queue that is quiesced could never be drained.
        self.unquiesce();
        if self.is_added() {
            // SAFETY: The disk is live and was added.
            unsafe { k::del_gendisk(self.disk) };
            // SAFETY: The reference is ours. Its data is dropped by `free_disk` with the last one.
            unsafe { k::put_disk(self.disk) };
        } else {
            // SAFETY: The disk is live, and its data was not used yet.
            let data = unsafe { (*self.disk).private_data };
            // SAFETY: The only reference is ours.
            unsafe { k::put_disk(self.disk) };
            // SAFETY: `DiskBuilder` stored the data, and for a disk that was not added the block layer
            // does not call `free_disk`.
            drop(unsafe { D::DiskData::from_foreign(data) });
        }
    }
}
