// SPDX-License-Identifier: GPL-2.0

//! Packets on the receive ring.
//!
//! The front end posts empty buffers; the back end fills some and answers. A packet is one or more
//! responses, each with a piece of the data in the buffer of the request that it answers. The
//! first one carries the packet's flags; its extras follow it, and then the other responses. All
//! but the last have the flag that more data follow.
//!
//! An extra lies where a response would, and has no id. So that the front end still knows which
//! buffer was spent on it, back ends answer each request in the very slot that it was in
//! (`io/netif.h` demands it): buffers are found by ring index, and an id is only checked.
//!
//! - [`receiver`]: the buffers, and the packets that arrive in them;
//! - [`assembler`]: responses taken together to packets.
//!
//! # A response arrives, and its packet is not complete
//!
//! Then we wait for the rest. Linux's netback publishes whole packets only, and C's netfront drops
//! one that is not, but nothing in the protocol ties packets to the producer index, and a back end
//! that publishes slot by slot is right too. Waiting holds no more than [`MAX_PIECES`] buffers.
//!
//! # What is a violation, and what costs a packet
//!
//! It is a violation, which ends the connection, if we can no longer tell which buffer a slot is
//! about or where a packet ends:
//!
//! - a response whose id is not that of the request in its slot: either the back end answers
//!   elsewhere, and the data are in a buffer that we take for another, or what we take for a
//!   response is none (C's netfront does not look at the id);
//! - a response to which no buffer is posted;
//! - a packet of more slots than the ring has, be they extras or data: it will never end. (C's
//!   netfront ends packets where the published responses end.)
//!
//! It costs the packet, whose slots are all consumed and whose buffers come back, if the slots
//! are in order and what one of them says is not ([`Dropped`]). These are what C's netfront
//! drops too; those it does not are marked:
//!
//! - a negative status: the back end could not copy, for reasons that may lie with neither end;
//! - data that leave the page: no other memory is accessed, so only the packet is lost;
//! - more pieces than [`MAX_PIECES`];
//! - an extra of unknown type, which a later protocol may have: its place in the chain is plain;
//! - an extra that comes twice or belongs to front ends (\*), or a GSO extra without size or of
//!   unknown protocol;
//! - head room of more than the data (\*);
//! - the flag for a GSO prefix, which we never ask for: its slot has no data (\*);
//! - less data than an Ethernet header.
//!
//! A slot without data (status zero) is no fault: its buffer comes back, and the packet goes on.
//! Flags that are only defined for the first response are not looked at in others.
//!
//! # Head room
//!
//! If `xdp-headroom` asks for it, Linux's netback leaves as many bytes free at the start of each
//! buffer, says so in an extra, and *counts them in the status*, with an offset of zero. So data
//! lie in bytes `offset + headroom..offset + status`. C's netfront takes `headroom..headroom +
//! status`, and so gets packets with a tail of as many bytes that are none of theirs.

pub mod assembler;
pub mod receiver;

use super::extra::{BadExtra, Gso, Hash};
use super::Checksum;
use core::fmt;
use xen_abi::io::netif::NR_SLOTS_MIN;

/// Most pieces of a packet that is received. A packet buffer of Linux has room for one less
/// besides its linear part, where the first piece then has to go as a whole.
pub const MAX_PIECES: usize = NR_SLOTS_MIN as usize;

/// A piece of a packet: data in one buffer, within its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Offset of the data in the page, in bytes.
    pub offset: u16,
    /// Length in bytes, not zero.
    pub len: u16,
}

/// What is known about a packet that has arrived, besides where its data lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// Size in bytes: of an Ethernet header at least, and at most of [`MAX_PIECES`] pages.
    pub len: u32,
    /// Number of pieces, 1 to [`MAX_PIECES`].
    pub pieces: u32,
    /// What is known about its checksum. One with [`gso`](Self::gso) ought to be
    /// [`Checksum::Blank`], but there are back ends that forget to say so.
    pub checksum: Checksum,
    /// It was sent to be cut into segments.
    pub gso: Option<Gso>,
    /// Hash of its flow, by the key that the back end was given.
    pub hash: Option<Hash>,
    /// Bytes that are free before the data in each buffer, in addition to the page's own.
    pub headroom: u16,
}

/// Why a packet is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// The back end says that it failed, with that status: of the protocol, or Xen's for copying.
    Failed(i16),
    /// A piece leaves its page.
    BeyondPage {
        /// Its offset.
        offset: u16,
        /// Its length.
        len: u16,
    },
    /// It has too many pieces.
    TooManyPieces,
    /// An extra is malformed.
    BadExtra(BadExtra),
    /// An extra of that type came twice, or is not for back ends to send.
    UnexpectedExtra(u8),
    /// A piece has less data than its head room.
    Headroom(u16),
    /// It starts with a GSO prefix, which was not asked for.
    GsoPrefix,
    /// It is shorter than an Ethernet header.
    TooShort(u32),
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dropped::Failed(status) => write!(f, "the back end failed with status {status}"),
            Dropped::BeyondPage { offset, len } => {
                write!(f, "rx->offset: {offset}, size: {len}")
            }
            Dropped::TooManyPieces => f.write_str("too many slots"),
            Dropped::BadExtra(bad) => bad.fmt(f),
            Dropped::UnexpectedExtra(kind) => write!(f, "unexpected extra type {kind}"),
            Dropped::Headroom(headroom) => write!(f, "no data behind {headroom} bytes head room"),
            Dropped::GsoPrefix => f.write_str("a GSO prefix was not asked for"),
            Dropped::TooShort(len) => write!(f, "{len} bytes are too short for a packet"),
        }
    }
}

impl core::error::Error for Dropped {}

/// How a packet ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is complete.
    Packet(Packet),
    /// It is lost.
    Dropped(Dropped),
}
