// SPDX-License-Identifier: GPL-2.0

//! What is kept of packets until their responses come.

use super::slots::{self, Slots};
use super::{Misfit, Multicast, Packet, Piece};
use crate::netif::slot::TxSlot;
use crate::netif::TxFrontRing;
use crate::{Corrupt, IdSlot, IdTable, PushError, RingMem};
use core::borrow::BorrowMut;
use core::fmt;
use xen_abi::io::netif::{rsp, TxResponse};

/// What is in flight on one transmit ring: a `T` for each request, and the number of extras.
///
/// An id is checked out for each piece, the packet is put on the ring, and each response gives
/// the `T` of its request back. As many ids as the ring has slots are always enough. Ids have
/// eight bits of generation with the usual 256 slots, by which a repeated response is recognised.
#[derive(Debug)]
pub struct InFlight<T, S> {
    ids: IdTable<T, S, 16>,
    /// Slots with an extra that are not answered yet.
    extras: u32,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The back end has taken the data.
    Sent,
    /// It could not.
    Failed,
    /// It would not.
    Dropped,
}

/// Why a packet was not put on the ring. Nothing of it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// It cannot be sent as it is.
    Misfit(Misfit),
    /// Flow control: not enough slots are free until the back end makes progress.
    Full,
    /// The ring is in its error state.
    Corrupt(Corrupt),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::Misfit(misfit) => misfit.fmt(f),
            SendError::Full => PushError::Full.fmt(f),
            SendError::Corrupt(corrupt) => corrupt.fmt(f),
        }
    }
}

impl core::error::Error for SendError {}

impl From<Misfit> for SendError {
    #[inline]
    fn from(misfit: Misfit) -> Self {
        SendError::Misfit(misfit)
    }
}

impl From<PushError> for SendError {
    #[inline]
    fn from(error: PushError) -> Self {
        match error {
            PushError::Full => SendError::Full,
            PushError::Corrupt(corrupt) => SendError::Corrupt(corrupt),
        }
    }
}

impl<T, S> InFlight<T, S>
where
    S: BorrowMut<[IdSlot<T>]>,
{
    /// Nothing is in flight; `slots` is the room for what will be.
    pub fn new(slots: S) -> Self {
        Self {
            ids: IdTable::new(slots),
            extras: 0,
        }
    }

    /// Requests in flight, and those that have an id but are not on the ring yet.
    #[inline]
    pub fn requests(&self) -> u32 {
        self.ids.taken()
    }

    /// Ids that can be checked out.
    #[inline]
    pub fn free(&self) -> u32 {
        self.ids.capacity().wrapping_sub(self.ids.taken())
    }

    /// Checks out an id for a request and keeps `value` under it. Returns the value if none is
    /// free.
    #[inline]
    pub fn check_out(&mut self, value: T) -> Result<u16, T> {
        // The table has ids of 16 bits.
        self.ids.insert(value).map(|id| id as u16)
    }

    /// Takes back a value whose request was not put on the ring after all. `None` if there is no
    /// such id.
    #[inline]
    pub fn take_back(&mut self, id: u16) -> Option<T> {
        self.ids.complete(id.into()).ok()
    }

    /// The value of a request.
    #[inline]
    pub fn get_mut(&mut self, id: u16) -> Option<&mut T> {
        self.ids.get_mut(id.into()).ok()
    }

    /// Puts a packet on the ring, as a whole or not at all. The back end sees it after
    /// [`push_requests`](crate::FrontRing::push_requests).
    #[inline]
    pub fn push<M: RingMem>(
        &mut self,
        ring: &mut TxFrontRing<M>,
        packet: &Packet,
        pieces: &[Piece],
    ) -> Result<(), SendError> {
        let slots: Slots<'_> = slots::packet(packet, pieces)?;
        let extras = slots.extras();
        self.push_all(ring, slots, extras)
    }

    /// Puts a request for packets to a group on the ring, whose `id` was checked out for it.
    pub fn push_multicast<M: RingMem>(
        &mut self,
        ring: &mut TxFrontRing<M>,
        id: u16,
        wish: Multicast,
    ) -> Result<(), SendError> {
        self.push_all(ring, slots::multicast(id, wish).into_iter(), 1)
    }

    #[inline]
    fn push_all<M: RingMem>(
        &mut self,
        ring: &mut TxFrontRing<M>,
        slots: impl ExactSizeIterator<Item = TxSlot>,
        extras: u32,
    ) -> Result<(), SendError> {
        if let Some(corrupt) = ring.corrupt() {
            return Err(SendError::Corrupt(corrupt));
        }
        if slots.len() > ring.free() as usize {
            return Err(SendError::Full);
        }
        for slot in slots {
            ring.push(&slot)?;
        }
        self.extras = self.extras.wrapping_add(extras);
        Ok(())
    }

    /// Takes a response, and returns the value of the request that it ends: `None` if it only
    /// answers an extra. A violation has to be given to [`poison`](crate::FrontRing::poison).
    #[inline]
    pub fn complete(&mut self, response: &TxResponse) -> Result<Option<(T, Outcome)>, Corrupt> {
        let outcome = match response.status {
            rsp::OKAY => Outcome::Sent,
            rsp::ERROR => Outcome::Failed,
            rsp::DROPPED => Outcome::Dropped,
            rsp::NULL => {
                let left = self.extras.checked_sub(1);
                self.extras = left.ok_or(Corrupt::Protocol(NULL_FOR_NOTHING))?;
                return Ok(None);
            }
            status => {
                return Err(Corrupt::UnknownStatus {
                    id: response.id.into(),
                    status: status.into(),
                })
            }
        };
        let value = self.ids.complete(response.id.into())?;
        Ok(Some((value, outcome)))
    }

    /// Takes out all values, whose requests will not be answered, for the connection is gone.
    pub fn drain(&mut self, each: impl FnMut(T)) {
        self.extras = 0;
        self.ids.drain(each);
    }

    /// Gives the room back, with the values that are still in it.
    pub fn into_slots(self) -> S {
        self.ids.into_slots()
    }
}

const NULL_FOR_NOTHING: &str = "a response of status NULL answers no extra";
