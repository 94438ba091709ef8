// SPDX-License-Identifier: GPL-2.0

//! A file's restriction to one domain.
//!
//! A device model restricts its files before it handles anything of its guest, so that a guest
//! which takes it over cannot reach another domain.

use core::sync::atomic::{
    AtomicU32,
    Ordering, //
};

/// The domains that a file may be used for: all, or one, which never changes then. May be used by
/// several threads at once.
#[derive(Debug)]
pub struct Restriction(AtomicU32);

/// No restriction; domain numbers are 16 bits wide.
const NONE: u32 = u32::MAX;

impl Restriction {
    /// All domains.
    pub const fn none() -> Self {
        Self(AtomicU32::new(NONE))
    }

    /// Only this domain from the beginning.
    pub const fn to(domain: u16) -> Self {
        Self(AtomicU32::new(domain as u32))
    }

    /// The only domain, if there is a restriction.
    #[inline]
    pub fn domain(&self) -> Option<u16> {
        u16::try_from(self.0.load(Ordering::Relaxed)).ok()
    }

    /// Whether there is a restriction.
    #[inline]
    pub fn is_some(&self) -> bool {
        self.domain().is_some()
    }

    /// Whether the file may be used for this domain. The number is as wide as a process has passed
    /// it: one that does not fit names no domain.
    #[inline]
    pub fn allows(&self, domain: u32) -> bool {
        self.domain().is_none_or(|only| u32::from(only) == domain)
    }

    /// Restricts to a domain unless there is a restriction; returns whether it now is this domain.
    /// Of several threads that try at once, one wins.
    pub fn set(&self, domain: u16) -> bool {
        match self.set_once(domain) {
            Ok(()) => true,
            Err(only) => only == domain,
        }
    }

    /// Restricts to a domain, or returns the one that it was restricted to before.
    pub fn set_once(&self, domain: u16) -> Result<(), u16> {
        self.0
            .compare_exchange(NONE, domain.into(), Ordering::Relaxed, Ordering::Relaxed)
            .map(|_| ())
            .map_err(|only| only as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_restriction_every_domain_is_allowed() {
        let restriction = Restriction::none();
        assert!(!restriction.is_some());
        assert!(
            restriction.allows(0) && restriction.allows(0x7ff0) && restriction.allows(u32::MAX)
        );
    }

    #[test]
    fn a_restriction_is_for_good() {
        let restriction = Restriction::none();
        assert!(restriction.set(7));
        assert!(restriction.set(7), "the same again is no change");
        assert!(!restriction.set(8));
        assert_eq!(restriction.set_once(7), Err(7));
        assert!(restriction.is_some());
        assert_eq!(restriction.domain(), Some(7));
    }

    #[test]
    fn a_number_too_wide_for_a_domain_is_not_cut_off() {
        let restriction = Restriction::to(7);
        assert!(restriction.allows(7));
        assert!(!restriction.allows(0x1_0007));
        assert!(!restriction.allows(6));
    }
}
