// SPDX-License-Identifier: GPL-2.0

//! The operations of a driver, and their C callbacks.

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    bindings as k,
    error::Result,
    ffi::{
        c_int,
        c_uint,
        c_void, //
    },
    prelude::*,
    types::ForeignOwnable, //
};

use pin_init::PinInit;

use super::{
    request::{
        drop_pdu,
        init_pdu,
        IdleRequest,
        OwnedRequest,
        Refused, //
    },
    status::BlkStatus, //
};

/// Result of [`Operations::queue_rq`]: the request was taken, or is returned to the block layer.
pub type QueueResult<T> = core::result::Result<(), Refused<T>>;

type Borrowed<'a, T> = <T as ForeignOwnable>::Borrowed<'a>;

/// Operations of a driver (`struct blk_mq_ops`).
#[vtable]
pub trait Operations: Sized + 'static {
    /// Data of the tag set, from which the data of hardware queues and requests is made.
    type TagSetData: Send + Sync + 'static;

    /// Data of a hardware queue.
    type HwData: ForeignOwnable + Send + Sync + 'static;

    /// Data of a request. It lives as long as the tag set, and is kept when the request is reused.
    type RequestData: Send + Sync + 'static;

    /// Makes the data of hardware queue `index`. May sleep.
    fn new_hw_data(data: &Self::TagSetData, index: u32) -> Result<Self::HwData>;

    /// Makes the data of a request, in place. May sleep.
    fn new_request_data(data: &Self::TagSetData) -> impl PinInit<Self::RequestData, Error>;

    /// Takes a request, or returns it to the block layer. Unless `last` is set, another request or
    /// a call of [`Self::commit_rqs`] follows at once, so notifying the device can be deferred.
    ///
    /// Called with interrupts on. Must not sleep.
    fn queue_rq(
        hw: Borrowed<'_, Self::HwData>,
        rq: IdleRequest<'_, Self>,
        last: bool,
    ) -> QueueResult<Self>;

    /// Notifies the device of requests that [`Self::queue_rq`] took without notifying.
    fn commit_rqs(_hw: Borrowed<'_, Self::HwData>) {
        build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }

    /// Ends a request after [`OwnedRequest::complete`], on the CPU and in the context that the
    /// block layer selects: softirq or interrupt. Requests in a [`CompletionBatch`] are only passed
    /// to this function if the driver implements it; otherwise they are ended with their status.
    ///
    /// [`CompletionBatch`]: super::CompletionBatch
    fn complete(rq: OwnedRequest<Self>, status: BlkStatus) {
        rq.end(status);
    }
}

/// The C callbacks of a driver.
pub(super) struct OperationsVTable<T: Operations>(PhantomData<T>);

impl<T: Operations> OperationsVTable<T> {
    pub(super) const VTABLE: k::blk_mq_ops = k::blk_mq_ops {
        queue_rq: Some(Self::queue_rq),
        commit_rqs: if T::HAS_COMMIT_RQS {
            Some(Self::commit_rqs)
        } else {
            None
        },
        complete: Some(Self::complete),
        init_hctx: Some(Self::init_hctx),
        exit_hctx: Some(Self::exit_hctx),
        init_request: Some(Self::init_request),
        exit_request: Some(Self::exit_request),
        // Some fields exist only in kernels of certain configurations.
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// To be called by the block layer only, as `queue_rq` of a tag set of `T`.
    unsafe extern "C" fn queue_rq(
        hctx: *mut k::blk_mq_hw_ctx,
        bd: *const k::blk_mq_queue_data,
    ) -> k::blk_status_t {
        // SAFETY: The block layer passes a live context, whose data `init_hctx` stored.
        let hw = unsafe { T::HwData::borrow((*hctx).driver_data) };
        // SAFETY: The block layer passes a valid descriptor.
        let (rq, last) = unsafe { ((*bd).rq, (*bd).last) };
        // SAFETY: The descriptor is of a request.
        let rq = unsafe { NonNull::new_unchecked(rq) };
        // SAFETY: `queue_rq` was called with this request, which is not used otherwise.
        match T::queue_rq(hw, unsafe { IdleRequest::from_raw(rq) }, last) {
            Ok(()) => BlkStatus::OK.to_raw(),
            Err(refused) => Self::refused(rq, refused),
        }
    }

    #[cold]
    fn refused(rq: NonNull<k::request>, refused: Refused<T>) -> k::blk_status_t {
        let (returned, status) = refused.into_parts();
        let status = if status.is_ok() {
            BlkStatus::IOERR
        } else {
            status
        };
        if returned == rq {
            return status.to_raw();
        }
        // The driver kept this request and returned another one that it owned: that one fails.
        // SAFETY: `Refused` owns a request, and all but the one that is being queued are started.
        unsafe { OwnedRequest::<T>::from_raw(returned) }.end(BlkStatus::IOERR);
        BlkStatus::OK.to_raw()
    }

    /// # Safety
    ///
    /// To be called by the block layer only, as `commit_rqs` of a tag set of `T`.
    unsafe extern "C" fn commit_rqs(hctx: *mut k::blk_mq_hw_ctx) {
        // SAFETY: The block layer passes a live context, whose data `init_hctx` stored.
        T::commit_rqs(unsafe { T::HwData::borrow((*hctx).driver_data) });
    }

    /// # Safety
    ///
    /// To be called by the block layer only, as `complete` of a tag set of `T`.
    unsafe extern "C" fn complete(rq: *mut k::request) {
        // SAFETY: The block layer passes a request of which it got the ownership by
        // `OwnedRequest::complete` or a batch, and the ownership with it.
        let rq = unsafe { OwnedRequest::<T>::from_raw(NonNull::new_unchecked(rq)) };
        let status = rq.status();
        T::complete(rq, status);
    }

    /// # Safety
    ///
    /// To be called by the block layer only, as `init_hctx` of a tag set of `T`, with the tag set's
    /// `driver_data`.
    unsafe extern "C" fn init_hctx(
        hctx: *mut k::blk_mq_hw_ctx,
        data: *mut c_void,
        index: c_uint,
    ) -> c_int {
        // SAFETY: `TagSet` stores a pointer to its data there, which lives as long as the tag set.
        let data = unsafe { &*data.cast::<T::TagSetData>() };
        match T::new_hw_data(data, index) {
            Ok(hw) => {
                // SAFETY: The context is live, and this field is the driver's.
                unsafe { (*hctx).driver_data = hw.into_foreign() };
                0
            }
            Err(error) => error.to_errno(),
        }
    }

    /// # Safety
    ///
    /// To be called by the block layer only, as `exit_hctx` of a tag set of `T`.
    unsafe extern "C" fn exit_hctx(hctx: *mut k::blk_mq_hw_ctx, _index: c_uint) {
        // SAFETY: `init_hctx` stored the data, and the context is not used any more.
        drop(unsafe { T::HwData::from_foreign((*hctx).driver_data) });
    }

    /// # Safety
    ///
    /// To be called by the block layer only, as `init_request` of a tag set of `T`.
    unsafe extern "C" fn init_request(
        set: *mut k::blk_mq_tag_set,
        rq: *mut k::request,
        _hctx: c_uint,
        _node: c_int,
    ) -> c_int {
        // SAFETY: `TagSet` stores a pointer to its data there, which lives as long as the tag set.
        let data = unsafe { &*(*set).driver_data.cast::<T::TagSetData>() };
        // SAFETY: The block layer passes a new request of this tag set.
        match unsafe { init_pdu::<T>(rq, data) } {
            Ok(()) => 0,
            Err(error) => error.to_errno(),
        }
    }

    /// # Safety
    ///
    /// To be called by the block layer only, as `exit_request` of a tag set of `T`.
    unsafe extern "C" fn exit_request(
        _set: *mut k::blk_mq_tag_set,
        rq: *mut k::request,
        _hctx: c_uint,
    ) {
        // SAFETY: `init_request` succeeded for this request, which is about to be freed.
        unsafe { drop_pdu::<T>(rq) };
    }
}
