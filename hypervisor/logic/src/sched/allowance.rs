// SPDX-License-Identifier: GPL-2.0

//! A domain's cap: how long its vCPUs run together in an accounting period.

use super::credit::PERIOD;

/// What a domain may still run in this period.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Allowance {
    /// Nanoseconds in each period; `None` without a cap.
    each: Option<u64>,
    /// Nanoseconds that are left, negative if vCPUs on several CPUs used up the rest at the same time.
    left: i64,
}

impl Allowance {
    /// Sets the cap in hundredths of a CPU; 0 for none. What has been used of this period counts.
    pub(super) fn set_cap(&mut self, percent: u16) {
        let each = u64::from(percent) * PERIOD / 100;
        let used = self
            .each
            .map_or(0, |before| before as i64 - self.left)
            .max(0);
        self.left = each as i64 - used;
        self.each = (percent > 0).then_some(each);
    }

    /// So many periods have begun. What is left of one cannot be used in the next, debts are paid.
    pub(super) fn renew(&mut self, periods: u64) {
        if let Some(each) = self.each {
            let more = each.saturating_mul(periods).min(i64::MAX as u64 / 2);
            self.left = self.left.saturating_add(more as i64).min(each as i64);
        }
    }

    /// A vCPU has run so many nanoseconds.
    pub(super) fn charge(&mut self, used: u64) {
        if self.each.is_some() {
            let used = i64::try_from(used).unwrap_or(i64::MAX);
            self.left = self.left.saturating_sub(used);
        }
    }

    /// Nanoseconds that its vCPUs may still run in this period; `None` without a cap.
    pub(super) fn left(&self) -> Option<u64> {
        self.each.map(|_| self.left.max(0) as u64)
    }

    /// No vCPU of it runs before the next period.
    pub(super) fn is_used_up(&self) -> bool {
        self.left() == Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_is_a_part_of_every_period_and_debts_are_paid() {
        let mut half = Allowance::default();
        half.charge(7 * PERIOD);
        assert_eq!(half.left(), None, "no cap");
        half.set_cap(50);
        assert_eq!(
            half.left(),
            Some(PERIOD / 2),
            "what was before does not count"
        );
        half.charge(PERIOD / 4);
        assert_eq!(half.left(), Some(PERIOD / 4));
        half.charge(PERIOD / 2);
        assert!(half.is_used_up());
        half.renew(1);
        assert_eq!(half.left(), Some(PERIOD / 4), "a quarter was too much");
        half.renew(1000);
        assert_eq!(half.left(), Some(PERIOD / 2), "nothing is saved");
        half.charge(PERIOD / 2);
        half.set_cap(75);
        assert_eq!(half.left(), Some(PERIOD / 4), "half of it is used");
        half.set_cap(0);
        assert!(!half.is_used_up());
        let mut more = Allowance::default();
        more.set_cap(150);
        assert_eq!(more.left(), Some(PERIOD * 3 / 2));
    }
}
