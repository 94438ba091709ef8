// SPDX-License-Identifier: GPL-2.0

//! What the device nodes of the Xen toolstack (`/dev/xen/*`) decide, as pure logic: the queue of pending
//! ports, restriction to a domain, and whether the numbers that a program passes make sense.
//!
//! The program on the other side of a node is as hostile as another domain: what it passes is copied
//! once, and what is in here looks at the copy. The crate allocates nothing and contains no unsafe code.
//! What does not live here: whatever needs the kernel (crate `xen`) or a hypercall (the drivers).
#![no_std]
// Kbuild passes `no_std` on the command line too.
#![allow(unused_attributes)]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod batch;
pub mod buffers;
pub mod copy;
pub mod dmabuf;
pub mod eventfds;
pub mod ioreq;
pub mod mapping;
pub mod offsets;
pub mod pending;
pub mod quota;
pub mod restrict;
