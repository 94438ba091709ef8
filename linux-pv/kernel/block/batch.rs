// SPDX-License-Identifier: GPL-2.0

//! Many requests at a time: lists without memory of their own, and completion in one go.

use core::{marker::PhantomData, ptr, ptr::NonNull};

use kernel::bindings as k;
use xen_bindings as b;

use super::{operations::Operations, request::OwnedRequest, status::BlkStatus};

/// A first-in-first-out list of owned requests, linked through the requests.
///
/// Meant for taking requests out from under a lock and completing or requeueing them afterwards.
/// Requests that are left when it is dropped fail with an I/O error.
///
/// # Invariants
///
/// `head` and the requests linked behind it are owned by the list; `tail` is the last of them. Both
/// are null if there is none.
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

    /// Whether there is no request in the list.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// Appends a request.
    #[inline]
    pub fn push(&mut self, rq: OwnedRequest<T>) {
        let rq = rq.into_raw().as_ptr();
        // SAFETY: While a driver owns a request, this link is the driver's to use.
        unsafe { (*rq).__bindgen_anon_1.rq_next = ptr::null_mut() };
        if self.tail.is_null() {
            self.head = rq;
        } else {
            // SAFETY: By the invariant the last request is live and ours.
            unsafe { (*self.tail).__bindgen_anon_1.rq_next = rq };
        }
        self.tail = rq;
    }

    /// Removes the first request.
    #[inline]
    pub fn pop(&mut self) -> Option<OwnedRequest<T>> {
        let rq = NonNull::new(self.head)?;
        // SAFETY: By the invariant the request is live and linked to the next one, or null.
        self.head = unsafe { (*rq.as_ptr()).__bindgen_anon_1.rq_next };
        if self.head.is_null() {
            self.tail = ptr::null_mut();
        }
        // SAFETY: The list owned the request.
        Some(unsafe { OwnedRequest::from_raw(rq) })
    }

    /// Moves all requests of `other` to the end.
    pub fn append(&mut self, other: &mut Self) {
        while let Some(rq) = other.pop() {
            self.push(rq);
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

/// Completes requests, those that need no special treatment all at once when it is dropped, which
/// saves most of the block layer's work for each (`struct io_comp_batch`).
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
            inner: pin_init::zeroed(),
            _owned: PhantomData,
        }
    }

    /// Completes a request as [`OwnedRequest::complete`] does, perhaps not before the batch is dropped.
    #[inline]
    pub fn complete(&mut self, mut rq: OwnedRequest<T>, status: BlkStatus) {
        rq.set_status(status);
        self.complete_noted(rq);
    }

    /// Completes a request with the status that [`OwnedRequest::set_status`] noted.
    #[inline]
    pub fn complete_noted(&mut self, rq: OwnedRequest<T>) {
        let status = rq.status();
        let rq = rq.into_raw();
        // SAFETY: The request is live and owned; ownership goes to the block layer, and comes back to
        // us if the function returns false.
        if unsafe { k::blk_mq_complete_request_remote(rq.as_ptr()) } {
            return;
        }
        // SAFETY: See above.
        self.add(unsafe { OwnedRequest::<T>::from_raw(rq) }, status);
    }

    /// Like [`Self::complete_noted`], but on this CPU and not in softirq context, unless the user wants
    /// requests completed by the very CPU that submitted them (`rq_affinity` is 2). For devices that
    /// interrupt the CPU that submits, or to which interrupting another CPU is more costly than completing
    /// the request.
    #[inline]
    pub fn complete_here(&mut self, rq: OwnedRequest<T>) {
        // SAFETY: The request is live and owned, and holds its queue.
        let flags = unsafe { (&raw const (*(*rq.as_raw()).q).queue_flags).read_volatile() };
        if flags & (1 << k::QUEUE_FLAG_SAME_FORCE) != 0 {
            self.complete_noted(rq);
        } else {
            let status = rq.status();
            self.add(rq, status);
        }
    }

    #[inline]
    fn add(&mut self, rq: OwnedRequest<T>, status: BlkStatus) {
        if T::HAS_COMPLETE || !status.is_ok() || !self.accepts(&rq) {
            T::complete(rq, status);
            return;
        }
        let rq = rq.into_raw().as_ptr();
        let list = &mut self.inner.req_list;
        // SAFETY: The request is live and owned; its link is free for this use.
        unsafe { (*rq).__bindgen_anon_1.rq_next = ptr::null_mut() };
        if list.tail.is_null() {
            list.head = rq;
        } else {
            // SAFETY: The requests of a batch are live and belong to it.
            unsafe { (*list.tail).__bindgen_anon_1.rq_next = rq };
        }
        list.tail = rq;
    }

    /// Whether the block layer can end this request as part of a batch: blk_mq_add_to_batch().
    #[inline]
    fn accepts(&mut self, rq: &OwnedRequest<T>) -> bool {
        let rq = rq.as_raw();
        // SAFETY: The request is live and owned.
        let (flags, end_io) = unsafe { ((*rq).rq_flags, (*rq).end_io) };
        if flags & b::XEN_RS_RQF_SCHED_TAGS != 0 || end_io.is_some() {
            return false;
        }
        let end: unsafe extern "C" fn(*mut k::io_comp_batch) = k::blk_mq_end_request_batch;
        match self.inner.complete {
            None => self.inner.complete = Some(end),
            // A batch of the block layer may already hold requests of another driver.
            Some(other) if other as usize != end as usize => return false,
            Some(_) => {}
        }
        self.inner.need_ts |= flags & b::XEN_RS_RQF_NEED_TIME_STAMP != 0;
        true
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
            // SAFETY: The batch owns its requests; all of them may be ended this way.
            unsafe { k::blk_mq_end_request_batch(&mut self.inner) };
        }
    }
}
