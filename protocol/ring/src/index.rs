// SPDX-License-Identifier: GPL-2.0

//! Arithmetic on free-running ring indexes, as pure functions.
//!
//! They are generic over the width so that the tests can walk through *every* combination of
//! eight-bit indexes, wrap-around included; the rings use `u32`.

/// An index that wraps: `u32` on the wire, `u8` in exhaustive tests.
pub trait Index: Copy + Ord {
    /// `self - earlier`, modulo the width: how far `self` is ahead.
    fn ahead_of(self, earlier: Self) -> Self;
}

impl Index for u32 {
    #[inline]
    fn ahead_of(self, earlier: Self) -> Self {
        self.wrapping_sub(earlier)
    }
}

impl Index for u8 {
    #[inline]
    fn ahead_of(self, earlier: Self) -> Self {
        self.wrapping_sub(earlier)
    }
}

/// How many messages a peer's producer index announces beyond `consumed`, or `None` if that is
/// more than `limit`, which an honest peer cannot reach. An index that went backwards looks like
/// one far ahead and is rejected too.
#[inline]
pub fn announced<I: Index>(claimed: I, consumed: I, limit: I) -> Option<I> {
    let pending = claimed.ahead_of(consumed);
    (pending <= limit).then_some(pending)
}

/// Whether publishing `old..new` reached the peer's event index: `event` lies in `old + 1..=new`.
/// This is `RING_PUSH_REQUESTS_AND_CHECK_NOTIFY` of `io/ring.h`.
#[inline]
pub fn reaches_event<I: Index>(old: I, new: I, event: I) -> bool {
    new.ahead_of(event) < new.ahead_of(old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announced_counts_the_steps_from_consumed_for_every_index() {
        for consumed in 0..=u8::MAX {
            for limit in 0..=u8::MAX {
                let mut claimed = consumed;
                for steps in 0..=u8::MAX {
                    let expected = (steps <= limit).then_some(steps);
                    assert_eq!(announced(claimed, consumed, limit), expected);
                    claimed = claimed.wrapping_add(1);
                }
            }
        }
    }

    #[test]
    fn an_event_is_reached_exactly_if_publishing_stepped_on_it() {
        for old in 0..=u8::MAX {
            let mut stepped_on = [false; 256];
            let mut new = old;
            for _ in 0..u8::MAX {
                for event in 0..=u8::MAX {
                    let expected = stepped_on[usize::from(event)];
                    assert_eq!(reaches_event(old, new, event), expected);
                }
                new = new.wrapping_add(1);
                stepped_on[usize::from(new)] = true;
            }
        }
    }

    #[test]
    fn wide_indexes_wrap_like_narrow_ones() {
        // The functions use nothing but the wrapping difference, so the narrow ones speak for
        // the wide ones; this pins that down where it wraps.
        assert_eq!(announced(2u32, u32::MAX - 1, 4), Some(4));
        assert_eq!(announced(3u32, u32::MAX - 1, 4), None);
        assert_eq!(announced(u32::MAX - 2, u32::MAX - 1, 4), None);
        assert!(reaches_event(u32::MAX, 1u32, 0));
        assert!(!reaches_event(u32::MAX, 1u32, u32::MAX));
        assert!(!reaches_event(u32::MAX, 1u32, 2));
    }
}
