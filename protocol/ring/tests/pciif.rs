// SPDX-License-Identifier: GPL-2.0

//! The PCI protocol: what the front end asks arrives as it was meant, an answer goes to the operation
//! it belongs to or to none, and a back end that writes what it likes gets no number through that was
//! not checked.

use proptest::prelude::*;
use std::thread;
use xen_abi::io::pciif::{err, flag, op, SharedInfo};
use xen_ring::pciif::*;
use xen_ring::{FlagMem, HeapMem, RingMem};

const AT: Address = Address {
    root: Root { domain: 0, bus: 0 },
    devfn: 0x18,
};

fn page() -> (FrontPage<HeapMem>, BackPage<HeapMem>, HeapMem) {
    let mem = HeapMem::pages(0);
    let front = FrontPage::new(mem.clone()).expect("a page is large enough");
    let back = BackPage::attach(mem.clone()).expect("a page is large enough");
    (front, back, mem)
}

fn register(offset: u32, width: Width) -> Register {
    Register::new(offset, width).expect("a register")
}

#[test]
fn a_page_is_needed() {
    assert!(FrontPage::new(HeapMem::new(size_of::<SharedInfo>() - 4)).is_err());
    assert!(FrontPage::new(HeapMem::new(size_of::<SharedInfo>())).is_ok());
}

#[test]
fn both_ends_use_the_fields_of_the_header() {
    let (mut front, back, mem) = page();
    let page = || mem.read::<SharedInfo>(0);
    let at = Address {
        root: Root {
            domain: 0x1234,
            bus: 0x56,
        },
        devfn: 0x78,
    };
    assert_eq!(page().flags, 1 << flag::AER_HANDLER);
    let entries = [4, 7];
    assert!(front.start(at, &Request::EnableMsix(&entries)).is_ok());
    let asked = page();
    assert_eq!(
        asked.flags,
        1 << flag::AER_HANDLER | 1 << flag::FRONT_ACTIVE
    );
    let numbers = (asked.op.domain, asked.op.bus, asked.op.devfn);
    assert_eq!(numbers, (0x1234, 0x56, 0x78));
    assert_eq!((asked.op.cmd, asked.op.value), (op::ENABLE_MSIX, 2));
    assert_eq!(asked.op.msix_entries.map(|e| e.entry)[..2], entries);
    back.answer(-22, 9, &[40, 41]);
    let answered = page();
    assert_eq!(answered.flags, 1 << flag::AER_HANDLER);
    assert_eq!((answered.op.err, answered.op.value), (-22, 9));
    let vectors = answered.op.msix_entries.map(|e| (e.entry, e.vector));
    assert_eq!(vectors[..2], [(4, 40), (7, 41)]);
    let numbers = (answered.op.domain, answered.op.bus, answered.op.devfn);
    assert_eq!(numbers, (0x1234, 0x56, 0x78));

    back.report(&Report {
        step: Step::SlotReset,
        at,
        channel: Channel::Failed,
    });
    let report = page();
    assert_eq!(
        report.flags,
        1 << flag::AER_HANDLER | 1 << flag::BACK_ACTIVE
    );
    let aer = (report.aer_op.cmd, report.aer_op.err);
    assert_eq!(aer, (op::AER_SLOTRESET, 3));
    front.reply(Recovery::Recovered);
    assert_eq!(page().aer_op.err, 5);
    assert_eq!(page().aer_op.domain, 0x1234);
}

#[test]
fn errors_are_handled_only_by_a_front_end_that_says_so() {
    let mem = HeapMem::pages(0);
    let back = BackPage::attach(mem.clone()).expect("a page is large enough");
    mem.set_flags(0, !(1 << flag::AER_HANDLER));
    assert!(!back.handles_errors());
    mem.set_flags(0, 1 << flag::AER_HANDLER);
    assert!(back.handles_errors());
}

#[test]
fn what_went_wrong_is_logged() {
    for (refusal, text) in [
        (Refusal::NoDevice, "no such device"),
        (Refusal::BadOffset, "no such register"),
        (Refusal::Denied, "access denied"),
        (Refusal::NotImplemented, "not implemented by the backend"),
        (Refusal::Failed, "the backend failed"),
        (Refusal::Errno(28), "the backend failed with error 28"),
        (Refusal::Nonsense, "the backend's answer makes no sense"),
        (Refusal::TimedOut, "the backend does not answer"),
        (Refusal::Gone, "there is no backend"),
    ] {
        assert_eq!(refusal.to_string(), text);
    }
    for (not, text) in [
        (NotStarted::Busy, "another operation is in flight"),
        (
            NotStarted::Unanswered,
            "an earlier operation was not answered",
        ),
        (NotStarted::TooBig, "the number of vectors is not 1 to 128"),
    ] {
        assert_eq!(not.to_string(), text);
    }
}

#[test]
fn a_register_is_read() {
    let (mut front, back, _) = page();
    let read = Request::Read(register(0x3c, Width::Byte));
    assert_eq!(back.take().map(|_| ()), None);
    assert_eq!(front.start(AT, &read), Ok(Started::Normally));
    assert_eq!(front.start(AT, &read), Err(NotStarted::Busy));
    assert_eq!(front.take(), None);
    let asked = back.take().expect("an operation");
    assert_eq!(asked.decode(), Ok((AT, read)));
    back.answer(err::SUCCESS, 0xabcd_ef12, &[]);
    // Bits that a byte does not have are not the register's.
    assert_eq!(front.take(), Some(Ok(Answer::Value(0x12))));
    assert_eq!(front.take(), None);
    assert!(back.take().is_none());
}

#[test]
fn an_error_is_told() {
    let (mut front, back, _) = page();
    for (error, refusal) in [
        (err::DEV_NOT_FOUND, Refusal::NoDevice),
        (err::ACCESS_DENIED, Refusal::Denied),
        (-22, Refusal::Errno(22)),
        (7, Refusal::Nonsense),
    ] {
        let write = Request::Write(register(4, Width::Word), 7);
        assert!(front.start(AT, &write).is_ok());
        back.answer(error, 0, &[]);
        assert_eq!(front.take(), Some(Err(refusal)));
    }
}

#[test]
fn msi_has_one_interrupt() {
    let (mut front, back, _) = page();
    for (value, answer) in [
        (55, Ok(Answer::Pirq(55))),
        (0, Err(Refusal::Nonsense)),
        (0x1_0000, Err(Refusal::Nonsense)),
        (u32::MAX, Err(Refusal::Nonsense)),
    ] {
        assert!(front.start(AT, &Request::EnableMsi).is_ok());
        back.answer(err::SUCCESS, value, &[]);
        assert_eq!(front.take(), Some(answer));
    }
}

#[test]
fn msix_has_one_for_each_entry() {
    let (mut front, back, _) = page();
    let entries = [0, 3, 9];
    let mut ask = |value, pirqs: &[u16]| {
        assert!(front.start(AT, &Request::EnableMsix(&entries)).is_ok());
        let asked = back.take().expect("an operation");
        assert_eq!(asked.decode(), Ok((AT, Request::EnableMsix(&entries))));
        back.answer(err::SUCCESS, value, pirqs);
        front.take().expect("an answer")
    };
    match ask(0, &[40, 41, 42]) {
        Ok(Answer::Pirqs(pirqs)) => {
            assert_eq!(pirqs.as_slice(), [40, 41, 42]);
            assert_eq!(format!("{pirqs:?}"), "[40, 41, 42]");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(ask(2, &[]), Ok(Answer::Fewer(2)));
    assert_eq!(ask(3, &[]), Err(Refusal::Nonsense));
    assert_eq!(ask(-28_i32 as u32, &[]), Err(Refusal::Errno(28)));
    assert_eq!(ask(0, &[40, 0, 42]), Err(Refusal::Nonsense));
    assert_eq!(ask(0, &[40, 41, 40]), Err(Refusal::Nonsense));
    // What was not filled in.
    assert_eq!(ask(0, &[40]), Err(Refusal::Nonsense));
}

#[test]
fn more_vectors_than_the_page_has_room_for_are_not_asked_for() {
    let (mut front, back, _) = page();
    let entries = [0; 129];
    let refused = front.start(AT, &Request::EnableMsix(&entries));
    assert_eq!(refused, Err(NotStarted::TooBig));
    assert!(back.take().is_none());
}

#[test]
fn a_late_answer_is_not_taken_for_the_next_operations() {
    let (mut front, back, _) = page();
    let (first, second) = (register(0, Width::Dword), register(8, Width::Dword));
    assert!(front.start(AT, &Request::Read(first)).is_ok());
    front.abandon();
    // The back end sleeps: nothing is written over what it has to do.
    let refused = front.start(AT, &Request::Read(second));
    assert_eq!(refused, Err(NotStarted::Unanswered));
    let asked = back.take().expect("the first operation");
    assert_eq!(asked.decode(), Ok((AT, Request::Read(first))));
    back.answer(err::SUCCESS, 1, &[]);
    assert_eq!(front.take(), None);
    let started = front.start(AT, &Request::Read(second));
    assert_eq!(started, Ok(Started::BackToLife));
    assert_eq!(front.take(), None);
    back.answer(err::SUCCESS, 2, &[]);
    assert_eq!(front.take(), Some(Ok(Answer::Value(2))));
}

#[test]
fn a_report_is_replied_to_while_an_operation_is_in_flight() {
    let (mut front, back, _) = page();
    assert!(back.handles_errors());
    let read = Request::Read(register(0, Width::Dword));
    assert!(front.start(AT, &read).is_ok());
    for step in [
        Step::Detected,
        Step::MmioEnabled,
        Step::SlotReset,
        Step::Resume,
    ] {
        let report = Report {
            step,
            at: AT,
            channel: Channel::Frozen,
        };
        assert!(!front.has_report());
        back.report(&report);
        assert_eq!(back.reply(), None);
        assert!(front.has_report());
        assert_eq!(front.report(), Some(report));
        front.reply(Recovery::NeedReset);
        assert_eq!(back.reply(), Some(Ok(Recovery::NeedReset)));
    }
    assert!(back.take().is_some(), "the operation is still there");
    assert!(back.handles_errors());
}

#[test]
fn a_report_that_makes_no_sense_is_none() {
    let (front, _, mem) = page();
    let base = size_of::<SharedInfo>() - 20;
    for words in [
        [5, 2, 0, 0, 0],        // not a step
        [10, 2, 0, 0, 0],       // not a step
        [6, 0, 0, 0, 0],        // an error with no state
        [6, 4, 0, 0, 0],        // an unknown state
        [6, 2, 0x1_0000, 0, 0], // no domain
        [6, 2, 0, 256, 0],      // no bus
        [6, 2, 0, 0, 256],      // no function
    ] {
        mem.write(base, &words);
        mem.set_flags(0, 1 << 2);
        assert_eq!(front.report(), None, "{words:?}");
        front.reply(Recovery::None);
        assert!(!front.has_report());
    }
}

#[test]
fn two_threads_talk() {
    let (mut front, back, _) = page();
    let peer = thread::spawn(move || {
        let mut answered = 0;
        while answered < 1000 {
            let Some(asked) = back.take() else {
                thread::yield_now();
                continue;
            };
            match asked.decode() {
                Ok((_, Request::Read(register))) => {
                    back.answer(err::SUCCESS, u32::from(register.offset()) * 3, &[]);
                }
                other => panic!("{other:?}"),
            }
            answered += 1;
        }
    });
    for round in 0..1000 {
        let offset = round % 1024 * 4;
        let read = Request::Read(register(offset, Width::Dword));
        assert!(front.start(AT, &read).is_ok());
        let answer = loop {
            match front.take() {
                Some(answer) => break answer,
                None => thread::yield_now(),
            }
        };
        assert_eq!(answer, Ok(Answer::Value(offset * 3)));
    }
    peer.join().expect("the back end is honest");
}

/// What a front end and its back end do in turn.
#[derive(Clone, Debug)]
enum Turn {
    Start(u32, u8, Vec<u16>),
    Take,
    Abandon,
    Answer(i32, u32, Vec<u16>),
    /// The back end clears, or sets, flags it does not own.
    Flags(bool, u32),
    Bytes(usize, Vec<u8>),
    Reply,
}

fn turn() -> impl Strategy<Value = Turn> {
    let vectors = || prop::collection::vec(any::<u16>(), 0..140);
    prop_oneof![
        4 => (any::<u32>(), 0..6_u8, vectors()).prop_map(|(n, which, e)| Turn::Start(n, which, e)),
        4 => Just(Turn::Take),
        1 => Just(Turn::Abandon),
        4 => (-7..2_i32, 0..300_u32, vectors()).prop_map(|(e, v, p)| Turn::Answer(e, v, p)),
        1 => (any::<bool>(), 0..8_u32).prop_map(|(set, bits)| Turn::Flags(set, bits)),
        2 => (0..size_of::<SharedInfo>(), prop::collection::vec(any::<u8>(), 1..24))
            .prop_map(|(at, bytes)| Turn::Bytes(at, bytes)),
        1 => Just(Turn::Reply),
    ]
}

proptest! {
    #[test]
    fn what_is_asked_arrives_as_it_was_meant(
        domain: u16, bus: u8, devfn: u8, offset in 0..4096_u32, value: u32,
        entries in prop::collection::vec(any::<u16>(), 1..=128), which in 0..8_usize,
    ) {
        let (mut front, back, _) = page();
        let at = Address { root: Root { domain, bus }, devfn };
        let request = match which {
            0 => Request::Read(register(offset & !3, Width::Dword)),
            1 => Request::Read(register(offset & !1, Width::Word)),
            2 => Request::Write(register(offset, Width::Byte), value & 0xff),
            3 => Request::Write(register(offset & !3, Width::Dword), value),
            4 => Request::EnableMsi,
            5 => Request::DisableMsi,
            6 => Request::DisableMsix,
            _ => Request::EnableMsix(&entries),
        };
        prop_assert_eq!(front.start(at, &request), Ok(Started::Normally));
        let asked = back.take().expect("an operation");
        prop_assert_eq!(asked.decode(), Ok((at, request)));
    }

    /// Whatever the back end does: no panic, one answer to an operation at most, numbers in range, and
    /// nothing is put into a page that is not ours.
    #[test]
    fn a_hostile_back_end_gets_nothing_through(turns in prop::collection::vec(turn(), 1..200)) {
        let (mut front, back, mem) = page();
        let mut waiting: Option<(u8, usize)> = None;
        for turn in turns {
            match turn {
                Turn::Start(number, which, entries) => {
                    let request = match which {
                        0 => Request::Read(register(number & 0xffc, Width::Dword)),
                        1 => Request::Read(register(number & 0xfff, Width::Byte)),
                        2 => Request::Write(register(number & 0xffe, Width::Word), number),
                        3 => Request::EnableMsi,
                        4 => Request::DisableMsix,
                        _ => Request::EnableMsix(&entries),
                    };
                    let before = mem.load_relaxed(0) & 1;
                    match front.start(AT, &request) {
                        Ok(_) => {
                            prop_assert!(waiting.is_none() && request.fits());
                            waiting = Some((which, entries.len()));
                        }
                        Err(NotStarted::Busy) => prop_assert!(waiting.is_some()),
                        Err(NotStarted::TooBig) => prop_assert!(!request.fits()),
                        Err(NotStarted::Unanswered) => {
                            prop_assert!(waiting.is_none() && before == 1);
                        }
                    }
                }
                Turn::Take => match front.take() {
                    None => (),
                    Some(answer) => {
                        let (which, entries) = waiting.take().expect("an answer to nothing");
                        match answer {
                            Ok(Answer::Value(value)) => {
                                prop_assert!(which == 0 || which == 1 && value < 256);
                            }
                            Ok(Answer::Done) => prop_assert!(which == 2 || which == 4),
                            Ok(Answer::Pirq(pirq)) => prop_assert!(which == 3 && pirq > 0),
                            Ok(Answer::Pirqs(pirqs)) => {
                                prop_assert!(which == 5);
                                let mut all = pirqs.as_slice().to_vec();
                                prop_assert_eq!(all.len(), entries);
                                all.sort_unstable();
                                all.dedup();
                                prop_assert!(all.len() == entries && all[0] > 0);
                            }
                            Ok(Answer::Fewer(fewer)) => {
                                prop_assert!(which == 5 && (1..entries).contains(&fewer.into()));
                            }
                            Err(Refusal::TimedOut | Refusal::Gone) => prop_assert!(false),
                            Err(_) => (),
                        }
                    }
                },
                Turn::Abandon => {
                    front.abandon();
                    waiting = None;
                }
                Turn::Answer(error, value, pirqs) => back.answer(error, value, &pirqs),
                Turn::Flags(true, bits) => mem.set_flags(0, bits),
                Turn::Flags(false, bits) => mem.clear_flags(0, bits),
                Turn::Bytes(at, bytes) => mem.scribble(at, &bytes),
                Turn::Reply => {
                    let _ = front.report();
                    front.reply(Recovery::None);
                    prop_assert!(!front.has_report());
                }
            }
            prop_assert_eq!(front.is_in_flight(), waiting.is_some());
        }
    }
}
