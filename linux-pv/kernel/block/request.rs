// SPDX-License-Identifier: GPL-2.0

//! Requests and their ownership.

use core::{
    marker::PhantomData,
    mem::{
        ManuallyDrop,
        MaybeUninit, //
    },
    ops::Deref,
    ptr::{
        self,
        NonNull, //
    },
};

use kernel::bindings as k;

use xen_bindings as b;

use super::{
    disk::RequestQueue,
    operations::Operations,
    segments::Segments,
    status::BlkStatus, //
};

/// Operation of a request (`enum req_op`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// Read sectors into the segments.
    Read,
    /// Write the segments to sectors.
    Write,
    /// Write the volatile cache back; without sectors and segments.
    Flush,
    /// Discard the sectors, whose content is not needed any more; without segments.
    Discard,
    /// Erase the sectors so that they cannot be recovered; without segments.
    SecureErase,
    /// Fill the sectors with zeroes; without segments.
    WriteZeroes,
    /// Another operation, to be completed with [`BlkStatus::NOTSUPP`].
    Other(u32),
}

/// The driver's part of a request (`blk_mq_rq_to_pdu()`).
#[repr(C)]
pub(super) struct Pdu<T: Operations> {
    /// The status between [`OwnedRequest::complete`] and the completion callback. Only the owner
    /// of the request accesses it. If the callback runs on another CPU, the interrupt or softirq in
    /// between orders the accesses.
    status: BlkStatus,
    data: T::RequestData,
}

impl<T: Operations> Pdu<T> {
    /// The driver's data of a request.
    pub(super) fn data_ptr(rq: *mut k::request) -> *mut T::RequestData {
        let pdu = Self::ptr(rq);
        // SAFETY: The block layer allocates `size_of::<Self>()` bytes behind every request (the tag
        // set's `cmd_size`); only the address of a field is computed.
        unsafe { &raw mut (*pdu).data }
    }

    fn ptr(rq: *mut k::request) -> *mut Self {
        const { assert!(align_of::<Self>() <= align_of::<k::request>()) };
        // As the inline function blk_mq_rq_to_pdu().
        rq.wrapping_add(1).cast()
    }
}

/// A request of a disk whose driver is `T`.
///
/// # Invariants
///
/// `0` is a live request of a tag set of `T`, its `Pdu` is initialised, and the driver owns it: the
/// block layer changes neither its bios nor its position until it is returned.
#[repr(transparent)]
pub struct Request<T: Operations>(NonNull<k::request>, PhantomData<T>);

impl<T: Operations> Request<T> {
    #[inline]
    fn raw(&self) -> *mut k::request {
        self.0.as_ptr()
    }

    /// The operation.
    #[inline]
    pub fn op(&self) -> Op {
        // SAFETY: By the type invariant the request is live and does not change.
        match unsafe { (*self.raw()).cmd_flags } & b::XEN_RS_REQ_OP_MASK {
            k::req_op_REQ_OP_READ => Op::Read,
            k::req_op_REQ_OP_WRITE => Op::Write,
            k::req_op_REQ_OP_FLUSH => Op::Flush,
            k::req_op_REQ_OP_DISCARD => Op::Discard,
            k::req_op_REQ_OP_SECURE_ERASE => Op::SecureErase,
            k::req_op_REQ_OP_WRITE_ZEROES => Op::WriteZeroes,
            op => Op::Other(op),
        }
    }

    /// Whether the data must be on the medium, not in a volatile cache, when the request completes.
    #[inline]
    pub fn is_fua(&self) -> bool {
        // SAFETY: By the type invariant the request is live and does not change.
        unsafe { (*self.raw()).cmd_flags & b::XEN_RS_REQ_FUA != 0 }
    }

    /// The first sector, in units of 512 bytes.
    #[inline]
    pub fn sector(&self) -> u64 {
        // SAFETY: By the type invariant the request is live and does not change.
        unsafe { (*self.raw()).__sector }
    }

    /// The length in bytes: a multiple of the logical block size.
    #[inline]
    pub fn bytes(&self) -> u32 {
        // SAFETY: By the type invariant the request is live and does not change.
        unsafe { (*self.raw()).__data_len }
    }

    /// The length in sectors of 512 bytes.
    #[inline]
    pub fn sectors(&self) -> u32 {
        self.bytes() >> super::SECTOR_SHIFT
    }

    /// The tag: the number of the request in its hardware queue, below the tag set's depth. Started
    /// requests of a queue have different tags.
    #[inline]
    pub fn tag(&self) -> u32 {
        // SAFETY: By the type invariant the request is live and does not change.
        unsafe { (*self.raw()).tag as u32 }
    }

    /// The maximum number of segments, by the limits of the queue. Zero for operations without
    /// data.
    #[inline]
    pub fn nr_segments(&self) -> u32 {
        // SAFETY: By the type invariant the request is live and does not change.
        unsafe { (*self.raw()).nr_phys_segments.into() }
    }

    /// The segments of the data.
    #[inline]
    pub fn segments(&self) -> Segments<'_> {
        self.segments_within(u32::MAX)
    }

    /// The segments of the first `bytes` bytes of the data.
    #[inline]
    pub fn segments_within(&self, bytes: u32) -> Segments<'_> {
        match self.op() {
            // SAFETY: By the type invariant the bios are live and do not change for the lifetime of
            // `self`, and those of these two operations have `self.bytes()` bytes of data.
            Op::Read | Op::Write => unsafe { Segments::new(self.raw(), bytes.min(self.bytes())) },
            _ => Segments::empty(),
        }
    }

    /// The queue that the request belongs to.
    #[inline]
    pub fn queue(&self) -> &RequestQueue {
        // SAFETY: The queue is live as long as its requests.
        unsafe { RequestQueue::from_raw((*self.raw()).q) }
    }
}

/// A request that the block layer queues. The driver owns it when it is [started](Self::start).
///
/// If it is dropped, the request fails.
pub struct IdleRequest<'a, T: Operations> {
    request: ManuallyDrop<Request<T>>,
    _offered: PhantomData<&'a ()>,
}

impl<T: Operations> IdleRequest<'_, T> {
    /// # Safety
    ///
    /// `rq` must be the argument of `queue_rq`, and not be used otherwise from here on.
    #[inline]
    pub(super) unsafe fn from_raw(rq: NonNull<k::request>) -> Self {
        // INVARIANT: `queue_rq` is called with a live request and its ownership.
        Self {
            request: ManuallyDrop::new(Request(rq, PhantomData)),
            _offered: PhantomData,
        }
    }

    /// Starts the request: it is in flight from here on, and its time-out runs.
    #[inline]
    pub fn start(self) -> OwnedRequest<T> {
        let rq = ManuallyDrop::new(self).request.0;
        // SAFETY: By the type invariant the request is live and owned; it is not started.
        unsafe { k::blk_mq_start_request(rq.as_ptr()) };
        // INVARIANT: Ownership moves from `self`.
        OwnedRequest(Request(rq, PhantomData))
    }

    /// Returns the request: the block layer tries again later for [`BlkStatus::RESOURCE`], and
    /// fails it for any other status.
    #[inline]
    pub fn refuse(self, status: BlkStatus) -> Refused<T> {
        let rq = ManuallyDrop::new(self).request.0;
        Refused {
            request: Request(rq, PhantomData),
            status,
        }
    }
}

impl<T: Operations> Deref for IdleRequest<'_, T> {
    type Target = Request<T>;

    #[inline]
    fn deref(&self) -> &Request<T> {
        &self.request
    }
}

impl<T: Operations> Drop for IdleRequest<'_, T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the request is live and owned; it is not started.
        unsafe { k::blk_mq_start_request(self.request.raw()) };
        drop(OwnedRequest(Request(self.request.0, PhantomData::<T>)));
    }
}

/// A refused request, which [`Operations::queue_rq`] returns as its error.
#[must_use = "return it from queue_rq"]
pub struct Refused<T: Operations> {
    request: Request<T>,
    status: BlkStatus,
}

impl<T: Operations> Refused<T> {
    /// Gives the ownership of the request to the caller.
    #[inline]
    pub(super) fn into_parts(self) -> (NonNull<k::request>, BlkStatus) {
        (self.request.0, self.status)
    }
}

/// A started request that the driver owns, and has to complete once.
///
/// If it is dropped, it completes with [`BlkStatus::IOERR`].
pub struct OwnedRequest<T: Operations>(Request<T>);

// SAFETY: An owned request may be completed on any CPU and in any context; `RequestData` is `Send`.
unsafe impl<T: Operations> Send for OwnedRequest<T> {}

// SAFETY: A reference only reads fields that do not change while the driver owns the request, and
// gives a reference to `RequestData`, which is `Sync`.
unsafe impl<T: Operations> Sync for OwnedRequest<T> {}

/// A request after a part of it was completed.
pub enum Progress<T: Operations> {
    /// All of it: the request is to be completed with [`OwnedRequest::end`].
    Done(OwnedRequest<T>),
    /// The request now begins at the first sector that is not completed, and is to be submitted
    /// again.
    More(OwnedRequest<T>),
}

impl<T: Operations> OwnedRequest<T> {
    /// # Safety
    ///
    /// The caller must own the started request `rq`, as by [`Self::into_raw`].
    #[inline]
    pub(super) unsafe fn from_raw(rq: NonNull<k::request>) -> Self {
        // INVARIANT: By the requirement of this function.
        Self(Request(rq, PhantomData))
    }

    /// Gives up the value but not the ownership.
    #[inline]
    pub(super) fn into_raw(self) -> NonNull<k::request> {
        ManuallyDrop::new(self).0 .0
    }

    #[inline]
    pub(super) fn as_raw(&self) -> *mut k::request {
        self.0.raw()
    }

    /// The driver's data of this request.
    #[inline]
    pub fn data(&self) -> &T::RequestData {
        // SAFETY: By the type invariant the data is initialised, and only the owner accesses it.
        unsafe { &*Pdu::<T>::data_ptr(self.as_raw()) }
    }

    /// The driver's data of this request, mutably. Only for data that may be moved.
    #[inline]
    pub fn data_mut(&mut self) -> &mut T::RequestData
    where
        T::RequestData: Unpin,
    {
        // SAFETY: By the type invariant the data is initialised, and only the owner accesses it. It
        // may be moved, since it is `Unpin`.
        unsafe { &mut *Pdu::<T>::data_ptr(self.as_raw()) }
    }

    /// The request and the driver's data of it, to be borrowed apart.
    #[inline]
    pub fn split_mut(&mut self) -> (&Request<T>, &mut T::RequestData)
    where
        T::RequestData: Unpin,
    {
        // SAFETY: By the type invariant the data is initialised, and only the owner accesses it: a
        // `Request` gives no access to it. It may be moved, since it is `Unpin`.
        let data = unsafe { &mut *Pdu::<T>::data_ptr(self.as_raw()) };
        (&self.0, data)
    }

    /// Sets the status that [`Self::status`] returns in the completion callback.
    #[inline]
    pub fn set_status(&mut self, status: BlkStatus) {
        let pdu = Pdu::<T>::ptr(self.as_raw());
        // SAFETY: By the type invariant the PDU is initialised, and only the owner accesses it.
        unsafe { (*pdu).status = status };
    }

    /// The status of the last [`Self::set_status`], in this or an earlier use of the request.
    #[inline]
    pub fn status(&self) -> BlkStatus {
        let pdu = Pdu::<T>::ptr(self.as_raw());
        // SAFETY: By the type invariant the PDU is initialised, and only the owner accesses it.
        unsafe { (*pdu).status }
    }

    /// Completes the request: [`Operations::complete`] is called with it on the CPU that submitted
    /// it or, for a device with a single queue, in softirq context.
    ///
    /// For several completions at a time, a [`CompletionBatch`](super::CompletionBatch) is cheaper.
    #[inline]
    pub fn complete(mut self, status: BlkStatus) {
        self.set_status(status);
        let rq = self.into_raw();
        // SAFETY: By the type invariant the request is live and owned; the block layer takes the
        // ownership if the function returns true.
        if !unsafe { k::blk_mq_complete_request_remote(rq.as_ptr()) } {
            // SAFETY: The request is started, and the block layer did not take the ownership.
            T::complete(unsafe { Self::from_raw(rq) }, status);
        }
    }

    /// Ends the request at once, without [`Operations::complete`].
    #[inline]
    pub fn end(self, status: BlkStatus) {
        let rq = self.into_raw();
        // SAFETY: By the type invariant the request is live and owned; it is started. The block
        // layer takes the ownership.
        unsafe { k::blk_mq_end_request(rq.as_ptr(), status.to_raw()) };
    }

    /// Returns the request to be submitted again: soon if `kick` is set, otherwise when the requeue
    /// list of the queue is [kicked](RequestQueue::kick_requeue_list). Any context.
    pub fn requeue(self, kick: bool) {
        let rq = self.into_raw();
        // SAFETY: By the type invariant the request is live and owned; it is started. The block
        // layer takes the ownership.
        unsafe { k::blk_mq_requeue_request(rq.as_ptr(), kick) };
    }

    /// Completes the first `bytes` bytes, which must be a multiple of the logical block size. Bios
    /// that are within them complete at once.
    pub fn advance(self, bytes: u32) -> Progress<T> {
        // SAFETY: By the type invariant the request is live and owned; it is started. `bytes` may
        // exceed its length.
        let more = unsafe {
            k::blk_update_request(self.as_raw(), k::BLK_STS_OK as k::blk_status_t, bytes)
        };
        if more {
            Progress::More(self)
        } else {
            Progress::Done(self)
        }
    }

    /// Returns the request from [`Operations::queue_rq`], as [`IdleRequest::refuse`].
    #[inline]
    pub fn refuse(self, status: BlkStatus) -> Refused<T> {
        let rq = self.into_raw();
        Refused {
            request: Request(rq, PhantomData),
            status,
        }
    }
}

impl<T: Operations> Deref for OwnedRequest<T> {
    type Target = Request<T>;

    #[inline]
    fn deref(&self) -> &Request<T> {
        &self.0
    }
}

impl<T: Operations> Drop for OwnedRequest<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the request is live and owned; it is started. The block
        // layer takes the ownership.
        unsafe { k::blk_mq_end_request(self.as_raw(), BlkStatus::IOERR.to_raw()) };
    }
}

/// Initialises the PDU of a new request.
///
/// # Safety
///
/// `rq` must be a new request of a tag set of `T`.
pub(super) unsafe fn init_pdu<T: Operations>(
    rq: *mut k::request,
    data: &T::TagSetData,
) -> kernel::error::Result {
    use pin_init::InPlaceWrite;

    let pdu = Pdu::<T>::ptr(rq);
    // SAFETY: The PDU is allocated, and not used yet.
    unsafe { ptr::write(&raw mut (*pdu).status, BlkStatus::OK) };
    let init = T::new_request_data(data);
    // SAFETY: The data is allocated, uninitialised, and does not move until `drop_pdu`.
    let place = unsafe { &mut *Pdu::<T>::data_ptr(rq).cast::<MaybeUninit<T::RequestData>>() };
    place.write_pin_init(init).map(drop)
}

/// Undoes [`init_pdu`].
///
/// # Safety
///
/// `init_pdu` succeeded for `rq`, which is about to be freed.
pub(super) unsafe fn drop_pdu<T: Operations>(rq: *mut k::request) {
    // SAFETY: By the requirement of this function the data is initialised, and not used any more.
    unsafe { ptr::drop_in_place(Pdu::<T>::data_ptr(rq)) };
}
