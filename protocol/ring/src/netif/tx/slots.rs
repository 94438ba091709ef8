// SPDX-License-Identifier: GPL-2.0

//! A packet as the slots of the transmit ring.

use super::{check, Misfit, Multicast, Packet, Piece, MAX_EXTRAS};
use crate::netif::extra::Extra;
use crate::netif::slot::TxSlot;
use crate::netif::Checksum;
use core::iter::FusedIterator;
use xen_abi::io::netif::{tx_flag, ExtraInfo, TxRequest};

/// The slots of a packet whose data lie in `pieces`.
#[inline]
pub fn packet<'a>(packet: &Packet, pieces: &'a [Piece]) -> Result<Slots<'a>, Misfit> {
    let size = check(pieces)?;
    let checksum = match packet.checksum {
        Checksum::Unknown => 0,
        Checksum::Validated => tx_flag::DATA_VALIDATED,
        // A blank checksum is made right when it is needed: so is the packet.
        Checksum::Blank => tx_flag::CSUM_BLANK | tx_flag::DATA_VALIDATED,
    };
    let hash = packet.hash.map(|hash| Extra::Hash(Some(hash)));
    let gso = packet.gso.map(Extra::Gso);
    let mut extras = [ExtraInfo::default(); MAX_EXTRAS];
    // The last one comes first here, see `Slots::next`.
    let mut count = 0_usize;
    for extra in [hash, gso].into_iter().flatten() {
        if let Some(place) = extras.get_mut(count) {
            *place = extra.info(count > 0);
        }
        count = count.wrapping_add(1);
    }
    Ok(Slots {
        head: Some((size, checksum)),
        extras,
        extras_left: count,
        pieces,
    })
}

/// Iterator over the slots of a packet, see [`packet`].
#[derive(Clone, Debug)]
pub struct Slots<'a> {
    /// Size and flags of the packet, until the first slot is made.
    head: Option<(u16, u16)>,
    /// From the last one to the first one.
    extras: [ExtraInfo; MAX_EXTRAS],
    extras_left: usize,
    /// Those that have no slot yet.
    pieces: &'a [Piece],
}

impl Slots<'_> {
    /// How many of the slots that are left hold an extra.
    #[inline]
    pub fn extras(&self) -> u32 {
        self.extras_left as u32
    }

    #[inline]
    fn request(&mut self, size: Option<u16>, flags: u16) -> Option<TxSlot> {
        let (piece, rest) = self.pieces.split_first()?;
        self.pieces = rest;
        let more = if rest.is_empty() {
            0
        } else {
            tx_flag::MORE_DATA
        };
        Some(TxSlot::from(TxRequest {
            gref: piece.gref,
            offset: piece.offset,
            flags: flags | more,
            id: piece.id,
            size: size.unwrap_or(piece.len),
        }))
    }
}

impl Iterator for Slots<'_> {
    type Item = TxSlot;

    #[inline]
    fn next(&mut self) -> Option<TxSlot> {
        if let Some((size, checksum)) = self.head.take() {
            let extra = if self.extras_left > 0 {
                tx_flag::EXTRA_INFO
            } else {
                0
            };
            return self.request(Some(size), checksum | extra);
        }
        match self.extras_left.checked_sub(1) {
            Some(left) => {
                self.extras_left = left;
                self.extras.get(left).copied().map(TxSlot::from)
            }
            None => self.request(None, 0),
        }
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = self.pieces.len().wrapping_add(self.extras_left);
        (count, Some(count))
    }
}

impl ExactSizeIterator for Slots<'_> {}
impl FusedIterator for Slots<'_> {}

/// The two slots of a request for packets to a group. It has no data; no grant is looked at.
#[inline]
pub fn multicast(id: u16, wish: Multicast) -> [TxSlot; 2] {
    let request = TxRequest {
        id,
        flags: tx_flag::EXTRA_INFO,
        ..TxRequest::default()
    };
    [request.into(), wish.extra().info(false).into()]
}
