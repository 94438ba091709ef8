// SPDX-License-Identifier: GPL-2.0

//! Packets that a front end sends, taken apart by a back end, and the responses to them.

use crate::{any, gso, hash};
use proptest::collection::vec;
use proptest::prelude::*;
use xen_abi::io::netif::{extra, rsp, tx_flag, ExtraInfo, TxRequest, TxResponse};
use xen_ring::netif::extra::{BadExtra, GsoKind, HashKind};
use xen_ring::netif::slot::TxSlot;
use xen_ring::netif::tx::decode::{decode, Decoded, Fatal, What, Why};
use xen_ring::netif::tx::in_flight::{InFlight, Outcome, SendError};
use xen_ring::netif::tx::{slots, Misfit, Multicast, Packet, Piece, MAX_SLOTS};
use xen_ring::netif::{Checksum, TxBackRing, TxFrontRing};
use xen_ring::{Corrupt, HeapMem, IdSlot};

type Flight = InFlight<u32, Vec<IdSlot<u32>>>;

struct Ends {
    front: TxFrontRing<HeapMem>,
    back: TxBackRing<HeapMem>,
    flight: Flight,
}

/// A ring of one page near the wrap of its indexes, whose slots are full of ones.
fn ends() -> Ends {
    let mem = HeapMem::pages(0);
    mem.scribble(0, &[0xff; 4096]);
    let index = u32::MAX - 100;
    let front = TxFrontRing::new_at(mem.clone(), index).expect("room for a ring");
    assert_eq!(front.slots(), 256);
    Ends {
        front,
        back: TxBackRing::attach_at(mem, index).expect("room for a ring"),
        flight: flight(),
    }
}

fn flight() -> Flight {
    InFlight::new((0..256).map(|_| IdSlot::new()).collect())
}

impl Ends {
    /// Gives each piece an id; its value is the grant.
    fn check_out(&mut self, pieces: &mut [Piece]) {
        for piece in pieces {
            piece.id = self.flight.check_out(piece.gref).expect("a free id");
        }
    }

    fn receive(&mut self) -> Vec<TxSlot> {
        let _ = self.front.push_requests();
        self.back.requests().expect("honest").collect()
    }

    /// Answers all slots, and returns what the responses give back.
    fn answer(&mut self, responses: &[TxResponse]) -> Vec<(u32, Outcome)> {
        for response in responses {
            self.back.push(response).expect("a request to answer");
        }
        let _ = self.back.push_responses();
        let responses: Vec<TxResponse> = self.front.responses().expect("honest").collect();
        let done = responses.iter().map(|r| self.flight.complete(r));
        done.filter_map(|done| done.expect("honest")).collect()
    }
}

fn piece(gref: u32, offset: u16, len: u16) -> Piece {
    Piece {
        gref,
        offset,
        len,
        id: 0,
    }
}

fn all(slots: &[TxSlot]) -> Result<Option<Decoded>, Fatal> {
    decode(slots.iter().copied())
}

#[test]
fn the_first_request_speaks_for_the_packet_and_its_extras_follow_it() {
    let mut pieces = [piece(7, 100, 3996), piece(8, 0, 4096), piece(9, 10, 1)];
    for (piece, id) in pieces.iter_mut().zip([5, 6, 0x107]) {
        piece.id = id;
    }
    let packet = Packet {
        checksum: Checksum::Blank,
        gso: Some(gso(1448, GsoKind::TcpV6)),
        hash: Some(hash(HashKind::TcpV4, 0x1234_5678)),
    };
    let slots = slots::packet(&packet, &pieces).expect("it fits");
    assert_eq!((slots.len(), slots.extras()), (5, 2));
    let slots: Vec<TxSlot> = slots.collect();
    let request = |gref, offset, flags, id, size| TxRequest {
        gref,
        offset,
        flags,
        id,
        size,
    };
    let head = tx_flag::CSUM_BLANK | tx_flag::DATA_VALIDATED | tx_flag::EXTRA_INFO;
    let [a, b] = 1448_u16.to_ne_bytes();
    let gso = ExtraInfo {
        kind: extra::GSO,
        flags: extra::FLAG_MORE,
        detail: [a, b, 2, 0, 0, 0],
    };
    let hash = ExtraInfo {
        kind: extra::HASH,
        flags: 0,
        detail: [1, 1, 0x78, 0x56, 0x34, 0x12],
    };
    let expected = [
        request(7, 100, head | tx_flag::MORE_DATA, 5, 3996 + 4096 + 1).into(),
        gso.into(),
        hash.into(),
        request(8, 0, tx_flag::MORE_DATA, 6, 4096).into(),
        request(9, 10, 0, 0x107, 1).into(),
    ];
    assert_eq!(slots, expected);
}

#[test]
fn a_small_packet_is_one_request() {
    for (checksum, flags) in [
        (Checksum::Unknown, 0),
        (Checksum::Validated, 2),
        (Checksum::Blank, 3),
    ] {
        let packet = Packet {
            checksum,
            ..Packet::default()
        };
        let one = [piece(1, 2, 60)];
        let slots: Vec<TxSlot> = slots::packet(&packet, &one).expect("it fits").collect();
        assert_eq!(slots.len(), 1);
        assert_eq!(slots[0].as_request().flags, flags);
    }
}

/// Pieces of a packet that fits.
fn any_pieces() -> impl Strategy<Value = Vec<Piece>> {
    let one = (any::<u32>(), 14..=4096_u16).prop_flat_map(|(gref, len)| {
        let offset = 0..=4096 - len;
        offset.prop_map(move |offset| piece(gref, offset, len))
    });
    vec(one, 1..=18).prop_filter("too long", |pieces| {
        pieces.iter().map(|p| u32::from(p.len)).sum::<u32>() <= 65_535
    })
}

fn any_packet() -> impl Strategy<Value = Packet> {
    let parts = (any::checksum(), any::segmented(), any::hashed());
    parts.prop_map(|(checksum, gso, hash)| Packet {
        checksum,
        gso,
        hash,
    })
}

proptest! {
    #[test]
    fn any_packet_arrives_as_it_was_meant_and_gives_everything_back(
        packets in vec((any_packet(), any_pieces()), 1..12),
    ) {
        let mut ends = ends();
        let mut sent = Vec::new();
        for (packet, mut pieces) in packets {
            ends.check_out(&mut pieces);
            ends.flight.push(&mut ends.front, &packet, &pieces).expect("room for all");
            sent.push((packet, pieces));
        }
        let slots = ends.receive();
        let mut slots = slots.into_iter();
        for (packet, pieces) in &sent {
            let decoded = decode(&mut slots).expect("well-formed").expect("a packet");
            let len = pieces.iter().map(|p| p.len).sum();
            let what = What::Packet {
                len,
                checksum: packet.checksum,
                gso: packet.gso,
                hash: packet.hash,
            };
            prop_assert_eq!(decoded.what, what);
            let seen = decoded.requests().iter();
            let seen: Vec<Piece> = seen.map(|r| Piece {
                gref: r.gref,
                offset: r.offset,
                len: r.size,
                id: r.id,
            }).collect();
            prop_assert_eq!(&seen, pieces);
            let responses: Vec<TxResponse> = decoded.responses(rsp::OKAY).collect();
            let done = ends.answer(&responses);
            let expected: Vec<_> = pieces.iter().map(|p| (p.gref, Outcome::Sent)).collect();
            prop_assert_eq!(done, expected);
        }
        prop_assert_eq!(decode(&mut slots), Ok(None));
        prop_assert_eq!(ends.flight.requests(), 0);
        prop_assert_eq!(ends.front.free(), 256);
        // All extras are answered, so one more answer is one too many.
        let null = TxResponse { id: 0, status: rsp::NULL };
        prop_assert!(ends.flight.complete(&null).is_err());
    }

    #[test]
    fn any_slots_are_decoded_or_refused(
        slots in vec((any::<u32>(), 0..5000_u16, 0..16_u16, any::<u16>(), 0..5000_u16), 0..40),
    ) {
        let slots: Vec<TxSlot> = slots.into_iter().map(|(gref, offset, flags, id, size)| {
            TxRequest { gref, offset, flags, id, size }.into()
        }).collect();
        let mut rest = slots.iter().copied();
        let mut used = 0;
        while let Ok(Some(decoded)) = decode(&mut rest) {
            used += decoded.extras + decoded.requests().len();
            prop_assert_eq!(used, slots.len() - rest.len());
            let answers = decoded.responses(rsp::ERROR).count();
            prop_assert_eq!(answers, decoded.extras + decoded.requests().len());
            if let What::Packet { len, .. } = decoded.what {
                let sum: u32 = decoded.requests().iter().map(|r| u32::from(r.size)).sum();
                prop_assert_eq!(sum, len.into());
                let within = |r: &TxRequest| r.offset + r.size <= 4096;
                prop_assert!(decoded.requests().iter().all(within));
                prop_assert!(decoded.requests().len() <= 19);
            }
        }
    }

    #[test]
    fn any_responses_complete_each_request_at_most_once(
        responses in vec((any::<bool>(), 0..600_u16, -4..4_i16), 0..400),
    ) {
        let mut flight = flight();
        let mut ids: Vec<u16> = (0..256).map(|n| flight.check_out(n).expect("free")).collect();
        let mut done = [false; 256];
        for (honest, id, status) in responses {
            let id = match ids.pop() {
                Some(known) if honest => known,
                _ => id,
            };
            match flight.complete(&TxResponse { id, status }) {
                Ok(Some((value, _))) => {
                    prop_assert!((-2..=0).contains(&status));
                    prop_assert!(!std::mem::replace(&mut done[value as usize], true));
                }
                // Nothing with an extra is in flight.
                Ok(None) => prop_assert!(false, "an answer to no extra"),
                Err(_) => (),
            }
        }
        flight.drain(|value| {
            assert!(!std::mem::replace(&mut done[value as usize], true));
        });
        prop_assert!(done.iter().all(|done| *done));
    }
}

#[test]
fn a_packet_is_on_the_ring_as_a_whole_or_not_at_all() {
    let mut ends = ends();
    let packet = Packet {
        gso: Some(gso(1, GsoKind::TcpV4)),
        ..Packet::default()
    };
    let pieces = [piece(0, 0, 100), piece(1, 0, 100)];
    for _ in 0..85 {
        let pushed = ends.flight.push(&mut ends.front, &packet, &pieces);
        assert_eq!(pushed, Ok(()));
    }
    assert_eq!(ends.front.free(), 1);
    let full = ends.flight.push(&mut ends.front, &packet, &pieces);
    assert_eq!(full, Err(SendError::Full));
    let wish = Multicast::Add([1; 6]);
    let full = ends.flight.push_multicast(&mut ends.front, 3, wish);
    assert_eq!(full, Err(SendError::Full));
    assert_eq!(ends.front.free(), 1);
    let small = [piece(0, 0, 14)];
    let pushed = ends
        .flight
        .push(&mut ends.front, &Packet::default(), &small);
    assert_eq!(pushed, Ok(()));
    assert_eq!(ends.receive().len(), 256);

    let misfit = ends.flight.push(&mut ends.front, &packet, &[]);
    assert_eq!(misfit, Err(SendError::Misfit(Misfit::Pieces(0))));
    let corrupt = ends.front.poison(Corrupt::StaleId(1));
    let broken = ends.flight.push(&mut ends.front, &packet, &pieces);
    assert_eq!(broken, Err(SendError::Corrupt(corrupt)));
    assert_eq!(MAX_SLOTS, 20);
}

#[test]
fn a_multicast_address_is_asked_for_by_a_request_without_data() {
    let address = [0x33, 0x33, 0, 0, 0, 0xfb];
    for wish in [Multicast::Add(address), Multicast::Remove(address)] {
        let mut ends = ends();
        let id = ends.flight.check_out(9).expect("a free id");
        let pushed = ends.flight.push_multicast(&mut ends.front, id, wish);
        assert_eq!(pushed, Ok(()));
        let slots = ends.receive();
        let decoded = all(&slots).expect("well-formed").expect("a request");
        assert_eq!((decoded.what, decoded.extras), (What::Multicast(wish), 1));
        let responses: Vec<TxResponse> = decoded.responses(rsp::ERROR).collect();
        assert_eq!(ends.answer(&responses), [(9, Outcome::Failed)]);
    }
}

#[test]
fn an_answer_to_no_extra_and_an_unknown_status_are_violations() {
    let mut flight = flight();
    let id = flight.check_out(1).expect("a free id");
    let mut complete = |id, status| flight.complete(&TxResponse { id, status });
    assert!(matches!(complete(id, rsp::NULL), Err(Corrupt::Protocol(_))));
    for status in (i16::MIN..=i16::MAX).filter(|s| !(-2..=1).contains(s)) {
        let unknown = Corrupt::UnknownStatus {
            id: id.into(),
            status: status.into(),
        };
        assert_eq!(complete(id, status), Err(unknown));
    }
    assert_eq!(
        complete(id + 256, rsp::OKAY),
        Err(Corrupt::UnknownId(u64::from(id) + 256))
    );
    assert_eq!(complete(id, rsp::DROPPED), Ok(Some((1, Outcome::Dropped))));
    assert_eq!(complete(id, rsp::OKAY), Err(Corrupt::StaleId(id.into())));
}

#[test]
fn a_value_can_be_taken_back_if_its_packet_was_not_sent() {
    let mut flight = flight();
    let id = flight.check_out(1).expect("a free id");
    *flight.get_mut(id).expect("it is there") = 2;
    assert_eq!((flight.requests(), flight.free()), (1, 255));
    assert_eq!(flight.take_back(id), Some(2));
    assert_eq!(flight.take_back(id), None);
    assert_eq!((flight.requests(), flight.free()), (0, 256));
}

#[test]
fn room_that_is_used_for_another_connection_knows_the_ids_of_the_last_one() {
    let mut before = flight();
    let id = before.check_out(1).expect("a free id");
    let mut after: Flight = InFlight::new(before.into_slots());
    assert_eq!((after.requests(), after.free()), (0, 256));
    let late = TxResponse {
        id,
        status: rsp::OKAY,
    };
    assert_eq!(after.complete(&late), Err(Corrupt::StaleId(id.into())));
}

/// Requests of a packet: each of `len` bytes, the first with the size of all.
fn requests(count: u16, len: u16) -> Vec<TxSlot> {
    let request = |n| TxRequest {
        flags: if n + 1 < count { tx_flag::MORE_DATA } else { 0 },
        size: if n == 0 { count * len } else { len },
        id: n,
        ..TxRequest::default()
    };
    (0..count).map(|n| request(n).into()).collect()
}

#[test]
fn the_back_end_counts_requests_as_netback_does() {
    let what = |slots: &[TxSlot]| all(slots).map(|d| d.expect("a packet").what);
    let sent = |slots: &[TxSlot]| matches!(what(slots), Ok(What::Packet { .. }));
    assert!(sent(&requests(1, 14)) && sent(&requests(19, 100)));
    let too_many = Ok(What::Reject(Why::TooManyRequests));
    assert_eq!(what(&requests(20, 100)), too_many);
    assert_eq!(what(&requests(21, 100)), too_many);
    assert_eq!(what(&requests(22, 100)), Err(Fatal::Endless));
    assert_eq!(what(&requests(5, 100)[..4]), Err(Fatal::Incomplete));
    let decoded = all(&requests(21, 100))
        .expect("rejected")
        .expect("a packet");
    assert_eq!(decoded.responses(rsp::ERROR).count(), 21);

    let change = |n: usize, change: &dyn Fn(&mut TxRequest)| {
        let mut slots = requests(3, 100);
        let mut request = slots[n].as_request();
        change(&mut request);
        slots[n] = request.into();
        what(&slots)
    };
    let short = Ok(What::Reject(Why::ShortHead));
    assert_eq!(change(0, &|r| r.size = 213), short);
    let less = Ok(What::Reject(Why::PiecesExceedSize));
    assert_eq!(change(0, &|r| r.size = 199), less);
    let beyond = Err(Fatal::BeyondPage);
    assert_eq!(change(0, &|r| r.offset = 3997), beyond);
    assert_eq!(change(2, &|r| r.offset = 3997), beyond);
    let extra = |r: &mut TxRequest| r.flags |= tx_flag::EXTRA_INFO;
    // The next request is no extra: its grant reads as one of type zero.
    let none = Err(Fatal::Extra(BadExtra::UnknownType(0)));
    assert_eq!(change(0, &extra), none);
}
