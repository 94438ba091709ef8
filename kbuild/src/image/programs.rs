// SPDX-License-Identifier: GPL-2.0

//! Programs in C for dom0: `node-calls`, from `tests/nodes/calls.c`, which wants the C headers of the nodes and
//! makes calls that Rust would have to be unsafe for.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process;
use crate::sandbox::Sandbox;
use crate::session::Session;
use crate::ui::Step;

/// A key over the source.
pub fn key(session: &Session) -> Result<String> {
    let source = source(session);
    fs::read_to_string(&source).with_context(|| source.display().to_string())
}

/// Compiles the program into the folder `to`, which is made. It is linked statically: dom0's libraries are not the
/// sandbox's.
pub fn build(session: &Session, step: &Step, sandbox: &Sandbox, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let mut cc = sandbox
        .command("cc")
        .args([
            "-std=gnu11",
            "-O2",
            "-static",
            "-Wall",
            "-Wextra",
            "-Werror",
        ])
        .args(["/source.c", "-o", "/programs/node-calls"])
        .ro_bind(source(session), "/source.c")
        .bind(to, "/programs")
        .build()?;
    process::run(
        step,
        "compiling a program for dom0",
        &mut cc,
        &session.log("programs"),
    )
}

fn source(session: &Session) -> PathBuf {
    session.workspace().join("tests/nodes/calls.c")
}
