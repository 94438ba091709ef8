// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask`.
fn main() {}
