// SPDX-License-Identifier: GPL-2.0

//! Grants on pages that belong to somebody else, such as the data pages of a request.

use core::mem::ManuallyDrop;
use core::ptr;
use xen_bindings as bindings;

use super::{FreeRef, GrantRefNumber};
use crate::debug;

/// A page of somebody else's that is shown to another domain. Made by [`FreeRef::lend`].
///
/// The page must not go back to its owner before access has ended. If [`try_revoke`](Self::try_revoke)
/// fails, the peer broke the protocol, for it has answered the request but keeps the page: the device
/// must go into its error state, and its owner must be told that the data cannot be trusted. What
/// remains then is to drop the grant: the kernel takes a reference to the page, so that it is not
/// used for anything else until the peer lets go.
///
/// # Invariants
///
/// `0` is a claimed reference that gives a peer access to a page that lives as long as this.
#[must_use]
#[repr(transparent)]
pub struct LoanedGrant(u32);

impl LoanedGrant {
    #[inline]
    pub(super) fn from_active(number: u32) -> Self {
        // INVARIANT: The only caller has just activated the reference.
        Self(number)
    }

    /// What to tell the peer.
    #[inline]
    pub fn number(&self) -> GrantRefNumber {
        self.0
    }

    /// Ends the peer's access, or returns the grant as it was if the peer still has the page mapped.
    #[inline]
    pub fn try_revoke(self) -> Result<FreeRef, LoanedGrant> {
        // SAFETY: By the type invariant the reference is ours and in use.
        if unsafe { bindings::gnttab_end_foreign_access_ref(self.0) } == 0 {
            return Err(self);
        }
        // INVARIANT: The entry gives no access any more.
        Ok(FreeRef(ManuallyDrop::new(self).0))
    }

    /// Ends the peer's access and gives the reference back to the kernel, or returns the grant as it was if the peer
    /// still has the page mapped, as it well may: nothing is logged.
    pub fn try_end(self) -> Result<(), LoanedGrant> {
        // SAFETY: By the type invariant the reference is ours and in use; on success it is freed.
        if unsafe { bindings::gnttab_try_end_foreign_access(self.0) } == 0 {
            return Err(self);
        }
        debug::GRANT_REFS.sub(1);
        let _ = ManuallyDrop::new(self);
        Ok(())
    }
}

impl Drop for LoanedGrant {
    fn drop(&mut self) {
        debug::GRANT_REFS.sub(1);
        // SAFETY: By the type invariant the reference is ours and in use; it is freed by this call.
        if unsafe { bindings::gnttab_try_end_foreign_access(self.0) } == 0 {
            debug::DEFERRED.add(1);
            // SAFETY: By the type invariant the page is still alive, so that the kernel can take a
            // reference to it, which it puts once the peer has let go.
            unsafe { bindings::gnttab_end_foreign_access(self.0, ptr::null_mut()) };
        }
    }
}
