// SPDX-License-Identifier: GPL-2.0

//! PCI buses whose functions are another domain's: what the kernel asks of them becomes a
//! [`Request`], which an [`Access`] carries to the other domain.
//!
//! | item | what it is |
//! |---|---|
//! | [`Access`] | what a front end implements: one operation, done or refused |
//! | [`RootBus`] | a bus and the devices on it, scanned, added to and removed |
//! | [`Frontend`] | what the kernel asks for MSI and MSI-X of such devices (`xen_pci_frontend`) |
//!
//! C header: `asm/xen/pci.h`.

mod msi;
mod passed;
mod root_bus;

use kernel::prelude::*;

use xen_ring::pciif::{
    Address,
    Answer,
    Refusal,
    Request, //
};

pub use msi::Frontend;
pub use root_bus::RootBus;

/// How the functions of a bus are reached.
pub trait Access: Send + Sync + 'static {
    /// Does one operation on the function at `at`. Any context, also with interrupts off: it sleeps
    /// only where [`may_sleep`](kernel_ext::sync::may_sleep) says so, and it ends within seconds.
    fn access(&self, at: Address, request: &Request<'_>) -> Result<Answer, Refusal>;
}
