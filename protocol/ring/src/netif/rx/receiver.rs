// SPDX-License-Identifier: GPL-2.0

//! The buffers on a receive ring, and the packets that arrive in them.

use super::assembler::Assembler;
use super::{End, Piece, MAX_PIECES};
use crate::netif::slot::RxSlot;
use crate::netif::RxFrontRing;
use crate::{Corrupt, PushError, RingMem};
use core::borrow::BorrowMut;
use core::iter::FusedIterator;
use core::marker::PhantomData;
use core::mem;
use xen_abi::io::netif::RxRequest;

/// The front end's side of a receive ring: a buffer `B` for each request that is posted, by ring
/// index.
///
/// Each response gives one buffer back, by value, and exactly once: either as one that was not
/// used, or as a piece of a packet when that is complete. The ring and this count in step, so
/// *all* requests go through [`post`](Self::post), and *all* responses through
/// [`take`](Self::take), in their order.
///
/// A request's id is its index modulo 2¹⁶, so that it differs from those of earlier ones in its
/// slot.
#[derive(Debug)]
pub struct Receiver<B, S> {
    /// Buffers by index, as many as a power of two says.
    buffers: S,
    mask: u32,
    /// Index of the next request.
    posted: u32,
    /// Index of the next response.
    taken: u32,
    assembler: Assembler,
    /// The pieces of the packet that is arriving or has arrived last.
    pieces: [Option<(B, Piece)>; MAX_PIECES],
    count: usize,
    /// The packet in `pieces` has ended, and they go with the next slot.
    ended: bool,
    corrupt: Option<Corrupt>,
    buffer: PhantomData<B>,
}

/// What became of a slot.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken<B> {
    /// The slot's buffer, if it holds no data of a packet. Its grant may go on, and it can be
    /// posted again as it is; what is in it is up to the back end.
    pub unused: Option<B>,
    /// A packet ends with this slot. In either case its buffers are in
    /// [`pieces`](Receiver::pieces).
    pub end: Option<End>,
}

impl<B, S> Receiver<B, S>
where
    S: BorrowMut<[Option<B>]>,
{
    /// No buffer is posted. `buffers` is the room for them: as many as the ring has slots, a power
    /// of two. More are not used; with less, less can be posted. What is in there is dropped.
    pub fn new(buffers: S) -> Self {
        Self::new_at(buffers, 0)
    }

    /// Like [`new`](Self::new), for a ring that counts from `index` on.
    pub fn new_at(mut buffers: S, index: u32) -> Self {
        let all: &mut [Option<B>] = buffers.borrow_mut();
        all.iter_mut().for_each(|buffer| *buffer = None);
        // Ids have 16 bits, and those that are out must differ.
        let fit = all.len().min(1 << 15) as u32;
        let capacity = fit.checked_ilog2().map_or(0, |log| 1 << log);
        Self {
            buffers,
            mask: u32::wrapping_sub(capacity, 1),
            posted: index,
            taken: index,
            assembler: Assembler::new(capacity),
            pieces: [const { None }; MAX_PIECES],
            count: 0,
            ended: false,
            corrupt: None,
            buffer: PhantomData,
        }
    }

    /// Number of buffers that can be posted at a time.
    #[inline]
    pub fn capacity(&self) -> u32 {
        self.mask.wrapping_add(1)
    }

    /// Number of buffers that are posted.
    #[inline]
    pub fn posted(&self) -> u32 {
        self.posted.wrapping_sub(self.taken)
    }

    /// Posts a buffer that is granted, for writing, as `gref`. The back end sees it after
    /// [`push_requests`](crate::FrontRing::push_requests). Returns it if there is no room on the
    /// ring, or the ring is in its error state.
    #[inline]
    pub fn post<M: RingMem>(
        &mut self,
        ring: &mut RxFrontRing<M>,
        gref: u32,
        buffer: B,
    ) -> Result<(), (PushError, B)> {
        if let Some(corrupt) = self.corrupt {
            return Err((corrupt.into(), buffer));
        }
        if self.posted() >= self.capacity() {
            return Err((PushError::Full, buffer));
        }
        let request = RxRequest {
            id: self.posted as u16,
            pad: 0,
            gref,
        };
        let place = (self.posted & self.mask) as usize;
        // Free, for all that are posted have indexes that differ modulo the capacity.
        let Some(place) = self.buffers.borrow_mut().get_mut(place) else {
            return Err((PushError::Full, buffer));
        };
        if let Err(error) = ring.push(&request) {
            return Err((error, buffer));
        }
        *place = Some(buffer);
        self.posted = self.posted.wrapping_add(1);
        Ok(())
    }

    /// Takes the next response. Pieces of an earlier packet that are still there are dropped.
    ///
    /// # Errors
    ///
    /// A violation, which has to be given to [`poison`](crate::FrontRing::poison). It is returned
    /// for all later responses too. The buffers that are posted stay until they are
    /// [drained](Self::drain).
    #[inline]
    pub fn take(&mut self, slot: RxSlot) -> Result<Taken<B>, Corrupt> {
        if let Some(corrupt) = self.corrupt {
            return Err(corrupt);
        }
        if self.ended {
            drop(self.pieces());
        }
        let place = (self.taken & self.mask) as usize;
        let Some(place @ Some(_)) = self.buffers.borrow_mut().get_mut(place) else {
            return Err(*self.corrupt.insert(Corrupt::Protocol(NOT_POSTED)));
        };
        let step = match self.assembler.take(slot, self.taken as u16) {
            Ok(step) => step,
            Err(corrupt) => return Err(*self.corrupt.insert(corrupt)),
        };
        self.taken = self.taken.wrapping_add(1);
        let mut unused = place.take();
        if let (Some(piece), Some(kept)) = (step.piece, self.pieces.get_mut(self.count)) {
            *kept = unused.take().map(|buffer| (buffer, piece));
            self.count = self.count.wrapping_add(1);
        }
        if let (Some(piece), Some(Some((_, head)))) = (step.head, self.pieces.first_mut()) {
            *head = piece;
        }
        self.ended = step.end.is_some();
        Ok(Taken {
            unused,
            end: step.end,
        })
    }

    /// The buffers of the packet that has just ended, in the order of its data. There are none if
    /// they were asked for before, or if no packet has ended with the last slot.
    #[inline]
    pub fn pieces(&mut self) -> Pieces<'_, B> {
        let count = if mem::take(&mut self.ended) {
            mem::take(&mut self.count)
        } else {
            0
        };
        let used = self.pieces.get_mut(..count).unwrap_or_default();
        Pieces {
            pieces: used.iter_mut(),
        }
    }

    /// Takes out all buffers, which will not be answered, for the connection is gone: those that
    /// are posted and those of a packet that has not been taken. Nothing can be posted any more.
    pub fn drain(&mut self, mut each: impl FnMut(B)) {
        self.corrupt.get_or_insert(Corrupt::Protocol(DRAINED));
        self.count = 0;
        self.ended = false;
        let all: &mut [Option<B>] = self.buffers.borrow_mut();
        all.iter_mut().filter_map(Option::take).for_each(&mut each);
        let pieces = self.pieces.iter_mut().filter_map(Option::take);
        pieces.for_each(|(buffer, _)| each(buffer));
        self.taken = self.posted;
    }
}

/// Iterator that takes the pieces of a packet out, see [`Receiver::pieces`]. Those that it is not
/// asked for are dropped with it.
#[derive(Debug)]
pub struct Pieces<'a, B> {
    pieces: core::slice::IterMut<'a, Option<(B, Piece)>>,
}

impl<B> Iterator for Pieces<'_, B> {
    type Item = (B, Piece);

    #[inline]
    fn next(&mut self) -> Option<(B, Piece)> {
        self.pieces.next()?.take()
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.pieces.size_hint()
    }
}

impl<B> Drop for Pieces<'_, B> {
    #[inline]
    fn drop(&mut self) {
        for piece in &mut self.pieces {
            *piece = None;
        }
    }
}

impl<B> ExactSizeIterator for Pieces<'_, B> {}
impl<B> FusedIterator for Pieces<'_, B> {}

const NOT_POSTED: &str = "a response came for which no buffer is posted";
const DRAINED: &str = "the buffers of this ring are gone";
