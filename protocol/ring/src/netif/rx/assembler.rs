// SPDX-License-Identifier: GPL-2.0

//! Takes responses together to packets, one after the other as they come off the ring.
//!
//! Nothing here knows of buffers; see [`super::receiver`].

use super::{Dropped, End, Packet, Piece, MAX_PIECES};
use crate::netif::extra::Extra;
use crate::netif::slot::RxSlot;
use crate::netif::{Checksum, ETH_HLEN};
use crate::Corrupt;
use xen_abi::io::netif::{extra, rx_flag, ExtraInfo, RxResponse};
use xen_abi::PAGE_SIZE;

/// What is known of the packet that is arriving.
#[derive(Debug)]
pub struct Assembler {
    next: Next,
    /// Slots of the packet so far, and the most there can be.
    slots: u32,
    limit: u32,
    packet: Packet,
    /// The first response has data, as the first piece.
    head: Option<Piece>,
    /// Types of the extras so far, a bit each.
    seen: u8,
    /// Why the packet will be dropped, if it will: the first reason.
    wrong: Option<Dropped>,
}

/// What the next slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The first response of a packet.
    First,
    /// An extra.
    Extra {
        /// Data follow the extras.
        more_data: bool,
    },
    /// A further response.
    More,
}

/// What a slot has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Data of a packet that is not lost so far. Those of a packet's first slot are not known for
    /// certain before its end, see [`head`](Self::head).
    pub piece: Option<Piece>,
    /// What the first piece really is, if the packet ends well with this slot and it is not what
    /// was said at first, since there is head room.
    pub head: Option<Piece>,
    /// The packet ends here.
    pub end: Option<End>,
}

impl Assembler {
    /// No packet is arriving. One of more than `limit` slots is a violation.
    pub const fn new(limit: u32) -> Self {
        Self {
            next: Next::First,
            slots: 0,
            limit,
            packet: EMPTY,
            head: None,
            seen: 0,
            wrong: None,
        }
    }

    /// Takes the slot that answers the request with `id`.
    #[inline]
    pub fn take(&mut self, slot: RxSlot, id: u16) -> Result<Step, Corrupt> {
        let first = self.next == Next::First;
        if first {
            *self = Self::new(self.limit);
        }
        if self.slots >= self.limit {
            return Err(Corrupt::Protocol(ENDLESS));
        }
        let piece = match self.next {
            Next::Extra { more_data } => {
                self.extra(&slot.as_extra(), more_data);
                None
            }
            Next::First | Next::More => {
                let response = slot.as_response();
                if response.id != id {
                    return Err(Corrupt::UnknownId(response.id.into()));
                }
                self.response(&response, first)
            }
        };
        self.slots = self.slots.wrapping_add(1);
        let mut step = Step {
            piece,
            head: None,
            end: None,
        };
        if self.next == Next::First {
            step.end = Some(self.end());
            step.head = self.head.filter(|_| self.packet.headroom > 0);
        }
        Ok(step)
    }

    #[inline]
    fn response(&mut self, response: &RxResponse, first: bool) -> Option<Piece> {
        let flags = response.flags;
        let more_data = flags & rx_flag::MORE_DATA != 0;
        self.next = match more_data {
            _ if first && flags & rx_flag::EXTRA_INFO != 0 => Next::Extra { more_data },
            true => Next::More,
            false => Next::First,
        };
        if first {
            self.packet.checksum = if flags & rx_flag::CSUM_BLANK != 0 {
                Checksum::Blank
            } else if flags & rx_flag::DATA_VALIDATED != 0 {
                Checksum::Validated
            } else {
                Checksum::Unknown
            };
            if flags & rx_flag::GSO_PREFIX != 0 {
                self.drop_for(Dropped::GsoPrefix);
            }
        }
        let piece = self.piece(response);
        if first {
            self.head = piece;
        }
        piece
    }

    /// The data of a response, if there are some and the packet is not lost.
    #[inline]
    fn piece(&mut self, response: &RxResponse) -> Option<Piece> {
        let Ok(len) = u16::try_from(response.status) else {
            self.drop_for(Dropped::Failed(response.status));
            return None;
        };
        let offset = response.offset;
        if usize::from(offset) + usize::from(len) > PAGE_SIZE {
            self.drop_for(Dropped::BeyondPage { offset, len });
        }
        if self.wrong.is_some() || len == 0 {
            return None;
        }
        if self.packet.pieces as usize >= MAX_PIECES {
            self.drop_for(Dropped::TooManyPieces);
            return None;
        }
        let piece = self.behind_headroom(Piece { offset, len })?;
        self.packet.pieces = self.packet.pieces.wrapping_add(1);
        self.packet.len = self.packet.len.wrapping_add(piece.len.into());
        Some(piece)
    }

    /// The piece without its head room, of which nothing is known when the first one comes.
    #[inline]
    fn behind_headroom(&mut self, piece: Piece) -> Option<Piece> {
        let headroom = self.packet.headroom;
        match piece.len.checked_sub(headroom) {
            Some(len) if len > 0 => Some(Piece {
                // No more than the offset of the piece's end.
                offset: piece.offset.wrapping_add(headroom),
                len,
            }),
            _ => {
                self.drop_for(Dropped::Headroom(headroom));
                None
            }
        }
    }

    fn extra(&mut self, info: &ExtraInfo, more_data: bool) {
        if info.flags & extra::FLAG_MORE == 0 {
            self.next = if more_data { Next::More } else { Next::First };
        }
        // Those that there are have types below eight.
        let bit = 1_u8.checked_shl(info.kind.into()).unwrap_or(0);
        if self.seen & bit != 0 {
            self.drop_for(Dropped::UnexpectedExtra(info.kind));
        }
        self.seen |= bit;
        match Extra::of(info) {
            Ok(Extra::Gso(gso)) => self.packet.gso = Some(gso),
            Ok(Extra::Hash(hash)) => self.packet.hash = hash,
            Ok(Extra::Xdp { headroom }) => self.headroom(headroom),
            Ok(Extra::McastAdd(_) | Extra::McastDel(_)) => {
                self.drop_for(Dropped::UnexpectedExtra(info.kind));
            }
            Err(bad) => self.drop_for(Dropped::BadExtra(bad)),
        }
    }

    /// There is head room, in the first piece too.
    fn headroom(&mut self, headroom: u16) {
        if self.wrong.is_some() || headroom == 0 {
            return;
        }
        self.packet.headroom = headroom;
        let empty = Piece { offset: 0, len: 0 };
        self.head = self.behind_headroom(self.head.unwrap_or(empty));
        self.packet.len = self.packet.len.saturating_sub(headroom.into());
    }

    #[inline]
    fn end(&self) -> End {
        match self.wrong {
            Some(why) => End::Dropped(why),
            None if (self.packet.len as usize) < ETH_HLEN => {
                End::Dropped(Dropped::TooShort(self.packet.len))
            }
            None => End::Packet(self.packet),
        }
    }

    #[cold]
    fn drop_for(&mut self, why: Dropped) {
        self.wrong.get_or_insert(why);
    }
}

const EMPTY: Packet = Packet {
    len: 0,
    pieces: 0,
    checksum: Checksum::Unknown,
    gso: None,
    hash: None,
    headroom: 0,
};

const ENDLESS: &str = "a received packet has more slots than the ring";

#[cfg(test)]
mod tests {
    use super::*;

    const MORE: u16 = rx_flag::MORE_DATA;

    fn assembler() -> Assembler {
        Assembler::new(32)
    }

    /// A response to request 7.
    fn data(status: i16, flags: u16) -> RxSlot {
        RxSlot::from(RxResponse {
            id: 7,
            offset: 0,
            flags,
            status,
        })
    }

    fn take(assembler: &mut Assembler, slot: RxSlot) -> Step {
        assembler.take(slot, 7).expect("no violation")
    }

    #[test]
    fn a_lost_packet_has_no_pieces_from_its_fault_on() {
        let mut assembler = assembler();
        let piece = Some(Piece { offset: 0, len: 60 });
        assert_eq!(take(&mut assembler, data(60, MORE)).piece, piece);
        assert_eq!(take(&mut assembler, data(-1, MORE)).piece, None);
        assert_eq!(take(&mut assembler, data(60, MORE)).piece, None);
        let last = take(&mut assembler, data(60, 0));
        let lost = End::Dropped(Dropped::Failed(-1));
        assert_eq!((last.piece, last.end), (None, Some(lost)));
        let next = take(&mut assembler, data(60, 0));
        assert_eq!(next.piece, piece);
    }

    #[test]
    fn a_packet_with_head_room_of_no_bytes_may_start_without_data() {
        let mut assembler = assembler();
        take(&mut assembler, data(0, MORE | rx_flag::EXTRA_INFO));
        let extra = Extra::Xdp { headroom: 0 };
        take(&mut assembler, extra.info(false).into());
        let last = take(&mut assembler, data(60, 0));
        let packet = Packet {
            len: 60,
            pieces: 1,
            ..EMPTY
        };
        assert_eq!(last.end, Some(End::Packet(packet)));
    }

    #[test]
    fn an_ethernet_header_alone_is_a_packet() {
        let short = End::Dropped(Dropped::TooShort(13));
        assert_eq!(take(&mut assembler(), data(13, 0)).end, Some(short));
        let packet = Packet {
            len: 14,
            pieces: 1,
            ..EMPTY
        };
        let end = Some(End::Packet(packet));
        assert_eq!(take(&mut assembler(), data(14, 0)).end, end);
    }
}
