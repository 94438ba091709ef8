// SPDX-License-Identifier: GPL-2.0

//! How devices and their interrupts are told to the hypervisor, as pure logic.
//!
//! A device pulls a line or writes a message. Between that and the driver's handler stand the firmware's tables, the
//! interrupt controller, which is the hypervisor's, a physical interrupt of the domain (pirq) and an event channel. Each link of
//! that chain has a part here:
//!
//! | module | what it decides |
//! |---|---|
//! | [`mod@line`] | trigger and polarity, in the words of ACPI, the I/O APIC and the hypervisor |
//! | [`gsi`] | mapping an interrupt line to a pirq, and telling the hypervisor how it is triggered |
//! | [`msi`] | mapping an MSI, several, or an MSI-X entry |
//! | [`function`] | which call tells the hypervisor of a device, and what an old hypervisor gets instead |
//! | [`sleep`] | which values ACPI's sleep registers may get |
//! | [`book`] | what was asked for each interrupt line, and what came of it |
//! | [`table`] | the rows of the bring-up table, and what in a row is a mismatch |
//!
//! The hypervisor is behind [`Physdev`]. The crate allocates nothing and contains no unsafe code. What does not live here:
//! hypercalls, ACPI's interpreter and the kernel's structures (`core/pci`).
#![no_std]
// Kbuild passes `no_std` on the command line too.
#![allow(unused_attributes)]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod book;
pub mod function;
pub mod gsi;
pub mod line;
pub mod msi;
pub mod sleep;
pub mod table;
#[cfg(test)]
mod testing;

use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

use zerocopy::{FromBytes, IntoBytes};

/// The domain itself (`DOMID_SELF`).
pub const SELF: u16 = 0x7ff0;

pub use xen_abi::errno::{EEXIST, EINVAL, ENOSYS};

/// A way to the hypervisor's `physdev_op`.
pub trait Physdev {
    /// Carries out a command; 0 or more, or a negative error number.
    fn call<T: IntoBytes + FromBytes>(&self, command: u32, argument: &mut T) -> i32;
}

/// Whether a hypervisor knows calls that name a segment. It is found out by trying, once.
pub struct Segments(AtomicU8);

impl Segments {
    const UNKNOWN: u8 = 0;
    const KNOWN: u8 = 1;
    const UNHEARD_OF: u8 = 2;

    /// Not tried yet.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(AtomicU8::new(Self::UNKNOWN))
    }

    /// Whether to try.
    pub fn worth_trying(&self) -> bool {
        self.0.load(Relaxed) != Self::UNHEARD_OF
    }

    /// Whether it was seen to know them.
    pub fn are_known(&self) -> bool {
        self.0.load(Relaxed) == Self::KNOWN
    }

    fn learn(&self, known: bool) {
        let value = match known {
            true => Self::KNOWN,
            false => Self::UNHEARD_OF,
        };
        self.0.store(value, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_of_segments_is_remembered() {
        let segments = Segments::new();
        assert!(segments.worth_trying() && !segments.are_known());
        segments.learn(true);
        assert!(segments.worth_trying() && segments.are_known());
        segments.learn(false);
        assert!(!segments.worth_trying() && !segments.are_known());
    }
}
