// SPDX-License-Identifier: GPL-2.0

//! The back end's view of the transmit ring.
//!
//! Slots come off the ring as private copies; here they are taken together to packets, by the rules
//! of Linux's netback. What is wrong with a packet is either its own matter, and it is answered
//! with an error; or one can no longer tell what is a request and what is not, or the front end
//! plays foul, and the connection ends. Netback draws that line where the `Fatal` ones are.

use super::{Multicast, MAX_PIECES};
use crate::netif::extra::{BadExtra, Extra, Gso, Hash};
use crate::netif::slot::TxSlot;
use crate::netif::{Checksum, ETH_HLEN};
use core::fmt;
use xen_abi::io::netif::{extra, rsp, tx_flag, TxRequest, TxResponse};
use xen_abi::PAGE_SIZE;

/// Limit of requests for a packet that is sent: netback counts its limit without the first.
const MAX_REQUESTS: usize = MAX_PIECES + 1;
/// Limit of requests for a packet that is rejected. With more, netback disables the interface
/// (`fatal_skb_slots`, which does not count the first either).
const MAX_REJECTED_REQUESTS: usize = 20 + 1;

/// What a front end asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    requests: [TxRequest; MAX_REJECTED_REQUESTS],
    count: usize,
    /// Slots that held an extra, which are answered too.
    pub extras: usize,
    /// What is to be done.
    pub what: What,
}

/// What is to be done with a request and those that belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A packet.
    Packet {
        /// Its size in bytes.
        len: u16,
        /// What is known about its checksum.
        checksum: Checksum,
        /// It has to be cut.
        gso: Option<Gso>,
        /// Hash of its flow.
        hash: Option<Hash>,
    },
    /// A change to the addresses that the front end wants packets to.
    Multicast(Multicast),
    /// A packet that cannot be sent; its requests are answered with an error.
    Reject(Why),
}

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// More requests than a back end has to accept.
    TooManyRequests,
    /// The pieces are larger than the whole.
    PiecesExceedSize,
    /// The first piece is shorter than an Ethernet header.
    ShortHead,
}

/// The front end cannot be served any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fatal {
    /// The slots ended before the packet did.
    Incomplete,
    /// The packet does not end.
    Endless,
    /// An extra is bad.
    Extra(BadExtra),
    /// A piece leaves its page.
    BeyondPage,
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fatal::Incomplete => f.write_str("the requests of a packet are not all there"),
            Fatal::Endless => f.write_str("a packet has too many requests"),
            Fatal::Extra(bad) => bad.fmt(f),
            Fatal::BeyondPage => f.write_str("a piece of a packet crosses a page boundary"),
        }
    }
}

impl core::error::Error for Fatal {}

impl Decoded {
    /// The requests, one at least. Those of a packet have each the size of its own piece.
    pub fn requests(&self) -> &[TxRequest] {
        self.requests.get(..self.count).unwrap_or(&[])
    }

    /// The answers to all slots, in their order.
    pub fn responses(&self, status: i16) -> impl Iterator<Item = TxResponse> + '_ {
        let extras = core::iter::repeat(TxResponse {
            // What is there may be anything, for the slot held no id.
            id: u16::MAX,
            status: rsp::NULL,
        });
        let answer = move |request: &TxRequest| TxResponse {
            id: request.id,
            status,
        };
        let first = self.requests().iter().take(1).map(answer);
        let rest = self.requests().iter().skip(1).map(answer);
        first.chain(extras.take(self.extras)).chain(rest)
    }
}

/// Takes the next packet off, if there are slots.
pub fn decode(mut slots: impl Iterator<Item = TxSlot>) -> Result<Option<Decoded>, Fatal> {
    let Some(first) = slots.next().map(TxSlot::as_request) else {
        return Ok(None);
    };
    let mut decoded = Decoded {
        requests: [TxRequest::default(); MAX_REJECTED_REQUESTS],
        count: 1,
        extras: 0,
        what: What::Reject(Why::ShortHead),
    };
    let said = decoded.read_extras(&first, &mut slots)?;
    if let Some(wish) = said.multicast {
        decoded.set_first(first);
        decoded.what = What::Multicast(wish);
        return Ok(Some(decoded));
    }
    let wrong = decoded.read_requests(first, &mut slots)?;
    let head = decoded.requests().first().map_or(0, |r| r.size);
    decoded.what = match wrong {
        Some(why) => What::Reject(why),
        None if usize::from(head) < ETH_HLEN => What::Reject(Why::ShortHead),
        None => What::Packet {
            len: first.size,
            checksum: if first.flags & tx_flag::CSUM_BLANK != 0 {
                Checksum::Blank
            } else if first.flags & tx_flag::DATA_VALIDATED != 0 {
                Checksum::Validated
            } else {
                Checksum::Unknown
            },
            gso: said.gso,
            hash: said.hash,
        },
    };
    if matches!(decoded.what, What::Packet { .. }) {
        decoded.requests().iter().try_for_each(within_page)?;
    }
    Ok(Some(decoded))
}

#[derive(Default)]
struct Said {
    multicast: Option<Multicast>,
    gso: Option<Gso>,
    hash: Option<Hash>,
}

impl Decoded {
    fn read_extras(
        &mut self,
        first: &TxRequest,
        slots: &mut impl Iterator<Item = TxSlot>,
    ) -> Result<Said, Fatal> {
        let mut said = Said::default();
        let mut more = first.flags & tx_flag::EXTRA_INFO != 0;
        while more {
            let info = slots.next().ok_or(Fatal::Incomplete)?.as_extra();
            self.extras = self.extras.wrapping_add(1);
            // The last of a type counts.
            match Extra::of(&info).map_err(Fatal::Extra)? {
                Extra::Gso(gso) => said.gso = Some(gso),
                Extra::Hash(hash) => said.hash = hash,
                Extra::Xdp { .. } => (),
                Extra::McastAdd(address) => said.multicast = Some(Multicast::Add(address)),
                Extra::McastDel(address) => said.multicast = Some(Multicast::Remove(address)),
            }
            more = info.flags & extra::FLAG_MORE != 0;
        }
        Ok(said)
    }

    /// Reads the requests behind the first, whose size becomes that of its own piece.
    fn read_requests(
        &mut self,
        first: TxRequest,
        slots: &mut impl Iterator<Item = TxSlot>,
    ) -> Result<Option<Why>, Fatal> {
        let mut wrong = None;
        let mut left = first.size;
        let mut more = first.flags & tx_flag::MORE_DATA != 0;
        while more {
            let request = slots.next().ok_or(Fatal::Incomplete)?.as_request();
            match (left.checked_sub(request.size), wrong) {
                (Some(rest), _) => left = rest,
                (None, None) => wrong = Some(Why::PiecesExceedSize),
                (None, Some(_)) => (),
            }
            within_page(&request)?;
            *self.requests.get_mut(self.count).ok_or(Fatal::Endless)? = request;
            self.count = self.count.wrapping_add(1);
            if self.count > MAX_REQUESTS {
                wrong = wrong.or(Some(Why::TooManyRequests));
            }
            more = request.flags & tx_flag::MORE_DATA != 0;
        }
        self.set_first(TxRequest {
            size: left,
            ..first
        });
        Ok(wrong)
    }

    fn set_first(&mut self, first: TxRequest) {
        if let Some(place) = self.requests.first_mut() {
            *place = first;
        }
    }
}

fn within_page(request: &TxRequest) -> Result<(), Fatal> {
    if usize::from(request.offset) + usize::from(request.size) > PAGE_SIZE {
        return Err(Fatal::BeyondPage);
    }
    Ok(())
}
