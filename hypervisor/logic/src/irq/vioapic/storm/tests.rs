// SPDX-License-Identifier: GPL-2.0

//! A model of one interrupt line from its device to a guest: a real I/O APIC, a processor, time.

use proptest::prelude::*;

use super::super::{LEVEL, MASKED, VIoApic, writes};
use super::*;

const LINE: u32 = 9;
const VECTOR: u8 = 0x41;
/// The domain's entry of the line.
const ENTRY: u64 = VECTOR as u64 | LEVEL;
/// What an interrupt takes until its end, in nanoseconds.
const COST: u64 = 3_000;
const SECOND: u64 = 1_000_000_000;

struct Machine {
    apic: VIoApic,
    now: u64,
    /// The device asserts the line.
    up: bool,
    /// The real entry's mask and Remote IRR.
    masked: bool,
    remote_irr: bool,
    /// An interrupt has been sent to the processor, which has not taken it.
    sent: bool,
    /// How many interrupts the guest got.
    interrupts: u32,
    /// How long it was left alone, in nanoseconds.
    free: u64,
    pauses: Vec<Pause>,
}

impl Machine {
    fn new() -> Self {
        let mut machine = Self {
            apic: VIoApic::new(0xfec0_0000, 0, 0, LINE + 1),
            now: 0,
            up: false,
            masked: true,
            remote_irr: false,
            sent: false,
            interrupts: 0,
            free: 0,
            pauses: Vec::new(),
        };
        machine.write(ENTRY);
        machine
    }

    /// With the line up for ever, at the beginning of a pause.
    fn paused() -> Self {
        let mut machine = Self::new();
        machine.assert();
        machine.storm(MAX_EOIS);
        assert_eq!(machine.pauses.len(), 1);
        // What was sent before the line was masked.
        assert!(machine.sent && !machine.take());
        assert!(machine.masked && !machine.sent);
        machine
    }

    /// The real I/O APIC sends what is to be sent.
    fn send(&mut self) {
        if self.up && !self.masked && !self.remote_irr {
            (self.remote_irr, self.sent) = (true, true);
        }
    }

    fn unmask(&mut self) -> bool {
        self.masked = false;
        self.send();
        is_asserted(u32::from(self.remote_irr) << 14)
    }

    /// The device asserts the line.
    fn assert(&mut self) {
        self.up = true;
        self.send();
    }

    /// The guest writes its entry.
    fn write(&mut self, entry: u64) {
        for (half, value) in writes(entry) {
            self.apic.write(0, 0x10 + LINE * 2 + half);
            assert_eq!(self.apic.write(0x10, value), Some(LINE));
        }
        self.masked = self.apic.hw_entry(LINE, 0x55, 0) & MASKED != 0;
        self.send();
    }

    /// The processor takes what was sent; whether the guest gets it.
    fn take(&mut self) -> bool {
        if !core::mem::take(&mut self.sent) {
            return false;
        }
        let delivered = self.apic.assert_pin(LINE).is_some();
        self.masked = true;
        self.remote_irr = false;
        self.interrupts += u32::from(delivered);
        delivered
    }

    /// The guest ends what it has of the line's.
    fn end(&mut self) {
        self.now += COST;
        for line in self.apic.eoi(VECTOR) {
            if self.apic.redir_entry(line) & MASKED != 0 {
                continue;
            }
            let up = self.unmask();
            if let Some(pause) = self.apic.unmasked(line, up, self.now) {
                self.masked = true;
                self.pauses.push(pause);
            }
        }
    }

    /// The guest gets and ends as many interrupts, if they come.
    fn storm(&mut self, count: u32) {
        for _ in 0..count {
            self.take();
            self.end();
        }
    }

    /// The guest gets and ends as many interrupts while the line is up, and serves the device with the one after them.
    fn served_after(&mut self, count: u32) {
        self.assert();
        self.storm(count);
        self.take();
        self.up = false;
        self.end();
    }

    fn timers(&mut self) {
        for _ in self.apic.resumed(self.now) {
            self.unmask();
        }
    }

    /// Runs until a time: the guest has what no interrupt takes.
    fn run(&mut self, until: u64) {
        while self.now < until {
            self.timers();
            if self.take() {
                self.end();
                continue;
            }
            let next = self.apic.deadline().unwrap_or(until).min(until);
            self.free += next - self.now;
            self.now = next;
        }
        self.timers();
    }
}

#[test]
fn a_line_that_stays_up_leaves_the_processor_time() {
    let mut machine = Machine::new();
    machine.assert();
    machine.run(SECOND);
    // A pause for every 10,000 interrupts.
    let cycle = u64::from(MAX_EOIS) * COST + PAUSE;
    assert!(
        machine.free >= SECOND / cycle * PAUSE,
        "{} ns",
        machine.free
    );
    assert!(u64::from(machine.interrupts) <= (SECOND / cycle + 1) * u64::from(MAX_EOIS));
    // Linux gives a line up after 100,000, which are not withheld.
    machine.run(2 * SECOND);
    assert!(machine.interrupts > 100_000);
}

#[test]
fn a_line_that_goes_down_in_between_is_never_paused() {
    let mut machine = Machine::new();
    for _ in 0..3 {
        machine.served_after(MAX_EOIS - 1);
        assert_eq!((machine.apic.deadline(), machine.masked), (None, false));
    }
    assert_eq!(machine.interrupts, 3 * MAX_EOIS);
    machine.assert();
    machine.storm(MAX_EOIS);
    assert_eq!(machine.pauses.len(), 1, "{:?}", machine.pauses);
}

#[test]
fn the_line_is_delivered_again_after_the_pause() {
    let mut machine = Machine::paused();
    let before = machine.interrupts;
    let until = machine.pauses[0].until;
    assert_eq!(
        (machine.apic.deadline(), until),
        (Some(until), machine.now + PAUSE)
    );
    machine.now = until - 1;
    machine.timers();
    assert!(machine.masked && !machine.take());
    machine.now = until;
    machine.timers();
    assert_eq!((machine.apic.deadline(), machine.masked), (None, false));
    // Counting starts anew.
    machine.storm(MAX_EOIS - 1);
    assert_eq!(
        (machine.interrupts - before, machine.pauses.len()),
        (MAX_EOIS - 1, 1)
    );
    machine.storm(1);
    assert_eq!(machine.pauses.len(), 2);
}

#[test]
fn a_line_that_went_down_during_the_pause_is_as_any_other_after_it() {
    let mut machine = Machine::paused();
    let before = machine.interrupts;
    machine.up = false;
    machine.run(machine.now + 2 * PAUSE);
    assert_eq!((machine.interrupts, machine.masked), (before, false));
    machine.served_after(MAX_EOIS - 1);
    assert_eq!((machine.pauses.len(), machine.masked), (1, false));
}

#[test]
fn masking_ends_the_pause() {
    let mut machine = Machine::paused();
    machine.write(ENTRY | MASKED);
    assert_eq!(machine.apic.deadline(), None);
    machine.now += 2 * PAUSE;
    machine.timers();
    assert!(machine.masked && !machine.take());
    machine.write(ENTRY);
    assert!(!machine.masked && machine.take());
    machine.end();
    machine.storm(MAX_EOIS - 2);
    assert_eq!(machine.pauses.len(), 1, "counting started anew");
}

#[test]
fn writing_the_entry_ends_the_pause_and_puts_it_in_force() {
    let mut machine = Machine::paused();
    machine.write(ENTRY | 2 << 56);
    assert_eq!(machine.apic.deadline(), None);
    assert!(!machine.masked && machine.take());
    // An edge is not masked until its end, and cannot be paused.
    let mut machine = Machine::paused();
    machine.write(u64::from(VECTOR));
    assert_eq!(machine.apic.hw_entry(LINE, 0x55, 0), 0x55);
    assert_eq!(machine.apic.deadline(), None);
}

#[test]
fn a_pause_is_logged_once_until_the_line_is_down_and_once_a_second() {
    let logged = |machine: &Machine| -> Vec<bool> {
        let logged = machine.pauses.iter().map(|pause| pause.log);
        logged.collect()
    };
    let mut machine = Machine::new();
    machine.assert();
    machine.run(3 * SECOND);
    let messages = logged(&machine);
    assert!(messages.len() > 50 && messages[0] && !messages[1..].contains(&true));
    // Down and up again: news.
    machine.run(machine.apic.deadline().unwrap_or(machine.now));
    machine.served_after(0);
    machine.pauses.clear();
    machine.assert();
    machine.storm(MAX_EOIS);
    assert_eq!(logged(&machine), [true]);
    // Less than a second later none, but a storm that lasts is logged as soon as a second is over.
    machine.run(machine.now + PAUSE);
    machine.served_after(0);
    machine.pauses.clear();
    let start = machine.now;
    machine.assert();
    machine.run(start + 2 * SECOND);
    let messages = logged(&machine);
    assert_eq!(messages.iter().filter(|logged| **logged).count(), 1);
    assert!(!messages[0]);
    // Writing the entry does not shorten the second.
    machine.run(machine.now + SECOND);
    machine.write(ENTRY);
    machine.storm(MAX_EOIS);
    machine.write(ENTRY);
    machine.storm(MAX_EOIS);
    let last = logged(&machine);
    assert_eq!(last[last.len() - 2..], [true, false]);
}

#[test]
fn a_line_is_asserted_while_its_interrupt_is_in_flight() {
    assert!(is_asserted(1 << 14 | 0x8055) && is_asserted(1 << 12 | 0x8055));
    assert!(!is_asserted(0x1_a055));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_device_that_is_served_is_ever_paused(bursts in proptest::collection::vec((0..MAX_EOIS, 0..SECOND), 1..12)) {
        let mut machine = Machine::new();
        for (count, idle) in bursts {
            machine.served_after(count);
            machine.run(machine.now + idle);
            prop_assert!(machine.pauses.is_empty() && !machine.masked);
        }
    }

    #[test]
    fn a_line_is_masked_for_a_reason_and_no_interrupt_is_lost(
        steps in proptest::collection::vec((0u8..9, 0..2 * MAX_EOIS, 0..2 * PAUSE), 1..40)
    ) {
        let mut machine = Machine::new();
        let mut closed = false;
        for (what, count, passed) in steps {
            match what {
                0 => machine.assert(),
                1 => machine.up = false,
                2 => {
                    machine.take();
                }
                3 => machine.end(),
                4 | 5 => {
                    closed = what == 4;
                    machine.write(ENTRY | if closed { MASKED } else { 0 });
                }
                6 => {
                    machine.now += passed;
                    machine.timers();
                }
                _ => machine.storm(count),
            }
            let pause = machine.apic.deadline();
            prop_assert!(pause.is_none_or(|until| !closed && until <= machine.now + PAUSE));
            let reason = closed || machine.apic.remote_irr(LINE) || pause.is_some();
            prop_assert_eq!(machine.masked, reason);
            prop_assert_eq!(machine.apic.hw_entry(LINE, 0x55, 0) & MASKED != 0, reason);
        }
        // Whatever it was: a line that is up and open interrupts within a pause.
        if closed {
            machine.write(ENTRY);
        }
        machine.end();
        machine.assert();
        // Of an interrupt that the pause was for.
        machine.take();
        machine.end();
        machine.take();
        let before = machine.interrupts;
        machine.end();
        machine.take();
        if machine.interrupts == before {
            let until = machine.apic.deadline();
            prop_assert!(until.is_some_and(|until| until <= machine.now + PAUSE));
            machine.now = until.unwrap_or(0);
            machine.timers();
            prop_assert!(machine.take());
        }
    }
}
