// SPDX-License-Identifier: GPL-2.0

//! Disks and their request queues.

use core::{
    marker::PhantomData,
    ptr, //
};

use kernel::{
    bindings as k,
    device::Device,
    error::{
        from_err_ptr,
        to_result, //
    },
    fmt::{
        self,
        Write, //
    },
    prelude::*,
    str::NullTerminatedFormatter,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            AtomicFlag,
            AtomicType,
            Full,
            Release, //
        },
        Arc, //
    },
    types::{
        ForeignOwnable,
        Opaque,
        ScopeGuard, //
    },
};

use xen_bindings as b;

use super::{
    fops::{
        DiskOperations,
        DiskVTable, //
    },
    limits::{
        Feature,
        Features,
        QueueLimits, //
    },
    operations::Operations,
    tag_set::TagSet, //
};

/// A request queue (`struct request_queue`), borrowed from a disk or a request.
#[repr(transparent)]
pub struct RequestQueue(Opaque<k::request_queue>);

// SAFETY: The functions of a request queue do their own locking.
unsafe impl Send for RequestQueue {}

// SAFETY: The functions of a request queue do their own locking.
unsafe impl Sync for RequestQueue {}

impl RequestQueue {
    /// # Safety
    ///
    /// `queue` must be live for the lifetime `'a`.
    #[inline]
    pub(super) unsafe fn from_raw<'a>(queue: *mut k::request_queue) -> &'a Self {
        // SAFETY: By the requirement of this function; `Self` is a transparent wrapper.
        unsafe { &*queue.cast() }
    }

    /// Submits requeued requests again. Any context.
    pub fn kick_requeue_list(&self) {
        // SAFETY: The queue is live.
        unsafe { k::blk_mq_kick_requeue_list(self.0.get()) };
    }

    /// Disables discards, if the device turns out not to support them. Any context.
    pub fn disable_discard(&self) {
        // SAFETY: The queue is live. The block layer reads and writes this field without a lock, as
        // blk_queue_disable_discard() does.
        unsafe { (&raw mut (*self.0.get()).limits.max_discard_sectors).write_volatile(0) };
    }

    /// Disables secure erases, if the device turns out not to support them. Any context.
    pub fn disable_secure_erase(&self) {
        // SAFETY: The queue is live. The block layer reads and writes this field without a lock, as
        // blk_queue_disable_secure_erase() does.
        unsafe { (&raw mut (*self.0.get()).limits.max_secure_erase_sectors).write_volatile(0) };
    }

    /// Disables flushes, and writes that make their data stable (FUA), if the device turns out not
    /// to support them. Any context.
    pub fn disable_write_cache(&self) {
        let offered = u32::from(Features::default() | Feature::WriteCache | Feature::Fua);
        // SAFETY: The queue is live. Only the field's address is computed.
        let features = unsafe { &raw mut (*self.0.get()).limits.features };
        // SAFETY: The field is read and written without a lock, as `blk_queue_disable_discard()`
        // does with another one. An update of the limits at the same time may win.
        unsafe { features.write_volatile(features.read_volatile() & !offered) };
    }

    /// Changes the limits of a queue in use. The driver must handle requests that were built before
    /// and exceed the new limits, since they are not split again. May sleep.
    pub fn update_limits(&self, limits: &QueueLimits) -> Result {
        let queue = self.0.get();
        // SAFETY: The queue is live. The two statements are those of queue_limits_start_update().
        let mut raw = unsafe {
            k::mutex_lock(&raw mut (*queue).limits_lock);
            (*queue).limits
        };
        limits.apply(&mut raw);
        // SAFETY: The lock is held, and the function releases it.
        to_result(unsafe { k::queue_limits_commit_update(queue, &mut raw) })
    }
}

/// Parameters of a new disk.
pub struct DiskBuilder<'a> {
    /// Device numbers: major, first minor, and number of minors. With more than one minor, these
    /// are the partitions'; further partitions get numbers that the block layer selects.
    pub numbers: (u32, u32, u32),
    /// Name in `/dev`.
    pub name: fmt::Arguments<'a>,
    /// Size in sectors of 512 bytes.
    pub capacity: u64,
    /// Limits of the queue.
    pub limits: QueueLimits,
    /// Whether the disk is read-only.
    pub read_only: bool,
    /// Whether the medium is removable.
    pub removable: bool,
}

/// State of a [`Disk`].
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
enum DiskState {
    /// Not added.
    New,
    /// Being added.
    Adding,
    /// Added, and so visible to user space.
    Added,
}

// SAFETY: The enumeration has the size and alignment of an `i32`, and is round-trip transmutable to
// it.
unsafe impl AtomicType for DiskState {
    type Repr = i32;
}

/// A disk (`struct gendisk`), which [`Self::add`] makes visible to user space. When it is dropped,
/// it is removed, which waits for its requests.
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

// SAFETY: The functions of a disk do their own locking.
unsafe impl<T: Operations, D: DiskOperations> Sync for Disk<T, D> {}

impl DiskBuilder<'_> {
    /// Makes a disk with the queues of `tag_set`. There are no requests before [`Disk::add`]. May
    /// sleep.
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
            // SAFETY: The disk is not added, and this is the only reference.
            unsafe { k::put_disk(disk) };
        });

        // SAFETY: The disk is new, and not used otherwise yet.
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
        // INVARIANT: Operations and data are set above.
        let disk = Disk {
            disk,
            state: Atomic::new(DiskState::New),
            quiesced: AtomicFlag::new(false),
            tag_set,
            _data: PhantomData,
        };
        disk.set_read_only(self.read_only);
        // SAFETY: By the type invariant the disk is live.
        unsafe { k::set_capacity(disk.disk, self.capacity) };
        Ok(disk)
    }
}

impl<T: Operations, D: DiskOperations> Disk<T, D> {
    /// Makes the disk visible, as a child of `parent`, and reads its partition table: sleeps until
    /// the driver has completed the requests for that.
    ///
    /// # Errors
    ///
    /// [`EBUSY`] if it was added before. After an error of the block layer the disk is unusable.
    pub fn add(&self, parent: &Device) -> Result {
        let swapped = self.state.cmpxchg(DiskState::New, DiskState::Adding, Full);
        swapped.map_err(|_| EBUSY)?;
        let parent = ptr::from_ref(parent).cast_mut().cast::<k::device>();
        // SAFETY: By the type invariant the disk is live, and so is the device, by reference;
        // `Device` is a transparent wrapper of `struct device`.
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

    /// Quiesces the queue until [`Self::unquiesce`]: `queue_rq` is not called, and no call is
    /// running when this returns. Requests that were started before stay in flight. Has no effect
    /// if the queue is quiesced already. May sleep.
    pub fn quiesce(&self) {
        if !self.quiesced.xchg(true, Full) {
            // SAFETY: By the type invariant the disk is live, and so is its queue.
            unsafe { k::blk_mq_quiesce_queue((*self.disk).queue) };
        }
    }

    /// Undoes [`Self::quiesce`], if the queue is quiesced.
    pub fn unquiesce(&self) {
        if self.quiesced.xchg(false, Full) {
            // SAFETY: By the type invariant the disk is live, and so is its queue, which `quiesce`
            // quiesced once.
            unsafe { k::blk_mq_unquiesce_queue((*self.disk).queue) };
        }
    }

    /// The tag set.
    pub fn tag_set(&self) -> &Arc<TagSet<T>> {
        &self.tag_set
    }

    /// The queue.
    pub fn queue(&self) -> &RequestQueue {
        // SAFETY: By the type invariant the disk is live, and so is its queue.
        unsafe { RequestQueue::from_raw((*self.disk).queue) }
    }

    /// The name in `/dev`.
    pub fn name(&self) -> &CStr {
        // SAFETY: By the type invariant the disk is live; its name is terminated and constant.
        unsafe { CStr::from_char_ptr((&raw const (*self.disk).disk_name).cast()) }
    }

    /// The size in sectors of 512 bytes.
    pub fn capacity(&self) -> u64 {
        // SAFETY: By the type invariant the disk is live; the field is read without a lock, as
        // get_capacity() does.
        unsafe { (&raw const (*(*self.disk).part0).bd_nr_sectors).read_volatile() }
    }

    /// Changes the size. Returns whether user space gets a `RESIZE` event: not if the size is the
    /// same, or the old or new size is zero. May sleep.
    pub fn set_capacity(&self, sectors: u64) -> bool {
        // SAFETY: By the type invariant the disk is live.
        unsafe { k::set_capacity_and_notify(self.disk, sectors) }
    }

    /// Makes the disk read-only, or writable.
    pub fn set_read_only(&self, read_only: bool) {
        // SAFETY: By the type invariant the disk is live.
        unsafe { k::set_disk_ro(self.disk, read_only) };
    }

    /// Marks the disk as dead after a surprise removal: new I/O fails, and file systems shut down.
    /// May sleep; does not wait for requests in flight.
    pub fn mark_dead(&self) {
        if self.state.load(Acquire) != DiskState::New {
            // SAFETY: By the type invariant the disk is live; it is added or being added, which may
            // run concurrently.
            unsafe { k::blk_mark_disk_dead(self.disk) };
        }
    }

    /// Has the disk removed as a dead one, for which file systems are not told to write back and to
    /// shut down: they would wait for I/O that does not end, see [`Bios`](super::Bios). They find
    /// out when it does. Has no effect on a disk that is dead already. May sleep.
    pub fn bury(&self) {
        if self.state.load(Acquire) != DiskState::New {
            // SAFETY: By the type invariant the disk is live; it is added or being added, which may
            // run concurrently.
            unsafe { b::xen_rs_disk_set_dead(self.disk) };
        }
    }
}

impl<T: Operations, D: DiskOperations> Drop for Disk<T, D> {
    fn drop(&mut self) {
        // A quiesced queue could not be drained.
        self.unquiesce();
        if self.is_added() {
            // SAFETY: By the type invariant the disk is live; it is added.
            unsafe { k::del_gendisk(self.disk) };
            // SAFETY: This value owns the reference. `free_disk` drops the data with the last one.
            unsafe { k::put_disk(self.disk) };
        } else {
            // SAFETY: By the type invariant the disk is live.
            let data = unsafe { (*self.disk).private_data };
            // SAFETY: This value owns the only reference.
            unsafe { k::put_disk(self.disk) };
            // SAFETY: `DiskBuilder` stored the data, and the block layer does not call `free_disk`
            // for a disk that was not added.
            drop(unsafe { D::DiskData::from_foreign(data) });
        }
    }
}
