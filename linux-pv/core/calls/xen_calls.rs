// SPDX-License-Identifier: GPL-2.0

//! The hypercall layer of the kernel's Xen support: what the hypervisor can do, and batches of
//! hypercalls. In place of `drivers/xen/features.c` and `arch/x86/xen/multicalls.c`.
//!
//! | module | concept |
//! |---|---|
//! | [`features`] | the features that the hypervisor reports, asked for before anything else |
//! | [`multicalls`] | the functions that C calls to collect and make hypercalls |
//! | [`buffer`] | each CPU's batch, in memory that the hypervisor reads and writes |
//! | [`counts`] | the file in debugfs with how often each hypercall was made |
//! | [`report`] | calls that have failed, and `xen_mc_debug` |
//! | [`trace`] | tracepoints |
//!
//! The rules of a batch are in `xen_hypercall::batch`, which is tested on the host; the instruction
//! is in `xen_core::hypercall_instruction`. Functions with C names are declared in
//! `xen/features.h` and `arch/x86/xen/xen-ops.h`; the export is in `exports.c`.
//!
//! A PV domain is here before it has a console, per-CPU memory and an allocator, and later in every
//! change of a page table. So nothing in this object can panic: the overlay's build checks that. A
//! PV kernel stops if the hypervisor lacks a feature that it cannot do without.

pub mod buffer;
pub mod counts;
pub mod features;
pub mod multicalls;
pub mod report;
pub mod trace;

/// Prefix of messages in the log, that of the C objects.
const __LOG_PREFIX: &[u8] = b"xen\0";
