// SPDX-License-Identifier: GPL-2.0

//! The network protocol: packets as a back end sends them and as it gets them, responses to what a
//! front end has sent, and answers on the control ring.

use crate::bytes::Bytes;
use xen_abi::io::netif::{extra, rsp, rx_flag, tx_flag};
use xen_abi::io::netif::{CtrlResponse, ExtraInfo, RxResponse, TxRequest, TxResponse};
use xen_ring::netif::control::{Algorithm, Answer, Control, HashTypes, Message};
use xen_ring::netif::rx::receiver::Receiver;
use xen_ring::netif::rx::End;
use xen_ring::netif::slot::{RxSlot, TxSlot};
use xen_ring::netif::tx::decode::{decode, What};
use xen_ring::netif::tx::in_flight::{InFlight, SendError};
use xen_ring::netif::tx::{slots, Multicast, Packet, Piece};
use xen_ring::netif::{RxBackRing, RxFrontRing, TxFrontRing};
use xen_ring::{Corrupt, HeapMem, IdSlot};
use zerocopy::FromBytes;

/// A back end writes what it likes to the slots of posted buffers: each comes back exactly once,
/// data lie within a page, and after a violation nothing is taken any more.
pub fn netif_rx(input: &[u8]) {
    let mut input = Bytes::new(input);
    let start = input.u32();
    let mem = HeapMem::new(64 + 32 * 8);
    let mut ring = RxFrontRing::new_at(mem.clone(), start).expect("room for a ring");
    let mut peer = RxBackRing::attach_at(mem, start).expect("room for a ring");
    let mut rx = Receiver::new_at(vec![None; 32], start);
    // Whether a buffer that was posted has come back.
    let mut back: Vec<bool> = Vec::new();
    let mut corrupt = None;
    let mut turn = Turn::default();
    while !input.is_empty() {
        if input.below(4) == 0 {
            let number = back.len();
            match rx.post(&mut ring, 1, number) {
                Ok(()) => back.push(false),
                Err((_, number)) => assert_eq!(number, back.len()),
            }
            continue;
        }
        let index = start.wrapping_add(back.len() as u32 - rx.posted());
        let mut slot = turn.slot(&mut input, index as u16);
        if corrupt.is_none() && rx.posted() > 0 {
            let _ = ring.push_requests();
            assert!(peer.requests().expect("honest").count() <= 32);
            peer.push(&slot).expect("a request to answer");
            let _ = peer.push_responses();
            let arrived = ring.responses().expect("honest").next();
            slot = arrived.expect("a response");
        }
        match rx.take(slot) {
            Ok(taken) => {
                assert_eq!(corrupt, None, "a violation is forgotten");
                if let Some(number) = taken.unused {
                    give_back(&mut back, number);
                }
                let pieces: Vec<_> = rx.pieces().collect();
                assert!(taken.end.is_some() || pieces.is_empty());
                let mut len = 0;
                for (number, piece) in &pieces {
                    give_back(&mut back, *number);
                    assert!(piece.len > 0 && piece.offset + piece.len <= 4096);
                    len += u32::from(piece.len);
                }
                if let Some(End::Packet(packet)) = taken.end {
                    assert_eq!((packet.len, packet.pieces as usize), (len, pieces.len()));
                    assert!(packet.len >= 14 && packet.pieces <= 18);
                }
            }
            Err(why) => assert_eq!(*corrupt.get_or_insert(why), why),
        }
    }
    rx.drain(|number| give_back(&mut back, number));
    assert!(back.iter().all(|back| *back), "a buffer is lost");
}

fn give_back(back: &mut [bool], number: usize) {
    let before = std::mem::replace(&mut back[number], true);
    assert!(!before, "a buffer came back twice");
}

/// Whose turn it is on the receive ring, a response's or an extra's. A back end that does not keep
/// to that mostly ends the connection at once, so this one does more often than not.
#[derive(Default)]
struct Turn {
    extra: bool,
    later: bool,
    more: bool,
}

impl Turn {
    fn slot(&mut self, input: &mut Bytes<'_>, id: u16) -> RxSlot {
        let lie = input.below(64);
        let bytes: [u8; 8] = input.array();
        if lie == 0 {
            return RxSlot::read_from_bytes(&bytes).expect("8 bytes");
        }
        if self.extra != (lie == 1) {
            let mut info = ExtraInfo::read_from_bytes(&bytes).expect("8 bytes");
            info.kind %= 8;
            self.extra = info.flags & extra::FLAG_MORE != 0;
            self.later = self.more;
            return info.into();
        }
        let mut response = RxResponse::read_from_bytes(&bytes).expect("8 bytes");
        response.id = id;
        if lie < 56 {
            response.offset %= 256;
            response.status &= 0x7ff;
        }
        self.more = response.flags & rx_flag::MORE_DATA != 0;
        self.extra = !self.later && response.flags & rx_flag::EXTRA_INFO != 0;
        self.later = self.more;
        response.into()
    }
}

/// Packets are sent and taken apart again; then a back end answers what it likes. Each request
/// ends once, and extras are not answered more often than there are.
pub fn netif_tx(input: &[u8]) {
    let mut input = Bytes::new(input);
    let mem = HeapMem::new(64 + 64 * 12);
    let mut ring = TxFrontRing::new(mem).expect("room for a ring");
    let room: Vec<IdSlot<u16>> = (0..64).map(|_| IdSlot::new()).collect();
    let mut flight = InFlight::new(room);
    let (mut extras, mut sent, mut ended) = (0_u32, 0, 0);
    let mut known = Vec::new();
    while !input.is_empty() {
        match input.below(4) {
            0 => {
                let Some((slots, ids)) = send(&mut input, &mut ring, &mut flight) else {
                    continue;
                };
                extras += slots - ids.len() as u32;
                sent += ids.len();
                known.extend(ids);
            }
            which => {
                let id = match known.pop() {
                    Some(id) if which == 1 => id,
                    _ => input.u16(),
                };
                let status = i16::from(input.byte() % 5) - 3;
                match flight.complete(&TxResponse { id, status }) {
                    Ok(Some((value, _))) => {
                        assert_eq!(value, id, "the value of another request");
                        ended += 1;
                    }
                    Ok(None) => {
                        assert_eq!(status, rsp::NULL);
                        extras = extras.checked_sub(1).expect("an extra to be answered");
                    }
                    Err(Corrupt::UnknownStatus { .. }) => assert!(!(-2..=1).contains(&status)),
                    Err(_) => assert!((-2..=1).contains(&status)),
                }
            }
        }
    }
    assert_eq!(flight.requests() as usize, sent - ended);
    flight.drain(|_| ended += 1);
    assert_eq!(ended, sent, "a request is lost");
}

type Flight = InFlight<u16, Vec<IdSlot<u16>>>;

/// Sends something; returns the number of slots and the ids.
fn send(
    input: &mut Bytes<'_>,
    ring: &mut TxFrontRing<HeapMem>,
    flight: &mut Flight,
) -> Option<(u32, Vec<u16>)> {
    let count = input.below(21);
    let mut pieces = Vec::new();
    for _ in 0..count {
        let Ok(id) = flight.check_out(0) else {
            break;
        };
        *flight.get_mut(id)? = id;
        pieces.push(Piece {
            gref: input.u32(),
            offset: input.u16() % 4200,
            len: input.u16() % 4200,
            id,
        });
    }
    let free = ring.free();
    let ids: Vec<u16> = pieces.iter().map(|piece| piece.id).collect();
    let said = ExtraInfo::read_from_bytes(&input.array::<8>()).expect("8 bytes");
    let result = if count == 1 {
        flight.push_multicast(ring, ids.first().copied()?, Multicast::Add(said.detail))
    } else {
        let packet = read_packet(said);
        if let Ok(made) = slots::packet(&packet, &pieces) {
            same_again(&packet, &pieces, made);
        }
        flight.push(ring, &packet, &pieces)
    };
    match result {
        Ok(()) => Some((free - ring.free(), ids)),
        Err(why) => {
            assert_eq!(ring.free(), free, "a packet is on the ring in part");
            assert!(!matches!(why, SendError::Corrupt(_)));
            for id in ids {
                assert_eq!(flight.take_back(id), Some(id));
            }
            None
        }
    }
}

fn read_packet(said: ExtraInfo) -> Packet {
    use xen_ring::netif::extra::Extra;
    use xen_ring::netif::Checksum;
    let mut packet = Packet::default();
    for kind in [extra::GSO, extra::HASH] {
        match Extra::of(&ExtraInfo { kind, ..said }) {
            Ok(Extra::Gso(gso)) => packet.gso = Some(gso),
            Ok(Extra::Hash(hash)) => packet.hash = hash,
            _ => (),
        }
    }
    if said.flags & 1 != 0 {
        packet.checksum = Checksum::Blank;
    }
    packet
}

/// What is made of a packet is taken apart to the same.
fn same_again(packet: &Packet, pieces: &[Piece], slots: slots::Slots<'_>) {
    let decoded = decode(slots).expect("well-formed").expect("a packet");
    let What::Packet {
        len,
        checksum,
        gso,
        hash,
    } = decoded.what
    else {
        panic!("{packet:?} became {:?}", decoded.what);
    };
    let sum: u32 = pieces.iter().map(|piece| u32::from(piece.len)).sum();
    assert_eq!(sum, len.into());
    let again = Packet {
        checksum,
        gso,
        hash,
    };
    assert_eq!(again, *packet);
    let requests = decoded.requests().iter();
    assert!(requests
        .zip(pieces)
        .all(|(r, p)| (r.gref, r.offset, r.size, r.id) == (p.gref, p.offset, p.len, p.id)));
}

/// A front end writes what it likes to the transmit ring: each slot is answered once, and what is
/// to be sent keeps all limits.
pub fn netif_request(input: &[u8]) {
    let mut input = Bytes::new(input);
    let mut slots = Vec::new();
    while !input.is_empty() && slots.len() < 256 {
        let slot = match input.below(4) {
            0 => TxSlot::read_from_bytes(&input.array::<12>()).expect("12 bytes"),
            1 => {
                let bytes: [u8; 8] = input.array();
                ExtraInfo::read_from_bytes(&bytes).expect("8 bytes").into()
            }
            _ => TxSlot::from(TxRequest {
                gref: input.u32(),
                offset: input.u16() % 4100,
                flags: input.byte().into(),
                id: input.u16(),
                size: input.u16() % 4100,
            }),
        };
        slots.push(slot);
    }
    let mut rest = slots.iter().copied();
    let mut used = 0;
    while let Ok(Some(decoded)) = decode(&mut rest) {
        used += decoded.requests().len() + decoded.extras;
        assert_eq!(used, slots.len() - rest.len());
        let answers = decoded.responses(rsp::ERROR);
        assert_eq!(answers.count(), decoded.requests().len() + decoded.extras);
        if let What::Packet { len, .. } = decoded.what {
            let requests = decoded.requests();
            assert!(requests.len() <= 19);
            assert!(requests.iter().all(|r| r.offset + r.size <= 4096));
            let last = requests.last().expect("one at least");
            assert!(requests.len() == 1 || last.flags & tx_flag::MORE_DATA == 0);
            let sum: u32 = requests.iter().map(|r| u32::from(r.size)).sum();
            assert_eq!(sum, len.into());
        }
    }
}

/// Answers on the control ring: one is taken for what was asked, and only if it is for that.
pub fn netif_control(input: &[u8]) {
    let mut input = Bytes::new(input);
    let mut control = Control::new();
    let mut asked = None;
    while !input.is_empty() {
        let message = match input.below(8) {
            0 => Message::GetHashTypes,
            1 => Message::SetHashTypes(HashTypes::ALL),
            2 => Message::SetAlgorithm(Algorithm::Toeplitz),
            3 => Message::SetKey {
                gref: 1,
                len: input.u32(),
            },
            4 => Message::GetMappingSize,
            5 => Message::SetMappingSize(input.u32()),
            _ => Message::SetMapping {
                gref: 1,
                count: input.u16().into(),
                first: input.u32(),
            },
        };
        match control.ask(message) {
            Ok(request) => {
                assert!(asked.replace((message, request)).is_none());
                if let Message::SetMapping { .. } = message {
                    let [_, count, first] = request.data;
                    assert!(count <= 1024 && first.checked_add(count).is_some());
                }
            }
            Err(_) => assert_eq!(control.asked(), asked.map(|(message, _)| message)),
        }
        let mut response = CtrlResponse {
            id: input.byte().into(),
            kind: (input.byte() % 12).into(),
            status: (input.byte() % 5).into(),
            data: input.u32(),
        };
        if let (Some((_, request)), true) = (asked, input.below(2) == 0) {
            (response.id, response.kind) = (request.id, request.kind);
        }
        if let Ok(answer) = control.answered(&response) {
            let (message, request) = asked.take().expect("an answer to nothing");
            assert_eq!((request.id, request.kind), (response.id, response.kind));
            assert_eq!(answer.is_ok(), response.status == 0);
            match answer {
                Ok(Answer::HashTypes(types)) => {
                    assert_eq!(message, Message::GetHashTypes);
                    assert_eq!(types.and(HashTypes::ALL), types);
                }
                Ok(Answer::MappingSize(_)) => assert_eq!(message, Message::GetMappingSize),
                _ => (),
            }
        }
        assert_eq!(control.asked(), asked.map(|(message, _)| message));
    }
}
