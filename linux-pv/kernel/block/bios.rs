// SPDX-License-Identifier: GPL-2.0

//! What a request is made of (`struct bio`), apart from the request.

use core::ptr;

use kernel::bindings as k;
use xen_bindings as b;

use super::{
    operations::Operations,
    request::OwnedRequest, //
};

/// The bios of a request that was ended without them. When this is dropped, they end with an I/O
/// error: who submitted them has the pages back then. May outlive the request's disk.
///
/// # Invariants
///
/// `0` is a chain of live bios that nobody else will end, or null.
pub struct Bios(*mut k::bio);

// SAFETY: Bios may be ended by any task and in any context.
unsafe impl Send for Bios {}

impl<T: Operations> OwnedRequest<T> {
    /// Ends the request and keeps its bios, so that the disk can be removed while their pages are
    /// still in use. Any context.
    pub fn end_without_bios(self) -> Bios {
        let rq = self.into_raw().as_ptr();
        let mut list = k::bio_list {
            head: ptr::null_mut(),
            tail: ptr::null_mut(),
        };
        // SAFETY: The request is live, started, and owned, and so are its bios.
        unsafe { k::blk_steal_bios(&mut list, rq) };
        // SAFETY: The request is live, started, and owned. The block layer takes the ownership.
        unsafe { k::blk_mq_end_request(rq, b::XEN_RS_BLK_STS_IOERR) };
        // INVARIANT: They were taken from a request, which would have ended them.
        Bios(list.head)
    }
}

impl Drop for Bios {
    fn drop(&mut self) {
        while !self.0.is_null() {
            let bio = self.0;
            // SAFETY: By the type invariant the bio is live.
            self.0 = unsafe { (*bio).bi_next };
            // SAFETY: By the type invariant the bio is live, and not used by anybody else.
            unsafe {
                (*bio).bi_next = ptr::null_mut();
                (*bio).bi_status = b::XEN_RS_BLK_STS_IOERR;
            }
            // SAFETY: By the type invariant nobody else ends the bio, which is not used afterwards.
            unsafe { k::bio_endio(bio) };
        }
    }
}
