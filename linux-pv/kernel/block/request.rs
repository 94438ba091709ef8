// SPDX-License-Identifier: GPL-2.0

//! Requests and who owns them.

use core::{
    marker::PhantomData,
    mem::{ManuallyDrop, MaybeUninit},
    ops::Deref,
    ptr::{self, NonNull},
};

use kernel::bindings as k;
use kernel::sync::atomic::{Atomic, Relaxed};
use xen_bindings as b;

use super::{disk::RequestQueue, operations::Operations, segments::Segments, status::BlkStatus};

/// What a request asks for (`enum req_op`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// Read sectors into the segments.
    Read,
    /// Write the segments to sectors.
    Write,
    /// Write the volatile cache back; no sectors, no segments.
    Flush,
    /// The sectors are not needed any more; no segments.
    Discard,
    /// Erase the sectors so that they cannot be recovered; no segments.
    SecureErase,
    /// Fill the sectors with zeroes; no segments.
    WriteZeroes,
    /// An operation that this abstraction does not know: complete it with [`BlkStatus::NOTSUPP`].
    Other(u32),
}

/// What the driver keeps with every request: `blk_mq_rq_to_pdu()`.
#[repr(C)]
pub(super) struct Pdu<T: Operations> {
    /// The status between [`OwnedRequest::complete`] and the completion callback, which may run on
    /// another CPU. The interrupt or softirq in between orders the two.
    status: Atomic<BlkStatus>,
    data: T::RequestData,
}

impl<T: Operations> Pdu<T> {
    /// Where the driver's part lies behind a `struct request`.
    pub(super) fn data_ptr(rq: *mut k::request) -> *mut T::RequestData {
        let pdu = Self::ptr(rq);
        // SAFETY: The block layer allocated `size_of::<Self>()` bytes behind every request (tag set's
        // `cmd_size`); only the address of a field is computed.
        unsafe { &raw mut (*pdu).data }
    }

    fn ptr(rq: *mut k::request) -> *mut Self {
        const { assert!(align_of::<Self>() <= align_of::<k::request>()) };
        // This is what the inline function blk_mq_rq_to_pdu() does.
        rq.wrapping_add(1).cast()
    }
}

/// A request of a disk whose driver is `T`.
///
/// # Invariants
///
/// `0` is a live request of a tag set of `T`, its `Pdu` is initialised, and the driver owns it: the
/// block layer changes neither its bios nor its position until it is handed back.
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
        // SAFETY: By the type invariant the request is live and constant.
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
        // SAFETY: As in `op`.
        unsafe { (*self.raw()).cmd_flags & b::XEN_RS_REQ_FUA != 0 }
    }

    /// The first sector, in units of 512 bytes.
    #[inline]
    pub fn sector(&self) -> u64 {
        // SAFETY: As in `op`.
        unsafe { (*self.raw()).__sector }
    }

    /// How many bytes are to be transferred, discarded, erased or zeroed: a multiple of the logical
    /// block size.
    #[inline]
    pub fn bytes(&self) -> u32 {
        // SAFETY: As in `op`.
        unsafe { (*self.raw()).__data_len }
    }

    /// How many sectors of 512 bytes that is.
    #[inline]
    pub fn sectors(&self) -> u32 {
        self.bytes() >> super::SECTOR_SHIFT
    }

    /// The number of the request within its hardware queue, below the tag set's depth. No two requests
    /// of a queue that were started have the same one.
    #[inline]
    pub fn tag(&self) -> u32 {
        // SAFETY: As in `op`.
        unsafe { (*self.raw()).tag as u32 }
    }

    /// How many segments there are at most, counted as the queue's limits say. Zero for operations
    /// without data.
    #[inline]
    pub fn nr_segments(&self) -> u32 {
        // SAFETY: As in `op`.
        unsafe { (*self.raw()).nr_phys_segments.into() }
    }

    /// The pages of the data, in order.
    #[inline]
    pub fn segments(&self) -> Segments<'_> {
        self.segments_within(u32::MAX)
    }

    /// The pages of the first `bytes` bytes of the data, in order.
    #[inline]
    pub fn segments_within(&self, bytes: u32) -> Segments<'_> {
        match self.op() {
            // SAFETY: By the type invariant the request's bios are live and constant for the
            // lifetime of `self`, and those of these two operations carry as many bytes as it says.
            Op::Read | Op::Write => unsafe { Segments::new(self.raw(), bytes.min(self.bytes())) },
            _ => Segments::empty(),
        }
    }

    /// The queue that the request belongs to.
    #[inline]
    pub fn queue(&self) -> &RequestQueue {
        // SAFETY: A request holds its queue; `RequestQueue` is a transparent wrapper.
        unsafe { RequestQueue::from_raw((*self.raw()).q) }
    }
}

/// A request that the block layer offers; it is the driver's once it is [started](Self::start).
///
/// Dropping it fails it.
pub struct IdleRequest<'a, T: Operations> {
    request: ManuallyDrop<Request<T>>,
    _offered: PhantomData<&'a ()>,
}

impl<T: Operations> IdleRequest<'_, T> {
    /// # Safety
    ///
    /// `rq` must be what `queue_rq` was called with, and not be used otherwise from here on.
    #[inline]
    pub(super) unsafe fn from_raw(rq: NonNull<k::request>) -> Self {
        // INVARIANT: `queue_rq` passes a live request and its ownership.
        Self {
            request: ManuallyDrop::new(Request(rq, PhantomData)),
            _offered: PhantomData,
        }
    }

    /// Takes the request: it counts as in flight from here on, and its time-out runs.
    #[inline]
    pub fn start(self) -> OwnedRequest<T> {
        let rq = ManuallyDrop::new(self).request.0;
        // SAFETY: The request is live, owned and not started.
        unsafe { k::blk_mq_start_request(rq.as_ptr()) };
        // INVARIANT: Ownership moves from `self`.
        OwnedRequest(Request(rq, PhantomData))
    }

    /// Hands the request back: it is tried again later for [`BlkStatus::RESOURCE`],
    /// and fails for any other status.
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
        // SAFETY: The request is live, owned and not started. Ownership ends here.
        unsafe { k::blk_mq_start_request(self.request.raw()) };
        drop(OwnedRequest(Request(self.request.0, PhantomData::<T>)));
    }
}

/// A request on its way back to the block layer, which is to keep it or fail it: what
/// [`Operations::queue_rq`] returns as its error.
#[must_use = "return it from queue_rq"]
pub struct Refused<T: Operations> {
    request: Request<T>,
    status: BlkStatus,
}

impl<T: Operations> Refused<T> {
    /// Ends the life of the value; the caller is responsible for the request.
    #[inline]
    pub(super) fn into_parts(self) -> (NonNull<k::request>, BlkStatus) {
        (self.request.0, self.status)
    }
}

/// A started request, owned by the driver: the right and the duty to complete it once.
///
/// Dropping it completes it with [`BlkStatus::IOERR`].
pub struct OwnedRequest<T: Operations>(Request<T>);

// SAFETY: An owned request may be completed on any CPU and in any context; its data moves along.
unsafe impl<T: Operations> Send for OwnedRequest<T> {}

// SAFETY: `&OwnedRequest` only reads what is constant while the driver owns the request, and gives
// `&RequestData`, which must be `Sync`.
unsafe impl<T: Operations> Sync for OwnedRequest<T> {}

/// What is left of a request after a part of it was done.
pub enum Progress<T: Operations> {
    /// Nothing: the request is to be completed with [`OwnedRequest::end`].
    Done(OwnedRequest<T>),
    /// The request now begins at the first sector that is not done, and is to be submitted again.
    More(OwnedRequest<T>),
}

impl<T: Operations> OwnedRequest<T> {
    /// # Safety
    ///
    /// The caller must own the started request `rq`, as by [`Self::into_raw`].
    #[inline]
    pub(super) unsafe fn from_raw(rq: NonNull<k::request>) -> Self {
        // INVARIANT: As promised by the caller.
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
        // SAFETY: The data was initialised with the request, and only the owner reaches it.
        unsafe { &*Pdu::<T>::data_ptr(self.as_raw()) }
    }

    /// The driver's data of this request, to be changed. Data that must stay where it is cannot be
    /// had so.
    #[inline]
    pub fn data_mut(&mut self) -> &mut T::RequestData
    where
        T::RequestData: Unpin,
    {
        // SAFETY: The data was initialised with the request, and only the owner reaches it. It may be
        // moved, since it is `Unpin`.
        unsafe { &mut *Pdu::<T>::data_ptr(self.as_raw()) }
    }

    /// Notes the status that [`Self::status`] returns in the completion callback.
    #[inline]
    pub fn set_status(&mut self, status: BlkStatus) {
        let pdu = Pdu::<T>::ptr(self.as_raw());
        // SAFETY: The PDU of a live request is initialised.
        unsafe { (*pdu).status.store(status, Relaxed) };
    }

    /// What [`Self::set_status`] noted last, in this or an earlier use of the request.
    #[inline]
    pub fn status(&self) -> BlkStatus {
        let pdu = Pdu::<T>::ptr(self.as_raw());
        // SAFETY: The PDU of a live request is initialised.
        unsafe { (*pdu).status.load(Relaxed) }
    }

    /// Completes the request where it was submitted: on that CPU or, for a device with a single
    /// queue, in softirq context. Then [`Operations::complete`] is called with the request.
    ///
    /// Several completions at a time are cheaper with a [`CompletionBatch`](super::CompletionBatch).
    #[inline]
    pub fn complete(mut self, status: BlkStatus) {
        self.set_status(status);
        let rq = self.into_raw();
        // SAFETY: The request is live and owned; ownership goes to the block layer, and comes back to
        // us if the function returns false.
        if !unsafe { k::blk_mq_complete_request_remote(rq.as_ptr()) } {
            // SAFETY: See above.
            T::complete(unsafe { Self::from_raw(rq) }, status);
        }
    }

    /// Ends the request here and now, bypassing [`Operations::complete`].
    #[inline]
    pub fn end(self, status: BlkStatus) {
        let rq = self.into_raw();
        // SAFETY: The request is live, started and owned; ownership goes to the block layer.
        unsafe { k::blk_mq_end_request(rq.as_ptr(), status.to_raw()) };
    }

    /// Gives the request back to be submitted again: soon if `kick` is set, otherwise when the queue's
    /// requeue list is [kicked](RequestQueue::kick_requeue_list). Any context.
    pub fn requeue(self, kick: bool) {
        let rq = self.into_raw();
        // SAFETY: The request is live, started and owned; ownership goes to the block layer.
        unsafe { k::blk_mq_requeue_request(rq.as_ptr(), kick) };
    }

    /// Notes that the first `bytes` bytes are done; see [`Progress`]. The completion of the bios that
    /// lie therein is reported at once. `bytes` must be a multiple of the logical block size.
    pub fn advance(self, bytes: u32) -> Progress<T> {
        // SAFETY: The request is live, started and owned. More bytes than there are is allowed.
        let more = unsafe {
            k::blk_update_request(self.as_raw(), k::BLK_STS_OK as k::blk_status_t, bytes)
        };
        if more {
            Progress::More(self)
        } else {
            Progress::Done(self)
        }
    }

    /// Hands the request back from [`Operations::queue_rq`], as [`IdleRequest::refuse`] does.
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
        // SAFETY: The request is live, started and owned; ownership ends here.
        unsafe { k::blk_mq_end_request(self.as_raw(), BlkStatus::IOERR.to_raw()) };
    }
}

/// Initialises what lies behind a new request.
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
    // SAFETY: The PDU is allocated and not yet used.
    unsafe { ptr::write(&raw mut (*pdu).status, Atomic::new(BlkStatus::OK)) };
    let init = T::new_request_data(data);
    // SAFETY: The place is allocated, uninitialised, and does not move until `drop_pdu`.
    let place = unsafe { &mut *Pdu::<T>::data_ptr(rq).cast::<MaybeUninit<T::RequestData>>() };
    place.write_pin_init(init).map(drop)
}

/// Undoes [`init_pdu`].
///
/// # Safety
///
/// `rq` must be a request that `init_pdu` succeeded for, about to be freed.
pub(super) unsafe fn drop_pdu<T: Operations>(rq: *mut k::request) {
    // SAFETY: Initialised by `init_pdu`, and nobody uses it any more.
    unsafe { ptr::drop_in_place(Pdu::<T>::data_ptr(rq)) };
}
