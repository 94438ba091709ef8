// SPDX-License-Identifier: GPL-2.0

//! Packets on the transmit ring.
//!
//! A packet is one or more requests, each for a piece within a page. The first carries the size
//! of the whole and its flags; its extras follow it, and then come the other requests. All but the
//! last have the flag that more data follow. How many slots a packet takes is known before the
//! first one is written, so a packet is on the ring as a whole or not at all.
//!
//! - here: what a packet is made of, and what a back end has to accept;
//! - [`slots`]: the packet as slots;
//! - [`transfer`]: whether its data are lent or copied;
//! - [`in_flight`]: what is kept until the responses come;
//! - [`decode`]: the back end takes slots apart, which a front end may have made up.
//!
//! # What of the responses is a violation
//!
//! Each request is answered by a response with its id, and each extra by one of status
//! [`NULL`](xen_abi::io::netif::rsp::NULL), whose id means nothing. So a response is a violation if its id is not out,
//! if its status does not exist, or if it is `NULL` and there is no extra that it could be for.
//! All else is the fate of a packet. (C's netfront takes any number of `NULL`s and any status.)

pub mod decode;
pub mod in_flight;
pub mod slots;
pub mod transfer;

use super::extra::{Extra, Gso, Hash};
use super::{Checksum, ETH_ALEN, ETH_HLEN};
use crate::pages::pieces;
use core::fmt;
use xen_abi::io::netif::{MAX_TX_SIZE, NR_SLOTS_MIN};
use xen_abi::PAGE_SIZE;

/// Most pieces of a packet that any back end accepts. Extras are not counted.
pub const MAX_PIECES: usize = NR_SLOTS_MIN as usize;
/// Most extras of a packet: segmentation and hash.
pub const MAX_EXTRAS: usize = 2;
/// Most slots of a packet. With that many free on the ring, there is room for any packet.
pub const MAX_SLOTS: u32 = (MAX_PIECES + MAX_EXTRAS) as u32;

/// Properties of a packet, without its data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// What is known about its checksum.
    pub checksum: Checksum,
    /// It has to be cut into segments. Its checksum should then be [`Checksum::Blank`]: a back end
    /// makes it that in any case.
    pub gso: Option<Gso>,
    /// Hash of its flow.
    pub hash: Option<Hash>,
}

/// A piece of a packet, within a granted page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// Grant of the page.
    pub gref: u32,
    /// Offset of the data in the page, in bytes.
    pub offset: u16,
    /// Length in bytes, not zero.
    pub len: u16,
    /// Id of the request, see [`in_flight::InFlight`].
    pub id: u16,
}

/// Why a packet cannot be sent as it is. It has to be made of fewer or other pieces, or dropped:
/// Linux's netback would drop most of these and end the connection for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// There are no pieces, or more than [`MAX_PIECES`].
    Pieces(usize),
    /// A piece is empty or leaves its page.
    Piece {
        /// Its offset.
        offset: u16,
        /// Its length.
        len: u16,
    },
    /// The first piece is shorter than an Ethernet header.
    ShortHead(u16),
    /// It has more bytes than [`MAX_TX_SIZE`].
    TooLong(u32),
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misfit::Pieces(count) => write!(f, "a packet cannot have {count} pieces"),
            Misfit::Piece { offset, len } => {
                write!(f, "{len} bytes at {offset} are no piece of a page")
            }
            Misfit::ShortHead(len) => write!(f, "{len} bytes are too short for a packet's head"),
            Misfit::TooLong(len) => write!(f, "packet of {len} bytes is too big for wire format"),
        }
    }
}

impl core::error::Error for Misfit {}

/// Checks the pieces, and returns the size of the packet in bytes.
#[inline]
pub fn check(pieces: &[Piece]) -> Result<u16, Misfit> {
    let head = match pieces.first() {
        Some(head) if pieces.len() <= MAX_PIECES => head.len,
        _ => return Err(Misfit::Pieces(pieces.len())),
    };
    if usize::from(head) < ETH_HLEN {
        return Err(Misfit::ShortHead(head));
    }
    let mut total: u32 = 0;
    for Piece { offset, len, .. } in pieces {
        let (offset, len) = (*offset, *len);
        if len == 0 || usize::from(offset) + usize::from(len) > PAGE_SIZE {
            return Err(Misfit::Piece { offset, len });
        }
        // No more than 18 times 64 KiB.
        total = total.wrapping_add(len.into());
    }
    match u16::try_from(total) {
        Ok(total) if u32::from(total) <= MAX_TX_SIZE => Ok(total),
        _ => Err(Misfit::TooLong(total)),
    }
}

/// Number of pieces of a packet whose data are runs of bytes, each given as its offset, relative
/// to the start of any page, and its length: the linear part and the fragments.
#[inline]
pub fn count_pieces(runs: impl IntoIterator<Item = (usize, usize)>) -> usize {
    let each = runs
        .into_iter()
        .map(|(offset, len)| pieces(offset, len).len());
    each.fold(0, usize::saturating_add)
}

/// A request for packets to a group, if the back end filters (`feature-multicast-control`). It
/// takes two slots of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Multicast {
    /// Packets to that address are wanted. The back end may answer that it has no room for more.
    Add([u8; ETH_ALEN]),
    /// They are not any more.
    Remove([u8; ETH_ALEN]),
}

impl Multicast {
    #[inline]
    fn extra(self) -> Extra {
        match self {
            Multicast::Add(address) => Extra::McastAdd(address),
            Multicast::Remove(address) => Extra::McastDel(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_that_a_run_touches_takes_a_slot() {
        assert_eq!(count_pieces([]), 0);
        assert_eq!(count_pieces([(0, 0)]), 0);
        assert_eq!(count_pieces([(0, 4096), (4096, 1)]), 2);
        assert_eq!(count_pieces([(4095, 2), (100, 65_000)]), 2 + 16);
        assert_eq!(count_pieces([(4095, usize::MAX)]), (1 << 52) + 1);
        // The largest packet, whole, wherever it starts in its first page.
        let most = (0..4096).map(|offset| count_pieces([(offset, MAX_TX_SIZE as usize)]));
        assert!(most.max().is_some_and(|most| most <= MAX_PIECES));
    }

    #[test]
    fn what_a_back_end_would_not_accept_is_a_misfit() {
        let piece = |offset, len| Piece {
            offset,
            len,
            ..Piece::default()
        };
        assert_eq!(check(&[piece(0, 14)]), Ok(14));
        assert_eq!(check(&[piece(4082, 14), piece(4095, 1)]), Ok(15));
        assert_eq!(check(&[]), Err(Misfit::Pieces(0)));
        assert_eq!(check(&[piece(0, 100); 19]), Err(Misfit::Pieces(19)));
        assert_eq!(check(&[piece(0, 100); 18]), Ok(1800));
        assert_eq!(check(&[piece(0, 13)]), Err(Misfit::ShortHead(13)));
        let bad = |offset, len| Err(Misfit::Piece { offset, len });
        assert_eq!(check(&[piece(4083, 14)]), bad(4083, 14));
        assert_eq!(check(&[piece(0, 14), piece(7, 0)]), bad(7, 0));
        let huge = piece(u16::MAX, u16::MAX);
        assert_eq!(check(&[piece(0, 14), huge]), bad(u16::MAX, u16::MAX));
        let mut most = [piece(0, 4096); 16];
        assert_eq!(check(&most), Err(Misfit::TooLong(65_536)));
        most[15].len = 4095;
        assert_eq!(check(&most), Ok(65_535));
    }
}
