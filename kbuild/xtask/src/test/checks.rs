// SPDX-License-Identifier: GPL-2.0

//! Checks of the source. What reads files only needs nothing but the work tree; what runs tools runs those of the sandbox:
//! the verdict is the same on every machine, and it is the oldest compiler's that we promise to support.

mod clippy;
mod format;
mod fuzzing;
mod rules;

use anyhow::Result;
use kbuild::{SandboxCommand, Session};

use super::tools::HostTools;

/// A check, by what it needs.
#[derive(Clone, Copy)]
pub enum Check {
    /// The work tree.
    Tree(fn(&Session) -> Result<()>),
    /// The kernel under test and the sandbox in which it is built.
    Tools(fn(&HostTools) -> Result<()>),
}

/// All checks with their names.
pub const ALL: [(&str, Check); 5] = [
    (
        "the_source_keeps_the_houses_rules",
        Check::Tree(rules::check),
    ),
    ("the_source_is_formatted", Check::Tools(format::check)),
    (
        "clippy_finds_nothing_in_the_host_crates",
        Check::Tools(clippy::host_crates),
    ),
    (
        "clippy_finds_nothing_in_the_kernel_modules",
        Check::Tools(clippy::modules),
    ),
    (
        "fuzzing_for_seconds_finds_nothing",
        Check::Tools(fuzzing::briefly),
    ),
];

/// The sandbox's cargo, with the work tree at a place where it can be read only.
fn cargo(tools: &HostTools) -> SandboxCommand {
    tools
        .sandbox
        .command("cargo")
        .ro_bind(tools.session.workspace(), "/paravane")
        .current_dir("/paravane")
        .env("CARGO_TERM_COLOR", "never")
}
