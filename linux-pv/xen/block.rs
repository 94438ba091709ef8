// SPDX-License-Identifier: GPL-2.0

//! A block request's data, shown to another domain.
//!
//! Either its pages are lent ([`LentRequest`]), which costs no copy but shows whole pages, or its data
//! is copied to and from pages of the driver's ([`GrantablePage::copy_from_segment`],
//! [`GrantablePage::copy_to_segment`]).

use core::ops::Deref;

use kernel::prelude::*;
use kernel_ext::block::{Operations, OwnedRequest, Request, Segment};

use crate::domain::DomId;
use crate::grant::{Access, GrantRefNumber, GrantRefs, LoanedGrant};
use crate::page::{Gfn, GrantablePage};

/// Room for the grants of a request's pages, made in advance and used again and again.
#[derive(Default)]
pub struct Loans(KVec<LoanedGrant>);

impl Loans {
    /// Room for `count` grants. May sleep.
    pub fn with_capacity(count: usize) -> Result<Self> {
        Ok(Self(KVec::with_capacity(count, GFP_KERNEL)?))
    }
}

/// A request whose pages another domain can access. It cannot be completed before that has ended.
///
/// Dropping it ends the access, or leaves that to the kernel for pages that the peer still holds, and
/// fails the request.
pub struct LentRequest<T: Operations> {
    // Fields are dropped in this order: the pages may only go back when they are not lent any more.
    loans: Loans,
    request: OwnedRequest<T>,
}

impl<T: Operations> LentRequest<T> {
    /// Lends the pages of the first `bytes` bytes of a request to domain `to`. For each segment,
    /// `each` is told the grant. Allocates nothing.
    ///
    /// The peer sees the whole of each page, with whatever lies around the request's data: this is for
    /// peers that are trusted with that.
    ///
    /// # Errors
    ///
    /// Gives all back if `refs` has too few references or `loans` too little room.
    #[inline]
    pub fn new(
        request: OwnedRequest<T>,
        mut loans: Loans,
        refs: &mut GrantRefs,
        to: DomId,
        access: Access,
        bytes: u32,
        mut each: impl FnMut(GrantRefNumber, Segment<'_>),
    ) -> Result<Self, (OwnedRequest<T>, Loans)> {
        for segment in request.segments_within(bytes) {
            if loans.0.len() == loans.0.capacity() {
                return Err(Self { loans, request }.take_back(refs));
            }
            let Some(free) = refs.claim() else {
                return Err(Self { loans, request }.take_back(refs));
            };
            // SAFETY: A segment's page is a page of this kernel's memory.
            let frame = unsafe { Gfn::of(segment.page_ptr()) };
            // SAFETY: The block layer keeps the page until the request is completed. The request is
            // only to be had from this value when all its loans have ended. What the peer may see is
            // the driver's decision, as documented.
            let loan = unsafe { free.lend(frame, to, access) };
            each(loan.number(), segment);
            // There is room: checked above.
            let _ = loans.0.push_within_capacity(loan);
        }
        Ok(Self { loans, request })
    }

    /// A request of which nothing is lent, since its data is in pages of the driver's or there is none.
    /// `loans` is kept for the next request.
    #[inline]
    pub fn without_loans(request: OwnedRequest<T>, loans: Loans) -> Self {
        Self { loans, request }
    }

    /// Nothing was published yet, so the access can always be ended.
    #[cold]
    fn take_back(mut self, refs: &mut GrantRefs) -> (OwnedRequest<T>, Loans) {
        self.revoke(refs);
        self.abandon()
    }

    fn revoke(&mut self, refs: &mut GrantRefs) -> bool {
        while let Some(loan) = self.loans.0.pop() {
            match loan.try_revoke() {
                Ok(free) => refs.release(free),
                Err(loan) => {
                    let _ = self.loans.0.push_within_capacity(loan);
                    return false;
                }
            }
        }
        true
    }

    /// Ends the peer's access and returns the request, with the room for the next one; or returns the
    /// value if the peer still has a page mapped, which is a violation if it has answered the request.
    #[inline]
    pub fn reclaim(mut self, refs: &mut GrantRefs) -> Result<(OwnedRequest<T>, Loans), Self> {
        if self.revoke(refs) {
            Ok((self.request, self.loans))
        } else {
            Err(self)
        }
    }

    /// Returns the request in any case. Pages that the peer still has mapped are not used for anything
    /// else until it lets go: the kernel sees to that. What is in them is up to the peer.
    pub fn abandon(mut self) -> (OwnedRequest<T>, Loans) {
        self.loans.0.clear();
        (self.request, self.loans)
    }

    /// The driver's data of the request, to be changed.
    #[inline]
    pub fn data_mut(&mut self) -> &mut T::RequestData
    where
        T::RequestData: Unpin,
    {
        self.request.data_mut()
    }

    /// The driver's data of the request.
    #[inline]
    pub fn data(&self) -> &T::RequestData {
        self.request.data()
    }
}

impl<T: Operations> Deref for LentRequest<T> {
    type Target = Request<T>;

    #[inline]
    fn deref(&self) -> &Request<T> {
        &self.request
    }
}

impl GrantablePage {
    /// Copies the data of a segment, of a request that writes, to the same place in this page.
    #[inline]
    pub fn copy_from_segment(&self, segment: &Segment<'_>) -> Result {
        let from = segment.address().ok_or(EFAULT)?.as_ptr();
        // SAFETY: The segment is valid for reads of its length, and no data page is a grantable page.
        unsafe { self.copy_in_raw(segment.offset() as usize, from, segment.len() as usize) }
    }

    /// Copies the data of a segment, of a request that reads, from the same place in this page.
    #[inline]
    pub fn copy_to_segment(&self, segment: &Segment<'_>) -> Result {
        let to = segment.address().ok_or(EFAULT)?.as_ptr();
        // SAFETY: The segment is valid for writes of its length: while the driver owns the request,
        // its data is the driver's to fill in. No data page is a grantable page.
        unsafe { self.copy_out_raw(segment.offset() as usize, to, segment.len() as usize) }
    }
}
