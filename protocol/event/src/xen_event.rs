// SPDX-License-Identifier: GPL-2.0

//! Event channels in shared memory: the 2-level and the FIFO ABI, guest's and hypervisor's half.
//!
//! An event channel is a bit between two domains, or between the hypervisor and a domain. How a
//! domain finds out which of its ports are pending is one of two ABIs (`event_channel.h`):
//!
//! | module | ABI | pending ports are |
//! |---|---|---|
//! | [`two_level`] | 2-level, 4096 ports | bits in the shared info page; a selector for each vCPU says which words to look at |
//! | [`fifo`] | FIFO, 2¹⁷ ports | words in an array, linked to 16 queues for each vCPU, one for each priority |
//!
//! Each has a module `guest` and a module `hypervisor`. [`upcall`] is the byte by which the
//! hypervisor tells a vCPU to look at all.
//!
//! What a guest decides about its channels, whatever the ABI:
//!
//! | module | decision |
//! |---|---|
//! | [`mask`] | whether a port is masked, for one of several reasons |
//! | [`lateeoi`] | how long a channel stays masked whose other domain sends events without work |
//! | [`patience`] | when an upcall has taken so long that EOIs are put off |
//! | [`references`] | whether a channel has users left |
//! | [`spread`] | which CPU gets a channel |
//!
//! Everything here is pure logic over [`SharedWord`]s, which the caller finds: the kernel in its
//! pages, the hypervisor by machine addresses, tests on the heap. So both halves run against each
//! other in one test, with a third writer who changes any word between any two operations.
//!
//! # The other side is hostile
//!
//! - The hypervisor reads nothing of a guest's memory that it relies on. Whatever a guest writes
//!   there, it loses its own events at most.
//! - A guest's port numbers from shared memory are checked against its own array, queues are
//!   left after a number of steps that the caller says, and no loop waits for the other side. What
//!   an honest hypervisor cannot write is reported as [`Corrupt`], and the next queue is served.
//!
//! What does not live here: which port is bound to what, interrupts, hypercalls, pages.
#![no_std]
// Kbuild passes `no_std` on the command line too.
#![allow(unused_attributes)]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod fifo;
#[cfg(any(test, feature = "std"))]
mod host;
pub mod lateeoi;
pub mod mask;
pub mod patience;
pub mod references;
mod result;
pub mod spread;
pub mod two_level;
pub mod upcall;

#[cfg(any(test, feature = "std"))]
pub use host::{HostControl, HostDomain, HostMemory, HostVcpu, HostWord};
pub use result::{Corrupt, Raised, Unmask};
pub use xen_shared::SharedWord;
