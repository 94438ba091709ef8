// SPDX-License-Identifier: GPL-2.0

//! Packets and pages shown to another domain.
//!
//! The pages of a packet to be sent are lent, one grant for each part of it that lies in a page,
//! and the packet is freed with the last of them ([`LentPart`]). Pages to be filled with received
//! packets are lent one by one ([`LentPage`]). To an end that is not trusted with whatever else
//! lies in the pages of a packet its data is shown as a copy, in pages that hold nothing else.

use core::{
    mem::ManuallyDrop,
    ops::Deref, //
};

use kernel::prelude::*;

use kernel_ext::net::{
    Incoming,
    Operations,
    Outgoing,
    PoolPage,
    SharedPacket,
    SkBuff,
    XdpFrame, //
};

use xen_ring::pages::pieces;

use crate::{
    domain::DomId,
    grant::{
        Access,
        Grant,
        GrantRefNumber,
        GrantRefs,
        Loan,
        LoanedGrant,
        Owner, //
    },
    page::{
        Gfn,
        PagePool,
        PAGE_SIZE, //
    },
};

/// A page that the other end may fill.
///
/// Dropping it ends the access, or leaves that and the page to the kernel if the other end still
/// has it.
pub struct LentPage {
    // Dropped first: the page may only go back to its pool when it is not lent any more, or when
    // the kernel has a reference of its own to it.
    loan: LoanedGrant,
    page: PoolPage,
}

impl LentPage {
    /// Lends a page to domain `to`; gives it back if `refs` is empty. What is in the page can be
    /// seen there.
    #[inline]
    pub fn new(page: PoolPage, refs: &mut GrantRefs, to: DomId) -> Result<Self, PoolPage> {
        let Some(free) = refs.claim() else {
            return Err(page);
        };
        // SAFETY: The page is one of this kernel's memory.
        let frame = unsafe { Gfn::of(page.as_ptr()) };
        // SAFETY: The page stays with its loan, which is ended, or left to the kernel, before the
        // page goes.
        let loan = unsafe { free.lend(frame, to, Access::ReadWrite) };
        Ok(Self { loan, page })
    }

    /// What to tell the other end.
    #[inline]
    pub fn number(&self) -> GrantRefNumber {
        self.loan.number()
    }

    /// Ends the access and returns the page, or this as it was if the other end has the page
    /// mapped.
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

    /// Copies `len` bytes from byte `offset` of the page, which the other end may still write to,
    /// to the end of a packet's linear part.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is not as much room, or in the page.
    #[inline]
    pub fn copy_to<T: Operations>(
        &self,
        skb: &mut Incoming<'_, T>,
        offset: u32,
        len: u32,
    ) -> Result {
        skb.copy_page(&self.page, offset, len)
    }
}

/// A part of a packet that the other end may read: a page of the packet itself, or a copy.
///
/// Dropping it ends the access. If the other end still has the page mapped then, the packet is kept
/// until it has not, detached from its socket; a copy is left to the kernel.
pub struct LentPart(Held);

enum Held {
    // Each part keeps the packet, and so its pages.
    Own(Loan<SharedPacket>),
    Copy(Grant),
    Frame(Loan<XdpFrame>),
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

/// A packet to be sent, and the parts of pages that it lies in. Dropping it drops the packet.
///
/// # Invariants
///
/// `pages` is the number of parts that `for_each_part` finds.
pub struct PagedPacket {
    packet: Outgoing,
    pages: u32,
}

impl PagedPacket {
    /// Looks at a packet that has come to [`start_xmit`](kernel_ext::net::Operations::start_xmit).
    #[inline]
    pub fn new(skb: SkBuff) -> Self {
        let packet = Outgoing::new(skb);
        let (data, len) = packet.linear();
        let mut pages = pieces(data as usize, len).len();
        for fragment in packet.fragments() {
            pages += pieces(fragment.offset, fragment.len).len();
        }
        // INVARIANT: The parts are found in the same way.
        Self {
            packet,
            pages: pages as u32,
        }
    }

    /// Pages, or parts of pages, that the packet lies in.
    #[inline]
    pub fn pages(&self) -> u32 {
        self.pages
    }

    /// The packet. What was known of it is forgotten.
    #[inline]
    pub fn into_skb(self) -> SkBuff {
        self.packet.into_skb()
    }

    /// Tells the packet's socket that it has been sent: see [`Outgoing::disown`].
    #[inline]
    pub fn disown(&mut self) -> bool {
        self.packet.disown()
    }

    /// Calls `each` for each part of a page in turn, with its frame, its offset there and its
    /// length. Stops at the first error, and does not look at the packet again after that.
    #[inline]
    fn for_each_part<E>(
        &self,
        mut each: impl FnMut(Gfn, u16, u16) -> Result<(), E>,
    ) -> Result<(), E> {
        let (head, len) = self.packet.linear();
        let head = head as usize;
        for piece in pieces(head % PAGE_SIZE, len) {
            let at = (head - head % PAGE_SIZE).wrapping_add(piece.page * PAGE_SIZE);
            // SAFETY: This is the address of a page of the linear part of a packet, which is in the
            // kernel's direct mapping.
            let frame = unsafe { Gfn::at(at as *const u8) };
            each(frame, piece.offset as u16, piece.len as u16)?;
        }
        for fragment in self.packet.fragments() {
            for piece in pieces(fragment.offset, fragment.len) {
                // SAFETY: A fragment is in pages of this kernel's memory.
                let frame = unsafe { Gfn::of(fragment.page_behind(piece.page)) };
                each(frame, piece.offset as u16, piece.len as u16)?;
            }
        }
        Ok(())
    }

    /// Grants the pages of a packet to domain `to`, read-only: all of each page, with the data
    /// around the packet's. Calls `each` with every part in turn, its offset in its page and its
    /// length.
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
        let this = ManuallyDrop::new(self);
        // SAFETY: This is the packet's only reference, which is not dropped with `this`. The packet
        // does not change any more.
        let mut last = Some(unsafe { SharedPacket::from_raw(this.packet.as_raw()) });
        let mut left = this.pages;
        let result = this.for_each_part(|frame, offset, len| {
            let free = refs.claim().ok_or(End::Early)?;
            left = left.saturating_sub(1);
            let packet = match &last {
                Some(packet) if left > 0 => packet.another(),
                // The last part gets the reference that there was.
                _ => last.take().ok_or(End::Early)?,
            };
            // SAFETY: The packet keeps its pages, and the part that this becomes keeps the packet,
            // until the loan is ended. What the other end sees is as documented.
            let loan = unsafe { free.lend(frame, to, Access::ReadOnly) };
            let part = LentPart(Held::Own(Loan::new(loan, packet)));
            each(part, offset, len).map_err(|_| End::Early)?;
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

    /// Grants a copy of the packet to domain `to`, in pages without other data of this domain. The
    /// packet itself is not needed any more. Calls `each` with every part as [`lend`](Self::lend)
    /// does.
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
        while done < self.packet.len() {
            let len = (self.packet.len() - done).min(PAGE_SIZE as u32);
            let page = pages.get_or_new(GFP_ATOMIC).map_err(|_| Unlendable)?;
            // SAFETY: The page is valid for writes of as many bytes as `len` is at most.
            unsafe { self.packet.copy_bits(done, page.virt().as_ptr(), len) }
                .map_err(|_| Unlendable)?;
            let free = refs.claim().ok_or(Unlendable)?;
            let grant = free.grant(page, to, Access::ReadOnly);
            each(LentPart(Held::Copy(grant)), 0, len as u16)?;
            done += len;
        }
        Ok(())
    }
}

impl Deref for PagedPacket {
    type Target = Outgoing;

    #[inline]
    fn deref(&self) -> &Outgoing {
        &self.packet
    }
}

impl LentPart {
    /// Shows the packet of a frame to domain `to`, read-only, with all that is in its page. Returns
    /// the part with its offset and length; or the frame, if `refs` is empty or the packet lies in
    /// several pages.
    #[inline]
    pub fn lend_frame(
        frame: XdpFrame,
        refs: &mut GrantRefs,
        to: DomId,
    ) -> Result<(Self, u16, u16), XdpFrame> {
        let Some((page, offset, len)) = frame.part() else {
            return Err(frame);
        };
        let Some(free) = refs.claim() else {
            return Err(frame);
        };
        // SAFETY: The page of a frame is in this kernel's memory.
        let gfn = unsafe { Gfn::of(page) };
        // SAFETY: The frame keeps its page, and the part keeps the frame until the loan is ended.
        // What the other end sees is as documented.
        let loan = unsafe { free.lend(gfn, to, Access::ReadOnly) };
        Ok((Self(Held::Frame(Loan::new(loan, frame))), offset, len))
    }

    /// Shows a copy of the packet of a frame to domain `to`, in a page with nothing else of this
    /// domain in it, as [`PagedPacket::lend_copy`] does. Returns the frame if there is no memory or
    /// `refs` is empty.
    pub fn lend_frame_copy(
        frame: XdpFrame,
        pages: &mut PagePool,
        refs: &mut GrantRefs,
        to: DomId,
    ) -> Result<(Self, u16, u16), XdpFrame> {
        let mut copy = |frame: &XdpFrame| {
            let page = pages.get_or_new(GFP_ATOMIC).ok()?;
            let (from, len) = frame.bytes();
            // SAFETY: The frame's data is valid for reads, and in no page made for granting.
            unsafe { page.copy_in_raw(0, from, len) }.ok()?;
            Some((refs.claim()?.grant(page, to, Access::ReadOnly), len as u16))
        };
        match copy(&frame) {
            Some((grant, len)) => Ok((Self(Held::Copy(grant)), 0, len)),
            None => Err(frame),
        }
    }

    /// What to tell the other end.
    #[inline]
    pub fn number(&self) -> GrantRefNumber {
        let grant = match &self.0 {
            Held::Own(loan) => loan.grant(),
            Held::Frame(loan) => loan.grant(),
            Held::Copy(grant) => return grant.number(),
        };
        // There is one until the loan ends.
        grant.map_or(GrantRefNumber::MAX, LoanedGrant::number)
    }

    /// Ends the access: the reference goes back to `refs` and a copy's page to `pages`. Returns a
    /// reference to the packet, to be [consumed](kernel_ext::net::Poll::consume), if it is one of
    /// the stack's and no copy; or this as it was if the other end has the page mapped.
    #[inline]
    pub fn reclaim(
        self,
        refs: &mut GrantRefs,
        pages: &mut PagePool,
    ) -> Result<Option<SharedPacket>, Self> {
        match self.0 {
            Held::Own(loan) => match loan.end_by(LoanedGrant::try_revoke) {
                Ok((free, packet)) => {
                    refs.release(free);
                    Ok(Some(packet))
                }
                Err(loan) => Err(Self(Held::Own(loan))),
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
            Held::Frame(loan) => match loan.end_by(LoanedGrant::try_revoke) {
                Ok((free, _)) => {
                    refs.release(free);
                    Ok(None)
                }
                Err(loan) => Err(Self(Held::Frame(loan))),
            },
        }
    }
}

impl Owner for SharedPacket {
    /// A socket waits for what it has sent, and a connection for its packets.
    fn retired(&self) {
        self.disown();
    }
}

impl Owner for XdpFrame {}
