// SPDX-License-Identifier: GPL-2.0

//! Lists of requests, and completing requests in batches.

use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::{
        self,
        NonNull, //
    },
};

use kernel::bindings as k;
use xen_bindings as b;

use super::{
    operations::Operations,
    request::{
        OwnedRequest,
        Request, //
    },
    status::BlkStatus, //
};

/// A first-in-first-out list of owned requests, linked through the requests: for collecting
/// requests while a lock is held, to complete or requeue them afterwards.
///
/// Requests that are left when the list is dropped fail with an I/O error.
///
/// # Invariants
///
/// The list owns `head` and the requests linked behind it, the last of which is `tail`. Both are
/// null if the list is empty.
pub struct RequestList<T: Operations> {
    head: *mut k::request,
    tail: *mut k::request,
    _owned: PhantomData<OwnedRequest<T>>,
}

// SAFETY: The list owns requests, which are `Send`.
unsafe impl<T: Operations> Send for RequestList<T> {}

impl<T: Operations> RequestList<T> {
    /// An empty list.
    #[inline]
    pub const fn new() -> Self {
        Self {
            head: ptr::null_mut(),
            tail: ptr::null_mut(),
            _owned: PhantomData,
        }
    }

    /// Whether the list is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// Appends a request.
    #[inline]
    pub fn push(&mut self, rq: OwnedRequest<T>) {
        let rq = rq.into_raw().as_ptr();
        // SAFETY: The request is live and owned; its owner may use this link.
        unsafe { (*rq).__bindgen_anon_1.rq_next = ptr::null_mut() };
        if self.tail.is_null() {
            self.head = rq;
        } else {
            // SAFETY: By the type invariant the last request is live and owned.
            unsafe { (*self.tail).__bindgen_anon_1.rq_next = rq };
        }
        self.tail = rq;
    }

    /// Removes the first request.
    #[inline]
    pub fn pop(&mut self) -> Option<OwnedRequest<T>> {
        let rq = NonNull::new(self.head)?;
        // SAFETY: By the type invariant the request is live, and linked to the next one or null.
        self.head = unsafe { (*rq.as_ptr()).__bindgen_anon_1.rq_next };
        if self.head.is_null() {
            self.tail = ptr::null_mut();
        }
        // SAFETY: The list owned the request, which is started, and gives up the ownership.
        Some(unsafe { OwnedRequest::from_raw(rq) })
    }

    /// Moves all requests of `other` to the end.
    #[inline]
    pub fn append(&mut self, other: &mut Self) {
        if other.head.is_null() {
            return;
        }
        if self.tail.is_null() {
            self.head = other.head;
        } else {
            // SAFETY: By the type invariant the last request is live and owned.
            unsafe { (*self.tail).__bindgen_anon_1.rq_next = other.head };
        }
        // INVARIANT: The requests of `other` are now linked behind those of this list, which owns
        // them.
        self.tail = other.tail;
        other.head = ptr::null_mut();
        other.tail = ptr::null_mut();
    }

    /// Calls `each` for every request and the driver's data of it, in order. A request for which it
    /// fails gets the status that it returns; the others keep theirs.
    #[inline]
    pub fn try_each<F>(&mut self, mut each: F)
    where
        F: FnMut(&Request<T>, &mut T::RequestData) -> Result<(), BlkStatus>,
        T::RequestData: Unpin,
    {
        let mut next = self.head;
        while let Some(rq) = NonNull::new(next) {
            // SAFETY: By the type invariant the request is live, and linked to the next one or
            // null.
            next = unsafe { (*rq.as_ptr()).__bindgen_anon_1.rq_next };
            // SAFETY: The list owns the request, which is started. It goes on owning it: this value
            // is neither given away nor dropped.
            let mut rq = ManuallyDrop::new(unsafe { OwnedRequest::<T>::from_raw(rq) });
            let (request, data) = rq.split_mut();
            if let Err(status) = each(request, data) {
                rq.set_status(status);
            }
        }
    }
}

impl<T: Operations> Default for RequestList<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Operations> Drop for RequestList<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

/// Completes requests in a batch (`struct io_comp_batch`). Ordinary requests complete together when
/// it is dropped, which saves the block layer most of the work for each.
///
/// # Invariants
///
/// The batch owns the requests in `inner`, which may all be ended by `blk_mq_end_request_batch`:
/// its function from the start.
#[repr(transparent)]
pub struct CompletionBatch<T: Operations> {
    inner: k::io_comp_batch,
    _owned: PhantomData<OwnedRequest<T>>,
}

impl<T: Operations> CompletionBatch<T> {
    /// An empty batch.
    #[inline]
    pub fn new() -> Self {
        Self {
            inner: k::io_comp_batch {
                complete: Some(k::blk_mq_end_request_batch),
                ..pin_init::zeroed()
            },
            _owned: PhantomData,
        }
    }

    /// Takes a request that succeeded, to be completed when the batch is dropped. Returns one that
    /// has to be completed apart, as by [`Self::complete_here`]. As nothing is completed yet, a
    /// lock may be held.
    #[inline]
    pub fn try_add(&mut self, rq: OwnedRequest<T>) -> Result<(), OwnedRequest<T>> {
        if T::HAS_COMPLETE || Self::is_for_submitter(&rq) || !Self::accepts(&rq) {
            return Err(rq);
        }
        self.push(rq);
        Ok(())
    }

    /// Completes a request as [`OwnedRequest::complete`], at the latest when the batch is dropped.
    #[inline]
    pub fn complete(&mut self, mut rq: OwnedRequest<T>, status: BlkStatus) {
        rq.set_status(status);
        self.complete_noted(rq);
    }

    /// Completes a request with the status of [`OwnedRequest::set_status`].
    #[inline]
    pub fn complete_noted(&mut self, rq: OwnedRequest<T>) {
        let status = rq.status();
        let rq = rq.into_raw();
        // SAFETY: The request is live and owned; the block layer takes the ownership if the
        // function returns true.
        if unsafe { k::blk_mq_complete_request_remote(rq.as_ptr()) } {
            return;
        }
        // SAFETY: The request is started, and the block layer did not take the ownership.
        self.add(unsafe { OwnedRequest::<T>::from_raw(rq) }, status);
    }

    /// Completes a request as [`Self::complete_noted`], but on this CPU and in this context, unless
    /// `rq_affinity` is 2 (completion on the CPU that submitted the request). For devices that
    /// interrupt the submitting CPU, or if interrupting another CPU costs more than completing the
    /// request.
    #[inline]
    pub fn complete_here(&mut self, rq: OwnedRequest<T>) {
        if Self::is_for_submitter(&rq) {
            self.complete_noted(rq);
        } else {
            let status = rq.status();
            self.add(rq, status);
        }
    }

    #[inline]
    fn add(&mut self, rq: OwnedRequest<T>, status: BlkStatus) {
        if T::HAS_COMPLETE || !status.is_ok() || !Self::accepts(&rq) {
            T::complete(rq, status);
        } else {
            self.push(rq);
        }
    }

    /// Appends a request that is [accepted](Self::accepts).
    #[inline]
    fn push(&mut self, rq: OwnedRequest<T>) {
        let rq = rq.into_raw().as_ptr();
        // SAFETY: The request is live and owned.
        let flags = unsafe { (*rq).rq_flags };
        self.inner.need_ts |= flags & b::XEN_RS_RQF_NEED_TIME_STAMP != 0;
        let list = &mut self.inner.req_list;
        // SAFETY: The request is live and owned; its owner may use this link.
        unsafe { (*rq).__bindgen_anon_1.rq_next = ptr::null_mut() };
        if list.tail.is_null() {
            list.head = rq;
        } else {
            // SAFETY: By the type invariant the last request is live and owned.
            unsafe { (*list.tail).__bindgen_anon_1.rq_next = rq };
        }
        list.tail = rq;
    }

    /// Whether the CPU that submitted the request has to complete it: `rq_affinity` is 2.
    #[inline]
    fn is_for_submitter(rq: &OwnedRequest<T>) -> bool {
        // SAFETY: The request is live and owned, and so its queue is live.
        let flags = unsafe { (&raw const (*(*rq.as_raw()).q).queue_flags).read_volatile() };
        flags & (1 << k::QUEUE_FLAG_SAME_FORCE) != 0
    }

    /// Whether the request can be ended as part of the batch (blk_mq_add_to_batch()).
    #[inline]
    fn accepts(rq: &OwnedRequest<T>) -> bool {
        let rq = rq.as_raw();
        // SAFETY: The request is live and owned.
        let (flags, end_io) = unsafe { ((*rq).rq_flags, (*rq).end_io) };
        flags & b::XEN_RS_RQF_SCHED_TAGS == 0 && end_io.is_none()
    }
}

impl<T: Operations> Default for CompletionBatch<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Operations> Drop for CompletionBatch<T> {
    #[inline]
    fn drop(&mut self) {
        if !self.inner.req_list.head.is_null() {
            // SAFETY: By the type invariant the batch owns its requests, which may be ended so.
            unsafe { k::blk_mq_end_request_batch(&mut self.inner) };
        }
    }
}
