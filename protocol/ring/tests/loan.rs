// SPDX-License-Identifier: GPL-2.0

//! Loans against a peer that maps and unmaps at any time, in all interleavings (loom): the owner
//! never has its page back while the peer can write it, and gets it back in the end, once.
//!
//! The table entry is one of version 1 (grant_table.h): the guest takes its permission away and the
//! hypervisor marks it as in use, each by comparing and exchanging the same word. The check is seen
//! to find the mistake of XSA-396: to look first and to revoke then.

use loom::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use loom::sync::{Arc, Mutex};
use std::panic::catch_unwind;
use xen_ring::loan::{Loan, RetiredEntry, RetiredList, Revocable};

/// `GTF_permit_access`.
const PERMIT: u16 = 1;
/// `GTF_reading | GTF_writing`.
const IN_USE: u16 = 0x18;

/// What is written to the page, and by whom.
const BY_PEER: u32 = 1;
const BY_OWNER: u32 = 2;

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// The entry is looked at, and then cleared whatever it has become (XSA-396).
    LooksFirst,
    /// A page that is still mapped goes back to its owner when its loan is dropped.
    GivesBack,
}

/// A guest's page and its grant, and the loans that were retired.
struct World {
    flags: AtomicU16,
    page: AtomicU32,
    given_back: AtomicU32,
    retired: Mutex<RetiredList<Box<Entry>>>,
    fault: Fault,
}

impl World {
    fn new(fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            flags: AtomicU16::new(PERMIT),
            page: AtomicU32::new(0),
            given_back: AtomicU32::new(0),
            retired: Mutex::new(RetiredList::new()),
            fault,
        })
    }

    fn exchange(&self, old: u16, new: u16) -> bool {
        let result = self
            .flags
            .compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire);
        result.is_ok()
    }

    /// The hypervisor maps the page for the peer, which writes to it and unmaps it.
    fn map_and_write(&self) {
        if !self.exchange(PERMIT, PERMIT | IN_USE) {
            return;
        }
        self.page.store(BY_PEER, Ordering::Relaxed);
        let seen = self.page.load(Ordering::Relaxed);
        assert_eq!(seen, BY_PEER, "the owner has the page while it is mapped");
        self.flags.fetch_and(!IN_USE, Ordering::AcqRel);
    }

    /// What tries again.
    fn try_again(&self) {
        let all = self.retired.lock().unwrap().take();
        let left = all.try_end();
        self.retired.lock().unwrap().append(left);
    }
}

struct Grant(Arc<World>);

impl Revocable<Owner> for Grant {
    fn try_end(self) -> Result<(), Self> {
        let world = &*self.0;
        let flags = world.flags.load(Ordering::Acquire);
        if flags & IN_USE != 0 {
            return Err(self);
        }
        if world.fault == Fault::LooksFirst {
            world.flags.store(0, Ordering::Release);
            return Ok(());
        }
        match world.exchange(flags, 0) {
            true => Ok(()),
            false => Err(self),
        }
    }

    fn retire(loan: Loan<Self, Owner>) {
        let world = loan.grant().expect("it was not ended").0.clone();
        if world.fault == Fault::GivesBack {
            loan.owner().expect("it was not ended").use_page();
        }
        let entry = Box::new(Entry { loan, next: None });
        world.retired.lock().unwrap().push(entry);
    }
}

/// The owner's handle. When it is given back, the owner uses its page.
struct Owner(Arc<World>);

impl Owner {
    fn use_page(&self) {
        self.0.page.store(BY_OWNER, Ordering::Relaxed);
        let seen = self.0.page.load(Ordering::Relaxed);
        assert_eq!(
            seen, BY_OWNER,
            "the peer writes to a page that was given back"
        );
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.use_page();
        self.0.given_back.fetch_add(1, Ordering::Relaxed);
    }
}

struct Entry {
    loan: Loan<Grant, Owner>,
    next: Option<Box<Entry>>,
}

impl RetiredEntry for Box<Entry> {
    fn next(&mut self) -> &mut Option<Self> {
        &mut self.next
    }

    fn try_end(&mut self) -> bool {
        self.loan.try_end()
    }
}

/// A page is lent; the peer maps it, or is too late. Meanwhile the loan ends, and what was retired
/// is tried again.
fn a_page_is_lent(fault: Fault) {
    let world = World::new(fault);
    let loan = Loan::new(Grant(world.clone()), Owner(world.clone()));
    let peer = loom::thread::spawn({
        let world = world.clone();
        move || world.map_and_write()
    });
    let worker = loom::thread::spawn({
        let world = world.clone();
        move || world.try_again()
    });
    drop(loan);
    worker.join().expect("the worker");
    peer.join().expect("the peer");
    world.try_again();
    assert!(world.retired.lock().unwrap().is_empty(), "a loan is left");
    assert_eq!(world.given_back.load(Ordering::Relaxed), 1);
    assert_eq!(world.page.load(Ordering::Relaxed), BY_OWNER, "a late write");
}

fn finds(what: &str, fault: Fault) {
    let model = move || loom::model(move || a_page_is_lent(fault));
    let panic = catch_unwind(model).expect_err("the fault was not found");
    let message = panic.downcast_ref::<String>().map_or("", String::as_str);
    let is_found = message.contains(what) || panic.downcast_ref::<&str>() == Some(&what);
    assert!(is_found, "found something else: {message}");
}

#[test]
fn xsa_396_a_page_that_the_peer_can_write_is_not_given_back() {
    loom::model(|| a_page_is_lent(Fault::None));
}

#[test]
fn xsa_396_to_look_first_and_to_revoke_then_is_found() {
    finds("page", Fault::LooksFirst);
}

#[test]
fn xsa_396_a_mapped_page_that_is_given_back_is_found() {
    finds("page", Fault::GivesBack);
}

/// Ending a loan by hand gives its parts, or the loan as it was.
#[test]
fn a_loan_ends_with_its_owner_or_not_at_all() {
    loom::model(|| {
        let world = World::new(Fault::None);
        world.flags.store(PERMIT | IN_USE, Ordering::Release);
        let loan = Loan::new(Grant(world.clone()), Owner(world.clone()));
        let Err(loan) = loan.end_by(Grant::try_end) else {
            panic!("it is mapped");
        };
        assert_eq!(world.given_back.load(Ordering::Relaxed), 0);
        world.flags.store(PERMIT, Ordering::Release);
        let Ok(((), owner)) = loan.end_by(Grant::try_end) else {
            panic!("it is not mapped any more");
        };
        drop(owner);
        assert_eq!(world.given_back.load(Ordering::Relaxed), 1);
    });
}

/// Many of them are dropped without recursion.
#[test]
fn a_long_list_is_dropped_one_by_one() {
    struct Link(Option<Box<Link>>);
    impl RetiredEntry for Box<Link> {
        fn next(&mut self) -> &mut Option<Self> {
            &mut self.0
        }
        fn try_end(&mut self) -> bool {
            false
        }
    }
    let mut list = RetiredList::new();
    (0..1_000_000).for_each(|_| list.push(Box::new(Link(None))));
    let left = list.try_end();
    assert!(!left.is_empty());
}
