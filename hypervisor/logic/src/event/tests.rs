// SPDX-License-Identifier: GPL-2.0

//! Event channels in both ABIs, with guests that change queues and words while the hypervisor uses them.

mod compat;

use super::*;
use crate::mem::FrameTable;
use crate::mem::frames::PageInfo;
use crate::mem::heap::HeapMemory;
use crate::mem::racing::RacingMemory;
use core::cell::Cell;
use core::mem::offset_of;
use proptest::prelude::*;
use xen_abi::event_channel::fifo as abi;
use xen_abi::vcpu::SharedInfo;

fn take_page(frames: &mut FrameTable) -> PageRef {
    let page = frames.alloc(0, None).expect("memory");
    let mfn = page.mfn();
    frames.assign_pages(page, 1);
    frames.get_page(mfn, 1, true).expect("its own")
}

proptest! {
    #[test]
    fn a_guest_that_scribbles_on_its_queues_harms_nobody(
        steps in proptest::collection::vec((0u32..8, 0u32..40, any::<u32>()), 1..200)
    ) {
        let memory = HeapMemory::new(16);
        let mut frames = FrameTable::new(vec![PageInfo::default(); 16]);
        frames.add_free(1..16);
        let areas = SharedAreas { shared_info: 0, vcpu_info: vec![Some(0), Some(64)], abi: Abi::Bits64 };
        let mut events = Events::new(1023);
        let control = take_page(&mut frames);
        let array = take_page(&mut frames);
        let (control_at, array_at) = (control.mfn().address(), array.mfn().address());
        prop_assert!(events.init_control(&memory, &areas, 0, (control, 0), 2).is_ok());
        prop_assert!(events.expand(array).is_ok());
        for (what, port, value) in steps {
            match what {
                0 => drop(events.bind(&memory, &areas, Binding::Ipi, port % 2)),
                1 => events.free(&memory, &areas, port),
                2 => drop(events.unmask(&memory, &areas, port)),
                3 => drop(events.set_priority(port, value % 20)),
                4 => memory.store_u32(array_at + u64::from(port) * 4, value),
                5 => memory.store_u32(control_at + u64::from(port % 18) * 4, value),
                _ => {
                    let set = events.set_pending(&memory, &areas, port, port % 2);
                    // The second vCPU has no control block, so it is never notified.
                    prop_assert!(set.notify.is_none_or(|vcpu| vcpu == 0));
                }
            }
        }
        // Nothing was written outside of the two pages.
        for frame in 1..16 {
            let address = frame * 4096;
            if address != control_at && address != array_at {
                let mut bytes = [0; 4096];
                memory.read(address, &mut bytes);
                prop_assert!(bytes.iter().all(|byte| *byte == 0));
            }
        }
    }

    #[test]
    fn an_honest_guest_gets_every_event_once_by_priority(
        sent in proptest::collection::vec((1u32..30, 0u32..16), 1..60)
    ) {
        let memory = HeapMemory::new(8);
        let mut frames = FrameTable::new(vec![PageInfo::default(); 8]);
        frames.add_free(1..8);
        let areas = SharedAreas { shared_info: 0, vcpu_info: vec![Some(0)], abi: Abi::Bits64 };
        let mut events = Events::new(1023);
        let (control, array) = (take_page(&mut frames), take_page(&mut frames));
        let (control_at, array_at) = (control.mfn().address(), array.mfn().address());
        prop_assert!(events.init_control(&memory, &areas, 0, (control, 0), 1).is_ok());
        prop_assert!(events.expand(array).is_ok());
        for _ in 0..30 {
            events.bind(&memory, &areas, Binding::Ipi, 0).expect("a port");
        }
        // The ports of each queue in the order they were set in. One that is on a queue already stays there.
        let mut expected = vec![Vec::new(); 16];
        for (port, priority) in sent {
            if !expected.iter().flatten().any(|other| *other == port) {
                events.set_priority(port, priority).expect("a priority");
                expected[priority as usize].push(port);
            }
            events.set_pending(&memory, &areas, port, 0);
        }
        let mut got = vec![Vec::new(); 16];
        for (queue, got) in (0..).zip(&mut got) {
            let mut port = memory.load_u32(control_at + 8 + 4 * queue);
            while port != 0 {
                let word = array_at + u64::from(port) * 4;
                let value = memory.load_u32(word);
                prop_assert!(value & 1 << abi::PENDING != 0 && value & 1 << abi::LINKED != 0);
                got.push(port);
                prop_assert!(got.len() <= 30, "a queue that has no end");
                port = value & abi::LINK_MASK;
            }
        }
        prop_assert_eq!(&got, &expected);
        let ready = memory.load_u32(control_at);
        for (queue, ports) in expected.iter().enumerate() {
            prop_assert_eq!(ready >> queue & 1 != 0, !ports.is_empty());
        }
    }
}

#[test]
fn pending_events_survive_the_change_to_queues() {
    let memory = HeapMemory::new(8);
    let mut frames = FrameTable::new(vec![PageInfo::default(); 8]);
    frames.add_free(2..8);
    let areas = SharedAreas {
        shared_info: 4096,
        vcpu_info: vec![Some(4096)],
        abi: Abi::Bits64,
    };
    let mut events = Events::new(1023);
    let port = events
        .bind(&memory, &areas, Binding::Ipi, 0)
        .expect("a port");
    assert!(events.set_pending(&memory, &areas, port, 0).newly_pending);
    assert!(
        events
            .init_control(&memory, &areas, 0, (take_page(&mut frames), 0), 1)
            .is_ok()
    );
    let waiting = events
        .expand(take_page(&mut frames))
        .map_err(|(errno, _)| errno);
    assert_eq!(waiting, Ok(vec![port]));
    assert_eq!(events.set_pending(&memory, &areas, port, 0).notify, Some(0));
}

#[test]
fn an_event_for_a_vcpu_without_queues_is_pending_all_the_same() {
    let memory = HeapMemory::new(8);
    let mut frames = FrameTable::new(vec![PageInfo::default(); 8]);
    frames.add_free(1..8);
    let areas = SharedAreas {
        shared_info: 0,
        vcpu_info: vec![Some(0), Some(64)],
        abi: Abi::Bits64,
    };
    let mut events = Events::new(1023);
    let (control, array) = (take_page(&mut frames), take_page(&mut frames));
    assert!(
        events
            .init_control(&memory, &areas, 0, (control, 0), 2)
            .is_ok()
    );
    assert!(events.expand(array).is_ok());
    let port = events
        .bind(&memory, &areas, Binding::Ipi, 1)
        .expect("a port");
    // Who polls is to be woken, and who asks later finds it; nobody is interrupted.
    let set = events.set_pending(&memory, &areas, port, 1);
    assert_eq!((set.newly_pending, set.notify), (true, None));
    assert!(events.is_pending(&memory, &areas, port));
}

/// A machine with a shared info page at frame 1, the second vCPU's info elsewhere in it, and none of a third.
fn two_level() -> (HeapMemory, SharedAreas, Events) {
    let areas = SharedAreas {
        shared_info: 4096,
        vcpu_info: vec![Some(4096), Some(4096 + 64), None],
        abi: Abi::Bits64,
    };
    (HeapMemory::new(8), areas, Events::new(u32::MAX))
}

const PENDING: u64 = 4096 + offset_of!(SharedInfo, evtchn_pending) as u64;
const MASK: u64 = 4096 + offset_of!(SharedInfo, evtchn_mask) as u64;

/// The words of the first two vCPUs that say which words have news.
fn selectors(memory: &HeapMemory) -> [u64; 2] {
    let at = 4096 + offset_of!(VcpuInfo, evtchn_pending_sel) as u64;
    [memory.load_u64(at), memory.load_u64(at + 64)]
}

#[test]
fn an_event_has_its_bit_and_its_words_bit() {
    let (memory, areas, mut events) = two_level();
    for number in 1..=200 {
        assert_eq!(events.bind(&memory, &areas, Binding::Ipi, 1), Ok(number));
    }
    let set = |newly_pending, notify| SetPending {
        newly_pending,
        notify,
    };
    assert_eq!(
        events.set_pending(&memory, &areas, 130, 1),
        set(true, Some(1))
    );
    let words: Vec<u64> = (0..64)
        .map(|word| memory.load_u64(PENDING + word * 8))
        .collect();
    let expected: Vec<u64> = (0..64).map(|word| u64::from(word == 2) << 2).collect();
    assert_eq!((words, selectors(&memory)), (expected, [0, 1 << 2]));
    // A second event of the port is the same one; one of the same word is new, and its selector bit is set already.
    assert_eq!(
        events.set_pending(&memory, &areas, 130, 1),
        set(false, None)
    );
    assert_eq!(events.set_pending(&memory, &areas, 191, 1), set(true, None));
    assert_eq!(memory.load_u64(PENDING + 16), 1 << 63 | 1 << 2);
    // Another word's, and another vCPU's.
    assert_eq!(
        events.set_pending(&memory, &areas, 192, 1),
        set(true, Some(1))
    );
    assert_eq!(
        events.set_pending(&memory, &areas, 131, 0),
        set(true, Some(0))
    );
    assert_eq!(selectors(&memory), [1 << 2, 1 << 3 | 1 << 2]);
    // A vCPU without `vcpu_info` is not notified, but the port is pending.
    assert_eq!(events.set_pending(&memory, &areas, 5, 2), set(true, None));
    assert_eq!(events.set_pending(&memory, &areas, 6, 3), set(true, None));
    assert!(events.is_pending(&memory, &areas, 5) && !events.is_pending(&memory, &areas, 7));
    // A port that is closed is not pending any more, and its neighbours are.
    events.free(&memory, &areas, 130);
    assert_eq!(memory.load_u64(PENDING + 16), 1 << 63 | 1 << 3);
    assert_eq!(
        events.set_pending(&memory, &areas, 201, 1),
        SetPending::default()
    );
}

#[test]
fn a_pending_masked_port_notifies_when_it_is_unmasked() {
    let (memory, areas, mut events) = two_level();
    for _ in 0..70 {
        events
            .bind(&memory, &areas, Binding::Ipi, 1)
            .expect("a port");
    }
    let notified = |notify| {
        let newly_pending = false;
        Ok(SetPending {
            newly_pending,
            notify,
        })
    };
    memory.store_u64(MASK + 8, 0b11 << 3);
    let set = events.set_pending(&memory, &areas, 67, 1);
    assert_eq!((set.newly_pending, set.notify), (true, None));
    assert_eq!(selectors(&memory), [0, 0]);
    assert_eq!(events.unmask(&memory, &areas, 67), notified(Some(1)));
    assert_eq!(memory.load_u64(MASK + 8), 1 << 4, "the other's mask stays");
    assert_eq!(selectors(&memory), [0, 1 << 1]);
    // Nothing waits; nothing was masked; the word has news already.
    assert_eq!(events.unmask(&memory, &areas, 68), notified(None));
    assert_eq!(events.unmask(&memory, &areas, 67), notified(None));
    memory.store_u64(MASK + 8, 1 << 3);
    assert_eq!(events.unmask(&memory, &areas, 67), notified(None));
    let nowhere = events.unmask(&memory, &areas, 71);
    assert_eq!(nowhere, Err(Errno::EINVAL));
}

#[test]
fn vcpus_have_an_info_in_the_page_as_far_as_there_is_room() {
    let areas = SharedAreas::new(0x5000, 34);
    assert_eq!(areas.shared_info, 0x5000);
    let info = |vcpu: usize| areas.vcpu_info[vcpu];
    assert_eq!((info(0), info(1)), (Some(0x5000), Some(0x5040)));
    assert_eq!((info(31), info(32), info(33)), (Some(0x57c0), None, None));
    assert_eq!(areas.vcpu_info.len(), 34);
}

/// One vCPU with queues, and two ports on the same one; where its control block and the words are.
fn queued(memory: &HeapMemory, areas: &SharedAreas) -> (Events, u64, u64) {
    let mut frames = FrameTable::new(vec![PageInfo::default(); 8]);
    frames.add_free(2..8);
    let mut events = Events::new(1023);
    let (control, array) = (take_page(&mut frames), take_page(&mut frames));
    let (control_at, array_at) = (control.mfn().address(), array.mfn().address());
    let given = events.init_control(memory, areas, 0, (control, 64), 1);
    assert!(given.is_ok() && events.expand(array).is_ok());
    for _ in 0..3 {
        events.bind(memory, areas, Binding::Ipi, 0).expect("a port");
    }
    (events, control_at + 64, array_at)
}

const fn flag(number: u32) -> u32 {
    1 << number
}

#[test]
fn a_masked_port_is_put_on_its_queue_by_the_unmask() {
    let memory = HeapMemory::new(8);
    let areas = SharedAreas::new(4096, 1);
    let (mut events, control, array) = queued(&memory, &areas);
    memory.store_u32(array + 4, flag(abi::MASKED));
    let set = events.set_pending(&memory, &areas, 1, 0);
    assert_eq!((set.newly_pending, set.notify), (true, None));
    let masked = flag(abi::MASKED) | flag(abi::PENDING);
    assert_eq!(memory.load_u32(array + 4), masked);
    let set = events.unmask(&memory, &areas, 1).expect("bound");
    assert_eq!((set.newly_pending, set.notify), (false, Some(0)));
    let linked = flag(abi::LINKED) | flag(abi::PENDING);
    assert_eq!(memory.load_u32(array + 4), linked);
    let queue = abi::PRIORITY_DEFAULT;
    assert_eq!(memory.load_u32(control), 1 << queue);
    let head = control + 8 + 4 * u64::from(queue);
    assert_eq!(memory.load_u32(head), 1);
    // Nothing waits behind this mask.
    memory.store_u32(array + 8, flag(abi::MASKED));
    let set = events.unmask(&memory, &areas, 2).expect("bound");
    assert_eq!(
        (set, memory.load_u32(array + 8)),
        (SetPending::default(), 0)
    );
    // A closed port is not pending any more; it stays linked until the guest takes it off.
    assert!(events.is_pending(&memory, &areas, 1));
    events.free(&memory, &areas, 1);
    assert_eq!(memory.load_u32(array + 4), flag(abi::LINKED));
}

#[test]
fn a_queue_whose_last_port_the_guest_takes_off_begins_anew() {
    let memory = HeapMemory::new(8);
    let areas = SharedAreas::new(4096, 1);
    let queue = abi::PRIORITY_DEFAULT;
    let (mut events, control, array) = queued(&memory, &areas);
    let head = control + 8 + 4 * u64::from(queue);
    assert_eq!(events.set_pending(&memory, &areas, 1, 0).notify, Some(0));
    // Just before the second port is linked to the first, the guest takes that off.
    let taken = Cell::new(false);
    let guest = RacingMemory {
        memory: &memory,
        before: |memory: &HeapMemory, address| {
            if address == array + 4 && !taken.replace(true) {
                memory.store_u32(array + 4, 0);
                memory.store_u32(control, 0);
            }
        },
    };
    assert_eq!(events.set_pending(&guest, &areas, 2, 0).notify, Some(0));
    assert_eq!(memory.load_u32(head), 2, "it is the first");
    assert_eq!(memory.load_u32(control), 1 << queue);
    assert_eq!(memory.load_u32(array + 4) & flag(abi::BUSY), 0);
}

#[test]
fn a_guest_that_changes_the_last_port_all_the_time_loses_an_event() {
    let memory = HeapMemory::new(8);
    let areas = SharedAreas::new(4096, 1);
    let (mut events, control, array) = queued(&memory, &areas);
    let head = control + 8 + 4 * u64::from(abi::PRIORITY_DEFAULT);
    events.set_pending(&memory, &areas, 1, 0);
    let tries = Cell::new(0);
    let busy = Cell::new(0);
    let meddle = |most: u32| {
        let (tries, busy) = (&tries, &busy);
        RacingMemory {
            memory: &memory,
            before: move |memory: &HeapMemory, address| {
                if address != array + 4 {
                    return;
                }
                let word = memory.load_u32(address);
                busy.set(busy.get() + u32::from(word & flag(abi::BUSY) != 0));
                tries.set(tries.get() + 1);
                if tries.get() <= most {
                    memory.store_u32(address, word ^ flag(abi::MASKED));
                }
            },
        }
    };
    // An honest guest has four changes; the link is made at last, and keeps the guest's bits.
    let set = events.set_pending(&meddle(1), &areas, 2, 0);
    assert_eq!((set.newly_pending, set.notify), (true, None));
    let word = memory.load_u32(array + 4);
    let kept = flag(abi::PENDING) | flag(abi::LINKED) | flag(abi::MASKED);
    assert_eq!((word, memory.load_u32(head)), (kept | 2, 1));
    assert!(busy.get() > 0, "the word was marked busy");
    // The queue continues from there, although this guest changes it all the time.
    tries.set(0);
    let at = array + 8;
    let endless = RacingMemory {
        memory: &memory,
        before: |memory: &HeapMemory, address| {
            if address == at {
                // Bits that mean nothing, so that the word is never the same twice.
                let word = memory.load_u32(address);
                memory.store_u32(address, word + flag(abi::LINK_BITS + 1));
                tries.set(tries.get() + 1);
            }
        },
    };
    let set = events.set_pending(&endless, &areas, 3, 0);
    assert_eq!((set.newly_pending, set.notify), (true, None));
    assert_eq!(tries.get(), 5 + 2, "five tries, and busy set and cleared");
    let word = memory.load_u32(array + 8);
    assert_eq!((word & abi::LINK_MASK, memory.load_u32(head)), (0, 1));
}

#[test]
fn a_port_that_changes_its_queue_leaves_the_old_one_whole() {
    let memory = HeapMemory::new(8);
    let areas = SharedAreas::new(4096, 1);
    let (mut events, control, array) = queued(&memory, &areas);
    let head = |queue: u64| memory.load_u32(control + 8 + 4 * queue);
    events.set_pending(&memory, &areas, 1, 0);
    // The guest serves it, and wants it at another priority.
    memory.store_u32(array + 4, 0);
    memory.store_u32(control, 0);
    events.set_priority(1, 3).expect("a priority");
    assert_eq!(events.set_pending(&memory, &areas, 1, 0).notify, Some(0));
    assert_eq!((head(3), memory.load_u32(control)), (1, 1 << 3));
    // The next one of the old queue is not linked to it: it was that queue's tail.
    assert_eq!(events.set_pending(&memory, &areas, 2, 0).notify, Some(0));
    assert_eq!(head(u64::from(abi::PRIORITY_DEFAULT)), 2);
    let word = memory.load_u32(array + 4);
    assert_eq!(word & abi::LINK_MASK, 0);
    // The next one of the new queue is.
    events.set_priority(3, 3).expect("a priority");
    assert_eq!(events.set_pending(&memory, &areas, 3, 0).notify, None);
    assert_eq!(memory.load_u32(array + 4) & abi::LINK_MASK, 3);
}

#[test]
fn events_that_come_before_their_words_wait_for_them() {
    let memory = HeapMemory::new(8);
    let areas = SharedAreas::new(4096, 1);
    let mut frames = FrameTable::new(vec![PageInfo::default(); 8]);
    frames.add_free(2..8);
    let mut events = Events::new(u32::MAX);
    let control = (take_page(&mut frames), 0);
    assert!(events.init_control(&memory, &areas, 0, control, 1).is_ok());
    for _ in 0..1500 {
        events
            .bind(&memory, &areas, Binding::Ipi, 0)
            .expect("a port");
    }
    for port in [5, 1023, 1024, 1400] {
        let set = events.set_pending(&memory, &areas, port, 0);
        assert_eq!(set, SetPending::default());
    }
    assert!(!events.is_pending(&memory, &areas, 5));
    let unmasked = events.unmask(&memory, &areas, 5);
    assert_eq!(unmasked, Ok(SetPending::default()));
    let (first, second) = (take_page(&mut frames), take_page(&mut frames));
    let waiting = |result: core::result::Result<Vec<u32>, (Errno, PageRef)>| {
        result.map_err(|(errno, _)| errno)
    };
    assert_eq!(waiting(events.expand(first)), Ok(vec![5, 1023]));
    let words = |events: &Events| events.fifo().expect("there are queues").words();
    assert_eq!(words(&events), 1024);
    assert_eq!(waiting(events.expand(second)), Ok(vec![1024, 1400]));
    assert_eq!((words(&events), events.limit(&areas)), (2048, 1 << 17));
    assert_eq!(events.leave_fifo().len(), 3);
    assert_eq!(
        (events.limit(&areas), events.fifo().is_none()),
        (4096, true)
    );
}
