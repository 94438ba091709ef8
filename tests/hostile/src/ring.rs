// SPDX-License-Identifier: GPL-2.0

//! A backend's half of a ring, which may do everything that an honest one may not.

use std::collections::VecDeque;
use std::io;

use fastrand::Rng;
use xen_abi::io::ring::{REQ_EVENT, REQ_PROD, RSP_EVENT, RSP_PROD, SLOTS};
use xen_ring::{Layout, RingMem};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::plan::Lie;

/// A response that a lie can be told with.
pub trait Response: Copy + FromBytes + IntoBytes + Immutable {
    /// Makes one of its fields wrong.
    fn bend(&mut self, rng: &mut Rng);
}

/// A ring of requests and responses in memory `M`.
pub struct LiarRing<Req, Rsp, M> {
    mem: M,
    slots: u32,
    /// Requests that were taken off.
    consumed: u32,
    /// What is published.
    produced: u32,
    /// Responses that come later than they could.
    late: VecDeque<Rsp>,
    last: Option<Rsp>,
    requests: std::marker::PhantomData<Req>,
}

impl<Req: FromBytes, Rsp: Response, M: RingMem> LiarRing<Req, Rsp, M> {
    /// A ring that a frontend has made.
    ///
    /// # Errors
    ///
    /// If the memory is too small for one.
    pub fn new(mem: M) -> io::Result<Self> {
        let slots = Layout::<Req, Rsp>::slots_in(mem.size());
        if slots == 0 {
            return Err(io::Error::other("a ring is too small"));
        }
        Ok(Self {
            mem,
            slots,
            consumed: 0,
            produced: 0,
            late: VecDeque::new(),
            last: None,
            requests: std::marker::PhantomData,
        })
    }

    /// Takes the next request off. The frontend is the one that is tested: its index is believed, but only so many requests.
    pub fn take(&mut self) -> Option<Req> {
        let ready = self.mem.load_acquire(REQ_PROD).wrapping_sub(self.consumed);
        if ready == 0 || ready > self.slots {
            return None;
        }
        let request = self.mem.read(self.offset(self.consumed));
        self.consumed = self.consumed.wrapping_add(1);
        Some(request)
    }

    /// Asks for an event with the next request.
    pub fn await_request(&self) {
        self.mem
            .store_relaxed(REQ_EVENT, self.consumed.wrapping_add(1));
        self.mem.fence();
    }

    /// Puts a response on the ring as an honest backend does.
    pub fn put(&mut self, response: Rsp) {
        self.mem.write(self.offset(self.produced), &response);
        self.produced = self.produced.wrapping_add(1);
        self.last = Some(response);
    }

    /// Publishes what was put.
    pub fn publish(&self) {
        self.mem.store_release(RSP_PROD, self.produced);
        self.mem.fence();
    }

    /// Puts a response on the ring, with a lie if there is one.
    pub fn answer(&mut self, response: Rsp, lie: Option<Lie>, rng: &mut Rng) {
        match lie {
            Some(lie) => self.put_lying(response, lie, rng),
            None => self.put(response),
        }
    }

    /// Puts a response on the ring with a lie; what is no lie about responses is done without one. Nothing is published.
    fn put_lying(&mut self, mut response: Rsp, lie: Lie, rng: &mut Rng) {
        match lie {
            Lie::Field => {
                response.bend(rng);
                self.put(response);
            }
            Lie::Garbage => {
                let last = response;
                let mut bytes = vec![0; size_of::<Rsp>()];
                rng.fill(&mut bytes);
                self.put(Rsp::read_from_bytes(&bytes).unwrap_or(last));
            }
            Lie::Duplicate => {
                self.put(response);
                self.put(response);
            }
            Lie::Unasked => {
                // One that was right once, as far as there is one.
                self.put(self.last.unwrap_or(response));
                self.put(response);
            }
            Lie::Reorder | Lie::Late => {
                let at = rng.usize(..=self.late.len());
                self.late.insert(at, response);
                if lie == Lie::Reorder && self.late.len() > 3 {
                    self.put_late();
                }
            }
            Lie::Withhold => {}
            Lie::Jump => {
                self.put(response);
                self.jump(rng);
            }
            Lie::EventIndex => {
                self.put(response);
                self.mem.store_relaxed(REQ_EVENT, rng.u32(..));
                self.mem.store_relaxed(RSP_EVENT, rng.u32(..));
            }
            _ => self.put(response),
        }
    }

    /// Puts what was held back, in the order in which it lies there.
    pub fn put_late(&mut self) {
        while let Some(response) = self.late.pop_front() {
            self.put(response);
        }
    }

    /// Puts what was held back one time in sixteen; returns whether there was anything and it did.
    pub fn put_late_sometimes(&mut self, rng: &mut Rng) -> bool {
        let is_time = self.has_late() && rng.u8(..16) == 0;
        if is_time {
            self.put_late();
        }
        is_time
    }

    /// Whether something was held back.
    fn has_late(&self) -> bool {
        !self.late.is_empty()
    }

    fn jump(&mut self, rng: &mut Rng) {
        let by = match rng.u8(..6) {
            0 => 1,
            1 => self.slots,
            2 => self.slots.wrapping_add(1),
            3 => 1 << 31,
            4 => rng.u32(1..self.slots.max(2)).wrapping_neg(),
            _ => rng.u32(..),
        };
        self.produced = self.produced.wrapping_add(by);
    }

    /// Where the slot of an index is.
    fn offset(&self, index: u32) -> usize {
        SLOTS + (index % self.slots) as usize * Layout::<Req, Rsp>::SLOT
    }
}

/// Changes responses and indices of a ring without any regard for its frontend, which may be reading them. `slot` is what
/// one takes, in bytes.
pub fn tear(mem: &impl RingMem, slot: usize, rng: &mut Rng) {
    let slots = (mem.size() - SLOTS) / slot;
    for _ in 0..200 {
        let at = SLOTS + rng.usize(..slots) * slot;
        match rng.u8(..8) {
            // Back and forth, so that the ring is not corrupt at once.
            0 => {
                let index = mem.load_relaxed(RSP_PROD);
                mem.store_relaxed(RSP_PROD, index.wrapping_add(rng.u32(..3)).wrapping_sub(1));
                mem.store_relaxed(RSP_PROD, index);
            }
            1..4 => {
                let before: [u8; 8] = mem.read(at);
                mem.write(at, &rng.u64(..));
                mem.write(at, &before);
            }
            _ => {
                let word = at + rng.usize(..slot.min(16) / 4) * 4;
                let before: u32 = mem.read(word);
                mem.write(word, &(before ^ (1 << rng.u8(..32))));
                mem.write(word, &before);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use xen_abi::io::netif::{TxRequest, TxResponse};
    use xen_ring::{FrontRing, HeapMem};

    use super::*;

    type Front = FrontRing<TxRequest, TxResponse, HeapMem>;
    type Ring = LiarRing<TxRequest, TxResponse, HeapMem>;

    fn pair() -> (Front, Ring) {
        let mem = HeapMem::pages(0);
        let front = FrontRing::new(mem.clone()).unwrap();
        (front, Ring::new(mem).unwrap())
    }

    fn send(front: &mut Front, id: u16) {
        let request = TxRequest {
            id,
            ..TxRequest::default()
        };
        front.push(&request).unwrap();
        let _ = front.push_requests();
    }

    #[test]
    fn an_honest_answer_arrives() {
        let (mut front, mut back) = pair();
        assert!(back.take().is_none());
        send(&mut front, 5);
        let id = back.take().unwrap().id;
        back.put(TxResponse { id, status: 0 });
        assert_eq!(front.responses().unwrap().count(), 0);
        back.publish();
        let ids: Vec<_> = front
            .responses()
            .unwrap()
            .map(|response| response.id)
            .collect();
        assert_eq!(ids, [5]);
    }

    #[test]
    fn a_frontend_finds_out_about_responses_without_request() {
        for lie in [Lie::Duplicate, Lie::Unasked, Lie::Jump] {
            let (mut front, mut back) = pair();
            send(&mut front, 5);
            let id = back.take().unwrap().id;
            back.put_lying(TxResponse { id, status: 0 }, lie, &mut Rng::with_seed(1));
            back.publish();
            assert!(front.responses().is_err(), "{lie:?}");
        }
    }

    #[test]
    fn what_is_held_back_comes_in_the_end() {
        let (mut front, mut back) = pair();
        let mut rng = Rng::with_seed(2);
        for number in 0..3 {
            send(&mut front, number);
            let id = back.take().unwrap().id;
            back.put_lying(TxResponse { id, status: 0 }, Lie::Late, &mut rng);
        }
        back.publish();
        assert_eq!(front.responses().unwrap().count(), 0);
        assert!(back.has_late());
        back.put_late();
        back.publish();
        assert_eq!(front.responses().unwrap().count(), 3);
    }

    #[test]
    fn tearing_leaves_the_indices_as_they_were() {
        let (mut front, mut back) = pair();
        send(&mut front, 1);
        back.take().unwrap();
        tear(
            &back.mem,
            Layout::<TxRequest, TxResponse>::SLOT,
            &mut Rng::with_seed(3),
        );
        assert_eq!(front.responses().unwrap().count(), 0);
    }
}
