// SPDX-License-Identifier: GPL-2.0

//! Event channels as interrupts of the kernel, in place of `drivers/xen/events`.
//!
//! | module | concept |
//! |---|---|
//! | [`channel`] | a bound event channel, and its life |
//! | [`table`] | the channel of a port |
//! | [`irqs`] | the channel of an interrupt, and descriptors of interrupts |
//! | [`mapping`] | the lock of who binds and unbinds |
//! | [`delivery`] | the ABI in use: which ports are pending, masked, and set up |
//! | [`fifo`], [`two_level`] | the memory of the two ABIs |
//! | [`vcpu`] | what a CPU shares with the hypervisor |
//! | [`upcall`] | handling events |
//! | [`lateeoi`] | the end of an event of another domain, and its delay |
//! | [`chips`] | the tables of functions that the interrupt core calls (`struct irq_chip`) |
//! | [`affinity`] | on which CPU a channel's events are handled |
//! | [`bind`](mod@bind) | binding and unbinding channels |
//! | [`per_vcpu`] | virqs and IPIs, which belong to a vCPU |
//! | [`pirq`], [`pirq_bind`] | interrupts of devices |
//! | [`users`] | channels with several users |
//! | [`signal`] | sending, polling, and asking whether an event is pending |
//! | [`resume`] | new channels after a restore |
//! | [`start`] | initialisation |
//! | [`hypercall`], [`device`] | hypercalls, devices of the xenbus |
//! | [`show`], [`debug`] | the file in debugfs, and what is printed when a CPU hangs |
//!
//! The ABIs and what is decided about a channel are in `xen_event`, which is tested on the host and
//! which the hypervisor uses too. Functions with C names are declared in `xen/events.h`, which says
//! what they do; exports are in `exports.c`, parameters of the command line in `tables.c`.
//!
//! # Life of a channel
//!
//! A channel is found by its port ([`table`]) or by its interrupt ([`irqs`]), both within a
//! read-side section of RCU. Whoever unbinds it first takes it out of both, then waits for a grace
//! period and for the timer of its EOI, and frees channel and descriptor. So an upcall on another
//! CPU may still have the channel that is being unbound. Who holds the lock of [`mapping`] can keep
//! what it finds for longer: channels are only taken out with the lock held.
//!
//! Locks, the outer ones first: [`mapping`], a descriptor's, a channel's. Neither of the latter two
//! sleeps.
//!
//! # Nothing stops the kernel
//!
//! Where C has `BUG()` for an answer of the hypervisor, a number in shared memory or a driver's
//! mistake, this says so and goes on without that channel.

pub mod affinity;
pub mod bind;
pub mod channel;
pub mod chips;
pub mod debug;
pub mod delivery;
pub mod device;
pub mod fifo;
pub mod hypercall;
pub mod irqs;
pub mod lateeoi;
pub mod mapping;
pub mod per_vcpu;
pub mod pirq;
pub mod pirq_bind;
pub mod resume;
pub mod show;
pub mod signal;
pub mod start;
pub mod table;
pub mod two_level;
pub mod upcall;
pub mod users;
pub mod vcpu;

/// Prefix of messages in the log, that of the C objects.
const __LOG_PREFIX: &[u8] = b"xen:events\0";
