// SPDX-License-Identifier: GPL-2.0

//! Grants of pages that have another owner, such as the data pages of a request.

use core::{
    mem::ManuallyDrop,
    ptr, //
};

use xen_bindings as bindings;
use xen_ring::loan::Revocable;

use crate::debug;

use super::{
    retired::{
        retire,
        Lent, //
    },
    FreeRef,
    GrantRefNumber, //
};

/// A page of another owner that is granted to a domain. Made by [`FreeRef::lend`].
///
/// The page must not go back to its owner before access has ended. If
/// [`try_revoke`](Self::try_revoke) fails, the peer broke the protocol, for it has answered the
/// request but keeps the page mapped: the device must go into its error state, and the request must
/// fail. A [`Loan`] has the owner's handle too, and sees to that.
///
/// Dropping the grant gives the kernel a reference to the page, so that the page is not freed until
/// the peer has unmapped it. That is enough for a page that nobody uses but who drops the grant.
///
/// # Invariants
///
/// `0` is a claimed reference that gives a peer access to a page that lives as long as this.
#[must_use]
#[repr(transparent)]
pub struct LoanedGrant(u32);

/// A page with the handle of its owner, to whom it goes back when the grant has ended. If the peer
/// still has the page mapped when this is dropped, ending the grant is tried again every second
/// until it has unmapped it.
pub type Loan<O> = xen_ring::loan::Loan<LoanedGrant, O>;

impl LoanedGrant {
    #[inline]
    pub(super) fn from_active(number: u32) -> Self {
        // INVARIANT: The only caller has just activated the reference.
        Self(number)
    }

    /// The number of the reference, for the peer.
    #[inline]
    pub fn number(&self) -> GrantRefNumber {
        self.0
    }

    /// Ends the peer's access, or returns the grant as it was if the peer still has the page
    /// mapped.
    #[inline]
    pub fn try_revoke(self) -> Result<FreeRef, LoanedGrant> {
        // SAFETY: By the type invariant the reference is owned and in use.
        if unsafe { bindings::gnttab_end_foreign_access_ref(self.0) } == 0 {
            return Err(self);
        }
        // INVARIANT: The entry gives no access any more.
        Ok(FreeRef(ManuallyDrop::new(self).0))
    }

    /// Ends the peer's access and gives the reference back to the kernel, or returns the grant as
    /// it was if the peer still has the page mapped, as it well may: nothing is logged.
    pub fn try_end(self) -> Result<(), LoanedGrant> {
        // SAFETY: By the type invariant the reference is owned and in use. On success it is freed,
        // and not used afterwards.
        if unsafe { bindings::gnttab_try_end_foreign_access(self.0) } == 0 {
            return Err(self);
        }
        debug::GRANT_REFS.sub(1);
        let _ = ManuallyDrop::new(self);
        Ok(())
    }
}

/// The handle of a lent page's owner. Dropping it, in any context, gives the page back.
pub trait Owner: Send + 'static {
    /// It may take long until the page goes back. Any context.
    fn retired(&self) {}
}

impl<O: Owner> Revocable<O> for LoanedGrant {
    fn try_end(self) -> Result<(), Self> {
        self.try_end()
    }

    #[cold]
    fn retire(loan: Loan<O>) {
        if let Some(owner) = loan.owner() {
            owner.retired();
        }
        retire(loan);
    }
}

impl<O: Owner> Lent for Loan<O> {
    fn try_end(&mut self) -> bool {
        self.try_end()
    }
}

impl Drop for LoanedGrant {
    fn drop(&mut self) {
        debug::GRANT_REFS.sub(1);
        // SAFETY: By the type invariant the reference is owned and in use. On success it is freed,
        // and not used afterwards.
        if unsafe { bindings::gnttab_try_end_foreign_access(self.0) } == 0 {
            debug::DEFERRED.add(1);
            // SAFETY: By the type invariant the page is valid, so the kernel can take a reference
            // to it, which it puts once the peer has unmapped the page.
            unsafe { bindings::gnttab_end_foreign_access(self.0, ptr::null_mut()) };
        }
    }
}
