// SPDX-License-Identifier: GPL-2.0

//! Fuzzing of what faces a hostile peer: rings, the messages of the block, network and PCI protocols,
//! event channels, grants, what a back end writes to the xenstore, the xenstore's messages, and hypercalls;
//! and of packed kernels and what boot loaders tell.
//!
//! A target is a plain function of bytes that panics if a promise is broken. It is run
//!
//! - by `cargo test`, on any compiler, with a fixed number of made-up inputs that are the same
//!   each time (`tests/bounded.rs`; `PARAVANE_FUZZ_ROUNDS` makes it more);
//! - by libFuzzer, guided by coverage, for as long as you like: `cargo xtask fuzz --time 1h front_ring`.
//!
//! An input that libFuzzer found to break a promise becomes a test of its own (`regressions`).
#![forbid(unsafe_code)]

mod blkif;
mod bytes;
mod console;
mod event;
mod grant;
mod hypercall;
mod kernel;
mod loader;
mod netif;
mod pciif;
mod ring;
mod store;

pub use blkif::{blkif_request, blkif_response};
pub use console::console;
pub use event::event_channels;
pub use grant::grants;
pub use hypercall::hypercall;
pub use kernel::bzimage;
pub use loader::multiboot;
pub use netif::{netif_control, netif_request, netif_rx, netif_tx};
pub use pciif::{pciif_answer, pciif_request, pciif_store};
pub use ring::{back_ring, front_ring};
pub use store::{features, netif_features, xenstore};

/// A target: it panics if the bytes break a promise.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Target); 20] = [
    ("front_ring", front_ring),
    ("back_ring", back_ring),
    ("blkif_request", blkif_request),
    ("blkif_response", blkif_response),
    ("features", features),
    ("netif_rx", netif_rx),
    ("netif_tx", netif_tx),
    ("netif_request", netif_request),
    ("netif_control", netif_control),
    ("netif_features", netif_features),
    ("pciif_answer", pciif_answer),
    ("pciif_request", pciif_request),
    ("pciif_store", pciif_store),
    ("xenstore", xenstore),
    ("console", console),
    ("event_channels", event_channels),
    ("grants", grants),
    ("hypercall", hypercall),
    ("bzimage", bzimage),
    ("multiboot", multiboot),
];
