// SPDX-License-Identifier: GPL-2.0

//! Packets that a front end receives, as an honest back end sends them and as hostile ones may.

mod properties;

use crate::{gso, hash};
use std::collections::{BTreeSet, VecDeque};
use xen_abi::io::netif::{extra, rx_flag, ExtraInfo, RxRequest, RxResponse};
use xen_abi::io::ring::SLOTS;
use xen_ring::netif::extra::{BadExtra, Extra, GsoKind, HashKind};
use xen_ring::netif::rx::receiver::{Receiver, Taken};
use xen_ring::netif::rx::{Dropped, End, Packet, Piece};
use xen_ring::netif::slot::RxSlot;
use xen_ring::netif::{Checksum, RxBackRing, RxFrontRing};
use xen_ring::{Corrupt, HeapMem, PushError};

/// A slot that a back end is about to write.
#[derive(Clone, Copy, Debug)]
enum Sent {
    /// Data; the id is yet to be filled in.
    Data(RxResponse),
    Extra(ExtraInfo),
}

fn data(offset: u16, status: i16, flags: u16) -> Sent {
    Sent::Data(RxResponse {
        id: 0,
        offset,
        flags,
        status,
    })
}

fn info(said: Extra, more: bool) -> Sent {
    Sent::Extra(said.info(more))
}

const MORE: u16 = rx_flag::MORE_DATA;
const EXTRA: u16 = rx_flag::EXTRA_INFO;

/// What came out at the front end. A buffer is the number that it was granted as.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Got {
    Unused(u32),
    Packet(Packet, Vec<(u32, Piece)>),
    Dropped(Dropped, Vec<u32>),
}

/// Both ends of a ring, the back end with the requests that it has not answered.
struct Ends {
    front: RxFrontRing<HeapMem>,
    back: RxBackRing<HeapMem>,
    rx: Receiver<u32, Vec<Option<u32>>>,
    requests: VecDeque<RxRequest>,
    next: u32,
}

fn ends(slots: usize) -> Ends {
    let mem = HeapMem::new(SLOTS + slots * 8);
    mem.scribble(0, &[0xff; 4096]);
    // Both the indexes and the ids wrap soon.
    let index = u32::MAX - 20;
    let front = RxFrontRing::new_at(mem.clone(), index).expect("room for a ring");
    assert_eq!(front.slots() as usize, slots);
    Ends {
        front,
        back: RxBackRing::attach_at(mem, index).expect("room for a ring"),
        rx: Receiver::new_at(vec![None; slots], index),
        requests: VecDeque::new(),
        next: 1000,
    }
}

impl Ends {
    /// Posts buffers until the ring is full, and hands them to the back end.
    fn post(&mut self) {
        while self.rx.post(&mut self.front, self.next, self.next).is_ok() {
            self.next += 1;
        }
        assert_eq!(self.rx.posted(), self.front.slots());
        let _ = self.front.push_requests();
        let requests = self.back.requests().expect("honest");
        self.requests.extend(requests);
    }

    /// Writes slots as an honest back end does, where the requests are; returns the grants.
    fn send(&mut self, slots: &[Sent]) -> Vec<u32> {
        let requests = self.requests.drain(..slots.len());
        let mut grefs = Vec::new();
        for (request, slot) in requests.zip(slots) {
            let slot = match *slot {
                Sent::Data(response) => RxSlot::from(RxResponse {
                    id: request.id,
                    ..response
                }),
                Sent::Extra(info) => RxSlot::from(info),
            };
            self.back.push(&slot).expect("a request to answer");
            grefs.push(request.gref);
        }
        let _ = self.back.push_responses();
        grefs
    }

    fn poll(&mut self) -> Result<Vec<Got>, Corrupt> {
        let mut got = Vec::new();
        let slots: Vec<RxSlot> = self.front.responses()?.collect();
        for slot in slots {
            let Taken { unused, end } = self.rx.take(slot).map_err(|c| self.front.poison(c))?;
            got.extend(unused.map(Got::Unused));
            let pieces = self.rx.pieces();
            got.extend(end.map(|end| match end {
                End::Packet(packet) => Got::Packet(packet, pieces.collect()),
                End::Dropped(why) => Got::Dropped(why, pieces.map(|(b, _)| b).collect()),
            }));
        }
        Ok(got)
    }

    /// What becomes of one packet that is sent; the grants are counted from zero.
    fn exchange(&mut self, slots: &[Sent]) -> Vec<Got> {
        self.post();
        let grefs = self.send(slots);
        let number = |gref: &u32| grefs.iter().position(|g| g == gref).expect("a slot's") as u32;
        let got = self.poll().expect("no violation");
        let numbered = got.iter().map(|got| match got {
            Got::Unused(b) => Got::Unused(number(b)),
            Got::Packet(packet, pieces) => {
                let pieces = pieces.iter().map(|(b, piece)| (number(b), *piece));
                Got::Packet(*packet, pieces.collect())
            }
            Got::Dropped(why, b) => Got::Dropped(*why, b.iter().map(number).collect()),
        });
        numbered.collect()
    }
}

fn piece(offset: u16, len: u16) -> Piece {
    Piece { offset, len }
}

#[test]
fn a_small_packet_is_one_response() {
    for (flags, checksum) in [
        (0, Checksum::Unknown),
        (rx_flag::DATA_VALIDATED, Checksum::Validated),
        (rx_flag::CSUM_BLANK, Checksum::Blank),
        (
            rx_flag::CSUM_BLANK | rx_flag::DATA_VALIDATED,
            Checksum::Blank,
        ),
    ] {
        let packet = Packet {
            len: 60,
            pieces: 1,
            checksum,
            ..Packet::default()
        };
        let got = ends(256).exchange(&[data(4036, 60, flags)]);
        assert_eq!(got, [Got::Packet(packet, vec![(0, piece(4036, 60))])]);
    }
}

#[test]
fn a_large_packet_is_assembled_with_its_extras() {
    let size = gso(1448, GsoKind::TcpV4);
    let flow = hash(HashKind::TcpV6, 0xdead_beef);
    let got = ends(256).exchange(&[
        data(0, 4096, MORE | EXTRA | rx_flag::CSUM_BLANK),
        info(Extra::Gso(size), true),
        info(Extra::Hash(Some(flow)), false),
        // Nothing in this one, and flags that say nothing in a later response.
        data(9, 0, MORE | EXTRA | rx_flag::GSO_PREFIX),
        data(16, 100, 0),
    ]);
    let packet = Packet {
        len: 4196,
        pieces: 2,
        checksum: Checksum::Blank,
        gso: Some(size),
        hash: Some(flow),
        headroom: 0,
    };
    let expected = [
        Got::Unused(1),
        Got::Unused(2),
        Got::Unused(3),
        Got::Packet(packet, vec![(0, piece(0, 4096)), (4, piece(16, 100))]),
    ];
    assert_eq!(got, expected);
}

#[test]
fn head_room_counts_in_the_status_and_is_left_out() {
    let xdp = |headroom| info(Extra::Xdp { headroom }, false);
    let got = ends(256).exchange(&[data(0, 256 + 60, EXTRA), xdp(256)]);
    let packet = |len, pieces, headroom| Packet {
        len,
        pieces,
        headroom,
        ..Packet::default()
    };
    let expected = [
        Got::Unused(1),
        Got::Packet(packet(60, 1, 256), vec![(0, piece(256, 60))]),
    ];
    assert_eq!(got, expected);

    let slots = [data(0, 4096, EXTRA | MORE), xdp(256), data(0, 300, 0)];
    let pieces = vec![(0, piece(256, 3840)), (2, piece(256, 44))];
    let expected = [Got::Unused(1), Got::Packet(packet(3884, 2, 256), pieces)];
    assert_eq!(ends(256).exchange(&slots), expected);

    for (first, second) in [(256, 300), (0, 300), (300, 256), (300, 1)] {
        let slots = [data(0, first, EXTRA | MORE), xdp(256), data(0, second, 0)];
        let got = ends(256).exchange(&slots);
        let dropped = |got: &Got| matches!(got, Got::Dropped(Dropped::Headroom(256), _));
        assert!(got.iter().any(dropped), "{first} {second}: {got:?}");
    }
    let none = ends(256).exchange(&[data(0, 60, EXTRA), xdp(0)]);
    assert_eq!(
        none[1],
        Got::Packet(packet(60, 1, 0), vec![(0, piece(0, 60))])
    );
}

#[test]
fn what_costs_a_packet_gives_its_buffers_back_and_the_next_one_arrives() {
    let bad = |kind, flags, detail| {
        Sent::Extra(ExtraInfo {
            kind,
            flags,
            detail,
        })
    };
    let beyond = |offset, len| Dropped::BeyondPage { offset, len };
    let unknown = |kind| Dropped::BadExtra(BadExtra::UnknownType(kind));
    let size = info(Extra::Gso(gso(1, GsoKind::TcpV4)), true);
    let again = info(Extra::Gso(gso(2, GsoKind::TcpV4)), false);
    let group = info(Extra::McastAdd([1; 6]), false);
    let eighteen = vec![data(0, 100, MORE); 18];
    let cases: Vec<(Vec<Sent>, Dropped)> = vec![
        (vec![data(0, -1, 0)], Dropped::Failed(-1)),
        (vec![data(0, i16::MIN, 0)], Dropped::Failed(i16::MIN)),
        (
            vec![data(0, 99, MORE), data(0, -7, MORE), data(0, 99, 0)],
            Dropped::Failed(-7),
        ),
        (vec![data(4000, 97, 0)], beyond(4000, 97)),
        (vec![data(u16::MAX, i16::MAX, 0)], beyond(u16::MAX, 32_767)),
        // The first fault is the one that is said.
        (
            vec![data(0, 99, MORE), data(1, 4096, MORE), data(0, -1, 0)],
            beyond(1, 4096),
        ),
        (
            [eighteen, vec![data(0, 100, 0)]].concat(),
            Dropped::TooManyPieces,
        ),
        (vec![data(0, 99, EXTRA), bad(0, 0, [0; 6])], unknown(0)),
        (
            vec![
                data(0, 99, EXTRA | MORE),
                bad(6, 1, [0; 6]),
                again,
                data(0, 9, 0),
            ],
            unknown(6),
        ),
        (vec![data(0, 99, EXTRA), bad(255, 0, [0; 6])], unknown(255)),
        (
            vec![data(0, 99, EXTRA), bad(extra::GSO, 0, [0, 0, 1, 0, 0, 0])],
            Dropped::BadExtra(BadExtra::GsoSizeZero),
        ),
        (
            vec![data(0, 99, EXTRA), bad(extra::GSO, 0, [1, 0, 3, 0, 0, 0])],
            Dropped::BadExtra(BadExtra::UnknownGso(3)),
        ),
        (
            vec![data(0, 99, EXTRA), size, again],
            Dropped::UnexpectedExtra(extra::GSO),
        ),
        (
            vec![data(0, 99, EXTRA), group],
            Dropped::UnexpectedExtra(extra::MCAST_ADD),
        ),
        (
            vec![data(1448, 0, MORE | rx_flag::GSO_PREFIX), data(0, 99, 0)],
            Dropped::GsoPrefix,
        ),
        (vec![data(0, 0, 0)], Dropped::TooShort(0)),
        (vec![data(0, 6, MORE), data(0, 7, 0)], Dropped::TooShort(13)),
    ];
    let mut ends = ends(32);
    for (slots, why) in cases {
        let got = ends.exchange(&slots);
        let mut back = BTreeSet::new();
        for (number, got) in (1..).zip(&got) {
            match got {
                Got::Unused(b) => assert!(back.insert(*b)),
                Got::Dropped(said, buffers) => {
                    assert_eq!((said, number), (&why, got.len_of(&slots)));
                    assert!(buffers.iter().all(|b| back.insert(*b)));
                }
                Got::Packet(..) => panic!("{why:?} is let pass"),
            }
        }
        assert!(back.into_iter().eq(0..slots.len() as u32), "{why:?}");
        let next = ends.exchange(&[data(0, 60, 0)]);
        assert!(matches!(next[..], [Got::Packet(..)]), "after {why:?}");
    }
}

impl Got {
    /// The place of a packet's end among what was got for it: behind all unused slots.
    fn len_of(&self, slots: &[Sent]) -> usize {
        match self {
            Got::Dropped(_, kept) => slots.len() - kept.len() + 1,
            _ => 0,
        }
    }
}

#[test]
fn a_hash_that_we_do_not_know_is_no_reason_to_drop() {
    for (of, algorithm) in [(4, 1), (255, 1), (0, 0), (0, 2)] {
        let unknown = Sent::Extra(ExtraInfo {
            kind: extra::HASH,
            flags: 0,
            detail: [of, algorithm, 1, 2, 3, 4],
        });
        let got = ends(256).exchange(&[data(0, 60, EXTRA), unknown]);
        assert!(matches!(
            got[..],
            [Got::Unused(1), Got::Packet(Packet { hash: None, .. }, _)]
        ));
    }
}

#[test]
fn the_rest_of_a_packet_is_waited_for() {
    let mut ends = ends(32);
    ends.post();
    let size = gso(1000, GsoKind::TcpV6);
    let slots = [
        data(0, 50, MORE | EXTRA),
        info(Extra::Gso(size), false),
        data(0, 50, 0),
    ];
    let mut grefs = Vec::new();
    for (number, slot) in slots.iter().enumerate() {
        grefs.extend(ends.send(&[*slot]));
        let got = ends.poll().expect("honest");
        match number {
            0 => assert_eq!(got, []),
            1 => assert_eq!(got, [Got::Unused(grefs[1])]),
            _ => {
                let packet = Packet {
                    len: 100,
                    pieces: 2,
                    gso: Some(size),
                    ..Packet::default()
                };
                let pieces = vec![(grefs[0], piece(0, 50)), (grefs[2], piece(0, 50))];
                assert_eq!(got, [Got::Packet(packet, pieces)]);
            }
        }
        assert!(!ends.front.final_check_for_responses().expect("honest"));
    }
}

#[test]
fn a_response_to_another_request_is_a_violation_and_no_buffer_is_lost() {
    for wrong in [1_u16, 16, 256, 0xffff] {
        let mut ends = ends(16);
        ends.post();
        ends.send(&[data(0, 60, MORE)]);
        assert_eq!(ends.poll(), Ok(vec![]));
        let request = ends.requests.pop_front().expect("a request");
        let response = RxResponse {
            id: request.id.wrapping_add(wrong),
            status: 60,
            ..RxResponse::default()
        };
        ends.back.push(&RxSlot::from(response)).expect("a request");
        let _ = ends.back.push_responses();
        let corrupt = Corrupt::UnknownId(response.id.into());
        assert_eq!(ends.poll(), Err(corrupt));
        assert_eq!(ends.front.corrupt(), Some(corrupt));
        // Nothing is taken or posted from now on, however good it is.
        let good = RxSlot::from(RxResponse {
            id: request.id,
            ..response
        });
        assert_eq!(ends.rx.take(good), Err(corrupt));
        let refused = ends.rx.post(&mut ends.front, 1, 1);
        assert_eq!(refused, Err((PushError::Corrupt(corrupt), 1)));
        let mut back = BTreeSet::new();
        ends.rx.drain(|buffer| assert!(back.insert(buffer)));
        assert!(back.into_iter().eq(1000..1016));
        assert_eq!(ends.rx.posted(), 0);
    }
}

#[test]
fn xsa_432_a_packet_that_does_not_end_is_a_violation() {
    let endless: [&[Sent]; 3] = [
        &[data(0, 0, MORE)],
        &[data(0, -1, MORE)],
        &[data(0, 60, EXTRA), info(Extra::Xdp { headroom: 0 }, true)],
    ];
    for slots in endless {
        let mut ends = ends(32);
        let rest = slots[slots.len() - 1];
        let all = [slots, &vec![rest; 32 - slots.len()]].concat();
        ends.post();
        ends.send(&all);
        // As many slots as the ring has may be a packet yet.
        let got = ends.poll().expect("no violation yet");
        assert!(got.iter().all(|got| matches!(got, Got::Unused(_))));
        ends.post();
        ends.send(&[rest]);
        assert!(matches!(ends.poll(), Err(Corrupt::Protocol(_))));
    }
}

#[test]
fn a_response_without_a_buffer_is_a_violation() {
    let mut rx: Receiver<u32, _> = Receiver::new([None; 4]);
    let slot = RxSlot::from(RxResponse::default());
    assert!(matches!(rx.take(slot), Err(Corrupt::Protocol(_))));
    let mut none: Receiver<u32, _> = Receiver::new([]);
    assert_eq!((none.capacity(), none.posted()), (0, 0));
    assert!(matches!(none.take(slot), Err(Corrupt::Protocol(_))));
}

#[test]
fn xsa_392_no_more_is_posted_than_there_is_room_for() {
    let mut front = RxFrontRing::new(HeapMem::pages(0)).expect("room for a ring");
    let mut rx = Receiver::new(vec![Some(7); 100]);
    assert_eq!(rx.capacity(), 64);
    for buffer in 0..64 {
        assert_eq!(rx.post(&mut front, buffer, buffer), Ok(()));
    }
    let full = Err((PushError::Full, 64));
    assert_eq!(rx.post(&mut front, 64, 64), full);
    let mut front = RxFrontRing::new(HeapMem::new(SLOTS + 8)).expect("room for a ring");
    let mut rx = Receiver::new(vec![None; 100]);
    assert_eq!(rx.post(&mut front, 1, 1), Ok(()));
    assert_eq!(rx.post(&mut front, 2, 2), Err((PushError::Full, 2)));
    assert_eq!(rx.posted(), 1);
}

#[test]
fn pieces_that_nobody_takes_are_dropped() {
    use std::rc::Rc;
    let mut front = RxFrontRing::new(HeapMem::pages(0)).expect("room for a ring");
    let mut rx = Receiver::new((0..256).map(|_| None).collect::<Vec<_>>());
    let buffer = Rc::new(());
    let mut exchange = |id, flags| {
        rx.post(&mut front, 0, buffer.clone()).expect("room");
        let response = RxResponse {
            id,
            flags,
            status: 60,
            ..RxResponse::default()
        };
        let taken = rx.take(response.into()).expect("honest");
        assert_eq!(taken.unused, None);
        Rc::strong_count(&buffer)
    };
    assert_eq!(exchange(0, 0), 2);
    assert_eq!(exchange(1, MORE), 2, "the last packet's has gone");
    assert_eq!(exchange(2, 0), 3);
    let mut pieces = rx.pieces();
    assert_eq!(pieces.len(), 2);
    assert!(pieces.next().is_some());
    assert_eq!(pieces.len(), 1);
    assert_eq!(Rc::strong_count(&buffer), 2);
    drop(pieces);
    assert_eq!(Rc::strong_count(&buffer), 1, "the other one's too");
    assert_eq!(rx.pieces().count(), 0);
}
