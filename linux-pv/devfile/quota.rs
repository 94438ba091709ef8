// SPDX-License-Identifier: GPL-2.0

//! A limit on what all processes together may have.

use core::sync::atomic::{
    AtomicU32,
    Ordering, //
};

/// The amount in use. The limit is passed with each request, since it can be changed at any time.
#[derive(Debug, Default)]
pub struct Quota(AtomicU32);

impl Quota {
    /// Nothing is in use.
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Takes `count` more if that is within the limit; returns whether it did.
    #[must_use]
    pub fn take(&self, count: u32, limit: u32) -> bool {
        let more = |used: u32| used.checked_add(count).filter(|used| *used <= limit);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    /// Gives back what was taken.
    pub fn give(&self, count: u32) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    /// The amount in use.
    pub fn used(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_for_all_together() {
        let quota = Quota::new();
        assert!(quota.take(3, 5));
        assert!(!quota.take(3, 5));
        assert_eq!(quota.used(), 3, "a refused wish takes nothing");
        assert!(quota.take(2, 5) && quota.take(0, 5));
        quota.give(4);
        assert!(quota.take(4, 5));
    }

    #[test]
    fn a_lowered_limit_lets_nobody_in_until_enough_was_given_back() {
        let quota = Quota::new();
        assert!(quota.take(10, 10));
        assert!(!quota.take(0, 5));
        quota.give(6);
        assert!(quota.take(1, 5));
    }

    #[test]
    fn a_count_does_not_wrap() {
        let quota = Quota::new();
        assert!(quota.take(1, u32::MAX));
        assert!(!quota.take(u32::MAX, u32::MAX));
    }
}
