// SPDX-License-Identifier: GPL-2.0

//! Steal time: for how long the hypervisor kept a vCPU from running, in place of
//! `drivers/xen/time.c`.
//!
//! | module | concept |
//! |---|---|
//! | [`runstate`] | the per-CPU areas that the hypervisor writes, and their clocks |
//! | [`start`] | switching the kernel's steal clock to them at boot |
//!
//! The protocol of an area and the arithmetic of the clock are in `xen_runstate`, which is tested
//! on the host. Functions with C names are declared in `xen/xen-ops.h`; the C object exports none
//! of them to modules.
//!
//! The scheduler reads the clock with a run queue's lock held, and spinlocks of PV domains ask
//! whether a vCPU waits. So nothing in this object can panic: the overlay's build checks that.

pub mod runstate;
pub mod start;

/// Prefix of messages in the log, that of the C objects.
const __LOG_PREFIX: &[u8] = b"xen\0";
