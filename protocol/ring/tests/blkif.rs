// SPDX-License-Identifier: GPL-2.0

//! The block protocol: what the front end encodes the back end decodes, what is malformed is
//! rejected with the answer the front end waits for, and offers are put into bounds.

use xen_abi::io::blkif::{op, rsp, IndirectRequest, Request, Segment};
use xen_ring::blkif::decode::{
    answer, check_segment, decode, reject, Body, Decoded, Malformed, Why,
};
use xen_ring::blkif::features::{
    BadNode, BadNodeWhy, Discard, Disk, Durability, Features, TransferLimit, Transport,
};
use xen_ring::blkif::operation::{Operation, Outcome};
use xen_ring::blkif::request::{direct, discard, head, indirect, DoesNotFit};
use xen_ring::blkif::segment::segment;
use xen_ring::blkif::vdev::BadNumber;
use xen_ring::blkif::{BlkBackRing, BlkFrontRing};
use xen_ring::{HeapMem, RingMem, VariantOf};
use zerocopy::IntoBytes;

/// Sends a request over a ring, so that variants are read as what they were written as. The slot
/// is full of ones before.
fn over_the_ring<V: VariantOf<Request>>(request: &V) -> Request {
    let mem = HeapMem::pages(0);
    mem.scribble(0, &[0xff; 4096]);
    let mut front = BlkFrontRing::new(mem.clone()).expect("room for a ring");
    let mut back = BlkBackRing::attach(mem).expect("room for a ring");
    front.push(request).expect("a free slot");
    assert!(front.push_requests().needed());
    let received = back.requests().expect("honest").next();
    received.expect("a request")
}

fn page(gref: u32) -> Segment {
    segment(gref, 0, 4096).expect("a page")
}

#[test]
fn direct_requests_arrive_with_their_segments() {
    for count in 1..=11 {
        let segments: Vec<Segment> = (0..count).map(page).collect();
        for operation in [Operation::Read, Operation::Write, Operation::Barrier] {
            let request = direct(operation, 77, 51712 & 0xff, 4096, &segments).expect("it fits");
            let decoded = decode(&over_the_ring(&request), 0).expect("well-formed");
            assert_eq!((decoded.id, decoded.operation), (77, operation));
            assert_eq!(decoded.sector, 4096);
            let Body::Direct(body) = decoded.body else {
                panic!("a direct request became {:?}", decoded.body);
            };
            assert_eq!(body.as_slice(), segments);
            assert_eq!(body.sectors(), u64::from(count) * 8);
        }
    }
}

#[test]
fn a_request_written_as_head_and_segments_arrives_as_one_and_leaves_the_rest_of_the_slot() {
    for count in 0..=11 {
        let mem = HeapMem::pages(0);
        mem.scribble(0, &[0xff; 4096]);
        let mut front = BlkFrontRing::new(mem.clone()).expect("room for a ring");
        let mut back = BlkBackRing::attach(mem).expect("room for a ring");
        let segments: Vec<Segment> = (0..count).map(page).collect();
        let head = head(Operation::Barrier, 77, 5, 4096, segments.len()).expect("it fits");
        front.push_with_list(&head, &segments).expect("a free slot");
        assert!(front.push_requests().needed());
        let received = back.requests().expect("honest").next();
        let received: Request = received.expect("a request");
        let mut expected = direct(Operation::Barrier, 77, 5, 4096, &segments).expect("it fits");
        for unused in &mut expected.seg[segments.len()..] {
            unused.as_mut_bytes().fill(0xff);
        }
        assert_eq!(received, expected);
    }
}

#[test]
fn a_list_does_not_leave_its_slot() {
    let mem = HeapMem::pages(0);
    let mut front = BlkFrontRing::new(mem.clone()).expect("room for a ring");
    let head = head(Operation::Read, 1, 0, 0, 11).expect("it fits");
    front
        .push_with_list(&head, &[page(7); 12])
        .expect("a free slot");
    let next: Segment = mem.read(64 + 112);
    assert_eq!(next, Segment::default());
    let last: Segment = mem.read(64 + 112 - 8);
    assert_eq!(last, page(7));
}

#[test]
fn a_flush_and_a_barrier_may_come_without_data() {
    for operation in [Operation::Flush, Operation::Barrier] {
        let request = direct(operation, 1, 0, 0, &[]).expect("it fits");
        let decoded = decode(&over_the_ring(&request), 0).expect("well-formed");
        assert_eq!(decoded.operation, operation);
    }
    assert_eq!(direct(Operation::Read, 1, 0, 0, &[]), Err(DoesNotFit));
    assert_eq!(
        direct(Operation::Flush, 1, 0, 0, &[page(1)]),
        Err(DoesNotFit)
    );
    assert_eq!(
        direct(Operation::Write, 1, 0, 0, &[page(1); 12]),
        Err(DoesNotFit)
    );
}

#[test]
fn indirect_requests_arrive_with_their_pages() {
    for (segments, pages) in [(1, 1), (12, 1), (512, 1), (513, 2), (4096, 8)] {
        let grefs: Vec<u32> = (100..100 + pages).collect();
        let request = indirect(Operation::Write, 5, 0, 9, segments, &grefs).expect("it fits");
        let decoded = decode(&over_the_ring(&request), 4096).expect("well-formed");
        assert_eq!(decoded.operation, Operation::Write);
        let Body::Indirect(body) = decoded.body else {
            panic!("an indirect request became {:?}", decoded.body);
        };
        assert_eq!((body.len(), body.is_empty()), (segments, false));
        let (seen, counts): (Vec<u32>, Vec<usize>) = body.pages().unzip();
        assert_eq!(seen, grefs);
        assert_eq!(counts.iter().sum::<usize>(), segments);
        assert!(counts.iter().all(|count| (1..=512).contains(count)));
    }
    let barrier = indirect(Operation::Barrier, 5, 0, 9, 12, &[1]);
    assert_eq!(barrier, Err(DoesNotFit));
    for (segments, pages) in [(0, 0), (12, 2), (513, 1), (4097, 8), (4097, 9)] {
        let grefs = vec![1; pages];
        let made = indirect(Operation::Read, 5, 0, 9, segments, &grefs);
        assert_eq!(
            made,
            Err(DoesNotFit),
            "{segments} segments in {pages} pages"
        );
    }
}

#[test]
fn requests_are_the_same_if_they_are_in_the_places_they_use() {
    let decoded = |request: &Request| decode(request, 4096).expect("well-formed");
    let request = direct(Operation::Read, 1, 0, 0, &[page(1), page(2)]).expect("it fits");
    let with = |place: usize, segment| {
        let mut changed = request;
        changed.seg[place] = segment;
        decoded(&changed)
    };
    assert_eq!(with(2, page(9)), decoded(&request));
    assert_ne!(with(1, page(9)), decoded(&request));
    let request = indirect(Operation::Read, 1, 0, 0, 513, &[7, 8]).expect("it fits");
    let with = |place: usize, gref| {
        let mut changed = request;
        changed.indirect_grefs[place] = gref;
        decoded(&over_the_ring(&changed))
    };
    assert_eq!(with(2, 9), decoded(&over_the_ring(&request)));
    assert_ne!(with(1, 9), decoded(&over_the_ring(&request)));
    let longer = indirect(Operation::Read, 1, 0, 0, 514, &[7, 8]).expect("it fits");
    let longer = decoded(&over_the_ring(&longer));
    assert_ne!(longer, decoded(&over_the_ring(&request)));
}

#[test]
fn what_cannot_be_carried_out_is_logged_with_its_number_and_cause() {
    let causes = [
        (Why::UnknownOperation, "there is no such operation"),
        (Why::NotIndirect, "it cannot be indirect"),
        (Why::Empty, "it is empty"),
        (Why::TooManySegments, "it has too many segments"),
        (Why::BadSegment, "a segment is no run within a page"),
        (Why::RangeOverflow, "its sectors overflow"),
    ];
    for (why, cause) in causes {
        let malformed = Malformed {
            id: 0x1f,
            operation: 6,
            why,
        };
        let text = format!("request 0x1f for 6: {cause}");
        assert_eq!(malformed.to_string(), text);
    }
    let text = "the operation or its number of segments does not fit the request";
    assert_eq!(DoesNotFit.to_string(), text);
    let numbers = [
        (BadNumber::AboveExtended, "it is above the extended range"),
        (BadNumber::UnknownMajor(72), "major 72 is not a disk's"),
        (
            BadNumber::MinorOutOfRange(1 << 20),
            "minor 0x100000 is out of range",
        ),
    ];
    for (number, text) in numbers {
        assert_eq!(number.to_string(), text);
    }
    let nodes = [
        (BadNodeWhy::Missing, "the back end has not written info"),
        (
            BadNodeWhy::NotANumber,
            "the back end's info is not a number",
        ),
        (
            BadNodeWhy::OutOfRange(9),
            "the back end's info is 9, which is out of range",
        ),
    ];
    for (why, text) in nodes {
        let key = "info";
        assert_eq!(BadNode { key, why }.to_string(), text);
    }
}

#[test]
fn discards_arrive_with_their_range_and_flag() {
    for secure in [false, true] {
        let request = discard(8, 0, 100, 1 << 40, secure);
        let decoded = decode(&over_the_ring(&request), 0);
        let expected = Decoded {
            id: 8,
            operation: Operation::Discard { secure },
            sector: 100,
            body: Body::Range {
                nr_sectors: 1 << 40,
            },
        };
        assert_eq!(decoded, Ok(expected));
    }
}

#[test]
fn malformed_requests_are_rejected_with_their_id_and_operation() {
    let good = direct(Operation::Read, 3, 0, 0, &[page(1)]).expect("it fits");
    let backwards = Segment {
        first_sect: 3,
        last_sect: 2,
        ..Segment::default()
    };
    let outside = Segment {
        last_sect: 8,
        ..Segment::default()
    };
    let with = |change: &dyn Fn(&mut Request)| {
        let mut request = good;
        change(&mut request);
        request
    };
    let cases = [
        (
            with(&|r| r.operation = op::RESERVED_1),
            Why::UnknownOperation,
        ),
        (with(&|r| r.operation = 7), Why::UnknownOperation),
        (with(&|r| r.operation = 255), Why::UnknownOperation),
        // Not offered.
        (with(&|r| r.operation = op::INDIRECT), Why::UnknownOperation),
        (with(&|r| r.nr_segments = 0), Why::Empty),
        (with(&|r| r.nr_segments = 12), Why::TooManySegments),
        (with(&|r| r.nr_segments = 255), Why::TooManySegments),
        (with(&|r| r.seg[0] = backwards), Why::BadSegment),
        (with(&|r| r.seg[0] = outside), Why::BadSegment),
        (
            with(&|r| r.sector_number = u64::MAX - 6),
            Why::RangeOverflow,
        ),
    ];
    for (request, why) in cases {
        let malformed = decode(&request, 0).expect_err("malformed");
        assert_eq!(malformed.why, why);
        let response = reject(&malformed);
        assert_eq!((response.id, response.operation), (3, request.operation));
        assert!(response.status < 0);
    }
    // Only the segments in use are looked at.
    assert!(decode(&with(&|r| r.seg[1] = backwards), 0).is_ok());
}

#[test]
fn malformed_indirect_requests_and_discards_are_rejected() {
    let good = indirect(Operation::Read, 3, 0, 0, 100, &[1]).expect("it fits");
    let cases = [
        (
            IndirectRequest {
                indirect_op: op::DISCARD,
                ..good
            },
            Why::NotIndirect,
        ),
        (
            IndirectRequest {
                indirect_op: op::INDIRECT,
                ..good
            },
            Why::NotIndirect,
        ),
        (
            IndirectRequest {
                nr_segments: 0,
                ..good
            },
            Why::Empty,
        ),
        (
            IndirectRequest {
                nr_segments: 257,
                ..good
            },
            Why::TooManySegments,
        ),
        (
            IndirectRequest {
                nr_segments: u16::MAX,
                ..good
            },
            Why::TooManySegments,
        ),
    ];
    for (request, why) in cases {
        let malformed = decode(&over_the_ring(&request), 256).expect_err("malformed");
        assert_eq!(malformed.why, why);
        // The front end waits for the operation inside.
        assert_eq!(reject(&malformed).operation, request.indirect_op);
        assert_eq!(reject(&malformed).status, rsp::ERROR);
    }
    // A careless back end that offers more than a request can name.
    let most = IndirectRequest {
        nr_segments: 4097,
        ..good
    };
    let malformed = decode(&over_the_ring(&most), usize::MAX).expect_err("malformed");
    assert_eq!(malformed.why, Why::TooManySegments);
    for (sector, count, why) in [(0, 0, Why::Empty), (2, u64::MAX - 1, Why::RangeOverflow)] {
        let request = over_the_ring(&discard(3, 0, sector, count, false));
        assert_eq!(decode(&request, 0).expect_err("malformed").why, why);
    }
    assert_eq!(check_segment(&page(1)), Ok(8));
}

#[test]
fn an_answer_is_what_the_front_end_expects() {
    let request = indirect(Operation::Read, 3, 0, 0, 100, &[1]).expect("it fits");
    let decoded = decode(&over_the_ring(&request), 100).expect("well-formed");
    for outcome in [Outcome::Done, Outcome::Failed] {
        let response = answer(&decoded, outcome);
        assert_eq!(response.id, 3);
        assert_eq!(Outcome::of(&response, Operation::Read), Ok(outcome));
    }
}

/// A look-up in a list of nodes.
fn store<'a>(nodes: &'a [(&str, &'a str)]) -> impl FnMut(&str) -> Option<&'a str> {
    move |key| {
        let (_, value) = nodes.iter().find(|(name, _)| *name == key)?;
        Some(value)
    }
}

#[test]
fn the_transport_is_put_into_bounds() {
    let transport = |order, queues| {
        let nodes = [
            ("max-ring-page-order", order),
            ("multi-queue-max-queues", queues),
        ];
        let read = Transport::from_store(store(&nodes));
        (read.max_ring_page_order, read.max_queues)
    };
    assert_eq!(transport("2", "8"), (2, 8));
    assert_eq!(transport("31", "4294967297"), (4, 4096));
    assert_eq!(transport("18446744073709551615", "0"), (4, 1));
    assert_eq!(transport("-1", "many"), (0, 1));
    let nothing = Transport::from_store(store(&[]));
    assert_eq!((nothing.max_ring_page_order, nothing.max_queues), (0, 1));
}

#[test]
fn a_disk_needs_its_size_sector_size_and_flags() {
    let good = [
        ("sectors", "2097152"),
        ("sector-size", "512"),
        ("physical-sector-size", "4096"),
        ("info", "6"),
    ];
    let disk = Disk {
        sectors: 2_097_152,
        sector_size: 512,
        physical_sector_size: 4096,
        cdrom: false,
        removable: true,
        read_only: true,
    };
    assert_eq!(Disk::from_store(store(&good)), Ok(disk));
    let with = |key, value| {
        let nodes = good.map(|(k, v)| (k, if k == key { value } else { v }));
        Disk::from_store(store(&nodes))
    };
    let bad = |key, why| Err(BadNode { key, why });
    let range = |key, value| bad(key, BadNodeWhy::OutOfRange(value));
    assert_eq!(
        with("sectors", "a lot"),
        bad("sectors", BadNodeWhy::NotANumber)
    );
    assert_eq!(
        with("sectors", "18014398509481984"),
        range("sectors", 1 << 54)
    );
    assert!(with("sectors", "18014398509481983").is_ok());
    assert!(with("sectors", "0").is_ok(), "a CD-ROM drive may be empty");
    for size in [0, 1, 256, 513, 1000, 8192, u64::from(u32::MAX) + 513] {
        let text = size.to_string();
        let disk = Disk::from_store(|key| match key {
            "sector-size" => Some(text.as_str()),
            key => store(&good)(key),
        });
        assert_eq!(disk, range("sector-size", size));
    }
    assert_eq!(with("sector-size", "4096").map(|d| d.sector_size), Ok(4096));
    for hint in ["0", "511", "256", "1000", "none", "4294967296"] {
        let disk = with("physical-sector-size", hint).expect("only a hint");
        assert_eq!(disk.physical_sector_size, 512);
    }
    assert_eq!(with("info", ""), bad("info", BadNodeWhy::NotANumber));
    for key in ["sectors", "sector-size", "info"] {
        let nodes: Vec<_> = good.into_iter().filter(|(k, _)| *k != key).collect();
        let missing = bad(key, BadNodeWhy::Missing);
        assert_eq!(Disk::from_store(store(&nodes)), missing);
    }
}

#[test]
fn features_are_what_is_offered_within_bounds() {
    let read = |nodes: &[(&str, &str)]| Features::from_store(store(nodes), 4096);
    let nothing = Features {
        durability: Durability::None,
        discard: None,
        persistent: false,
        max_indirect_segments: 0,
    };
    assert_eq!(read(&[]), nothing);
    let barrier = ("feature-barrier", "1");
    let flush = ("feature-flush-cache", "1");
    assert_eq!(read(&[barrier]).durability, Durability::Barrier);
    assert_eq!(read(&[barrier, flush]).durability, Durability::Flush);
    assert!(read(&[("feature-persistent", "1")]).persistent);
    assert!(!read(&[("feature-persistent", "0")]).persistent);
    assert!(!read(&[("feature-persistent", "yes")]).persistent);
    let indirect = |most| read(&[("feature-max-indirect-segments", most)]).max_indirect_segments;
    assert_eq!(["0", "11", "12", "256"].map(indirect), [0, 0, 12, 256]);
    assert_eq!(["4097", "99999999999"].map(indirect), [4096, 4096]);
}

#[test]
fn discard_parameters_are_made_to_fit_the_disk() {
    let read = |granularity, alignment, secure| {
        let nodes = [
            ("feature-discard", "1"),
            ("discard-granularity", granularity),
            ("discard-alignment", alignment),
            ("discard-secure", secure),
        ];
        Features::from_store(store(&nodes), 512).discard
    };
    let made = |granularity, alignment, secure| {
        Some(Discard {
            granularity,
            alignment,
            secure,
        })
    };
    assert_eq!(read("4096", "512", "1"), made(4096, 512, true));
    assert_eq!(read("4096", "4608", "0"), made(4096, 512, false));
    assert_eq!(read("4096", "100", "0"), made(4096, 0, false));
    for bad in ["0", "1000", "4294967296", "x"] {
        assert_eq!(read(bad, "0", "0"), made(512, 0, false));
    }
    let alone = Features::from_store(store(&[("discard-granularity", "512")]), 512);
    assert_eq!(alone.discard, None);
}

#[test]
fn a_megabyte_fits_one_request_if_enough_segments_are_offered() {
    let nodes = [("feature-max-indirect-segments", "256")];
    let features = Features::from_store(store(&nodes), 512);
    let limit = |segments, sectors| TransferLimit { segments, sectors };
    assert_eq!(features.transfer_limit(1024), limit(256, 2048));
    assert_eq!(features.transfer_limit(32), limit(32, 256));
    assert_eq!(features.transfer_limit(0), limit(11, 88));
    let plain = Features::from_store(store(&[]), 512);
    assert_eq!(plain.transfer_limit(32), limit(11, 88));
}
