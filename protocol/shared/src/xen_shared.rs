// SPDX-License-Identifier: GPL-2.0

//! Words of memory that two sides change at the same time: what the crates `xen_event` and
//! `xen_grant` run on.
//!
//! A ring is memory of which each side owns some part, and its slots are copied (`RingMem` of crate
//! `xen_ring`). Event words and grant entries are different: both sides change bits of the same
//! word, so every change is one atomic operation on one word. [`SharedWord`] is such a word. It is
//! a handle and no reference: the kernel makes one of a pointer into a page, the hypervisor of a
//! machine address, tests of an atomic on the heap.
//!
//! | item | what it is |
//! |---|---|
//! | [`SharedWord`] | the operations, and in what order the other side sees them |
//! | `WrittenBetween` | a word into which a third writer writes before each operation (tests) |
//! | `assert_finds` | a model checker finds a fault that is in the code (tests) |
//!
//! What does not live here: what the bits mean.
#![no_std]
// Kbuild passes `no_std` on the command line too.
#![allow(unused_attributes)]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "std"))]
extern crate std;

#[cfg(any(test, feature = "std"))]
mod host;
#[cfg(any(test, feature = "std"))]
mod model;
mod word;

#[cfg(any(test, feature = "std"))]
pub use host::WrittenBetween;
#[cfg(any(test, feature = "std"))]
pub use model::assert_finds;
pub use word::SharedWord;
