// SPDX-License-Identifier: GPL-2.0

//! The cargo of this machine, which also runs this program.

use std::path::Path;
use std::process::Command;

use kbuild::process;

/// Its name or path.
pub fn program() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

/// A command of it in the work tree.
pub fn command(workspace: &Path) -> Command {
    let mut command = process::tied(&program());
    command
        .current_dir(workspace)
        .env("CARGO_TERM_COLOR", "never");
    command
}
