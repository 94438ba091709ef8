// SPDX-License-Identifier: GPL-2.0

//! A guest's console whose backend is the hypervisor.

use super::*;
use crate::system::fake::{FakePlatform, PlatformCall, add_domain, machine};
use proptest::prelude::*;

/// Gfn of the ring, in domain 1, whose gfns are 0x40 to 0x7f.
const RING: u64 = 0x50;

fn guest() -> System<FakePlatform> {
    let mut system = machine(1024);
    add_domain(&mut system, 1, 0x40, 64);
    let page = [0; PAGE_SIZE as usize];
    system
        .write_physical(1, RING * PAGE_SIZE, &page)
        .expect("memory");
    system.connect_console(1, Gfn(RING)).expect("a console");
    system
}

fn port(system: &System<FakePlatform>) -> u32 {
    system.domain(1).expect("it is there").params[params::CONSOLE_EVTCHN as usize] as u32
}

fn get(system: &mut System<FakePlatform>, offset: u64) -> u32 {
    let mut bytes = [0; 4];
    let at = RING * PAGE_SIZE + offset;
    system.read_physical(1, at, &mut bytes).expect("memory");
    u32::from_le_bytes(bytes)
}

fn put(system: &mut System<FakePlatform>, offset: u64, value: u32) {
    let at = RING * PAGE_SIZE + offset;
    system
        .write_physical(1, at, &value.to_le_bytes())
        .expect("memory");
}

/// The guest writes text, as far as there is room, and notifies. Returns how much there was room for.
fn write(system: &mut System<FakePlatform>, text: &[u8]) -> usize {
    let (consumed, produced) = (get(system, OUT_CONS), get(system, OUT_PROD));
    let room = OUTPUT_SIZE - produced.wrapping_sub(consumed);
    let text = &text[..text.len().min(room as usize)];
    for (byte, at) in text.iter().zip(0u32..) {
        let offset = produced.wrapping_add(at) % OUTPUT_SIZE;
        let at = RING * PAGE_SIZE + OUTPUT + u64::from(offset);
        system.write_physical(1, at, &[*byte]).expect("memory");
    }
    put(system, OUT_PROD, produced.wrapping_add(text.len() as u32));
    let port = port(system);
    system.send(1, port).expect("the port is bound");
    text.len()
}

/// The guest takes all its input.
fn read(system: &mut System<FakePlatform>) -> Vec<u8> {
    let (consumed, produced) = (get(system, IN_CONS), get(system, IN_PROD));
    let count = produced.wrapping_sub(consumed);
    assert!(count <= INPUT_SIZE);
    let mut text = Vec::new();
    for at in 0..count {
        let offset = consumed.wrapping_add(at) % INPUT_SIZE;
        let mut byte = [0];
        let at = RING * PAGE_SIZE + INPUT + u64::from(offset);
        system.read_physical(1, at, &mut byte).expect("memory");
        text.push(byte[0]);
    }
    put(system, IN_CONS, produced);
    text
}

#[test]
fn output_is_printed_and_the_guest_is_notified() {
    let mut system = guest();
    assert_eq!(write(&mut system, b"hello\n"), 6);
    assert_eq!(system.platform.printed, b"hello\n");
    assert_eq!(get(&mut system, OUT_CONS), 6);
    let port = port(&system);
    assert_eq!(system.poll_port(1, port), Ok(true));
    // A notification without anything to print is not answered, or both sides would notify each other for ever.
    let calls = system.platform.calls.len();
    system.send(1, port).expect("the port is bound");
    assert_eq!(system.platform.calls.len(), calls);
}

#[test]
fn input_beyond_the_rings_room_waits() {
    let mut system = guest();
    let typed: Vec<u8> = (0..3000u32).map(|n| n as u8).collect();
    system.platform.typed.extend(&typed);
    let mut got = Vec::new();
    for _ in 0..3 {
        system.serve_console(1);
        got.extend(read(&mut system));
    }
    assert_eq!(got, typed);
}

#[test]
fn indices_that_no_ring_has_move_nothing() {
    let mut system = guest();
    system.platform.typed.extend(b"abc");
    put(&mut system, OUT_PROD, OUTPUT_SIZE + 1);
    put(&mut system, IN_CONS, 1);
    system.serve_console(1);
    assert!(system.platform.printed.is_empty());
    assert_eq!(system.platform.typed.len(), 3, "it is not lost");
    assert_eq!(get(&mut system, OUT_CONS), 0);
}

#[test]
fn a_guest_that_takes_page_or_port_away_has_no_console() {
    let mut system = guest();
    let port = port(&system);
    system.close(1, port).expect("it is bound");
    put(&mut system, OUT_PROD, 5);
    system.serve_console(1);
    let mut without_page = guest();
    put(&mut without_page, OUT_PROD, 5);
    let removed = without_page.remove_from_physmap(1, Gfn(RING));
    assert_eq!(removed, Ok(()));
    without_page.serve_console(1);
    for system in [system, without_page] {
        assert!(system.platform.printed.is_empty());
        assert!(
            !system
                .platform
                .calls
                .iter()
                .any(|call| matches!(call, PlatformCall::Upcall(..)))
        );
    }
}

proptest! {
    #[test]
    fn text_arrives_whole_across_the_wrap(start in any::<u32>(), lengths in proptest::collection::vec(0usize..3000, 1..12)) {
        let mut system = guest();
        put(&mut system, OUT_CONS, start);
        put(&mut system, OUT_PROD, start);
        let mut all: Vec<u8> = Vec::new();
        for (number, length) in lengths.into_iter().enumerate() {
            let text = vec![number as u8 + 1; length];
            let wrote = write(&mut system, &text);
            all.extend(&text[..wrote]);
        }
        prop_assert_eq!(system.platform.printed, all);
    }

    #[test]
    fn no_indices_panic_or_print_more_than_a_ring(words in any::<[u32; 4]>()) {
        let mut system = guest();
        system.platform.typed.extend([7; 2000]);
        for (offset, word) in [IN_CONS, IN_PROD, OUT_CONS, OUT_PROD].into_iter().zip(words) {
            put(&mut system, offset, word);
        }
        system.serve_console(1);
        prop_assert!(system.platform.printed.len() <= OUTPUT_SIZE as usize);
    }
}
