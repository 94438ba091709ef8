// SPDX-License-Identifier: GPL-2.0

//! Requests that are answered, refused or changed meanwhile, and what is accessed in which order.

use core::cell::{
    Cell,
    RefCell, //
};
use std::{
    boxed::Box,
    vec::Vec, //
};

use proptest::prelude::*;

use super::*;

/// An access to a slot, or a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Load(usize),
    Barrier,
    Replaced(u8),
    Signalled,
}

type Change = Box<dyn Fn(&mut Ioreq)>;

/// A slot that is changed after so many accesses.
struct Mock {
    slot: RefCell<Ioreq>,
    log: RefCell<Vec<Access>>,
    change: Option<(usize, Change)>,
    done: Cell<bool>,
}

impl Mock {
    fn new(slot: Ioreq) -> Self {
        Self {
            slot: RefCell::new(slot),
            log: RefCell::default(),
            change: None,
            done: Cell::new(false),
        }
    }

    fn changed(slot: Ioreq, after: usize, change: impl Fn(&mut Ioreq) + 'static) -> Self {
        Self {
            change: Some((after, Box::new(change))),
            ..Self::new(slot)
        }
    }

    fn note(&self, access: Access) {
        if let Some((after, change)) = &self.change {
            if self.log.borrow().len() >= *after && !self.done.replace(true) {
                change(&mut self.slot.borrow_mut());
            }
        }
        self.log.borrow_mut().push(access);
    }

    fn state(&self) -> u8 {
        self.slot.borrow().status & STATE
    }

    fn serve(&self, doorbell: &Doorbell) -> bool {
        serve(
            self,
            |write| doorbell.is_rung_by(write).then_some(()),
            |()| self.note(Access::Signalled),
        )
    }

    fn rang(&self) -> usize {
        let log = self.log.borrow();
        log.iter().filter(|a| **a == Access::Signalled).count()
    }
}

impl Slot for Mock {
    fn load8(&self, at: usize) -> u8 {
        self.note(Access::Load(at));
        let slot = self.slot.borrow();
        match at {
            30 => slot.status,
            31 => slot.kind,
            _ => panic!("no byte at {at}"),
        }
    }

    fn load32(&self, at: usize) -> u32 {
        self.note(Access::Load(at));
        let slot = self.slot.borrow();
        match at {
            16 => slot.count,
            20 => slot.size,
            _ => panic!("no 32 bits at {at}"),
        }
    }

    fn load64(&self, at: usize) -> u64 {
        self.note(Access::Load(at));
        let slot = self.slot.borrow();
        match at {
            0 => slot.addr,
            8 => slot.data,
            _ => panic!("no 64 bits at {at}"),
        }
    }

    fn read_barrier(&self) {
        self.note(Access::Barrier);
    }

    fn replace8(&self, at: usize, old: u8, new: u8) -> bool {
        assert_eq!(at, 30);
        self.note(Access::Replaced(new & STATE));
        let mut slot = self.slot.borrow_mut();
        let same = slot.status == old;
        if same {
            slot.status = new;
        }
        same
    }
}

fn wanted() -> Ioeventfd {
    Ioeventfd {
        addr: 0x200_0000,
        addr_len: 4,
        vq: 3,
        vcpus: 1,
        ..Default::default()
    }
}

fn doorbell() -> Doorbell {
    Doorbell::of(&wanted()).unwrap()
}

fn request() -> Ioreq {
    Ioreq {
        addr: 0x200_0050,
        data: 3,
        count: 1,
        size: 4,
        status: state::READY,
        kind: kind::COPY,
        ..Default::default()
    }
}

#[test]
fn a_write_to_the_doorbell_is_answered_in_order() {
    let slot = Mock::new(request());
    assert!(slot.serve(&doorbell()));
    assert_eq!(slot.state(), state::RESP_READY);
    let log = slot.log.borrow();
    let place = |access| log.iter().position(|a| *a == access).unwrap();
    assert_eq!(log[0], Access::Load(30), "the state first");
    assert_eq!(log[1], Access::Barrier);
    let claim = place(Access::Replaced(state::INPROCESS));
    let rang = place(Access::Signalled);
    let answer = place(Access::Replaced(state::RESP_READY));
    assert!(claim < rang && rang < answer && answer == log.len() - 1);
    for at in [0, 8, 16, 20, 31] {
        let after = log[claim..].iter().filter(|a| **a == Access::Load(at));
        assert_eq!(after.count(), 1, "{at} counts once");
    }
    assert_eq!(log.iter().filter(|a| **a == Access::Load(30)).count(), 1);
}

#[test]
fn the_bits_beside_the_state_stay() {
    let mut down = request();
    down.status |= 1 << 6;
    let slot = Mock::new(down);
    assert!(slot.serve(&doorbell()));
    assert_eq!(slot.slot.borrow().status, 1 << 6 | state::RESP_READY);
}

#[test]
fn the_upper_bits_of_the_data_are_the_drivers() {
    let slot = Mock::new(Ioreq {
        data: 0xabcd_0003,
        ..request()
    });
    assert!(slot.serve(&doorbell()));
}

#[test]
fn other_requests_are_not_touched() {
    let others: [fn(&mut Ioreq); 12] = [
        |r| r.status = state::NONE,
        |r| r.status = state::INPROCESS,
        |r| r.status = state::RESP_READY,
        |r| r.status |= direction::READ << DIRECTION,
        |r| r.status |= DATA_IS_ADDRESS,
        |r| r.kind = kind::PIO,
        |r| r.count = 2,
        |r| r.count = 0,
        |r| r.addr += 4,
        |r| r.size = 2,
        |r| r.data = 4,
        |r| r.data = 0x1_0004,
    ];
    for (index, other) in others.into_iter().enumerate() {
        let mut asked = request();
        other(&mut asked);
        let slot = Mock::new(asked);
        assert!(!slot.serve(&doorbell()), "{index}");
        assert_eq!(*slot.slot.borrow(), asked, "{index}");
        let log = slot.log.borrow();
        assert!(
            !log.iter().any(|a| matches!(a, Access::Replaced(_))),
            "{index}: never claimed, so the program sees it"
        );
    }
}

#[test]
fn a_request_that_the_program_takes_first_is_its_own() {
    // Just before the claim: the state, the barrier, and five fields were looked at.
    let slot = Mock::changed(request(), 7, |r| r.status = state::INPROCESS);
    assert!(!slot.serve(&doorbell()));
    assert_eq!((slot.rang(), slot.state()), (0, state::INPROCESS));
}

#[test]
fn a_request_that_became_another_one_is_given_back() {
    let slot = Mock::changed(request(), 7, |r| r.addr = 0x1000);
    assert!(!slot.serve(&doorbell()));
    assert_eq!((slot.rang(), slot.state()), (0, state::READY));
}

#[test]
fn a_slot_that_is_taken_away_is_not_overwritten() {
    let slot = Mock::changed(request(), 13, |r| r.status = state::NONE);
    assert!(!slot.serve(&doorbell()), "there is nobody to tell");
    assert_eq!((slot.rang(), slot.state()), (1, state::NONE));
}

proptest! {
    #[test]
    fn whatever_changes_meanwhile_it_rings_once_at_most(
        after in 0usize..20, addr: u64, data: u64, count: u32, size: u32, status: u8, kind: u8,
    ) {
        let slot = Mock::changed(request(), after, move |r| {
            *r = Ioreq { addr, data, count, size, status, kind, ..*r };
        });
        let served = slot.serve(&doorbell());
        prop_assert!(slot.rang() <= 1);
        prop_assert!(!served || slot.rang() == 1);
    }
}

#[test]
fn devices_and_accesses_that_there_cannot_be_are_refused() {
    let with = |change: fn(&mut Ioeventfd)| {
        let mut args = wanted();
        change(&mut args);
        Doorbell::of(&args)
    };
    assert!(with(|_| ()).is_some());
    for size in [1, 2, 4, 8] {
        let mut args = wanted();
        args.addr_len = size;
        assert!(Doorbell::of(&args).is_some());
    }
    assert_eq!(with(|a| a.addr_len = 0), None);
    assert_eq!(with(|a| a.addr_len = 3), None);
    assert_eq!(with(|a| a.addr_len = 16), None);
    assert_eq!(with(|a| a.addr_len = u32::MAX), None);
    assert_eq!(with(|a| a.addr = u64::MAX - 3), None);
    assert_eq!(with(|a| a.addr = u64::MAX), None);
}

#[test]
fn slots_lie_side_by_side() {
    assert_eq!(place(0), (0, 0));
    assert_eq!(place(127), (0, 4064));
    assert_eq!(place(128), (1, 0));
    assert_eq!(pages(1), 1);
    assert_eq!(pages(128), 1);
    assert_eq!(pages(129), 2);
    assert_eq!(pages(MAX_VCPUS), 32);
    for vcpu in 0..MAX_VCPUS {
        let (page, offset) = place(vcpu);
        assert!(page < pages(MAX_VCPUS) as usize);
        assert!(offset + 32 <= xen_abi::PAGE_SIZE);
    }
}
