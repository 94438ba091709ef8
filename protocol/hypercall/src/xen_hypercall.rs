// SPDX-License-Identifier: GPL-2.0

//! Hypercalls by type, for the side that makes them: one structure, or a list that reports its
//! progress; and [batches](batch) of hypercalls.
//!
//! [`Hypervisor`] is what makes a call: an instruction in the kernel, our hypervisor's logic or a
//! script in tests. A command's type ([`xen_abi::command`]) says which structure goes with which
//! number, and whether the hypervisor touches other memory: if it does not, any code can make the
//! call. The others are made by code that answers for that memory, and is unsafe in the kernel; it
//! uses what is here to read the answer.
//!
//! | function | command | reports |
//! |---|---|---|
//! | [`call`] | one structure, no other memory | success, or an error number |
//! | [`call_list`] | a list of structures with a status each | [`ListProgress`]: which were done, failed, or not reached |
//! | [`Extents::of`] | a count of extents (`memory_op`) | how many were done |
//!
//! # An answer is not trusted
//!
//! Where C compares the result with a number and stops the kernel if it differs, these report it.
//! An answer that no hypervisor gives (more extents than asked for, an error number out of range) is
//! an error like others.
//!
//! [`names`] has the hypercalls' names.
//!
//! What does not live here: the instruction, guest handles.
#![no_std]
// Kbuild passes `no_std` on the command line too.
#![allow(unused_attributes)]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod batch;
mod list;
pub mod names;

use core::fmt;
pub use list::{call_list, Extents, ListProgress};
use xen_abi::command::PlainCommand;

/// What makes hypercalls.
pub trait Hypervisor {
    /// Makes a call with one structure, which is written back as the command's direction says.
    /// Returns what the hypervisor returned.
    fn call<C: PlainCommand>(&self, argument: &mut C::Argument) -> i64;
}

impl<H: Hypervisor> Hypervisor for &H {
    #[inline]
    fn call<C: PlainCommand>(&self, argument: &mut C::Argument) -> i64 {
        H::call::<C>(self, argument)
    }
}

/// An error number that a hypercall has returned, positive, of [`xen_abi::errno`] or unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(u16);

/// The largest error number (Linux: `MAX_ERRNO`).
const MAX_ERRNO: i64 = 4095;

impl Errno {
    /// What stands for an answer that no hypervisor gives.
    pub const BAD_ANSWER: Self = Self(xen_abi::errno::EIO as u16);

    /// The number, positive.
    #[inline]
    pub const fn number(self) -> i32 {
        self.0 as i32
    }

    /// Takes the error number from a result, or returns the result.
    ///
    /// # Errors
    ///
    /// The number, or [`BAD_ANSWER`](Self::BAD_ANSWER) if it is none.
    #[inline]
    pub const fn check(result: i64) -> Result<u64, Self> {
        if result >= 0 {
            Ok(result as u64)
        } else if result >= -MAX_ERRNO {
            Err(Self(-result as u16))
        } else {
            Err(Self::BAD_ANSWER)
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error {}", self.0)
    }
}

impl core::error::Error for Errno {}

/// Makes a call with one structure, and returns what it returned if that is no error.
///
/// # Errors
///
/// The hypervisor's error number. The structure may have been changed.
#[inline]
pub fn call<C: PlainCommand>(
    hypervisor: &impl Hypervisor,
    argument: &mut C::Argument,
) -> Result<u64, Errno> {
    Errno::check(hypervisor.call::<C>(argument))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_result_is_a_value_an_error_or_neither() {
        assert_eq!(Errno::check(0), Ok(0));
        assert_eq!(Errno::check(i64::MAX), Ok(i64::MAX as u64));
        assert_eq!(Errno::check(-1).map_err(Errno::number), Err(1));
        assert_eq!(Errno::check(-4095).map_err(Errno::number), Err(4095));
        for result in [-4096, i64::MIN] {
            assert_eq!(Errno::check(result), Err(Errno::BAD_ANSWER));
        }
        assert_eq!(Errno::BAD_ANSWER.to_string(), "error 5");
    }
}
