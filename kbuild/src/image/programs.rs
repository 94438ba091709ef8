// SPDX-License-Identifier: GPL-2.0

//! Programs in C for dom0, from `tests/nodes`: `node-calls` and `node-fuzz`. They want the C headers of the nodes
//! and make calls that Rust would have to be unsafe for.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process;
use crate::sandbox::Sandbox;
use crate::session::Session;
use crate::ui::Step;

/// The programs and their sources.
const PROGRAMS: [(&str, &str); 2] = [("node-calls", "calls.c"), ("node-fuzz", "fuzz.c")];

/// A key over the sources.
pub fn key(session: &Session) -> Result<String> {
    let mut all = String::new();
    for (_, source) in PROGRAMS {
        let path = path(session, source);
        all += &fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    }
    Ok(all)
}

/// Compiles the programs into the folder `to`, which is made. They are linked statically: dom0's libraries are not
/// the sandbox's.
pub fn build(session: &Session, step: &Step, sandbox: &Sandbox, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for (program, source) in PROGRAMS {
        let mut cc = sandbox
            .command("cc")
            .args(["-std=gnu11", "-O2", "-static", "-pthread"])
            .args(["-Wall", "-Wextra", "-Werror", "/source.c", "-o"])
            .arg(format!("/programs/{program}"))
            .ro_bind(path(session, source), "/source.c")
            .bind(to, "/programs")
            .build()?;
        process::run(
            step,
            "compiling a program for dom0",
            &mut cc,
            &session.log("programs"),
        )?;
    }
    Ok(())
}

fn path(session: &Session, source: &str) -> PathBuf {
    session.workspace().join("tests/nodes").join(source)
}
