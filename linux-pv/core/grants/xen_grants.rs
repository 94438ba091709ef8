// SPDX-License-Identifier: GPL-2.0

//! Grant tables: what this domain lets others use of its memory, and what it uses of theirs. In
//! place of `drivers/xen/grant-table.c` and `arch/x86/xen/grant-table.c`.
//!
//! | module | concept |
//! |---|---|
//! | [`access`] | to grant a frame, and to end that |
//! | [`references`] | giving references out and taking them back; who waits for some |
//! | [`state`] | what one lock protects: references, deferred grants, the size of the table |
//! | [`deferred`] | grants that could not be ended, which are tried again each second |
//! | [`entries`] | the table's words, which the hypervisor changes too |
//! | [`slots`] | memory for a word of each reference, which grows with the table |
//! | [`frames`] | what the hypervisor is asked for: version, size, frames |
//! | [`pv`] | where the table lies in a PV domain |
//! | [`translated`] | where it lies in other domains |
//! | [`start`] | initialisation, suspend and resume |
//! | [`map`] | mapping and copying what other domains have granted |
//! | [`unmap`] | unmapping it when nobody uses the pages any more |
//! | [`pages`] | pages to map at, and caches of them |
//! | [`dma`] | such pages that devices can use |
//! | [`chunks`] | pages as sequences of what one grant is for |
//! | [`file`] | the file in debugfs |
//! | [`report`] | mistakes of drivers, and messages that must not flood the log |
//!
//! The rules of entries, references and deferred grants are in `xen_grant`, which is tested on the
//! host, against the hypervisor's half. Functions with C names are declared in
//! `xen/grant_table.h`; their exports are in `exports.c`.
//!
//! Grants are made and ended in any context but an NMI, and nothing in this object can panic: the
//! overlay's build checks that. Neither what a hypervisor answers nor what another domain does
//! stops the kernel.

pub mod access;
pub mod chunks;
pub mod deferred;
#[cfg(CONFIG_XEN_GRANT_DMA_ALLOC)]
pub mod dma;
pub mod entries;
pub mod file;
pub mod frames;
pub mod map;
pub mod pages;
pub mod pv;
pub mod references;
pub mod report;
pub mod slots;
pub mod start;
pub mod state;
pub mod translated;
pub mod unmap;

/// Prefix of messages in the log, that of the C object.
const __LOG_PREFIX: &[u8] = b"xen:grant_table\0";
