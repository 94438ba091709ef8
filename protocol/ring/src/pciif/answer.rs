// SPDX-License-Identifier: GPL-2.0

//! What the back end says to an operation.

use core::fmt;
use xen_abi::io::pciif::{err, MAX_VECTORS};

/// The last of the numbers that errors have in Linux (`MAX_ERRNO`), negated: Linux's back end returns some as it got them.
const LAST_ERRNO: i32 = -4095;

/// An operation was done.
// There is no allocator here that the large one could be boxed with, and it is moved once an operation.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A register's value, without bits beyond its width.
    Value(u32),
    /// Done, and there is nothing to say about it.
    Done,
    /// The physical interrupt of the device's MSI.
    Pirq(u16),
    /// Those of its MSI-X entries, in the order asked for.
    Pirqs(Pirqs),
    /// MSI-X was not enabled; it would be for so many entries, fewer than asked for.
    Fewer(u16),
}

/// Physical interrupts of MSI-X entries, each of them once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pirqs {
    pub(super) all: [u16; MAX_VECTORS],
    pub(super) count: usize,
}

impl Pirqs {
    /// The interrupts.
    pub fn as_slice(&self) -> &[u16] {
        self.all.get(..self.count).unwrap_or(&[])
    }

    /// Whether each is a number and no other's.
    pub(super) fn are_sound(&self) -> bool {
        let all = self.as_slice();
        let others = |i: usize| all.get(..i).unwrap_or(&[]);
        let mut numbered = all.iter().enumerate();
        numbered.all(|(i, pirq)| *pirq != 0 && !others(i).contains(pirq))
    }
}

impl fmt::Debug for Pirqs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

/// An operation was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such function.
    NoDevice,
    /// There is no such register.
    BadOffset,
    /// The front end may not do that.
    Denied,
    /// The back end does not know how.
    NotImplemented,
    /// The back end failed.
    Failed,
    /// The back end failed with this error number of Linux, 6 to 4095. (The numbers below have the
    /// meanings above.)
    Errno(u16),
    /// The answer is malformed.
    Nonsense,
    /// There was no answer in time.
    TimedOut,
    /// There is no connection to a back end, or it has left an earlier operation unanswered.
    Gone,
}

impl Refusal {
    /// What an operation's error says, 0 being none.
    pub(super) fn check(error: i32) -> Result<(), Self> {
        Err(match error {
            err::SUCCESS => return Ok(()),
            err::DEV_NOT_FOUND => Refusal::NoDevice,
            err::INVALID_OFFSET => Refusal::BadOffset,
            err::ACCESS_DENIED => Refusal::Denied,
            err::NOT_IMPLEMENTED => Refusal::NotImplemented,
            err::OP_FAILED => Refusal::Failed,
            // Not zero and not below the limit, so it fits.
            LAST_ERRNO..=-1 => Refusal::Errno(error.unsigned_abs() as u16),
            _ => Refusal::Nonsense,
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoDevice => f.write_str("no such device"),
            Refusal::BadOffset => f.write_str("no such register"),
            Refusal::Denied => f.write_str("access denied"),
            Refusal::NotImplemented => f.write_str("not implemented by the backend"),
            Refusal::Failed => f.write_str("the backend failed"),
            Refusal::Errno(errno) => write!(f, "the backend failed with error {errno}"),
            Refusal::Nonsense => f.write_str("the backend's answer makes no sense"),
            Refusal::TimedOut => f.write_str("the backend does not answer"),
            Refusal::Gone => f.write_str("there is no backend"),
        }
    }
}

impl core::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_meanings_of_the_header() {
        assert_eq!(Refusal::check(0), Ok(()));
        assert_eq!(Refusal::check(-1), Err(Refusal::NoDevice));
        assert_eq!(Refusal::check(-5), Err(Refusal::Failed));
        assert_eq!(Refusal::check(-22), Err(Refusal::Errno(22)));
        for bad in [1, -4096, i32::MIN, i32::MAX] {
            assert_eq!(Refusal::check(bad), Err(Refusal::Nonsense));
        }
    }

    #[test]
    fn interrupts_are_numbers_and_differ() {
        let pirqs = |some: &[u16]| {
            let mut all = [0; MAX_VECTORS];
            all[..some.len()].copy_from_slice(some);
            Pirqs {
                all,
                count: some.len(),
            }
        };
        assert!(pirqs(&[3, 1, 2]).are_sound());
        assert!(!pirqs(&[3, 0, 2]).are_sound());
        assert!(!pirqs(&[3, 1, 3]).are_sound());
    }
}
