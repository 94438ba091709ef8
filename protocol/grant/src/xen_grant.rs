// SPDX-License-Identifier: GPL-2.0

//! Grant tables: the entries of both versions, guest's and hypervisor's half, and what a guest keeps
//! about its references.
//!
//! A grant lets another domain use a page. It is an entry in the granting domain's table, which the
//! hypervisor reads when the other domain maps or copies the page, and in which it marks that use
//! (`grant_table.h`).
//!
//! | module | what it is |
//! |---|---|
//! | [`layout`] | sizes of entries, frames, status frames and lists, of both versions, once |
//! | [`entry`] | the words of an entry, as one of the sides reaches them |
//! | [`guest`] | guest: to grant, and to revoke |
//! | [`hypervisor`] | hypervisor: to check an entry and mark a use, and to end it |
//! | [`references`] | guest: which references are free, in a list, in use, or deferred |
//! | [`summary`] | guest: who was granted how much, as a table for people |
//! | [`deferred`] | guest: references and pages that the other domain does not let go of |
//!
//! Both halves are pure logic over [`SharedWord`]s, which the caller finds. So they run against each
//! other in one test, with a third writer who changes any word between any two operations.
//!
//! # What must not happen
//!
//! - A page is used again while another domain can still reach it (XSA-396): a revoke *is* the test,
//!   there is no question before it, and what cannot be revoked is deferred together with its page.
//! - A use is granted by an entry that has been revoked, or for more than it allows: the mark and the
//!   check are one operation in version 1, and the check comes after the mark in version 2.
//! - A reference is freed twice: its state is known, and another one is an error that changes nothing.
//!
//! What does not live here: pages, hypercalls, locks, time. Functions of [`references`] and
//! [`deferred`] are called with the lock of the grant table held, unless they say otherwise.
#![no_std]
// Kbuild passes `no_std` on the command line too.
#![allow(unused_attributes)]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod deferred;
pub mod entry;
pub mod guest;
#[cfg(any(test, feature = "std"))]
mod host;
pub mod hypervisor;
pub mod layout;
pub mod references;
pub mod summary;

#[cfg(any(test, feature = "std"))]
pub use host::{HalfWord, HostMemory, HostTable, WaitingBox};
pub use layout::Version;
pub use xen_shared::SharedWord;
