// SPDX-License-Identifier: GPL-2.0

//! A block request's data, shown to another domain.
//!
//! Either its pages are lent ([`LentRequest`]), which costs no copy but shows whole pages, or its
//! data is copied to and from pages of the driver's ([`GrantablePage::copy_from_segment`],
//! [`GrantablePage::copy_to_segment`]).

use core::{
    mem::{
        self,
        ManuallyDrop, //
    },
    ops::{
        Deref,
        DerefMut, //
    },
};

use kernel::prelude::*;

use kernel_ext::block::{
    Bios,
    Operations,
    OwnedRequest,
    Request,
    RequestList,
    Segment, //
};

use crate::{
    debug,
    domain::DomId,
    grant::{
        retire,
        Access,
        GrantRefNumber,
        GrantRefs,
        Lent,
        LoanedGrant, //
    },
    page::{
        Gfn,
        GrantablePage, //
    },
};

/// The grants of a request's pages, or room for them, made in advance and used again and again.
pub struct Loans(KVec<LoanedGrant>);

impl Loans {
    /// Room for `count` grants. May sleep.
    pub fn with_capacity(count: usize) -> Result<Self> {
        Ok(Self(KVec::with_capacity(count, GFP_KERNEL)?))
    }

    /// Ends the grants that can be ended. True if none is left.
    fn try_end(&mut self) -> bool {
        while let Some(loan) = self.0.pop() {
            if let Err(loan) = loan.try_end() {
                // There is room: it was just taken out.
                let _ = self.0.push_within_capacity(loan);
                return false;
            }
        }
        true
    }

    /// As [`try_end`](Self::try_end), but the references go to `refs`, and it is logged that the
    /// peer has a page mapped.
    #[inline]
    fn revoke(&mut self, refs: &mut GrantRefs) -> bool {
        while let Some(loan) = self.0.pop() {
            match loan.try_revoke() {
                Ok(free) => refs.release(free),
                Err(loan) => {
                    let _ = self.0.push_within_capacity(loan);
                    return false;
                }
            }
        }
        true
    }
}

/// The driver's data of a request, with the request's loans, which the driver cannot get at.
///
/// # Invariants
///
/// There are loans only while a [`LentRequest`] or [`RetiredRequests`] has the request.
pub struct LendableData<D> {
    loans: Loans,
    data: D,
}

impl<D> LendableData<D> {
    /// The data of a request that has `loans` as the room for its loans.
    pub fn new(data: D, loans: Loans) -> Self {
        // INVARIANT: There is no other way to get `Loans` than as room.
        Self { loans, data }
    }
}

impl<D> Deref for LendableData<D> {
    type Target = D;

    #[inline]
    fn deref(&self) -> &D {
        &self.data
    }
}

impl<D> DerefMut for LendableData<D> {
    #[inline]
    fn deref_mut(&mut self) -> &mut D {
        &mut self.data
    }
}

/// A driver whose requests may be lent.
pub trait Lending: Operations<RequestData = LendableData<<Self as Lending>::Data>> {
    /// The driver's data of a request.
    type Data: Unpin;
}

/// A request whose pages another domain can access. It cannot be completed before that has ended.
///
/// If it is dropped while the domain still has a page mapped, the request is never completed.
///
/// The loans are in the request's data, so that moving this value moves a pointer.
pub struct LentRequest<T: Lending>(ManuallyDrop<OwnedRequest<T>>);

impl<T: Lending> LentRequest<T> {
    /// Lends the pages of the first `bytes` bytes of a request to domain `to`. For each segment,
    /// calls `each` with the grant. Allocates nothing.
    ///
    /// The peer sees the whole of each page, with whatever lies around the request's data: this is
    /// for peers that are trusted with that.
    ///
    /// # Errors
    ///
    /// Gives the request back if `refs` has too few references or there is too little room for its
    /// loans.
    #[inline]
    pub fn new(
        request: OwnedRequest<T>,
        refs: &mut GrantRefs,
        to: DomId,
        access: Access,
        bytes: u32,
        mut each: impl FnMut(GrantRefNumber, Segment<'_>),
    ) -> Result<Self, Result<OwnedRequest<T>, Self>> {
        let mut this = Self::without_loans(request);
        let (request, data) = this.0.split_mut();
        let loans = &mut data.loans.0;
        for segment in request.segments_within(bytes) {
            if loans.len() == loans.capacity() {
                return Err(this.reclaim(refs));
            }
            let Some(free) = refs.claim() else {
                return Err(this.reclaim(refs));
            };
            // SAFETY: A segment's page is a page of this kernel's memory.
            let frame = unsafe { Gfn::of(segment.page_ptr()) };
            // SAFETY: The block layer keeps the page until the request is completed. The request is
            // only to be had from this value when all its loans have ended. What the peer may see
            // is the driver's decision, as documented.
            let loan = unsafe { free.lend(frame, to, access) };
            each(loan.number(), segment);
            // There is room: checked above.
            let _ = loans.push_within_capacity(loan);
        }
        Ok(this)
    }

    /// A request of which nothing is lent, since its data is in pages of the driver's or there is
    /// none.
    #[inline]
    pub fn without_loans(request: OwnedRequest<T>) -> Self {
        Self(ManuallyDrop::new(request))
    }

    /// Ends the peer's access and returns the request, with the room for its next loans; or returns
    /// the value if the peer still has a page mapped, which is a violation if it has answered the
    /// request.
    #[inline]
    pub fn reclaim(mut self, refs: &mut GrantRefs) -> Result<OwnedRequest<T>, Self> {
        if self.0.data_mut().loans.revoke(refs) {
            Ok(self.into_request())
        } else {
            Err(self)
        }
    }

    /// As [`reclaim`](Self::reclaim), but the references go back to the kernel, and it is not
    /// logged that the peer has a page mapped, as it well may if it has not answered.
    pub fn try_end(mut self) -> Result<OwnedRequest<T>, Self> {
        if self.0.data_mut().loans.try_end() {
            Ok(self.into_request())
        } else {
            Err(self)
        }
    }

    /// The request with its loans, which are none unless it is kept as a retired one.
    #[inline]
    fn into_request(self) -> OwnedRequest<T> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not used after the field is taken out of it, nor is it dropped.
        unsafe { ManuallyDrop::take(&mut this.0) }
    }

    /// The driver's data of the request, to be changed.
    #[inline]
    pub fn data_mut(&mut self) -> &mut T::Data {
        self.0.data_mut()
    }

    /// The driver's data of the request.
    #[inline]
    pub fn data(&self) -> &T::Data {
        self.0.data()
    }
}

impl<T: Lending> Drop for LentRequest<T> {
    #[cold]
    fn drop(&mut self) {
        if self.0.data_mut().loans.try_end() {
            // SAFETY: The field is not used afterwards. The pages are not lent any more, so the
            // request may fail.
            drop(unsafe { ManuallyDrop::take(&mut self.0) });
        }
    }
}

/// Requests of a device that is done with them, whose pages the peer still has mapped. Belongs
/// under a lock. Allocates nothing.
///
/// # Invariants
///
/// The grants of each request are in the loans of its data, where nobody else can get at them.
pub struct RetiredRequests<T: Lending>(RequestList<T>);

impl<T: Lending> RetiredRequests<T> {
    /// None.
    pub const fn new() -> Self {
        Self(RequestList::new())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts a request in.
    pub fn push(&mut self, request: LentRequest<T>) {
        debug::RETIRED.add(1);
        // INVARIANT: The grants are in the data already.
        self.0.push(request.into_request());
    }

    /// Ends what can be ended, and appends the requests of which nothing is lent any more to
    /// `ended`.
    pub fn try_end(&mut self, ended: &mut RequestList<T>) {
        let mut left = RequestList::new();
        while let Some(mut request) = self.0.pop() {
            if request.data_mut().loans.try_end() {
                debug::RETIRED.sub(1);
                ended.push(request);
            } else {
                left.push(request);
            }
        }
        self.0 = left;
    }

    /// Ends all requests so that their disk can be removed, but not what they are made of: the
    /// bios, whose pages are lent, are retired in their stead. May sleep.
    pub fn leave_bios(mut self) {
        while let Some(mut request) = self.0.pop() {
            debug::RETIRED.sub(1);
            let loans = mem::replace(&mut request.data_mut().loans, Loans(KVec::new()));
            retire(LentBios {
                loans,
                _bios: request.end_without_bios(),
            });
        }
    }
}

impl<T: Lending> Default for RetiredRequests<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Lending> Drop for RetiredRequests<T> {
    /// What is still lent is never given back.
    fn drop(&mut self) {
        while let Some(request) = self.0.pop() {
            mem::forget(request);
        }
    }
}

/// What a request was made of, whose pages are lent.
struct LentBios {
    loans: Loans,
    /// Ended, with an error, when this is dropped.
    _bios: Bios,
}

impl Lent for LentBios {
    fn try_end(&mut self) -> bool {
        self.loans.try_end()
    }
}

impl<T: Lending> Deref for LentRequest<T> {
    type Target = Request<T>;

    #[inline]
    fn deref(&self) -> &Request<T> {
        &self.0
    }
}

impl GrantablePage {
    /// Copies the data of a segment, of a request that writes, to the same place in this page.
    #[inline]
    pub fn copy_from_segment(&self, segment: &Segment<'_>) {
        let to = self.virt().as_ptr().wrapping_add(segment.offset() as usize);
        // SAFETY: `self` is valid for writes of a page, which a segment does not leave, and no data
        // page is a grantable page.
        unsafe { segment.copy_to(to) };
    }

    /// Copies the data of a segment, of a request that reads, from the same place in this page.
    #[inline]
    pub fn copy_to_segment(&self, segment: &Segment<'_>) {
        let from = self.virt().as_ptr().wrapping_add(segment.offset() as usize);
        // SAFETY: `self` is valid for reads of a page, which a segment does not leave, and no data
        // page is a grantable page.
        unsafe { segment.copy_from(from) };
    }
}
