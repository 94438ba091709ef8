// SPDX-License-Identifier: GPL-2.0

//! Model check of both ABIs: under every interleaving and every reordering that the memory model
//! of C11 allows, an event that the hypervisor sends is handled, or the upcall flag is set. The same
//! check finds the mistake in words that order less than [`SharedWord`] promises, and in a guest
//! that clears the flag too late, which shows that it can.

use loom::sync::atomic::{fence, AtomicU32, AtomicU64, AtomicU8, Ordering};
use loom::sync::{Arc, Mutex};
use std::panic::catch_unwind;
use xen_event::fifo::hypervisor::{self, DomainQueues, PortQueue, Tails};
use xen_event::fifo::{guest, ControlBlock, EventArray, Priority, LINKED, MASKED, PENDING};
use xen_event::two_level::{self, SharedInfoWords};
use xen_event::{upcall, SharedWord, Unmask};
use xen_shared::assert_finds;

/// What is wrong in a broken model.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Operations that change a word are no full barriers, they acquire and release only.
    NoBarrier,
    /// They order nothing.
    NoOrder,
    /// The guest clears the upcall flag after it has taken the marks.
    LateClear,
}

/// A word of the model.
struct Word<'a, A>(&'a A, Fault);

macro_rules! words {
    ($($atomic:ident, $value:ident;)*) => {
        $(impl SharedWord for Word<'_, $atomic> {
            type Value = $value;

            fn load(&self) -> $value {
                self.0.load(match self.1 {
                    Fault::NoOrder => Ordering::Relaxed,
                    _ => Ordering::Acquire,
                })
            }
            fn store(&self, value: $value) {
                self.0.store(value, match self.1 {
                    Fault::NoOrder => Ordering::Relaxed,
                    _ => Ordering::Release,
                });
            }
            fn compare_exchange(&self, old: $value, new: $value) -> Result<$value, $value> {
                change(self.1, |order| self.0.compare_exchange(old, new, order, Ordering::Relaxed))
            }
            fn fetch_or(&self, bits: $value) -> $value {
                change(self.1, |order| self.0.fetch_or(bits, order))
            }
            fn fetch_clear(&self, bits: $value) -> $value {
                change(self.1, |order| self.0.fetch_and(!bits, order))
            }
            fn swap(&self, value: $value) -> $value {
                change(self.1, |order| self.0.swap(value, order))
            }
        })*
    };
}

words! {
    AtomicU8, u8;
    AtomicU32, u32;
    AtomicU64, u64;
}

/// A full barrier around an operation, but for what the fault leaves out.
fn change<T>(fault: Fault, operation: impl FnOnce(Ordering) -> T) -> T {
    match fault {
        Fault::NoOrder => operation(Ordering::Relaxed),
        Fault::NoBarrier => operation(Ordering::AcqRel),
        Fault::None | Fault::LateClear => {
            fence(Ordering::SeqCst);
            let result = operation(Ordering::AcqRel);
            fence(Ordering::SeqCst);
            result
        }
    }
}

/// One vCPU, ports 1 and 2, and only one queue: what a step of the model costs grows with its words.
struct Shared {
    words: [AtomicU32; 2],
    ready: AtomicU32,
    head: AtomicU32,
    pending: AtomicU64,
    mask: AtomicU64,
    selector: AtomicU64,
    upcall: AtomicU8,
    fault: Fault,
}

/// The memory of both sides.
#[derive(Clone)]
struct Domain(Arc<Shared>);

impl Domain {
    fn new(fault: Fault) -> Self {
        Self(Arc::new(Shared {
            words: [AtomicU32::new(0), AtomicU32::new(0)],
            ready: AtomicU32::new(0),
            head: AtomicU32::new(0),
            pending: AtomicU64::new(0),
            mask: AtomicU64::new(0),
            selector: AtomicU64::new(0),
            upcall: AtomicU8::new(0),
            fault,
        }))
    }

    fn word<'a, A>(&self, word: &'a A) -> Word<'a, A> {
        Word(word, self.0.fault)
    }

    fn upcall(&self) -> Word<'_, AtomicU8> {
        self.word(&self.0.upcall)
    }

    fn selector(&self) -> Word<'_, AtomicU64> {
        self.word(&self.0.selector)
    }
}

impl EventArray for Domain {
    type Word<'a> = Word<'a, AtomicU32>;

    fn event_word(&self, port: u32) -> Option<Self::Word<'_>> {
        let word = self.0.words.get((port as usize).checked_sub(1)?)?;
        Some(self.word(word))
    }
}

impl ControlBlock for &Domain {
    type Word<'a>
        = Word<'a, AtomicU32>
    where
        Self: 'a;

    fn ready(&self) -> Self::Word<'_> {
        self.word(&self.0.ready)
    }
    fn head(&self, _: Priority) -> Self::Word<'_> {
        self.word(&self.0.head)
    }
}

impl DomainQueues for Domain {
    type Control<'a> = &'a Domain;

    fn control_block(&self, _: u32) -> Option<Self::Control<'_>> {
        Some(self)
    }
}

impl SharedInfoWords for Domain {
    type Word<'a> = Word<'a, AtomicU64>;

    fn pending(&self, _: u32) -> Self::Word<'_> {
        self.word(&self.0.pending)
    }
    fn mask(&self, _: u32) -> Self::Word<'_> {
        self.word(&self.0.mask)
    }
}

/// The hypervisor's private state, which its lock protects.
#[derive(Clone)]
struct Hypervisor(Arc<Mutex<([Tails; 1], [PortQueue; 3])>>);

impl Hypervisor {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Default::default())))
    }

    fn change(
        &self,
        domain: &Domain,
        port: u32,
        what: fn(&Domain, &mut [Tails], u32, &mut PortQueue, u32) -> xen_event::Raised,
    ) {
        let mut state = self.0.lock().expect("no panic");
        let (tails, ports) = &mut *state;
        let raised = what(domain, tails, port, &mut ports[port as usize], 0);
        if raised.notify {
            upcall::set_pending(&domain.upcall());
        }
    }

    fn send(&self, domain: &Domain, port: u32) {
        self.change(domain, port, |domain, tails, port, queue, vcpu| {
            hypervisor::set_pending(domain, tails, port, queue, vcpu)
        });
    }

    fn unmask(&self, domain: &Domain, port: u32) {
        self.change(domain, port, |domain, tails, port, queue, vcpu| {
            hypervisor::unmask(domain, tails, port, queue, vcpu)
        });
    }
}

/// A guest in the FIFO ABI, which counts the events of each port.
struct Guest {
    domain: Domain,
    queues: guest::Queues,
    handled: [u32; 3],
}

impl Guest {
    fn new(domain: &Domain) -> Self {
        Self {
            domain: domain.clone(),
            queues: guest::Queues::new(),
            handled: [0; 3],
        }
    }

    /// Serves what the upcall flag announces, once.
    fn upcall(&mut self) {
        let flag = self.domain.upcall();
        if !upcall::is_pending(&flag) {
            return;
        }
        let late = self.domain.0.fault == Fault::LateClear;
        if !late {
            upcall::clear_pending(&flag);
        }
        let (domain, handled) = (&self.domain, &mut self.handled);
        let more = self.queues.drain(domain, &domain, 8, |event| {
            let port = event.expect("an honest hypervisor");
            guest::clear_pending(&domain.event_word(port).expect("a word"));
            handled[port as usize] += 1;
        });
        assert!(!more, "a queue without an end");
        if late {
            upcall::clear_pending(&flag);
        }
    }

    /// Asserts that nothing is left when all flags have been served.
    fn has_all(&mut self, ports: &[u32]) {
        self.upcall();
        self.upcall();
        for port in ports {
            let word = self.domain.event_word(*port).expect("a word").load();
            let handled = self.handled[*port as usize];
            assert!(handled > 0 && word & PENDING == 0, "an event is lost");
        }
    }
}

/// The hypervisor sends two events while the guest serves its queue.
fn send_against_consume(fault: Fault) {
    let (domain, hypervisor) = (Domain::new(fault), Hypervisor::new());
    let sender = loom::thread::spawn({
        let (domain, hypervisor) = (domain.clone(), hypervisor.clone());
        move || {
            hypervisor.send(&domain, 1);
            hypervisor.send(&domain, 2);
        }
    });
    let mut guest = Guest::new(&domain);
    guest.upcall();
    sender.join().expect("the hypervisor");
    guest.has_all(&[1, 2]);
}

/// The guest takes the queue's last port off while the hypervisor links another one to it.
fn append_against_unlink(fault: Fault) {
    let (domain, hypervisor) = (Domain::new(fault), Hypervisor::new());
    hypervisor.send(&domain, 1);
    let sender = loom::thread::spawn({
        let (domain, hypervisor) = (domain.clone(), hypervisor.clone());
        move || hypervisor.send(&domain, 2)
    });
    let mut guest = Guest::new(&domain);
    guest.upcall();
    sender.join().expect("the hypervisor");
    guest.has_all(&[1, 2]);
    assert_eq!(guest.handled, [0, 1, 1], "each was sent once");
    let word = domain.event_word(1).expect("a word").load();
    assert_eq!(word & LINKED, 0);
}

/// The guest unmasks a port, which it may have masked just before, while an event is sent to it.
fn send_against_unmask(fault: Fault, masks: bool) {
    let (domain, hypervisor) = (Domain::new(fault), Hypervisor::new());
    let word = domain.event_word(1).expect("a word");
    if !masks {
        word.store(MASKED);
    }
    let sender = loom::thread::spawn({
        let (domain, hypervisor) = (domain.clone(), hypervisor.clone());
        move || hypervisor.send(&domain, 1)
    });
    let mut guest = Guest::new(&domain);
    if masks {
        guest::mask(&word);
    }
    if guest::unmask(&word) == Unmask::Hypercall {
        hypervisor.unmask(&domain, 1);
    }
    guest.upcall();
    sender.join().expect("the hypervisor");
    guest.has_all(&[1]);
}

/// What the guest of the 2-level ABI does on an upcall; returns the ports.
fn scan(domain: &Domain) -> Vec<u32> {
    let flag = domain.upcall();
    if !upcall::is_pending(&flag) {
        return Vec::new();
    }
    let late = domain.0.fault == Fault::LateClear;
    if !late {
        upcall::clear_pending(&flag);
    }
    let mut start = two_level::guest::ScanStart::new();
    let ports = start
        .scan(domain, &domain.selector(), |_| u64::MAX)
        .inspect(|port| two_level::clear_pending(domain, *port))
        .collect();
    if late {
        upcall::clear_pending(&flag);
    }
    ports
}

fn send_two_level(domain: &Domain, port: u32) {
    let raised = two_level::hypervisor::set_pending(domain, Some(domain.selector()), port);
    if raised.notify {
        upcall::set_pending(&domain.upcall());
    }
}

/// Two events while the guest scans.
fn two_level_send_against_scan(fault: Fault) {
    let domain = Domain::new(fault);
    let sender = loom::thread::spawn({
        let domain = domain.clone();
        move || {
            send_two_level(&domain, 1);
            send_two_level(&domain, 2);
        }
    });
    let mut got = scan(&domain);
    sender.join().expect("the hypervisor");
    got.extend(scan(&domain));
    got.sort_unstable();
    assert_eq!(got, [1, 2], "an event is lost");
}

/// An event while the guest unmasks its port, as HVM and as PV domains do it.
fn two_level_send_against_unmask(fault: Fault, pv: bool) {
    let domain = Domain::new(fault);
    two_level::guest::mask(&domain, 1);
    let sender = loom::thread::spawn({
        let domain = domain.clone();
        move || send_two_level(&domain, 1)
    });
    let unmask = match pv {
        true => two_level::guest::unmask_pv(&domain, &domain.selector(), 1),
        false => two_level::guest::unmask_hvm(&domain, 1),
    };
    let notify = match unmask {
        Unmask::Done => false,
        Unmask::Upcall => true,
        Unmask::Hypercall => {
            two_level::hypervisor::unmask(&domain, Some(domain.selector()), 1).notify
        }
    };
    if notify {
        upcall::set_pending(&domain.upcall());
    }
    let mut got = scan(&domain);
    sender.join().expect("the hypervisor");
    got.extend(scan(&domain));
    assert_eq!(got, [1], "an event is lost");
}

/// Asserts that the model finds the fault, and nothing else.
fn finds(what: &str, model: impl Fn() + Sync + Send + std::panic::UnwindSafe + 'static) {
    assert_finds(what, || loom::model(model));
}

#[test]
fn no_event_is_lost_while_the_guest_consumes() {
    loom::model(|| send_against_consume(Fault::None));
    loom::model(|| two_level_send_against_scan(Fault::None));
}

#[test]
fn no_event_is_lost_while_its_queue_becomes_empty() {
    loom::model(|| append_against_unlink(Fault::None));
}

#[test]
fn no_event_is_lost_while_its_port_is_unmasked() {
    loom::model(|| send_against_unmask(Fault::None, false));
    loom::model(|| send_against_unmask(Fault::None, true));
    loom::model(|| two_level_send_against_unmask(Fault::None, true));
    loom::model(|| two_level_send_against_unmask(Fault::None, false));
}

#[test]
fn a_flag_that_is_cleared_late_loses_an_event_and_the_model_finds_it() {
    finds("an event is lost", || {
        send_against_consume(Fault::LateClear)
    });
    finds("an event is lost", || {
        two_level_send_against_scan(Fault::LateClear)
    });
}

#[test]
fn without_full_barriers_the_bitmaps_lose_an_event_and_the_model_finds_it() {
    for pv in [true, false] {
        finds("an event is lost", move || {
            two_level_send_against_unmask(Fault::NoBarrier, pv)
        });
    }
}

#[test]
fn without_order_a_queue_loses_an_event_and_the_model_finds_it() {
    let panic = catch_unwind(|| loom::model(|| send_against_consume(Fault::NoOrder)));
    assert!(panic.is_err(), "the fault was not found");
}
