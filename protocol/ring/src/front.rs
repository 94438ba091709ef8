// SPDX-License-Identifier: GPL-2.0

//! The front end's half of a ring: it puts requests on and takes responses off.

use crate::index::{announced, reaches_event};
use crate::{Corrupt, HeadOf, Layout, Notify, PushError, RingMem, TooSmall, VariantOf};
use xen_abi::io::ring::{Header, REQ_EVENT, REQ_PROD, RSP_EVENT, RSP_PROD};
use zerocopy::FromBytes;

/// Front end of a ring of `Req` and `Rsp` slots in memory `M`.
///
/// # Invariants
///
/// `consumed <= published <= produced <= consumed + slots`, in the sense of wrapping indexes.
/// All three are private; nothing the peer writes changes them except through a validated
/// `rsp_prod`.
#[derive(Debug)]
pub struct FrontRing<Req, Rsp, M> {
    mem: M,
    layout: Layout<Req, Rsp>,
    /// Requests written to slots (`req_prod_pvt` in C).
    produced: u32,
    /// Requests the peer was told about: the `req_prod` we stored.
    published: u32,
    /// Responses taken off (`rsp_cons` in C).
    consumed: u32,
    /// The response that the peer was asked to notify us of: the `rsp_event` we stored.
    event: u32,
    corrupt: Option<Corrupt>,
}

impl<Req, Rsp, M> FrontRing<Req, Rsp, M>
where
    Rsp: FromBytes,
    M: RingMem,
{
    /// Makes an empty ring in `mem`, which must not be in use by a peer yet, and initialises its
    /// header. The slots are left as they are: hand in zeroed memory.
    pub fn new(mem: M) -> Result<Self, TooSmall> {
        Self::new_at(mem, 0)
    }

    /// Like [`new`](Self::new), but counting from `index` on, for a back end that does the same
    /// (`FRONT_RING_ATTACH`), and for tests of the indexes' wrap-around.
    pub fn new_at(mem: M, index: u32) -> Result<Self, TooSmall> {
        let layout = Layout::of(&mem)?;
        let header = Header {
            req_prod: index,
            req_event: index.wrapping_add(1),
            rsp_prod: index,
            rsp_event: index.wrapping_add(1),
            ..Header::EMPTY
        };
        mem.write(0, &header);
        Ok(Self {
            mem,
            layout,
            produced: index,
            published: index,
            consumed: index,
            event: header.rsp_event,
            corrupt: None,
        })
    }

    /// Number of slots.
    #[inline]
    pub fn slots(&self) -> u32 {
        self.layout.slots()
    }

    /// Requests that can be pushed before the ring is full.
    #[inline]
    pub fn free(&self) -> u32 {
        self.slots()
            .wrapping_sub(self.produced.wrapping_sub(self.consumed))
    }

    /// Requests that the peer was told about and has not answered.
    #[inline]
    pub fn outstanding(&self) -> u32 {
        self.published.wrapping_sub(self.consumed)
    }

    /// The memory the ring lives in.
    #[inline]
    pub fn mem(&self) -> &M {
        &self.mem
    }

    /// Gives the memory back. Requests the peer has not answered are forgotten here, not by the
    /// peer, who can use the memory until its grants are revoked.
    pub fn into_mem(self) -> M {
        self.mem
    }

    /// The violation that put the ring into its error state, if any.
    #[inline]
    pub fn corrupt(&self) -> Option<Corrupt> {
        self.corrupt
    }

    /// Puts the ring into its error state for a violation that a protocol on top has found, say a
    /// response with a bad id. The first violation is the one that is kept and returned.
    #[cold]
    pub fn poison(&mut self, corrupt: Corrupt) -> Corrupt {
        *self.corrupt.get_or_insert(corrupt)
    }

    /// Writes a request to the next slot. The peer sees it after
    /// [`push_requests`](Self::push_requests), so a batch costs one notification at most.
    #[inline]
    pub fn push<V: VariantOf<Req>>(&mut self, request: &V) -> Result<(), PushError> {
        const {
            assert!(
                size_of::<V>() <= Layout::<Req, Rsp>::SLOT,
                "a variant must fit into the slot"
            )
        };
        self.check()?;
        if self.free() == 0 {
            return Err(PushError::Full);
        }
        self.mem.write(self.layout.offset(self.produced), request);
        self.produced = self.produced.wrapping_add(1);
        Ok(())
    }

    /// Like [`push`](Self::push), for a request that ends in a list of which only the beginning is
    /// used: writes `head`, and `list` behind it. The rest of the slot is left as it is, and so is
    /// what `list` has beyond the slot's end, which is a mistake of the caller.
    #[inline]
    pub fn push_with_list<H: HeadOf<Req>>(
        &mut self,
        head: &H,
        list: &[H::Item],
    ) -> Result<(), PushError> {
        const {
            assert!(
                size_of::<H>() <= Layout::<Req, Rsp>::SLOT
                    && size_of::<H>() % align_of::<H::Item>() == 0
                    && size_of::<H::Item>() > 0,
                "a list must fit into the slot behind its head"
            )
        };
        let room = (Layout::<Req, Rsp>::SLOT - size_of::<H>()) / size_of::<H::Item>();
        self.check()?;
        if self.free() == 0 {
            return Err(PushError::Full);
        }
        let mut offset = self.layout.offset(self.produced);
        self.mem.write(offset, head);
        offset = offset.wrapping_add(size_of::<H>());
        for item in list.iter().take(room) {
            self.mem.write(offset, item);
            offset = offset.wrapping_add(size_of::<H::Item>());
        }
        self.produced = self.produced.wrapping_add(1);
        Ok(())
    }

    /// Publishes the pushed requests and says whether the peer wants an event for them.
    ///
    /// The previous `req_prod` is our own copy; C reads it back from shared memory, where the peer
    /// may have changed it.
    #[inline]
    pub fn push_requests(&mut self) -> Notify {
        let (old, new) = (self.published, self.produced);
        if old == new || self.corrupt.is_some() {
            return Notify::No;
        }
        // The peer sees the requests before the index that announces them.
        self.mem.store_release(REQ_PROD, new);
        self.published = new;
        // The peer sees the index before we look at its event index: either it finds the requests
        // in its final check, or we find its wish to be notified. Without the fence both could
        // miss each other and the requests would wait for ever.
        self.mem.fence();
        if reaches_event(old, new, self.mem.load_relaxed(REQ_EVENT)) {
            Notify::Yes
        } else {
            Notify::No
        }
    }

    /// The responses that have arrived.
    ///
    /// `rsp_prod` is read once, here, and has to be within what is outstanding. Each step of the
    /// iterator copies one slot, once, and frees it; what is not iterated stays for the next call.
    #[inline]
    pub fn responses(&mut self) -> Result<Responses<'_, Req, Rsp, M>, Corrupt> {
        let remaining = self.arrived()?;
        Ok(Responses {
            ring: self,
            remaining,
        })
    }

    /// To be called when all responses are consumed, before waiting for an event: asks to be
    /// notified of the next response and returns whether some arrived in the meantime, in which
    /// case no event may come for them and the caller has to go on consuming.
    #[inline]
    pub fn final_check_for_responses(&mut self) -> Result<bool, Corrupt> {
        self.final_check_for_batch(1)
    }

    /// Like [`final_check_for_responses`](Self::final_check_for_responses), but asks to be
    /// notified only once `batch` responses are there, or all that are outstanding if that is
    /// less. Fewer may lie on the ring until then: only for protocols that can wait for them.
    #[inline]
    pub fn final_check_for_batch(&mut self, batch: u32) -> Result<bool, Corrupt> {
        if self.arrived()? > 0 {
            return Ok(true);
        }
        self.check_again_for(batch.min(self.outstanding()).max(1))
    }

    /// Like [`final_check_for_batch`](Self::final_check_for_batch), but for responses that are not
    /// waited for: requests a notification only once there are `batch` of them, those to requests
    /// that are pushed later included, and returns whether there are. Fewer may stay on the ring
    /// for ever, so a later request whose response is waited for has to be
    /// [awaited](Self::await_last).
    #[inline]
    pub fn final_check_for_many(&mut self, batch: u32) -> Result<bool, Corrupt> {
        if self.arrived()? >= batch {
            return Ok(true);
        }
        self.check_again_for(batch.max(1))
    }

    /// Asks to be notified at the latest when the first of the last `count` pushed requests, or as
    /// many others, are answered. To be called before these are published, or else the answers may
    /// be there already and no event comes.
    #[inline]
    pub fn await_last(&mut self, count: u32) {
        let first = self.produced.wrapping_sub(count).wrapping_add(1);
        let ahead = |index: u32| index.wrapping_sub(self.consumed);
        if ahead(self.event) > ahead(first) {
            // The peer sees the event index before the requests, which are published with
            // release semantics, so it cannot get that far without having seen it.
            self.ask_for_event(first);
        }
    }

    #[inline]
    fn ask_for_event(&mut self, index: u32) {
        self.mem.store_relaxed(RSP_EVENT, index);
        self.event = index;
    }

    #[inline]
    fn check_again_for(&mut self, batch: u32) -> Result<bool, Corrupt> {
        self.ask_for_event(self.consumed.wrapping_add(batch));
        // The peer sees our event index before we look again at its producer index; the
        // counterpart of the fence in `push_requests`, executed by the back end.
        self.mem.fence();
        Ok(self.arrived()? >= batch)
    }

    /// Reads and validates the peer's producer index: how many responses are there.
    #[inline]
    fn arrived(&mut self) -> Result<u32, Corrupt> {
        self.check()?;
        let claimed = self.mem.load_acquire(RSP_PROD);
        match announced(claimed, self.consumed, self.outstanding()) {
            Some(n) => Ok(n),
            None => Err(self.poison(Corrupt::ResponseIndex {
                claimed,
                consumed: self.consumed,
                published: self.published,
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

/// Iterator over the responses that had arrived when it was made.
#[derive(Debug)]
pub struct Responses<'a, Req, Rsp, M> {
    ring: &'a mut FrontRing<Req, Rsp, M>,
    remaining: u32,
}

impl<Req, Rsp, M> Iterator for Responses<'_, Req, Rsp, M>
where
    Rsp: FromBytes,
    M: RingMem,
{
    type Item = Rsp;

    #[inline]
    fn next(&mut self) -> Option<Rsp> {
        self.remaining = self.remaining.checked_sub(1)?;
        let ring = &mut *self.ring;
        let response = ring.mem.read(ring.layout.offset(ring.consumed));
        ring.consumed = ring.consumed.wrapping_add(1);
        Some(response)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining as usize, Some(self.remaining as usize))
    }
}
