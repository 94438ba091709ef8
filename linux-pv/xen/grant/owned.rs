// SPDX-License-Identifier: GPL-2.0

//! A grant and the page it owns.

use core::{
    mem::ManuallyDrop,
    ptr, //
};

use kernel::prelude::*;
use xen_bindings as bindings;

use crate::{
    debug,
    domain::DomId,
    page::GrantablePage, //
};

use super::{
    Access,
    FreeRef,
    GrantRefNumber, //
};

/// A page granted to another domain.
///
/// Dropping it ends the access and frees the page; if the peer still has the page mapped, page and
/// reference are passed to the kernel, which tries every second, and frees them when the peer has
/// unmapped the page.
///
/// # Examples
///
/// The frontend in [`FrontendDriver`](crate::bus::FrontendDriver#examples) grants a page to read.
///
/// # Invariants
///
/// `number` is a claimed reference that gives a peer access to `page`, and to nothing else.
#[must_use]
pub struct Grant {
    number: u32,
    page: GrantablePage,
}

impl Grant {
    /// Lets domain `to` access `page`, with a reference of its own from the kernel. Does not sleep.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if the grant table is full; the page is freed then.
    pub fn new(page: GrantablePage, to: DomId, access: Access) -> Result<Self> {
        let readonly = (access == Access::ReadOnly).into();
        // SAFETY: The page is the grant's from here on, so it outlives the access.
        let number = unsafe { bindings::gnttab_grant_foreign_access(to.0, page.gfn().0, readonly) };
        let number = u32::try_from(number).map_err(|_| ENOSPC)?;
        debug::GRANT_REFS.add(1);
        Ok(Self::from_active(number, page))
    }

    #[inline]
    pub(super) fn from_active(number: u32, page: GrantablePage) -> Self {
        // INVARIANT: The only caller has just activated the reference for this page.
        Self { number, page }
    }

    /// The number of the reference, for the peer.
    #[inline]
    pub fn number(&self) -> GrantRefNumber {
        self.number
    }

    /// The page.
    #[inline]
    pub fn page(&self) -> &GrantablePage {
        &self.page
    }

    /// Ends the peer's access and returns the reference and the page, or the grant as it was if the
    /// peer still has the page mapped.
    #[inline]
    pub fn try_revoke(self) -> Result<(FreeRef, GrantablePage), Grant> {
        // SAFETY: By the type invariant the reference is owned and in use.
        if unsafe { bindings::gnttab_end_foreign_access_ref(self.number) } == 0 {
            return Err(self);
        }
        let (number, page) = self.into_parts();
        // INVARIANT: The entry gives no access any more.
        Ok((FreeRef(number), page))
    }

    /// Like [`try_revoke`](Self::try_revoke), but gives the reference back to the kernel, and does
    /// not log a warning if the peer has the page mapped: for grants that it may well have, such as
    /// idle persistent ones.
    pub fn try_end(self) -> Result<GrantablePage, Grant> {
        // SAFETY: By the type invariant the reference is owned and in use. On success it is freed,
        // and not used afterwards.
        if unsafe { bindings::gnttab_try_end_foreign_access(self.number) } == 0 {
            return Err(self);
        }
        debug::GRANT_REFS.sub(1);
        Ok(self.into_parts().1)
    }

    #[inline]
    fn into_parts(self) -> (u32, GrantablePage) {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is never used nor dropped again, so the page is moved out, not duplicated.
        (this.number, unsafe { ptr::read(&this.page) })
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        debug::GRANT_REFS.sub(1);
        // SAFETY: By the type invariant the reference is owned and in use; it is not used
        // afterwards if this succeeds.
        if unsafe { bindings::gnttab_try_end_foreign_access(self.number) } == 0 {
            debug::DEFERRED.add(1);
            // SAFETY: The reference is still in use, and is not used afterwards. The kernel gets a
            // reference to the page, which is put when the peer has unmapped it; the one of the
            // field is put right after this.
            unsafe { bindings::gnttab_end_foreign_access(self.number, ptr::null_mut()) };
        }
    }
}
