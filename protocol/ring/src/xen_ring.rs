// SPDX-License-Identifier: GPL-2.0

//! Shared-ring state machines of the Xen PV protocols, front and back, and the protocols on top.
//!
//! Everything here is pure logic, generic over the memory it runs on ([`RingMem`]): the kernel
//! gives it granted pages, tests give it the heap (`HeapMem`) and play the peer on the same
//! bytes. The crate allocates nothing and contains no unsafe code.
//!
//! The rules, which hold for every type in this crate:
//!
//! - The peer is hostile and may write anything to shared memory at any time. Shared memory is
//!   never referenced, only copied, and each index or slot is copied once and then validated.
//! - A side trusts only its own private copy of the indexes it produces; what it published is
//!   never read back.
//! - `Full` and "nothing there" are flow control. [`Corrupt`] is a violation by the peer: it is
//!   sticky, every later call returns it, and only a fresh ring on fresh memory gets out of it.
//!
//! What does not live here: grant tables, event channels, page allocation, xenbus (crate `xen`).
#![no_std]
// Kbuild passes `no_std` on the command line too.
#![allow(unused_attributes)]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "std"))]
extern crate std;

mod back;
pub mod blkif;
pub mod bytes;
pub mod console;
mod error;
mod front;
#[cfg(any(test, feature = "std"))]
mod heap;
mod ids;
pub mod index;
mod layout;
pub mod loan;
mod mem;
pub mod netif;
pub mod pages;
pub mod pciif;
pub mod xenbus;
pub mod xenstore;

pub use back::{BackRing, Requests};
pub use error::{Corrupt, Notify, PushError, TooSmall};
pub use front::{FrontRing, Responses};
#[cfg(any(test, feature = "std"))]
pub use heap::HeapMem;
pub use ids::{IdSlot, IdTable, TagTable};
pub use layout::{HeadOf, Layout, VariantOf};
pub use mem::{FlagMem, RingMem};
