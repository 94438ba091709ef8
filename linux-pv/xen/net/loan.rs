// SPDX-License-Identifier: GPL-2.0

//! The one place where this abstraction meets Xen: packets and pages shown to another domain.
//!
//! The pages of a packet to be sent are lent, one grant for each part of it that lies in a page, and the packet
//! is freed with the last of them ([`LentPart`]). Pages to be filled with received packets are
//! lent one by one ([`LentPage`]). To an end that is not trusted with whatever else lies in the pages of a
//! packet its data is shown as a copy, in pages that hold nothing else.

use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use kernel::bindings as k;
use kernel::prelude::*;
use xen_bindings as b;

use super::{Outgoing, PoolPage, XdpFrame};
use crate::domain::DomId;
use crate::grant::{Access, Grant, GrantRefNumber, GrantRefs, LoanedGrant};
use crate::page::{Gfn, PagePool, PAGE_SIZE};

/// A page that the other end may fill.
///
/// Dropping it ends the access, or leaves that and the page to the kernel if the other end still has it.
pub struct LentPage {
    // Dropped first: the page may only go back to its pool when it is not lent any more, or when the kernel has
    // a reference of its own to it.
    loan: LoanedGrant,
    page: PoolPage,
}

impl LentPage {
    /// Lends a page to domain `to`; gives it back if `refs` is empty. What is in the page can be seen there.
    #[inline]
    pub fn new(page: PoolPage, refs: &mut GrantRefs, to: DomId) -> Result<Self, PoolPage> {
        let Some(free) = refs.claim() else {
            return Err(page);
        };
        // SAFETY: The page is one of this kernel's memory.
        let frame = unsafe { Gfn::of(page.as_ptr()) };
        // SAFETY: The page stays with its loan, which is ended, or left to the kernel, before the page goes.
        let loan = unsafe { free.lend(frame, to, Access::ReadWrite) };
        Ok(Self { loan, page })
    }

    /// What to tell the other end.
    #[inline]
    pub fn number(&self) -> GrantRefNumber {
        self.loan.number()
    }

    /// Ends the access and returns the page, or this as it was if the other end has the page mapped.
    #[inline]
    pub fn reclaim(self, refs: &mut GrantRefs) -> Result<PoolPage, Self> {
        match self.loan.try_revoke() {
            Ok(free) => {
                refs.release(free);
                Ok(self.page)
            }
            Err(loan) => Err(Self {
                loan,
                page: self.page,
            }),
        }
    }

    #[inline]
    pub(super) fn address(&self) -> *const u8 {
        self.page.address()
    }
}

/// A part of a packet that the other end may read: a page of the packet itself, or a copy.
///
/// Dropping it ends the access, or leaves that and the page to the kernel if the other end still has it.
pub struct LentPart(Held);

enum Held {
    // The loan is dropped first: each part keeps the packet, and so its pages, until it is not lent any more or
    // the kernel has a reference of its own to the page.
    Own {
        loan: LoanedGrant,
        packet: SharedPacket,
    },
    Copy(Grant),
    Frame {
        loan: LoanedGrant,
        _frame: XdpFrame,
    },
}

/// One of several references to a packet that is not changed any more, the last of which frees it.
///
/// # Invariants
///
/// `0` is a live packet, of which this owns a reference.
pub struct SharedPacket(NonNull<k::sk_buff>);

// SAFETY: References to packets may be put in any context.
unsafe impl Send for SharedPacket {}
// SAFETY: It gives no access to the packet.
unsafe impl Sync for SharedPacket {}

impl SharedPacket {
    #[inline]
    fn another(&self) -> Self {
        // SAFETY: By the type invariant.
        unsafe { b::xen_rs_skb_get(self.0.as_ptr()) };
        // INVARIANT: A reference was just taken.
        Self(self.0)
    }

    #[inline]
    pub(super) fn into_raw(self) -> NonNull<k::sk_buff> {
        ManuallyDrop::new(self).0
    }
}

impl Drop for SharedPacket {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { b::xen_rs_skb_drop(self.0.as_ptr()) }
    }
}

/// A packet was not shown, or not all of it: what `each` was told of is to be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unlendable;

/// Why the parts of a packet are not gone through any further.
enum End {
    /// That was the last one.
    Last,
    /// It cannot be shown.
    Early,
}

impl Outgoing {
    /// Shows the pages of a packet to domain `to`, read-only: all of each page, with whatever lies around the
    /// packet's data. `each` is told of every part in turn, its offset in its page and its length.
    ///
    /// # Errors
    ///
    /// If `refs` has fewer references than the packet has [pages](Self::pages).
    #[inline]
    pub fn lend(
        self,
        refs: &mut GrantRefs,
        to: DomId,
        mut each: impl FnMut(LentPart, u16, u16) -> Result<(), Unlendable>,
    ) -> Result<(), Unlendable> {
        let packet = ManuallyDrop::new(self);
        // INVARIANT: The packet's only reference, which is not dropped with `packet`. Nobody changes it any more.
        let mut last = Some(SharedPacket(packet.as_non_null()));
        let mut left = packet.pages();
        let result = packet.for_each_part(|page, offset, len| {
            let free = refs.claim().ok_or(End::Early)?;
            left = left.saturating_sub(1);
            let packet = match &last {
                Some(packet) if left > 0 => packet.another(),
                // The last part gets the reference that there was.
                _ => last.take().ok_or(End::Early)?,
            };
            // SAFETY: A part of a packet is in a page of this kernel's memory.
            let frame = unsafe { Gfn::of(page) };
            // SAFETY: The packet keeps its pages, and the part that this becomes keeps the packet, until the
            // loan is ended or left to the kernel. What the other end sees is as documented.
            let loan = unsafe { free.lend(frame, to, Access::ReadOnly) };
            each(LentPart(Held::Own { loan, packet }), offset, len).map_err(|_| End::Early)?;
            // The packet is `each`'s with its last part, and may be gone.
            if last.is_some() {
                Ok(())
            } else {
                Err(End::Last)
            }
        });
        match result {
            Ok(()) | Err(End::Last) => Ok(()),
            Err(End::Early) => Err(Unlendable),
        }
    }

    /// Shows a copy of the packet to domain `to`, in pages with nothing else of this domain in them. The packet
    /// itself is not needed for that any more. `each` is told of every part as by [`lend`](Self::lend).
    ///
    /// # Errors
    ///
    /// If there is no memory, or `refs` has too few references.
    pub fn lend_copy(
        &self,
        pages: &mut PagePool,
        refs: &mut GrantRefs,
        to: DomId,
        mut each: impl FnMut(LentPart, u16, u16) -> Result<(), Unlendable>,
    ) -> Result<(), Unlendable> {
        let mut done = 0;
        while done < self.len() {
            let len = (self.len() - done).min(PAGE_SIZE as u32);
            let page = pages.get_or_new(GFP_ATOMIC).map_err(|_| Unlendable)?;
            // SAFETY: The page is valid for writes of as many bytes as `len` is at most.
            unsafe { self.copy_bits(done, page.virt().as_ptr(), len) }.map_err(|_| Unlendable)?;
            let free = refs.claim().ok_or(Unlendable)?;
            let grant = free.grant(page, to, Access::ReadOnly);
            each(LentPart(Held::Copy(grant)), 0, len as u16)?;
            done += len;
        }
        Ok(())
    }
}

impl XdpFrame {
    /// Shows the packet to domain `to`, read-only, with all that is in its page. Returns the part with its offset
    /// and length; or the frame, if `refs` is empty or the packet lies in several pages.
    #[inline]
    pub fn lend(self, refs: &mut GrantRefs, to: DomId) -> Result<(LentPart, u16, u16), Self> {
        let Some((page, offset, len)) = self.part() else {
            return Err(self);
        };
        let Some(free) = refs.claim() else {
            return Err(self);
        };
        // SAFETY: The page of a frame is in this kernel's memory.
        let frame = unsafe { Gfn::of(page) };
        // SAFETY: The frame keeps its page, and the part keeps the frame until the loan is ended or left to the
        // kernel. What the other end sees is as documented.
        let loan = unsafe { free.lend(frame, to, Access::ReadOnly) };
        Ok((LentPart(Held::Frame { loan, _frame: self }), offset, len))
    }

    /// Shows a copy of the packet to domain `to`, in a page with nothing else of this domain in it, as
    /// [`SkBuff::lend_copy`] does. Returns the frame if there is no memory or `refs` is empty.
    pub fn lend_copy(
        self,
        pages: &mut PagePool,
        refs: &mut GrantRefs,
        to: DomId,
    ) -> Result<(LentPart, u16, u16), Self> {
        let mut copy = |frame: &Self| {
            let page = pages.get_or_new(GFP_ATOMIC).ok()?;
            let (from, len) = frame.bytes();
            // SAFETY: The frame's data is valid for reads, and in no page made for granting.
            unsafe { page.copy_in_raw(0, from, len) }.ok()?;
            Some((refs.claim()?.grant(page, to, Access::ReadOnly), len as u16))
        };
        match copy(&self) {
            Some((grant, len)) => Ok((LentPart(Held::Copy(grant)), 0, len)),
            None => Err(self),
        }
    }
}

impl LentPart {
    /// What to tell the other end.
    #[inline]
    pub fn number(&self) -> GrantRefNumber {
        match &self.0 {
            Held::Own { loan, .. } | Held::Frame { loan, .. } => loan.number(),
            Held::Copy(grant) => grant.number(),
        }
    }

    /// Ends the access: the reference goes back to `refs` and a copy's page to `pages`. Returns a reference to
    /// the packet, to be [consumed](super::Poll::consume), if it is one of the stack's and no copy; or this as it
    /// was if the other end has the page mapped.
    #[inline]
    pub fn reclaim(
        self,
        refs: &mut GrantRefs,
        pages: &mut PagePool,
    ) -> Result<Option<SharedPacket>, Self> {
        match self.0 {
            Held::Own { loan, packet } => match loan.try_revoke() {
                Ok(free) => {
                    refs.release(free);
                    Ok(Some(packet))
                }
                Err(loan) => Err(Self(Held::Own { loan, packet })),
            },
            Held::Copy(grant) => match grant.try_revoke() {
                Ok((free, page)) => {
                    refs.release(free);
                    // A pool that is full lets the page go.
                    let _ = pages.put(page);
                    Ok(None)
                }
                Err(grant) => Err(Self(Held::Copy(grant))),
            },
            Held::Frame { loan, _frame } => match loan.try_revoke() {
                Ok(free) => {
                    refs.release(free);
                    Ok(None)
                }
                Err(loan) => Err(Self(Held::Frame { loan, _frame })),
            },
        }
    }
}
