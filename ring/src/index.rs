// SPDX-License-Identifier: GPL-2.0

//! Arithmetic on free-running ring indexes, as pure functions.
//!
//! They are generic over the width so that the tests can walk through *every* combination of
//! eight-bit indexes, wrap-around included; the rings use `u32`.

/// An index that wraps: `u32` on the wire, `u8` in exhaustive tests.
pub trait Index: Copy + Ord {
    /// `self - earlier`, modulo the width: how far `self` is ahead.
    fn ahead_of(self, earlier: Self) -> Self;
    /// `self + n`, modulo the width.
    fn plus(self, n: Self) -> Self;
}

impl Index for u32 {
    #[inline]
    fn ahead_of(self, earlier: Self) -> Self {
        self.wrapping_sub(earlier)
    }
    #[inline]
    fn plus(self, n: Self) -> Self {
        self.wrapping_add(n)
    }
}

impl Index for u8 {
    #[inline]
    fn ahead_of(self, earlier: Self) -> Self {
        self.wrapping_sub(earlier)
    }
    #[inline]
    fn plus(self, n: Self) -> Self {
        self.wrapping_add(n)
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
