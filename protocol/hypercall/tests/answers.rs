// SPDX-License-Identifier: GPL-2.0

//! Whatever the hypervisor answers, a call reports what was done and nothing else.

use proptest::prelude::*;
use std::cell::RefCell;
use xen_abi::command::event_channel::{BindIpi, Send};
use xen_abi::command::grant_table::{Copy, MapGrantRef};
use xen_abi::command::{Command, Direction, ListCommand, PlainCommand};
use xen_abi::event_channel::{self, Port};
use xen_abi::grant_table::{op, status};
use xen_abi::xen::hypercall;
use xen_hypercall::{call, call_list, Errno, Extents, Hypervisor, ListProgress};

/// A hypervisor that returns a result, and writes so many of the list's statuses before.
struct Answer {
    result: i64,
    statuses: Vec<i16>,
    calls: RefCell<Vec<(u32, u32)>>,
}

impl Answer {
    fn new(result: i64, statuses: &[i16]) -> Self {
        Self {
            result,
            statuses: statuses.to_vec(),
            calls: RefCell::default(),
        }
    }
}

impl Hypervisor for Answer {
    fn call<C: PlainCommand>(&self, _: &mut C::Argument) -> i64 {
        self.calls.borrow_mut().push((C::HYPERCALL, C::NUMBER));
        self.result
    }
}

impl Answer {
    /// A call with a list, which may touch other memory.
    fn list<C: ListCommand>(&self, list: &mut [C::Argument]) -> ListProgress {
        call_list::<C>(list, |list| {
            self.calls.borrow_mut().push((C::HYPERCALL, C::NUMBER));
            for (element, status) in list.iter_mut().zip(&self.statuses) {
                C::set_status(element, *status);
            }
            self.result
        })
    }
}

#[test]
fn a_command_is_made_by_its_numbers() {
    let hypervisor = Answer::new(0, &[]);
    let sent = call::<Send>(&&hypervisor, &mut Port { port: 5 });
    assert_eq!(sent, Ok(0));
    let mut list = [op::Copy::default(), op::Copy::default()];
    let _ = hypervisor.list::<Copy>(&mut list);
    let calls = [
        (hypercall::EVENT_CHANNEL_OP, event_channel::op::SEND),
        (hypercall::GRANT_TABLE_OP, op::COPY),
    ];
    assert_eq!(*hypervisor.calls.borrow(), calls);
    assert_eq!(
        (Send::DIRECTION, BindIpi::DIRECTION),
        (Direction::In, Direction::InOut)
    );
    let refused = call::<Send>(&Answer::new(-22, &[]), &mut Port { port: 5 });
    assert_eq!(refused.map_err(Errno::number), Err(22));
}

#[test]
fn a_list_that_stops_in_the_middle_says_which_elements_were_done() {
    let hypervisor = Answer::new(-14, &[status::OKAY, status::BAD_GNTREF, status::OKAY]);
    let mut list = [op::MapGrantRef::default(); 5];
    let progress = hypervisor.list::<MapGrantRef>(&mut list);
    assert_eq!(
        (progress.done, progress.failed, progress.not_reached),
        (2, 1, 2)
    );
    assert_eq!(progress.error.map(Errno::number), Some(14));
    assert!(!progress.is_complete());
    let statuses = list.map(|element| element.status);
    let failed = status::GENERAL_ERROR;
    assert_eq!(statuses, [0, status::BAD_GNTREF, 0, failed, failed]);
}

#[test]
fn an_empty_list_is_no_call() {
    let hypervisor = Answer::new(-14, &[]);
    let progress = hypervisor.list::<MapGrantRef>(&mut []);
    assert_eq!(progress, ListProgress::default());
    assert!(progress.is_complete() && hypervisor.calls.borrow().is_empty());
}

#[test]
fn an_extent_is_done_or_left() {
    let extents = Extents::of(3, 5).expect("some");
    assert_eq!((extents.done, extents.rest), (3, 2));
    assert!(!extents.is_complete());
    assert!(Extents::of(5, 5).is_ok_and(|extents| extents.is_complete()));
    assert!(Extents::of(0, 0).is_ok_and(|extents| extents.is_complete()));
    assert_eq!(Extents::of(6, 5), Err(Errno::BAD_ANSWER));
    assert_eq!(Extents::of(1 << 32, 5), Err(Errno::BAD_ANSWER));
    assert_eq!(Extents::of(-12, 5).map_err(Errno::number), Err(12));
}

proptest! {
    #[test]
    fn every_element_is_counted_once_and_has_a_status(
        result in any::<i64>(),
        statuses in proptest::collection::vec(any::<i16>(), 0..12),
        len in 0usize..12,
    ) {
        let hypervisor = Answer::new(result, &statuses);
        let mut list = vec![op::MapGrantRef::default(); len];
        let progress = hypervisor.list::<MapGrantRef>(&mut list);
        prop_assert_eq!(progress.done + progress.failed + progress.not_reached, len);
        let done = list.iter().filter(|element| element.status == status::OKAY).count();
        prop_assert_eq!(progress.done, done);
        prop_assert_eq!(progress.error.is_some(), len > 0 && result < 0);
        prop_assert!(list.iter().all(|element| element.status != i16::MIN));
        if let Ok(extents) = Extents::of(result, 1 << 20) {
            prop_assert_eq!(extents.done + extents.rest, 1 << 20);
        }
    }
}
