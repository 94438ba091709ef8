// SPDX-License-Identifier: GPL-2.0

//! Reporting PCI devices and their interrupts to the hypervisor, as pure logic.
//!
//! A device asserts INTx or writes an MSI. From there to the driver's handler, an interrupt passes
//! the firmware's tables, the interrupt controller, which belongs to the hypervisor, a pirq
//! (physical interrupt of the domain) and an event channel. There is a module for each step:
//!
//! | module | concept |
//! |---|---|
//! | [`irq_type`] | trigger and polarity, as encoded by ACPI, I/O APIC and hypervisor |
//! | [`gsi`] | mapping a GSI to a pirq, with its trigger and polarity |
//! | [`msi`] | mapping one MSI, several, or an MSI-X entry |
//! | [`function`] | reporting PCI functions, with the calls of old hypervisors as a fallback |
//! | [`sleep`] | values for ACPI's sleep registers |
//! | [`requests`] | what was requested for each GSI, with the hypervisor's answer |
//! | [`table`] | the rows of the debugfs file `interrupts`, and their inconsistencies |
//!
//! The hypervisor is behind [`Physdev`]. The crate allocates nothing and has no unsafe code.
//! Hypercalls, ACPI and the kernel's structures are in `core/pci` and `core/acpi`.
#![no_std]
// Kbuild passes `no_std` on the command line too.
#![allow(unused_attributes)]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod function;
pub mod gsi;
pub mod irq_type;
pub mod msi;
pub mod requests;
pub mod sleep;
pub mod table;
#[cfg(test)]
mod testing;

use core::sync::atomic::{
    AtomicU8,
    Ordering::Relaxed, //
};

use xen_abi::command::PlainCommand;

/// The calling domain (`DOMID_SELF`).
pub const SELF: u16 = 0x7ff0;

pub use xen_abi::errno::{
    EEXIST,
    EINVAL,
    ENOSYS, //
};

/// The hypercall `physdev_op`.
pub trait Physdev {
    /// Makes the call; returns 0 or more, or a negative error number. `C` is a command of this
    /// hypercall.
    fn call<C: PlainCommand>(&self, argument: &mut C::Argument) -> i32;
}

/// Whether the hypervisor has the commands that take a PCI segment (Xen 4.2). Learned from the
/// first such command.
pub struct SegmentSupport(AtomicU8);

impl SegmentSupport {
    const UNKNOWN: u8 = 0;
    const SUPPORTED: u8 = 1;
    const UNSUPPORTED: u8 = 2;

    /// Not known yet.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(AtomicU8::new(Self::UNKNOWN))
    }

    /// Whether such a command was not refused with `ENOSYS` yet.
    pub fn may_be_supported(&self) -> bool {
        self.0.load(Relaxed) != Self::UNSUPPORTED
    }

    /// Whether such a command was accepted.
    pub fn is_supported(&self) -> bool {
        self.0.load(Relaxed) == Self::SUPPORTED
    }

    fn learn(&self, supported: bool) {
        let value = match supported {
            true => Self::SUPPORTED,
            false => Self::UNSUPPORTED,
        };
        self.0.store(value, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_of_segments_is_remembered() {
        let segments = SegmentSupport::new();
        assert!(segments.may_be_supported() && !segments.is_supported());
        segments.learn(true);
        assert!(segments.may_be_supported() && segments.is_supported());
        segments.learn(false);
        assert!(!segments.may_be_supported() && !segments.is_supported());
    }
}
