// SPDX-License-Identifier: GPL-2.0

//! Both ends of the console's page, with each other and with a hostile third writer.

use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use xen_abi::io::console::Interface;
use xen_ring::console::{ConsoleBack, ConsoleFront, MAX_INPUT, MAX_OUTPUT};
use xen_ring::{Corrupt, HeapMem, RingMem};

fn both(mem: &HeapMem) -> (ConsoleFront<HeapMem>, ConsoleBack<HeapMem>) {
    let front = ConsoleFront::attach(mem.clone()).expect("a page");
    let back = ConsoleBack::attach(mem.clone()).expect("a page");
    (front, back)
}

#[derive(Clone, Debug)]
enum Step {
    FrontWrites(Vec<u8>),
    FrontReads(usize),
    BackWrites(Vec<u8>),
    BackReads(usize),
    /// One of the ends is started anew.
    Attach(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..700);
    let step = prop_oneof![
        3 => bytes().prop_map(Step::FrontWrites),
        2 => (0usize..900).prop_map(Step::FrontReads),
        3 => bytes().prop_map(Step::BackWrites),
        2 => (0usize..900).prop_map(Step::BackReads),
        1 => any::<bool>().prop_map(Step::Attach),
    ];
    proptest::collection::vec(step, 1..60)
}

/// Reads up to `len` bytes and compares them with what was written.
fn reads(
    len: usize,
    written: &mut VecDeque<u8>,
    read: impl FnOnce(&mut [u8]) -> Result<usize, Corrupt>,
) -> Result<(), TestCaseError> {
    let mut to = vec![0; len];
    let count = read(&mut to).expect("an honest peer");
    prop_assert_eq!(count, len.min(written.len()));
    prop_assert!(to[..count].iter().copied().eq(written.drain(..count)));
    Ok(())
}

proptest! {
    #[test]
    fn every_byte_arrives_once_and_in_order(steps in steps(), start in any::<u32>()) {
        let mem = HeapMem::pages(0);
        for offset in (3072..3088).step_by(4) {
            mem.store_relaxed(offset, start);
        }
        let (mut front, mut back) = both(&mem);
        let (mut output, mut input) = (VecDeque::new(), VecDeque::new());
        for step in steps {
            match step {
                Step::FrontWrites(bytes) => {
                    let count = front.write(&bytes).expect("an honest peer");
                    prop_assert_eq!(count, bytes.len().min(MAX_OUTPUT as usize - output.len()));
                    output.extend(&bytes[..count]);
                }
                Step::BackWrites(bytes) => {
                    let count = back.write(&bytes).expect("an honest peer");
                    prop_assert_eq!(count, bytes.len().min(MAX_INPUT as usize - input.len()));
                    input.extend(&bytes[..count]);
                }
                Step::BackReads(len) => reads(len, &mut output, |to| back.read(to))?,
                Step::FrontReads(len) => reads(len, &mut input, |to| front.read(to))?,
                Step::Attach(true) => front = both(&mem).0,
                Step::Attach(false) => back = both(&mem).1,
            }
            prop_assert_eq!(front.unread(), Ok(output.len() as u32));
        }
    }

    #[test]
    fn a_hostile_third_writer_stops_neither_end(
        steps in steps(),
        writes in proptest::collection::vec((0u16..3092, any::<u32>()), 1..60)
    ) {
        let mem = HeapMem::pages(0);
        let (mut front, mut back) = both(&mem);
        let mut errors = [None; 4];
        for (step, (at, value)) in steps.into_iter().zip(writes.into_iter().cycle()) {
            // Indices more often than bytes, and small changes of them more often than large ones.
            let at = if at % 2 == 0 { 3072 + at % 20 } else { at };
            mem.scribble(at.into(), &(value % 4096).to_ne_bytes());
            let (direction, len, result) = match step {
                Step::FrontWrites(bytes) => (0, bytes.len(), front.write(&bytes)),
                Step::FrontReads(len) => (1, len, front.read(&mut vec![0; len])),
                Step::BackWrites(bytes) => (2, bytes.len(), back.write(&bytes)),
                Step::BackReads(len) => (3, len, back.read(&mut vec![0; len])),
                Step::Attach(_) => continue,
            };
            let limit = if matches!(direction, 0 | 3) { MAX_OUTPUT } else { MAX_INPUT };
            match (result, errors[direction]) {
                (Ok(count), None) => prop_assert!(count <= len.min(limit as usize)),
                (Err(corrupt), None) => errors[direction] = Some(corrupt),
                (result, Some(corrupt)) => prop_assert_eq!(result, Err(corrupt), "it stays so"),
            }
        }
    }
}

#[test]
fn the_page_says_whether_a_daemon_takes_output() {
    let mem = HeapMem::pages(0);
    let (front, back) = both(&mem);
    assert!(
        front.is_connected(),
        "a daemon that does not know the field"
    );
    back.set_connected(false);
    assert!(!front.is_connected());
    let page: Interface = mem.read(0);
    assert_eq!((page.connection, page.pad), (1, [0; 3]));
    back.set_connected(true);
    assert!(front.is_connected());
    // What is no value of the field is not taken for disconnected: the kernel would fall silent.
    mem.scribble(3088, &[7]);
    assert!(front.is_connected());
}

#[test]
fn memory_that_is_no_page_is_refused() {
    let mem = HeapMem::new(size_of::<Interface>() - 4);
    assert!(ConsoleFront::attach(mem.clone()).is_err());
    assert!(ConsoleBack::attach(mem).is_err());
}

#[test]
fn real_threads_lose_no_byte() {
    const BYTES: usize = 300_000;
    let mem = HeapMem::pages(0);
    let (mut front, mut back) = both(&mem);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut written = 0;
            while written < BYTES {
                let bytes: Vec<u8> = (written..BYTES.min(written + 777))
                    .map(|n| n as u8)
                    .collect();
                written += front.write(&bytes).expect("an honest peer");
                std::thread::yield_now();
            }
            done.store(true, Ordering::Release);
        });
        let (mut read, mut to) = (0, [0; 333]);
        loop {
            let last = done.load(Ordering::Acquire);
            let count = back.read(&mut to).expect("an honest peer");
            for byte in &to[..count] {
                assert_eq!(*byte, read as u8);
                read += 1;
            }
            if last && count == 0 {
                break;
            }
        }
        assert_eq!(read, BYTES);
    });
}
