// SPDX-License-Identifier: GPL-2.0

//! Block requests as a back end gets them, responses as a front end does.

use crate::bytes::Bytes;
use xen_abi::io::blkif::{rsp, Request, Response, Segment};
use xen_ring::blkif::decode::{answer, check_segment, decode, reject, Body, Decoded};
use xen_ring::blkif::operation::{Operation, Outcome};
use xen_ring::blkif::request::{direct, discard, indirect};
use xen_ring::Corrupt;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// Takes a request apart. What is decoded keeps all limits and is the same again if encoded; what
/// is not gets an error for an answer.
pub fn blkif_request(input: &[u8]) {
    let mut input = Bytes::new(input);
    let offered = usize::from(input.u16());
    let mut request = Request::new_zeroed();
    let bytes = input.take(size_of::<Request>());
    request.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
    let decoded = match decode(&request, offered) {
        Ok(decoded) => decoded,
        Err(malformed) => {
            let response = reject(&malformed);
            assert_eq!(response.id, request.id);
            assert_ne!(response.status, rsp::OKAY);
            return;
        }
    };
    assert_eq!(decoded.id, request.id);
    assert_eq!(decoded.sector, request.sector_number);
    let response = answer(&decoded, Outcome::Done);
    assert_eq!(Outcome::of(&response, decoded.operation), Ok(Outcome::Done));
    if let Body::Indirect(segments) = decoded.body {
        assert!(segments.len() <= offered);
    }
    if let Some(again) = encode_again(&decoded, request.handle) {
        assert_eq!(decode(&again, offered), Ok(decoded));
    }
}

/// The request in the form our front end gives it; none for a flush with data, which it does not
/// send.
fn encode_again(decoded: &Decoded, handle: u16) -> Option<Request> {
    let (id, operation, sector) = (decoded.id, decoded.operation, decoded.sector);
    let mut request = Request::new_zeroed();
    match &decoded.body {
        Body::Direct(segments) => {
            let slice: &[Segment] = segments.as_slice();
            assert!(slice.len() <= 11);
            assert!(slice
                .iter()
                .all(|s| s.first_sect <= s.last_sect && s.last_sect < 8));
            assert!(sector.checked_add(segments.sectors()).is_some());
            if operation == Operation::Flush && !slice.is_empty() {
                return None;
            }
            let again = direct(operation, id, handle, sector, slice).expect("it fitted before");
            request.as_mut_bytes().copy_from_slice(again.as_bytes());
        }
        Body::Indirect(segments) => {
            let pages: Vec<(u32, usize)> = segments.pages().collect();
            assert!(pages.len() <= 8 && !pages.is_empty());
            assert!(pages.iter().all(|(_, count)| (1..=512).contains(count)));
            let count: usize = pages.iter().map(|(_, count)| count).sum();
            assert_eq!(count, segments.len());
            let grefs: Vec<u32> = pages.iter().map(|(gref, _)| *gref).collect();
            let again = indirect(operation, id, handle, sector, count, &grefs);
            let again = again.expect("it fitted before");
            request.as_mut_bytes()[..64].copy_from_slice(again.as_bytes());
        }
        Body::Range { nr_sectors } => {
            let Operation::Discard { secure } = operation else {
                panic!("{operation:?} has no range");
            };
            assert!(*nr_sectors > 0 && sector.checked_add(*nr_sectors).is_some());
            let again = discard(id, handle, sector, *nr_sectors, secure);
            request.as_mut_bytes()[..32].copy_from_slice(again.as_bytes());
        }
    }
    Some(request)
}

/// Reads the outcome of a response, and checks segments as from an indirect page.
pub fn blkif_response(input: &[u8]) {
    let mut input = Bytes::new(input);
    let asked = match input.below(6) {
        0 => Operation::Read,
        1 => Operation::Write,
        2 => Operation::Barrier,
        3 => Operation::Flush,
        4 => Operation::Discard { secure: false },
        _ => Operation::Discard { secure: true },
    };
    let response = Response::read_from_bytes(&input.array::<16>()).expect("it has 16 bytes");
    match Outcome::of(&response, asked) {
        Ok(outcome) => {
            assert_eq!(response.operation, asked.number());
            assert_eq!(outcome == Outcome::Done, response.status == rsp::OKAY);
            assert!(outcome != Outcome::Unsupported || asked.is_optional());
        }
        Err(Corrupt::WrongOperation { id, .. }) => {
            assert_eq!(id, response.id);
            assert_ne!(response.operation, asked.number());
        }
        Err(Corrupt::UnknownStatus { id, .. }) => {
            assert_eq!(id, response.id);
            assert!(!(rsp::EOPNOTSUPP..=rsp::OKAY).contains(&response.status));
        }
        Err(other) => panic!("{other} is not what a response can be"),
    }
    let segment = Segment::read_from_bytes(&input.array::<8>()).expect("it has 8 bytes");
    if let Ok(sectors) = check_segment(&segment) {
        assert!((1..=8).contains(&sectors));
        assert!(u32::from(segment.first_sect) + sectors <= 8);
    }
}
