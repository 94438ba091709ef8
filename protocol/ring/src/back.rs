// SPDX-License-Identifier: GPL-2.0

//! The back end's half of a ring: it takes requests off and puts responses on.

use crate::index::{announced, reaches_event};
use crate::{Corrupt, Layout, Notify, PushError, RingMem, TooSmall, VariantOf};
use xen_abi::io::ring::{REQ_EVENT, REQ_PROD, RSP_EVENT, RSP_PROD};
use zerocopy::FromBytes;

/// Back end of a ring of `Req` and `Rsp` slots in memory `M`.
///
/// # Invariants
///
/// `published <= produced <= consumed <= published + slots`, in the sense of wrapping indexes:
/// a response only goes where a request was taken off. All three are private; nothing the peer
/// writes changes them except through a validated `req_prod`.
#[derive(Debug)]
pub struct BackRing<Req, Rsp, M> {
    mem: M,
    layout: Layout<Req, Rsp>,
    /// Requests taken off (`req_cons` in C).
    consumed: u32,
    /// Responses written to slots (`rsp_prod_pvt` in C).
    produced: u32,
    /// Responses the peer was told about: the `rsp_prod` we stored.
    published: u32,
    corrupt: Option<Corrupt>,
}

impl<Req, Rsp, M> BackRing<Req, Rsp, M>
where
    Req: FromBytes,
    M: RingMem,
{
    /// Attaches to a ring that a front end has initialised.
    pub fn attach(mem: M) -> Result<Self, TooSmall> {
        Self::attach_at(mem, 0)
    }

    /// Attaches to a ring that another back end has served so far, at the index up to which
    /// requests are consumed and answered (`BACK_RING_ATTACH`).
    pub fn attach_at(mem: M, index: u32) -> Result<Self, TooSmall> {
        let layout = Layout::of(&mem)?;
        Ok(Self {
            mem,
            layout,
            consumed: index,
            produced: index,
            published: index,
            corrupt: None,
        })
    }

    /// Number of slots.
    #[inline]
    pub fn slots(&self) -> u32 {
        self.layout.slots()
    }

    /// Requests taken off that have no response yet.
    #[inline]
    pub fn unanswered(&self) -> u32 {
        self.consumed.wrapping_sub(self.produced)
    }

    /// The memory the ring lives in.
    #[inline]
    pub fn mem(&self) -> &M {
        &self.mem
    }

    /// Gives the memory back.
    pub fn into_mem(self) -> M {
        self.mem
    }

    /// The violation that put the ring into its error state, if any.
    #[inline]
    pub fn corrupt(&self) -> Option<Corrupt> {
        self.corrupt
    }

    /// Puts the ring into its error state for a violation that a protocol on top has found. The
    /// first violation is the one that is kept and returned.
    #[cold]
    pub fn poison(&mut self, corrupt: Corrupt) -> Corrupt {
        *self.corrupt.get_or_insert(corrupt)
    }

    /// The requests that have arrived.
    ///
    /// `req_prod` is read once, here, and has to be within the slots whose responses are out.
    /// Each step of the iterator copies one slot, once; what is not iterated stays for the next
    /// call.
    #[inline]
    pub fn requests(&mut self) -> Result<Requests<'_, Req, Rsp, M>, Corrupt> {
        let remaining = self.arrived()?;
        Ok(Requests {
            ring: self,
            remaining,
        })
    }

    /// To be called when all requests are consumed, before waiting for an event: asks to be
    /// notified of the next request and returns whether some arrived in the meantime, in which
    /// case no event may come for them and the caller has to go on consuming.
    #[inline]
    pub fn final_check_for_requests(&mut self) -> Result<bool, Corrupt> {
        if self.arrived()? > 0 {
            return Ok(true);
        }
        self.mem
            .store_relaxed(REQ_EVENT, self.consumed.wrapping_add(1));
        // The peer sees our event index before we look again at its producer index; the
        // counterpart of the fence in `FrontRing::push_requests`.
        self.mem.fence();
        Ok(self.arrived()? > 0)
    }

    /// Writes a response to the next slot. The peer sees it after
    /// [`push_responses`](Self::push_responses). It is `Full` if every request that was taken off
    /// has its response already.
    #[inline]
    pub fn push<V: VariantOf<Rsp>>(&mut self, response: &V) -> Result<(), PushError> {
        const {
            assert!(
                size_of::<V>() <= Layout::<Req, Rsp>::SLOT,
                "a variant must fit into the slot"
            )
        };
        self.check()?;
        if self.unanswered() == 0 {
            return Err(PushError::Full);
        }
        self.mem.write(self.layout.offset(self.produced), response);
        self.produced = self.produced.wrapping_add(1);
        Ok(())
    }

    /// Publishes the pushed responses and says whether the peer wants an event for them.
    #[inline]
    pub fn push_responses(&mut self) -> Notify {
        let (old, new) = (self.published, self.produced);
        if old == new || self.corrupt.is_some() {
            return Notify::No;
        }
        // The peer sees the responses before the index that announces them, and the index before
        // we look at its event index; see `FrontRing::push_requests`.
        self.mem.store_release(RSP_PROD, new);
        self.published = new;
        self.mem.fence();
        if reaches_event(old, new, self.mem.load_relaxed(RSP_EVENT)) {
            Notify::Yes
        } else {
            Notify::No
        }
    }

    /// Reads and validates the peer's producer index: how many requests are there.
    #[inline]
    fn arrived(&mut self) -> Result<u32, Corrupt> {
        self.check()?;
        let claimed = self.mem.load_acquire(REQ_PROD);
        // An honest front end fills a slot again only when it has taken the response off, which
        // it can do no sooner than the response is published.
        let room = self
            .slots()
            .wrapping_sub(self.consumed.wrapping_sub(self.published));
        match announced(claimed, self.consumed, room) {
            Some(n) => Ok(n),
            None => Err(self.poison(Corrupt::RequestIndex {
                claimed,
                consumed: self.consumed,
                answered: self.published,
            })),
        }
    }

    #[inline]
    fn check(&self) -> Result<(), Corrupt> {
        match self.corrupt {
            None => Ok(()),
            Some(corrupt) => Err(corrupt),
        }
    }
}

/// Iterator over the requests that had arrived when it was made.
#[derive(Debug)]
pub struct Requests<'a, Req, Rsp, M> {
    ring: &'a mut BackRing<Req, Rsp, M>,
    remaining: u32,
}

impl<Req, Rsp, M> Iterator for Requests<'_, Req, Rsp, M>
where
    Req: FromBytes,
    M: RingMem,
{
    type Item = Req;

    #[inline]
    fn next(&mut self) -> Option<Req> {
        self.remaining = self.remaining.checked_sub(1)?;
        let ring = &mut *self.ring;
        let request = ring.mem.read(ring.layout.offset(ring.consumed));
        ring.consumed = ring.consumed.wrapping_add(1);
        Some(request)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining as usize, Some(self.remaining as usize))
    }
}
