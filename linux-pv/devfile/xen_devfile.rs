// SPDX-License-Identifier: GPL-2.0

//! What the device files of the Xen toolstack (`/dev/xen/*`) decide, as pure logic: the queue of
//! pending ports, restriction to a domain, and whether the numbers that a process passes are valid.
//!
//! The process that has a device file open is as hostile as another domain: what it passes is
//! copied once, and the functions here check the copy. The crate allocates nothing and contains no
//! unsafe code. What does not live here: code that needs the kernel (crate `xen`) or a hypercall
//! (the drivers).
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
