// SPDX-License-Identifier: GPL-2.0

//! What a driver implements, and the C callbacks that lead there.

use core::{marker::PhantomData, ptr::NonNull};

use kernel::{
    bindings as k, error::Result, ffi::c_int, ffi::c_uint, ffi::c_void, prelude::*,
    types::ForeignOwnable,
};
use pin_init::PinInit;

use super::{
    request::{drop_pdu, init_pdu, IdleRequest, OwnedRequest, Refused},
    status::BlkStatus,
};

/// What [`Operations::queue_rq`] returns: the request was taken, or is handed back.
pub type QueueResult<T> = core::result::Result<(), Refused<T>>;

type Borrowed<'a, T> = <T as ForeignOwnable>::Borrowed<'a>;

/// A driver's side of blk-mq (`struct blk_mq_ops`).
#[vtable]
pub trait Operations: Sized + 'static {
    /// Data of the tag set, for making the other two.
    type TagSetData: Send + Sync + 'static;

    /// Data of a hardware queue.
    type HwData: ForeignOwnable + Send + Sync + 'static;

    /// Data of a request; lives as long as the tag set, across many uses of the request.
    type RequestData: Send + Sync + 'static;

    /// Makes the data of hardware queue `index`. May sleep.
    fn new_hw_data(data: &Self::TagSetData, index: u32) -> Result<Self::HwData>;

    /// Makes the data of a request, in place. May sleep.
    fn new_request_data(data: &Self::TagSetData) -> impl PinInit<Self::RequestData, Error>;

    /// Takes a request, or hands it back. Unless `last` is set, more requests or a call of
    /// [`Self::commit_rqs`] follow at once, so telling the device can wait until then.
    ///
    /// Called with interrupts on. Must not sleep.
    fn queue_rq(
        hw: Borrowed<'_, Self::HwData>,
        rq: IdleRequest<'_, Self>,
        last: bool,
    ) -> QueueResult<Self>;

    /// Tells the device about requests that [`Self::queue_rq`] took without telling, since it was
    /// promised more that did not come.
    fn commit_rqs(_hw: Borrowed<'_, Self::HwData>) {
        build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }

    /// Ends a request after [`OwnedRequest::complete`], on the CPU and in the context that the block
    /// layer chose: softirq or interrupt. Requests in a [`CompletionBatch`] only come here if the
    /// driver implements this function; without it they are ended with their status.
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
        // SAFETY: The descriptor names a request.
        let rq = unsafe { NonNull::new_unchecked(rq) };
        // SAFETY: This is the request that we were called with.
        match T::queue_rq(hw, unsafe { IdleRequest::from_raw(rq) }, last) {
            Ok(()) => BlkStatus::OK.to_raw(),
            Err(refused) => Self::handed_back(rq, refused),
        }
    }

    #[cold]
    fn handed_back(rq: NonNull<k::request>, refused: Refused<T>) -> k::blk_status_t {
        let (handed_back, status) = refused.into_parts();
        let status = if status.is_ok() {
            BlkStatus::IOERR
        } else {
            status
        };
        if handed_back == rq {
            return status.to_raw();
        }
        // The driver kept this request and handed back another one that it owned: that one fails.
        // SAFETY: `Refused` carries the ownership of a request, and any but the one that was just
        // offered has been started.
        unsafe { OwnedRequest::<T>::from_raw(handed_back) }.end(BlkStatus::IOERR);
        BlkStatus::OK.to_raw()
    }

    /// # Safety
    ///
    /// As for `queue_rq`.
    unsafe extern "C" fn commit_rqs(hctx: *mut k::blk_mq_hw_ctx) {
        // SAFETY: The block layer passes a live context, whose data `init_hctx` stored.
        T::commit_rqs(unsafe { T::HwData::borrow((*hctx).driver_data) });
    }

    /// # Safety
    ///
    /// As for `queue_rq`.
    unsafe extern "C" fn complete(rq: *mut k::request) {
        // SAFETY: The block layer passes the request that `OwnedRequest::complete` or a batch gave it,
        // and with it the ownership.
        let rq = unsafe { OwnedRequest::<T>::from_raw(NonNull::new_unchecked(rq)) };
        let status = rq.status();
        T::complete(rq, status);
    }

    /// # Safety
    ///
    /// As for `queue_rq`; `data` must be the tag set's `driver_data`.
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
    /// As for `queue_rq`.
    unsafe extern "C" fn exit_hctx(hctx: *mut k::blk_mq_hw_ctx, _index: c_uint) {
        // SAFETY: `init_hctx` stored the data, and the context runs no more.
        drop(unsafe { T::HwData::from_foreign((*hctx).driver_data) });
    }

    /// # Safety
    ///
    /// As for `queue_rq`.
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
    /// As for `queue_rq`.
    unsafe extern "C" fn exit_request(
        _set: *mut k::blk_mq_tag_set,
        rq: *mut k::request,
        _hctx: c_uint,
    ) {
        // SAFETY: `init_request` succeeded for this request, which is about to be freed.
        unsafe { drop_pdu::<T>(rq) };
    }
}
