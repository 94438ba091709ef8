// SPDX-License-Identifier: GPL-2.0

//! A level line that stays up without end, as of a device that no driver serves. The end of its interrupt brings the next one
//! before the guest's next instruction, so the vCPU that it goes to would do nothing else. Such a line is paused: as with
//! KVM's I/O APIC (Linux, arch/x86/kvm/ioapic.c: `IOAPIC_SUCCESSIVE_IRQ_MAX_COUNT`, `HZ / 100`), after 10,000 ends in a row at
//! which it was still up it stays masked for 10 ms. The guest goes on meanwhile, slowly, and has the time to give the line up:
//! Linux does after 100,000 interrupts that none of its drivers wanted.
//!
//! That a line is still up is read back from the real I/O APIC right after it was unmasked ([`is_up`]). When the next
//! interrupt comes would tell it without that access, but not for certain: a busy device that was served asserts its line soon
//! again and must not be paused, and a processor of an emulated machine that had to wait makes the next interrupt of a storm
//! come late. The access is one uncached read per level interrupt, beside two to mask and two to unmask the line, which are
//! writes and are not waited for.

#[cfg(test)]
mod tests;

/// Ends of a line's interrupt in a row at which it was still up, before it is paused.
pub const ENDS: u32 = 10_000;
/// How long a pause is, in nanoseconds.
pub const PAUSE: u64 = 10_000_000;
/// The least time between two messages about a line, in nanoseconds.
pub const QUIET: u64 = 1_000_000_000;

/// The I/O APIC has a line's message on its way to a local APIC (82093AA data sheet, 3.2.4: Delivery Status).
const ON_ITS_WAY: u32 = 1 << 12;
/// A local APIC has accepted a level line's message and has not ended it (the same: Remote IRR).
const ACCEPTED: u32 = 1 << 14;

/// Whether the low half of a level line's real entry, read back right after it was unmasked, says that the line is up: it
/// has interrupted again at once.
pub fn is_up(low: u32) -> bool {
    low & (ON_ITS_WAY | ACCEPTED) != 0
}

/// A line is to be masked for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Until when, in nanoseconds.
    pub until: u64,
    /// Whether it is worth a message: the first pause since the line was down, and none was told of in the last second.
    pub news: bool,
}

/// What is known of a line's ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Storm {
    /// Ends in a row at which the line was still up, since the last pause.
    ends: u32,
    /// The line is paused until then, in nanoseconds.
    until: Option<u64>,
    /// There was a message since the line was down.
    told: bool,
    /// When the last message was, in nanoseconds.
    told_at: Option<u64>,
}

impl Storm {
    /// The line's interrupt was ended, and the line was or was not still `up`. Says whether it is paused now.
    pub fn ended(&mut self, up: bool, now: u64) -> Option<Pause> {
        if !up {
            self.forget();
            return None;
        }
        self.ends += 1;
        if self.ends < ENDS {
            return None;
        }
        let until = now.saturating_add(PAUSE);
        let quiet = self
            .told_at
            .is_none_or(|at| now.saturating_sub(at) >= QUIET);
        let news = !self.told && quiet;
        if news {
            (self.told, self.told_at) = (true, Some(now));
        }
        (self.ends, self.until) = (0, Some(until));
        Some(Pause { until, news })
    }

    /// The line was down, or the guest wrote its entry: it is not paused, and counting starts anew.
    pub fn forget(&mut self) {
        *self = Self {
            told_at: self.told_at,
            ..Self::default()
        };
    }

    /// Until when the line is paused, in nanoseconds; `None` if it is not.
    pub fn paused_until(&self) -> Option<u64> {
        self.until
    }

    /// Ends a pause that is over; whether there was one.
    pub fn resume(&mut self, now: u64) -> bool {
        let over = self.until.is_some_and(|until| until <= now);
        if over {
            self.until = None;
        }
        over
    }
}
