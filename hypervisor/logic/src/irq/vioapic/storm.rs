// SPDX-License-Identifier: GPL-2.0

//! Interrupt storms: a level-triggered pin that stays asserted without end, as of a device that no driver serves. The
//! EOI of its interrupt brings the next one before the guest's next instruction, so that the vCPU that it interrupts
//! does nothing else. Such a pin is paused, as by KVM's I/O APIC (Linux, arch/x86/kvm/ioapic.c:
//! `IOAPIC_SUCCESSIVE_IRQ_MAX_COUNT`, `HZ / 100`): after 10,000 EOIs in a row at which it was still asserted, it is
//! masked for 10 ms. The guest continues meanwhile, slowly, and can give the interrupt up: Linux does so after 100,000
//! interrupts that none of its drivers handled.
//!
//! Whether a pin is still asserted is read back from the real I/O APIC right after it was unmasked ([`is_asserted`]).
//! The time of the next interrupt would tell it without that access, but not reliably: a busy device that was served
//! asserts its pin again soon and must not be paused, and on an emulated machine that had to wait the next interrupt of
//! a storm comes late. The access is one uncached read for each level-triggered interrupt, beside the writes that mask
//! and unmask the pin.

#[cfg(test)]
mod tests;

/// EOIs in a row at which a pin was still asserted, before it is paused.
pub const MAX_EOIS: u32 = 10_000;
/// Length of a pause, in nanoseconds.
pub const PAUSE: u64 = 10_000_000;
/// Least time between two messages about a pin, in nanoseconds.
pub const MESSAGE_INTERVAL: u64 = 1_000_000_000;

/// Delivery Status: the I/O APIC has not delivered the pin's interrupt yet (82093AA data sheet, 3.2.4).
const SEND_PENDING: u32 = 1 << 12;
/// Remote IRR: a local APIC has accepted the interrupt, and there was no EOI (82093AA data sheet, 3.2.4).
const REMOTE_IRR: u32 = 1 << 14;

/// Whether a level-triggered pin is asserted, by the low half of its real redirection entry read right after it was
/// unmasked: it has interrupted again at once.
pub fn is_asserted(low: u32) -> bool {
    low & (SEND_PENDING | REMOTE_IRR) != 0
}

/// A pause: the pin stays masked until a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// When it ends, in nanoseconds of system time.
    pub until: u64,
    /// Whether to log it: it is the first pause since the pin was deasserted, and the last message is a second old.
    pub log: bool,
}

/// The state of one pin.
#[derive(Clone, Copy, Debug, Default)]
pub struct IrqStorm {
    /// EOIs in a row at which the pin was still asserted, since the last pause.
    eois: u32,
    /// When the present pause ends, in nanoseconds of system time.
    until: Option<u64>,
    /// There was a message since the pin was deasserted.
    logged: bool,
    /// When the last message was, in nanoseconds of system time.
    logged_at: Option<u64>,
}

impl IrqStorm {
    /// There was an EOI, and the pin was or was not still asserted. Returns a pause if one begins.
    pub fn eoi(&mut self, asserted: bool, now: u64) -> Option<Pause> {
        if !asserted {
            self.reset();
            return None;
        }
        self.eois += 1;
        if self.eois < MAX_EOIS {
            return None;
        }
        let until = now.saturating_add(PAUSE);
        let quiet = self
            .logged_at
            .is_none_or(|at| now.saturating_sub(at) >= MESSAGE_INTERVAL);
        let log = !self.logged && quiet;
        if log {
            (self.logged, self.logged_at) = (true, Some(now));
        }
        (self.eois, self.until) = (0, Some(until));
        Some(Pause { until, log })
    }

    /// The pin was deasserted, or the guest wrote its entry: a pause ends, and counting starts anew.
    pub fn reset(&mut self) {
        *self = Self {
            logged_at: self.logged_at,
            ..Self::default()
        };
    }

    /// When the present pause ends, in nanoseconds of system time; `None` without one.
    pub fn paused_until(&self) -> Option<u64> {
        self.until
    }

    /// Ends a pause whose time is over. Returns whether there was one.
    pub fn resume(&mut self, now: u64) -> bool {
        let over = self.until.is_some_and(|until| until <= now);
        if over {
            self.until = None;
        }
        over
    }
}
