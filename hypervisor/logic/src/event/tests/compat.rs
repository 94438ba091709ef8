// SPDX-License-Identifier: GPL-2.0

//! The 2-level ABI of 32-bit guests.

use super::*;
use xen_abi::compat::vcpu::{SharedInfo, VcpuInfo};

#[test]
fn a_32_bit_guest_has_its_bits_closer_together() {
    let memory = HeapMemory::new(2);
    let mut areas = SharedAreas::new(4096, 1);
    let mut events = Events::new(u32::MAX);
    for _ in 0..1100 {
        events
            .bind(&memory, &areas, Binding::Ipi, 0)
            .expect("a port");
    }
    areas.abi = Abi::Bits32;
    assert_eq!(events.limit(&areas), 1024);
    assert_eq!(
        events.bind(&memory, &areas, Binding::Ipi, 0),
        Err(Errno::ENOSPC)
    );
    let selector = 4096 + offset_of!(VcpuInfo, evtchn_pending_sel) as u64;
    let word = |bitmap: usize, port: u64| 4096 + bitmap as u64 + port / 32 * 4;
    let pending = offset_of!(SharedInfo, evtchn_pending);
    let mask = offset_of!(SharedInfo, evtchn_mask);
    for port in [1u64, 33, 1023] {
        let set = events.set_pending(&memory, &areas, port as u32, 0);
        assert_eq!((set.newly_pending, set.notify), (true, Some(0)));
        assert_eq!(memory.load_u32(word(pending, port)), 1 << (port % 32));
        assert_eq!(memory.load_u32(selector), 1 << (port / 32));
        memory.store_u32(selector, 0);
        assert!(events.is_pending(&memory, &areas, port as u32));
        // Masked and unmasked again, it is delivered again.
        memory.store_u32(word(mask, port), 1 << (port % 32));
        let unmasked = events.unmask(&memory, &areas, port as u32).expect("a port");
        assert_eq!(unmasked.notify, Some(0));
        assert_eq!(memory.load_u32(selector), 1 << (port / 32));
        memory.store_u32(selector, 0);
        assert_eq!(memory.load_u32(word(mask, port)), 0);
        events.free(&memory, &areas, port as u32);
        assert_eq!(memory.load_u32(word(pending, port)), 0);
    }
    // A port that was bound before, and has no bit now, touches nothing.
    let before: Vec<u64> = (0..512)
        .map(|word| memory.load_u64(4096 + word * 8))
        .collect();
    for port in [1024, 1099] {
        let set = events.set_pending(&memory, &areas, port, 0);
        assert_eq!(set, SetPending::default());
        assert_eq!(
            events.unmask(&memory, &areas, port),
            Ok(SetPending::default())
        );
        assert!(!events.is_pending(&memory, &areas, port));
        events.free(&memory, &areas, port);
    }
    let after: Vec<u64> = (0..512)
        .map(|word| memory.load_u64(4096 + word * 8))
        .collect();
    assert_eq!(before, after);
}
