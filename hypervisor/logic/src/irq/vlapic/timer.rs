// SPDX-License-Identifier: GPL-2.0

//! The timer of a virtual local APIC (Intel SDM volume 3, 11.5.4): one-shot, periodic and TSC deadline.

use super::{LVT_MASKED, VLapic};

/// Nanoseconds of a tick before division: 100 MHz, as in Xen.
pub(super) const TICK: u64 = 10;
/// Least period of a periodic timer in nanoseconds, as in Xen (`create_periodic_time`). A shorter one would occupy the
/// processor with interrupts for one vCPU.
pub(super) const MIN_PERIOD: u64 = 100_000;

impl VLapic {
    /// Nanoseconds until the counter has run down from its initial count. A periodic one takes at least [`MIN_PERIOD`].
    pub(super) fn timer_period(&self) -> u64 {
        let period = u64::from(self.initial) * self.timer_divisor() * TICK;
        match self.timer_mode() {
            1 if period > 0 => period.max(MIN_PERIOD),
            _ => period,
        }
    }

    /// By how much ticks are divided.
    pub(super) fn timer_divisor(&self) -> u64 {
        // The divisor's three bits are 0, 1 and 3: 2, 4, …, 128, 1.
        let code = (self.divide & 3) | (self.divide >> 1 & 4);
        if code == 7 { 1 } else { 2u64 << code }
    }

    /// 0: one-shot, 1: periodic, 2: TSC deadline.
    pub(super) fn timer_mode(&self) -> u32 {
        self.lvt[0] >> 17 & 3
    }

    /// The current count register.
    pub(super) fn current_count(&self, now: u64) -> u32 {
        let period = self.timer_period();
        if period == 0
            || self.timer_mode() == 2
            || (self.deadline.is_none() && self.timer_mode() == 0)
        {
            return 0;
        }
        let past = now.saturating_sub(self.started) % period;
        // With a large divisor the product has more than 64 bits.
        let left = u128::from(period - past) * u128::from(self.initial);
        (left / u128::from(period)) as u32
    }

    /// When the timer fires next, in nanoseconds of system time.
    pub fn deadline(&self) -> Option<u64> {
        self.deadline
    }

    /// Fires the timer if it is due at `now`.
    pub fn check_timer(&mut self, now: u64) {
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return;
        }
        self.tsc_deadline = 0;
        let period = self.timer_period();
        self.deadline = match self.timer_mode() {
            1 if period > 0 => {
                let due = self.deadline.unwrap_or(now);
                // Periods that have passed meanwhile give one interrupt.
                Some(due + ((now - due) / period + 1) * period)
            }
            _ => None,
        };
        if self.lvt[0] & LVT_MASKED == 0 {
            self.set_irq(self.lvt[0] as u8, false);
        }
    }

    /// IA32_TSC_DEADLINE.
    pub fn tsc_deadline(&self) -> u64 {
        self.tsc_deadline
    }

    /// Writes IA32_TSC_DEADLINE; `at` is the same time in nanoseconds of system time.
    pub fn set_tsc_deadline(&mut self, value: u64, at: u64) {
        if self.timer_mode() == 2 {
            self.tsc_deadline = value;
            self.deadline = (value != 0).then_some(at);
        }
    }
}
