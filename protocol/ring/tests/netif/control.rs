// SPDX-License-Identifier: GPL-2.0

//! Requests on the control ring and what comes back.

use proptest::prelude::*;
use xen_abi::io::netif::{ctrl, ctrl_status, CtrlRequest, CtrlResponse};
use xen_ring::netif::control::{
    Algorithm, Answer, Control, HashTypes, Message, NotAsked, Refused, MAX_KEY, MAX_MAPPING_PART,
};
use xen_ring::netif::extra::HashKind;
use xen_ring::netif::{CtrlBackRing, CtrlFrontRing};
use xen_ring::{Corrupt, HeapMem};

fn all() -> [(Message, u16, [u32; 3]); 9] {
    let types = HashTypes::default()
        .with(HashKind::TcpV4)
        .with(HashKind::IpV6);
    [
        (Message::GetHashTypes, ctrl::GET_HASH_FLAGS, [0; 3]),
        (
            Message::SetHashTypes(types),
            ctrl::SET_HASH_FLAGS,
            [2 | 4, 0, 0],
        ),
        (
            Message::SetAlgorithm(Algorithm::None),
            ctrl::SET_HASH_ALGORITHM,
            [0; 3],
        ),
        (
            Message::SetAlgorithm(Algorithm::Toeplitz),
            ctrl::SET_HASH_ALGORITHM,
            [1, 0, 0],
        ),
        (
            Message::SetKey { gref: 9, len: 40 },
            ctrl::SET_HASH_KEY,
            [9, 40, 0],
        ),
        (Message::GetMappingSize, ctrl::GET_HASH_MAPPING_SIZE, [0; 3]),
        (
            Message::SetMappingSize(128),
            ctrl::SET_HASH_MAPPING_SIZE,
            [128, 0, 0],
        ),
        (
            Message::SetMapping {
                gref: 7,
                count: 64,
                first: 32,
            },
            ctrl::SET_HASH_MAPPING,
            [7, 64, 32],
        ),
        (
            Message::SetMapping {
                gref: 7,
                count: MAX_MAPPING_PART,
                first: u32::MAX - MAX_MAPPING_PART,
            },
            ctrl::SET_HASH_MAPPING,
            [7, 1024, u32::MAX - 1024],
        ),
    ]
}

fn response(request: &CtrlRequest, status: u32, data: u32) -> CtrlResponse {
    CtrlResponse {
        id: request.id,
        kind: request.kind,
        status,
        data,
    }
}

#[test]
fn a_set_has_the_hash_types_that_it_was_made_with() {
    let kinds = [
        HashKind::IpV4,
        HashKind::TcpV4,
        HashKind::IpV6,
        HashKind::TcpV6,
    ];
    for chosen in 0..1_u32 << kinds.len() {
        let mut set = HashTypes::default();
        for (n, kind) in kinds.into_iter().enumerate() {
            if chosen & 1 << n != 0 {
                // One that it has already makes no difference.
                set = set.with(kind).with(kind);
            }
        }
        for (n, kind) in kinds.into_iter().enumerate() {
            assert_eq!(set.has(kind), chosen & 1 << n != 0);
        }
        assert_eq!(set.is_empty(), chosen == 0);
        assert_eq!(set.and(HashTypes::ALL), set);
        assert_eq!(HashTypes::ALL.and(set), set);
    }
    let with_ports = kinds.map(HashKind::has_ports);
    assert_eq!(with_ports, [false, true, false, true]);
}

#[test]
fn each_message_arrives_and_is_answered() {
    let mem = HeapMem::pages(0);
    let mut front = CtrlFrontRing::new(mem.clone()).expect("room for a ring");
    let mut back = CtrlBackRing::attach(mem).expect("room for a ring");
    // 16 bytes a slot.
    assert_eq!(front.slots(), 128);
    let mut control = Control::new();
    for (message, kind, data) in all() {
        let request = control.ask(message).expect("nothing else is asked");
        front.push(&request).expect("a free slot");
        assert!(front.push_requests().needed());
        let received = back.requests().expect("honest").next();
        let received = received.expect("a request");
        assert_eq!((received.kind, received.data), (kind, data));
        back.push(&response(&received, ctrl_status::SUCCESS, 0x8c))
            .expect("a request to answer");
        assert!(back.push_responses().needed());
        let answer = front.responses().expect("honest").next();
        let answer = control.answered(&answer.expect("a response"));
        let expected = match message {
            // A type that we do not know is left out.
            Message::GetHashTypes => Answer::HashTypes(
                HashTypes::default()
                    .with(HashKind::IpV6)
                    .with(HashKind::TcpV6),
            ),
            Message::GetMappingSize => Answer::MappingSize(0x8c),
            _ => Answer::Done,
        };
        assert_eq!(answer, Ok(Ok(expected)));
        assert!(!front.final_check_for_responses().expect("honest"));
        assert!(!back.final_check_for_requests().expect("honest"));
    }
}

#[test]
fn a_refusal_is_an_answer_too() {
    let refusals = [
        (ctrl_status::NOT_SUPPORTED, Refused::NotSupported),
        (ctrl_status::INVALID_PARAMETER, Refused::InvalidParameter),
        (ctrl_status::BUFFER_OVERFLOW, Refused::TooLarge),
    ];
    let mut control = Control::new();
    for (message, ..) in all() {
        for (status, refused) in refusals {
            let request = control.ask(message).expect("nothing else is asked");
            let answer = control.answered(&response(&request, status, 5));
            assert_eq!(answer, Ok(Err(refused)));
            assert_eq!(control.asked(), None);
        }
    }
}

#[test]
fn xsa_270_data_stay_within_a_page_and_one_request_is_asked_at_a_time() {
    let mut control = Control::new();
    let long = [
        Message::SetKey {
            gref: 1,
            len: MAX_KEY + 1,
        },
        Message::SetMapping {
            gref: 1,
            count: MAX_MAPPING_PART + 1,
            first: 0,
        },
        Message::SetMapping {
            gref: 1,
            count: 2,
            first: u32::MAX - 1,
        },
    ];
    for message in long {
        assert_eq!(control.ask(message), Err(NotAsked::OutOfRange));
    }
    assert!(control.ask(Message::GetHashTypes).is_ok());
    assert_eq!(control.asked(), Some(Message::GetHashTypes));
    assert_eq!(control.ask(Message::GetMappingSize), Err(NotAsked::Busy));
    control.reset();
    assert!(control.ask(Message::GetMappingSize).is_ok());
}

#[test]
fn an_answer_to_something_else_is_a_violation() {
    let mut control = Control::new();
    let stale = control.answered(&CtrlResponse::default());
    assert_eq!(stale, Err(Corrupt::StaleId(0)));
    let request = control.ask(Message::GetMappingSize).expect("free");
    let good = response(&request, ctrl_status::SUCCESS, 128);
    let other = CtrlResponse {
        id: good.id.wrapping_add(1),
        ..good
    };
    assert_eq!(control.answered(&other), Err(Corrupt::UnknownId(1)));
    let other = CtrlResponse {
        kind: ctrl::GET_HASH_FLAGS,
        ..good
    };
    assert!(matches!(
        control.answered(&other),
        Err(Corrupt::Protocol(_))
    ));
    for status in [4, u32::MAX] {
        let unknown = Corrupt::UnknownStatus {
            id: 0,
            status: status as i32,
        };
        let other = CtrlResponse { status, ..good };
        assert_eq!(control.answered(&other), Err(unknown));
    }
    assert_eq!(control.answered(&good), Ok(Ok(Answer::MappingSize(128))));
    assert_eq!(control.answered(&good), Err(Corrupt::StaleId(0)));
    assert_eq!(control.ask(Message::GetMappingSize).map(|r| r.id), Ok(1));
}

proptest! {
    #[test]
    fn any_response_answers_what_was_asked_or_is_a_violation(
        which in 0..9_usize,
        id in 0..3_u16,
        kind in 0..9_u16,
        status in 0..6_u32,
        data in any::<u32>(),
    ) {
        let mut control = Control::new();
        let (message, asked, _) = all()[which];
        control.ask(message).expect("nothing else is asked");
        let response = CtrlResponse { id, kind, status, data };
        match control.answered(&response) {
            Ok(answer) => {
                prop_assert!(id == 0 && kind == asked && status < 4);
                prop_assert_eq!(answer.is_ok(), status == 0);
                prop_assert_eq!(control.asked(), None);
            }
            Err(_) => {
                prop_assert!(id != 0 || kind != asked || status > 3);
                prop_assert_eq!(control.asked(), Some(message));
            }
        }
    }
}
