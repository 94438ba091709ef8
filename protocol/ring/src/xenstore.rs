// SPDX-License-Identifier: GPL-2.0

//! The xenstore's formats: numbers in nodes, paths, and the messages of its wire protocol.
//!
//! What does not live here: a connection, transactions and watches; the kernel's xenbus has them.

pub mod node;
pub mod number;
pub mod path;
pub mod wire;
