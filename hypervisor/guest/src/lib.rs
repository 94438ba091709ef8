// SPDX-License-Identifier: GPL-2.0

//! A guest that misbehaves, to be booted as dom0: it makes every hypercall with random arguments, accesses registers,
//! ports and memory that are not its own, scribbles on memory that it shares with the hypervisor, and ends with a
//! triple fault. In between it checks that the hypervisor still works.
//!
//! This library chooses what is tried, all of it from a seed; the program does it.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod calls;
pub mod options;
pub mod random;
pub mod registers;
pub mod scratch;
pub mod strings;
