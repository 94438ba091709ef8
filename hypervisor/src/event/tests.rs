//! What a guest can do to its own queues while the hypervisor appends to them: whatever it is, ports stay ports.

use super::*;
use crate::mem::FrameTable;
use crate::mem::frames::Record;
use crate::mem::heap::HeapMemory;
use proptest::prelude::*;
use xen_abi::event_channel::fifo as abi;

fn hold(frames: &mut FrameTable) -> Hold {
    let page = frames.alloc(0, None).expect("memory");
    let mfn = page.mfn();
    frames.give(page, 1);
    frames.hold(mfn, 1, true).expect("its own")
}

proptest! {
    #[test]
    fn a_guest_that_scribbles_on_its_queues_harms_nobody(
        steps in proptest::collection::vec((0u32..8, 0u32..40, any::<u32>()), 1..200)
    ) {
        let memory = HeapMemory::new(16);
        let mut frames = FrameTable::new(vec![Record::default(); 16]);
        frames.add_free(1..16);
        let places = Places { shared_info: 0, vcpu_info: vec![Some(0), Some(64)] };
        let mut events = Events::new(1023);
        let control = hold(&mut frames);
        let array = hold(&mut frames);
        let (control_at, array_at) = (control.mfn().address(), array.mfn().address());
        prop_assert!(events.init_control(&memory, &places, 0, (control, 0), 2).is_ok());
        prop_assert!(events.expand(array).is_ok());
        for (what, port, value) in steps {
            match what {
                0 => drop(events.bind(&memory, Binding::Ipi, port % 2)),
                1 => events.free(&memory, &places, port),
                2 => drop(events.unmask(&memory, &places, port)),
                3 => drop(events.set_priority(port, value % 20)),
                4 => memory.store_u32(array_at + u64::from(port) * 4, value),
                5 => memory.store_u32(control_at + u64::from(port % 18) * 4, value),
                _ => {
                    let raised = events.raise(&memory, &places, port, port % 2);
                    // The second vCPU has no control block, so it is never told.
                    prop_assert!(raised.tell.is_none_or(|vcpu| vcpu == 0));
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
        let mut frames = FrameTable::new(vec![Record::default(); 8]);
        frames.add_free(1..8);
        let places = Places { shared_info: 0, vcpu_info: vec![Some(0)] };
        let mut events = Events::new(1023);
        let (control, array) = (hold(&mut frames), hold(&mut frames));
        let (control_at, array_at) = (control.mfn().address(), array.mfn().address());
        prop_assert!(events.init_control(&memory, &places, 0, (control, 0), 1).is_ok());
        prop_assert!(events.expand(array).is_ok());
        for _ in 0..30 {
            events.bind(&memory, Binding::Ipi, 0).expect("a port");
        }
        // The ports of each queue in the order they were raised in. One that is on a queue already stays there.
        let mut expected = vec![Vec::new(); 16];
        for (port, priority) in sent {
            if !expected.iter().flatten().any(|other| *other == port) {
                events.set_priority(port, priority).expect("a priority");
                expected[priority as usize].push(port);
            }
            events.raise(&memory, &places, port, 0);
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
    let mut frames = FrameTable::new(vec![Record::default(); 8]);
    frames.add_free(2..8);
    let places = Places {
        shared_info: 4096,
        vcpu_info: vec![Some(4096)],
    };
    let mut events = Events::new(1023);
    let port = events.bind(&memory, Binding::Ipi, 0).expect("a port");
    assert!(events.raise(&memory, &places, port, 0).newly);
    assert!(
        events
            .init_control(&memory, &places, 0, (hold(&mut frames), 0), 1)
            .is_ok()
    );
    let waiting = events.expand(hold(&mut frames)).map_err(|(errno, _)| errno);
    assert_eq!(waiting, Ok(vec![port]));
    assert_eq!(events.raise(&memory, &places, port, 0).tell, Some(0));
}

#[test]
fn an_event_for_a_vcpu_without_queues_is_pending_all_the_same() {
    let memory = HeapMemory::new(8);
    let mut frames = FrameTable::new(vec![Record::default(); 8]);
    frames.add_free(1..8);
    let places = Places {
        shared_info: 0,
        vcpu_info: vec![Some(0), Some(64)],
    };
    let mut events = Events::new(1023);
    let (control, array) = (hold(&mut frames), hold(&mut frames));
    assert!(
        events
            .init_control(&memory, &places, 0, (control, 0), 2)
            .is_ok()
    );
    assert!(events.expand(array).is_ok());
    let port = events.bind(&memory, Binding::Ipi, 1).expect("a port");
    // Who polls is to be woken, and who asks later finds it; nobody is interrupted.
    let raised = events.raise(&memory, &places, port, 1);
    assert_eq!((raised.newly, raised.tell), (true, None));
    assert!(events.is_pending(&memory, &places, port));
}
