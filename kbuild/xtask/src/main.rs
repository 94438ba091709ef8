// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask`: the tool in its work tree.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask::main(None)
}
