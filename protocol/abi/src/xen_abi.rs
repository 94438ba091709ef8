// SPDX-License-Identifier: GPL-2.0

//! Xen's public ABI in Rust: numbers, flags and wire structures, and nothing that acts on them.
//!
//! Every item names the C header it comes from, relative to `xen/include/public`. The test
//! `tests/headers.rs` compares sizes, offsets and values with the real headers, both Xen's and
//! the Linux kernel's copy of them, so nothing here is taken on trust.
//!
//! What does *not* live here: state machines and validation (crate `xen_ring`), hypercalls and
//! anything that touches memory (crate `xen`, the hypervisor). Names follow the C names without
//! their prefix, since the module path already says it: `BLKIF_OP_READ` is [`io::blkif::op::READ`].
//!
//! Wire structures are plain data of the guest's native byte order with every padding byte
//! spelled out, so a value can be copied to or from shared memory without leaking stack
//! (XSA-216). The same files are compiled into kernel modules; the crate needs `core` and
//! zerocopy only.
#![no_std]
// Kbuild passes `no_std` on the command line too.
#![allow(unused_attributes)]
#![forbid(unsafe_code)]

#[macro_use]
mod args;
pub mod command;
pub mod compat;
pub mod cpuid;
pub mod domctl;
pub mod errno;
pub mod event_channel;
pub mod features;
pub mod grant_table;
pub mod hvm;
pub mod io;
pub mod linux;
pub mod memory;
pub mod physdev;
pub mod platform;
pub mod sched;
pub mod sysctl;
pub mod vcpu;
pub mod vcpu_context;
pub mod version;
pub mod xen;

/// Size in bytes of the pages that grants, rings and frame numbers count in, on every
/// architecture and whatever page size the guest's kernel uses (`XC_PAGE_SIZE`, `XEN_PAGE_SIZE`).
pub const PAGE_SIZE: usize = 4096;
