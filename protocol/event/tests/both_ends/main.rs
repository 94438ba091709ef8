// SPDX-License-Identifier: GPL-2.0

//! Guest's and hypervisor's half on the same words: with nobody else, with real threads, and with a
//! hostile third writer who changes any word between any two operations of either side.

mod channels;
mod fifo;
mod two_level;
mod world;
