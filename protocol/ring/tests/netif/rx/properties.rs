// SPDX-License-Identifier: GPL-2.0

//! Any packet of an honest back end arrives, and no slot of a hostile one loses a buffer.

use super::*;
use crate::any;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use zerocopy::FromBytes;

/// A packet as an honest back end sends it.
#[derive(Clone, Debug)]
struct Honest {
    packet: Packet,
    /// Offset and length of each slot's data, without head room.
    chunks: Vec<(u16, u16)>,
}

impl Honest {
    /// Its slots, with the extras in the order of netback.
    fn slots(&self) -> Vec<Sent> {
        let packet = &self.packet;
        let extras: Vec<Extra> = [
            packet.gso.map(Extra::Gso),
            packet.hash.map(|hash| Extra::Hash(Some(hash))),
            (packet.headroom > 0).then_some(Extra::Xdp {
                headroom: packet.headroom,
            }),
        ]
        .into_iter()
        .flatten()
        .collect();
        let mut first = match packet.checksum {
            Checksum::Unknown => 0,
            Checksum::Validated => rx_flag::DATA_VALIDATED,
            Checksum::Blank => rx_flag::DATA_VALIDATED | rx_flag::CSUM_BLANK,
        };
        if !extras.is_empty() {
            first |= EXTRA;
        }
        let last = self.chunks.len() - 1;
        let chunks = self.chunks.iter().enumerate().map(|(n, (offset, len))| {
            let status = packet.headroom + len;
            let more = if n < last { MORE } else { 0 };
            let flags = if n == 0 { first | more } else { more };
            data(*offset, status as i16, flags)
        });
        let mut slots: Vec<Sent> = chunks.collect();
        let count = extras.len();
        let extras = extras.into_iter().enumerate();
        let extras = extras.map(|(n, extra)| info(extra, n + 1 < count));
        slots.splice(1..1, extras);
        slots
    }
}

fn any_honest() -> impl Strategy<Value = Honest> {
    let headroom = prop_oneof![2 => Just(0), 1 => 1..2000_u16];
    headroom.prop_flat_map(|headroom| {
        let room = 4096 - headroom;
        let chunk = (1..=room).prop_flat_map(move |len| (0..=room - len, Just(len)));
        let chunks = vec(chunk, 1..=18).prop_filter("too short", |chunks| {
            chunks.iter().map(|(_, len)| u32::from(*len)).sum::<u32>() >= 14
        });
        let said = (any::checksum(), any::segmented(), any::hashed());
        (chunks, said).prop_map(move |(chunks, (checksum, gso, hash))| Honest {
            packet: Packet {
                len: chunks.iter().map(|(_, len)| u32::from(*len)).sum(),
                pieces: chunks.len() as u32,
                checksum,
                gso,
                hash,
                headroom,
            },
            chunks,
        })
    })
}

/// A slot as a hostile back end writes it: a response or an extra, and mostly the one whose turn
/// it is, for otherwise the connection ends at once; or any bytes.
#[derive(Clone, Copy, Debug)]
struct Hostile {
    response: RxResponse,
    info: ExtraInfo,
    lie: u8,
    bytes: u64,
}

fn any_hostile() -> impl Strategy<Value = Hostile> {
    let status = prop_oneof![8 => 0..200_i16, 1 => -3..2_i16, 1 => any::<i16>()];
    let offset = prop_oneof![8 => 0..64_u16, 1 => any::<u16>()];
    let response = (offset, status, 0..16_u16).prop_map(|(offset, status, flags)| RxResponse {
        id: 0,
        offset,
        flags,
        status,
    });
    let head = prop_oneof![(0..8_u8, 0..2_u8), (Just(extra::XDP), Just(0_u8))];
    let detail =
        (any::<[u8; 6]>(), 0..4_u8).prop_map(|([_, b, _, d, e, f], n)| [n, b & 1, n, d, e, f]);
    let info = (head, detail).prop_map(|((kind, flags), detail)| ExtraInfo {
        kind,
        flags,
        detail,
    });
    let rest = (0..60_u8, any::<u64>());
    (response, info, rest).prop_map(|(response, info, (lie, bytes))| Hostile {
        response,
        info,
        lie,
        bytes,
    })
}

/// Whose turn it is, as one who is at the other end knows it.
#[derive(Default)]
struct Turn {
    extra: bool,
    later: bool,
    more: bool,
}

impl Turn {
    fn slot(&mut self, hostile: &Hostile, id: u16) -> RxSlot {
        if hostile.lie == 0 {
            return RxSlot::read_from_bytes(&hostile.bytes.to_ne_bytes()).expect("8 bytes");
        }
        if self.extra != (hostile.lie == 1) {
            self.extra = hostile.info.flags & extra::FLAG_MORE != 0;
            self.later = self.more;
            return hostile.info.into();
        }
        self.more = hostile.response.flags & MORE != 0;
        self.extra = !self.later && hostile.response.flags & EXTRA != 0;
        self.later = self.more;
        RxSlot::from(RxResponse {
            id,
            ..hostile.response
        })
    }
}

proptest! {
    #[test]
    fn any_packet_arrives_as_it_was_sent(
        packets in vec((any_honest(), option::weighted(0.3, 1..20_usize)), 1..12),
    ) {
        let mut ends = ends(64);
        for (honest, cut) in packets {
            ends.post();
            let slots = honest.slots();
            // Some come in two parts.
            let cut = cut.unwrap_or(0).min(slots.len());
            let mut grefs = ends.send(&slots[..cut]);
            let mut got = ends.poll().expect("honest");
            grefs.extend(ends.send(&slots[cut..]));
            got.extend(ends.poll().expect("honest"));
            let headroom = honest.packet.headroom;
            let mut pieces = Vec::new();
            let mut expected = Vec::new();
            let mut chunks = honest.chunks.iter();
            for (slot, gref) in slots.iter().zip(grefs) {
                match slot {
                    Sent::Extra(_) => expected.push(Got::Unused(gref)),
                    Sent::Data(_) => {
                        let (offset, len) = chunks.next().expect("a chunk for each");
                        pieces.push((gref, piece(offset + headroom, *len)));
                    }
                }
            }
            expected.push(Got::Packet(honest.packet, pieces));
            prop_assert_eq!(got, expected);
        }
        prop_assert_eq!(ends.rx.posted() as usize, ends.requests.len());
    }

    #[test]
    fn any_slots_give_each_buffer_back_exactly_once(
        slots in vec(vec(any_hostile(), 0..20), 0..40),
    ) {
        let mut ends = ends(32);
        let mut back = BTreeSet::new();
        let mut turn = Turn::default();
        let mut corrupt = None;
        for batch in slots {
            if corrupt.is_none() {
                ends.post();
            }
            for slot in batch {
                let Some(request) = ends.requests.pop_front() else {
                    break;
                };
                let slot = turn.slot(&slot, request.id);
                ends.back.push(&slot).expect("a request to answer");
            }
            let _ = ends.back.push_responses();
            // Not `poll`, for what came before a violation counts.
            let Ok(arrived) = ends.front.responses() else {
                continue;
            };
            let arrived: Vec<RxSlot> = arrived.collect();
            for slot in arrived {
                match ends.rx.take(slot) {
                    Ok(Taken { unused, end }) => {
                        prop_assert_eq!(corrupt, None);
                        prop_assert!(unused.is_none_or(|b| back.insert(b)));
                        let pieces: Vec<_> = ends.rx.pieces().collect();
                        prop_assert!(end.is_some() || pieces.is_empty());
                        prop_assert!(pieces.iter().all(|(b, _)| back.insert(*b)));
                        if let Some(End::Packet(packet)) = end {
                            let len = |(_, p): &(u32, Piece)| u32::from(p.len);
                            prop_assert_eq!(packet.len, pieces.iter().map(len).sum::<u32>());
                            prop_assert_eq!(packet.pieces as usize, pieces.len());
                            prop_assert!(packet.len >= 14 && packet.pieces <= 18);
                            let within = |(_, p): &(u32, Piece)| {
                                p.len > 0 && p.offset + p.len <= 4096
                            };
                            prop_assert!(pieces.iter().all(within));
                        }
                    }
                    Err(why) => prop_assert_eq!(*corrupt.get_or_insert(why), why),
                }
            }
            if let Some(why) = corrupt {
                ends.front.poison(why);
            }
        }
        ends.rx.drain(|buffer| assert!(back.insert(buffer)));
        prop_assert!(back.into_iter().eq(1000..ends.next));
    }
}
