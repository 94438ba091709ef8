// SPDX-License-Identifier: GPL-2.0

//! PCI buses whose functions are another domain's: what the kernel asks of them becomes a
//! [`Request`], which an [`Access`] carries to the other domain.
//!
//! | part | what it is |
//! |---|---|
//! | [`Access`] | what a front end implements: one operation, done or refused |
//! | [`RootBus`] | a bus and the devices on it, scanned, added to and taken away |
//! | [`Frontend`] | the kernel's wish for MSI and MSI-X of such devices (`xen_pci_frontend`) |
//! | [`Users`] | waiting until nobody uses a bus any more, before a driver is unloaded |
//!
//! Whoever got a device from a bus may access its configuration space until he gives it back, also after the bus was
//! removed. So what stands behind a bus lives as long as the kernel's `struct pci_host_bridge`, and a driver waits for that
//! before it goes.
//!
//! C headers: `linux/pci.h`, `asm/xen/pci.h`.

mod bus;
mod config;
mod msi;
mod recover;

use kernel::prelude::*;
use xen_ring::pciif::{Address, Answer, Refusal, Request};

pub use bus::{RootBus, Users};
pub use msi::Frontend;

/// How the functions of a bus are reached.
pub trait Access: Send + Sync + 'static {
    /// Does one operation on the function at `at`. Any context, also with interrupts off: it sleeps only where
    /// [`may_sleep`](kernel_ext::sync::may_sleep) says so, and it ends within seconds.
    fn access(&self, at: Address, request: &Request<'_>) -> Result<Answer, Refusal>;
}
