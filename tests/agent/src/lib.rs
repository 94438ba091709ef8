// SPDX-License-Identifier: GPL-2.0

//! The agent: a small static program that runs in dom0 and in every guest, and the protocol it speaks.
//!
//! The host talks to dom0's agent over a virtio serial port. A guest's agent is reached through dom0's, over
//! a mailbox of xenstore nodes: that needs none of the drivers under test (no network, no block device), and
//! it survives `xl save` and `xl restore`.
//!
//! What lives here: frames ([`wire`]), messages ([`message`]), the mailbox ([`mailbox`]) on top of the client of crate
//! `xenstore`, and the server that executes requests ([`serve`]). What does not: the side
//! that sends the requests, which is crate `vmtest`.

#![forbid(unsafe_code)]

pub mod job;
pub mod mailbox;
pub mod message;
pub mod relay;
pub mod serve;
pub mod wire;

/// The name of the virtio serial port between the host and dom0's agent.
pub const PORT: &str = "paravane.agent";
