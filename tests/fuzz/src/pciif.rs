// SPDX-License-Identifier: GPL-2.0

//! The PCI protocol: a page that a back end, or a front end, writes what it likes to, and what a back
//! end lists in the xenstore.

use crate::bytes::Bytes;
use xen_abi::io::pciif::SharedInfo;
use xen_ring::pciif::{Address, Answer, BackPage, FrontPage, Recovery, Register, Request, Root};
use xen_ring::pciif::{Refusal, Width};
use xen_ring::{FlagMem, HeapMem};

/// The page as a back end leaves it: an operation is answered once at most and by numbers that were
/// checked, and a report is one of a function or none.
pub fn pciif_answer(input: &[u8]) {
    let mut input = Bytes::new(input);
    let mem = HeapMem::new(size_of::<SharedInfo>());
    let mut front = FrontPage::new(mem.clone()).expect("room for the page");
    let at = Address {
        root: Root { domain: 0, bus: 0 },
        devfn: 8,
    };
    let entries: Vec<u16> = (0..128).collect();
    while !input.is_empty() {
        let count = 1 + usize::from(input.byte() % 128);
        let request = match input.below(4) {
            0 => Request::Read(Register::new(0, Width::Word).expect("a register")),
            1 => Request::EnableMsi,
            2 => Request::DisableMsi,
            _ => Request::EnableMsix(&entries[..count]),
        };
        let started = front.start(at, &request).is_ok();
        for _ in 0..input.below(6) {
            // The answer's error and value more often than the rest.
            let at = match input.below(4) {
                0 => 8,
                1 => 32,
                _ => usize::from(input.u16()) % size_of::<SharedInfo>(),
            };
            mem.scribble(at, &input.array::<4>());
        }
        if input.below(4) > 0 {
            mem.clear_flags(0, 1);
        }
        match front.take() {
            Some(Ok(answer)) => {
                assert!(started, "an answer to nothing");
                match (answer, request) {
                    (Answer::Value(value), Request::Read(_)) => assert!(value <= 0xffff),
                    (Answer::Pirq(pirq), Request::EnableMsi) => assert!(pirq > 0),
                    (Answer::Done, Request::DisableMsi) => (),
                    (Answer::Fewer(fewer), Request::EnableMsix(_)) => {
                        assert!((1..count).contains(&fewer.into()));
                    }
                    (Answer::Pirqs(pirqs), Request::EnableMsix(_)) => {
                        assert_eq!(pirqs.as_slice().len(), count);
                        assert!(!pirqs.as_slice().contains(&0));
                    }
                    other => panic!("{other:?}"),
                }
            }
            Some(Err(refusal)) => {
                assert!(started && !matches!(refusal, Refusal::TimedOut | Refusal::Gone));
            }
            None => front.abandon(),
        }
        let _ = front.report();
        front.reply(Recovery::NoDriver);
        assert!(!front.has_report());
    }
}

/// The page as a front end leaves it: what a back end takes for an operation is one.
pub fn pciif_request(input: &[u8]) {
    let mem = HeapMem::new(size_of::<SharedInfo>());
    let back = BackPage::attach(mem.clone()).expect("room for the page");
    mem.scribble(0, input);
    mem.set_flags(0, 1);
    let asked = back.take().expect("an operation");
    if let Ok((_, request)) = asked.decode() {
        assert!(request.fits());
        if let Request::Read(register) | Request::Write(register, _) = request {
            let end = u32::from(register.offset()) + register.width() as u32;
            assert!(end <= u32::from(Register::SPACE));
        }
    }
    back.answer(0, 0, &[]);
    assert!(back.take().is_none());
}

/// Values of the xenstore: what is read as a root or a function is written as one.
pub fn pciif_store(input: &[u8]) {
    if let Some(root) = Root::parse(input) {
        assert_eq!(Root::parse(root.to_string().as_bytes()), Some(root));
    }
    if let Some(at) = Address::parse(input) {
        assert_eq!(Address::parse(at.to_string().as_bytes()), Some(at));
    }
}
