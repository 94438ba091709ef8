// SPDX-License-Identifier: GPL-2.0

//! Unused grant references: reserved stocks of them, and single ones.

use core::mem;

use kernel::{
    error::to_result,
    prelude::*, //
};

use xen_bindings as bindings;

use crate::{
    debug,
    domain::DomId,
    page::{
        Gfn,
        GrantablePage, //
    },
};

use super::{
    Access,
    Grant,
    LoanedGrant, //
};

/// A claimed reference that grants nothing yet. Dropped, it goes back to the kernel; give it back
/// to its stock with [`GrantRefs::release`] where that matters for speed.
///
/// # Invariants
///
/// The reference is claimed and owned by this value, and its grant entry gives no access.
#[must_use]
pub struct FreeRef(pub(super) u32);

impl FreeRef {
    /// Lets domain `to` access `page`, which the grant then owns.
    #[inline]
    pub fn grant(self, page: GrantablePage, to: DomId, access: Access) -> Grant {
        self.activate(page.gfn(), to, access);
        let number = self.into_number();
        Grant::from_active(number, page)
    }

    /// Lets domain `to` access a page that keeps its owner.
    ///
    /// # Safety
    ///
    /// `frame` is the frame of a page that is not freed while the [`LoanedGrant`] exists, and whose
    /// whole content the peer may see, and change if `access` says so.
    #[inline]
    pub unsafe fn lend(self, frame: Gfn, to: DomId, access: Access) -> LoanedGrant {
        self.activate(frame, to, access);
        LoanedGrant::from_active(self.into_number())
    }

    #[inline]
    fn activate(&self, frame: Gfn, to: DomId, access: Access) {
        let readonly = (access == Access::ReadOnly).into();
        // SAFETY: By the type invariant the entry is owned and not in use. The callers make sure
        // that the frame's page outlives the access.
        unsafe { bindings::gnttab_grant_foreign_access_ref(self.0, to.0, frame.0, readonly) };
    }

    #[inline]
    pub(super) fn into_number(self) -> u32 {
        mem::ManuallyDrop::new(self).0
    }
}

impl Drop for FreeRef {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is owned and gives no access.
        unsafe { bindings::gnttab_free_grant_reference(self.0) };
        debug::GRANT_REFS.sub(1);
    }
}

/// A private stock of unused references, from which one is claimed without a lock.
///
/// # Invariants
///
/// `head` starts a list, private to this value, of exactly `left` unused references.
pub struct GrantRefs {
    head: bindings::grant_ref_t,
    left: usize,
}

impl GrantRefs {
    /// An empty stock, to be filled by [`add`](Self::add) or [`release`](Self::release).
    pub const fn empty() -> Self {
        // INVARIANT: This is the end mark of `gnttab_empty_grant_references()`: a list of none.
        Self {
            head: u32::MAX,
            left: 0,
        }
    }

    /// Reserves `count` references. Does not sleep, but may take long if the grant table has to
    /// grow.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if the grant table cannot hold that many; none are reserved then.
    pub fn reserve(count: u16) -> Result<Self> {
        if count == 0 {
            return Ok(Self::empty());
        }
        let mut head = 0;
        // SAFETY: `head` is a local for the result.
        to_result(unsafe { bindings::gnttab_alloc_grant_references(count, &mut head) })?;
        debug::GRANT_REFS.add(count.into());
        // INVARIANT: The call made a list of `count` references at `head`.
        Ok(Self {
            head,
            left: count.into(),
        })
    }

    /// Reserves `count` references more, as [`reserve`](Self::reserve) does.
    pub fn add(&mut self, count: u16) -> Result {
        let mut more = Self::reserve(count)?;
        while let Some(free) = more.claim() {
            self.release(free);
        }
        Ok(())
    }

    /// References left in the stock.
    #[inline]
    pub fn left(&self) -> usize {
        self.left
    }

    /// Takes one reference, if there is one.
    #[inline]
    pub fn claim(&mut self) -> Option<FreeRef> {
        // SAFETY: By the type invariant `head` starts a private list.
        let number = unsafe { bindings::gnttab_claim_grant_reference(&mut self.head) };
        let number = u32::try_from(number).ok()?;
        self.left -= 1;
        // INVARIANT: The reference was just taken off the list of unused ones.
        Some(FreeRef(number))
    }

    /// Takes a reference back.
    #[inline]
    pub fn release(&mut self, free: FreeRef) {
        // SAFETY: By their invariants the reference is unused and the list is owned.
        unsafe { bindings::gnttab_release_grant_reference(&mut self.head, free.into_number()) };
        self.left += 1;
    }
}

impl Drop for GrantRefs {
    fn drop(&mut self) {
        if self.left > 0 {
            // SAFETY: By the type invariant the list holds unused references that it owns.
            unsafe { bindings::gnttab_free_grant_references(self.head) };
            debug::GRANT_REFS.sub(self.left);
        }
    }
}
