// SPDX-License-Identifier: GPL-2.0

//! The console's page, `io/console.h`: two byte rings between a domain and the console daemon.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Values of [`Interface::connection`] (`XENCONSOLE_*`, in Linux's header only).
pub mod connection {
    /// The daemon takes output. Also what a page of zeroes says, from a daemon that does not know
    /// the field.
    pub const CONNECTED: u8 = 0;
    /// No daemon takes output yet.
    pub const DISCONNECTED: u8 = 1;
}

args! {
    no default:
    /// The beginning of the page that a domain and the console daemon share
    /// (`struct xencons_interface`).
    Interface {
        /// Input to the domain (`in`). The daemon writes it.
        input: [u8; 1024],
        /// Output of the domain.
        out: [u8; 2048],
        /// How many bytes of input the domain has read, modulo 2³².
        in_cons: u32,
        /// How many bytes of input the daemon has written.
        in_prod: u32,
        /// How many bytes of output the daemon has read.
        out_cons: u32,
        /// How many bytes of output the domain has written.
        out_prod: u32,
        /// See [`connection`]; behind the end of Xen's structure.
        connection: u8,
        /// Zero; fills the structure.
        pad: [u8; 3],
    }
}
