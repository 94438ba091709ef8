// SPDX-License-Identifier: GPL-2.0

//! Programs in C for dom0, from `tests/devfile`. They want the C headers of the device files and make calls that Rust would have
//! to be unsafe for.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process;
use crate::sandbox::Sandbox;
use crate::session::Session;
use crate::ui::Step;

/// The programs and their sources.
const PROGRAMS: [(&str, &[&str]); 8] = [
    (
        "devfile-calls",
        &["calls.c", "eventfd_calls.c", "dmabuf_calls.c", "check.c"],
    ),
    (
        "devfile-dmabufs",
        &["dmabufs.c", "dmabuf_calls.c", "check.c"],
    ),
    ("devfile-fuzz", &["fuzz.c", "fuzz_dmabuf.c", "check.c"]),
    ("devfile-hypercalls", &["hypercalls.c"]),
    ("devfile-eventfds", &["eventfds.c", "check.c"]),
    ("test-pciback", &["pciback.c", "check.c"]),
    ("devfile-load", &["load.c", "load-maps.c", "load-events.c"]),
    ("test-cpuid", &["cpuid.c"]),
];

/// What sources include.
const HEADERS: [&str; 5] = ["check.h", "fuzz.h", "granted.h", "load.h", "requests.h"];

/// A key over the sources.
pub fn key(session: &Session) -> Result<String> {
    let sources = PROGRAMS.iter().flat_map(|(_, sources)| *sources);
    let mut all = String::new();
    for source in sources.chain(&HEADERS) {
        let path = folder(session).join(source);
        all += &fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    }
    Ok(all)
}

/// Compiles the programs into the folder `to`, which is made. They are linked statically: dom0's libraries are not
/// the sandbox's.
pub fn build(session: &Session, step: &Step, sandbox: &Sandbox, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for (program, sources) in PROGRAMS {
        let mut cc = sandbox
            .command("cc")
            .args(["-std=gnu11", "-O2", "-static", "-pthread"])
            .args(["-Wall", "-Wextra", "-Werror"])
            .args(sources.iter().map(|source| format!("/sources/{source}")))
            .arg("-o")
            .arg(format!("/programs/{program}"))
            .ro_bind(folder(session), "/sources")
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

fn folder(session: &Session) -> PathBuf {
    session.workspace().join("tests/devfile")
}
