// SPDX-License-Identifier: GPL-2.0

//! The console of a domain, in place of `drivers/tty/hvc/hvc_xen.c`: `hvc0` and those of the
//! xenbus, the early console `xenboot`, and what the kernel says before it has any console.
//!
//! | module | concept |
//! |---|---|
//! | [`ring`] | one console's page: what is written, read, and waited for |
//! | [`consoles`] | the consoles by their numbers, for any context |
//! | [`hypervisor`] | the hypervisor's own console, and other hypercalls |
//! | [`ops`] | the operations that the kernel's hvc driver calls |
//! | [`early`] | `xenboot`, and lines before any console |
//! | [`start`] | finding the first console at boot, and again after a restore |
//! | [`frontend`] | consoles of the xenbus |
//!
//! The protocol of the page, and for how long a daemon is waited for, are in
//! `xen_ring::console`, which is tested on the host. What has to be C is in `tables.c`.
//!
//! This runs when the kernel reports its own death, before it has an allocator, and with
//! interrupts disabled. So nothing in this object can panic: the overlay's build checks that.

pub mod consoles;
pub mod early;
pub mod frontend;
pub mod hypervisor;
pub mod ops;
pub mod ring;
pub mod start;

/// Prefix of messages in the log, that of the C object.
const __LOG_PREFIX: &[u8] = b"xencons\0";
