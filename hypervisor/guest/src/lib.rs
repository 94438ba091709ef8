// SPDX-License-Identifier: GPL-2.0

//! A guest that misbehaves, to be booted as dom0: it makes every hypercall with arguments that mean nothing, touches
//! registers, ports and memory that are not its own, scribbles on what it shares with the hypervisor, and in the end dies of
//! a triple fault. In between it looks whether the hypervisor still answers as it should.
//!
//! Here is what it is going to do; the program beside it does it. Everything follows from a seed.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod calls;
pub mod options;
pub mod random;
pub mod registers;
pub mod scratch;
pub mod strings;
