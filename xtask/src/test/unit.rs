// SPDX-License-Identifier: GPL-2.0

//! `cargo test` of every crate, and of the ABI against the C headers in the sandbox.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use kbuild::process;

use super::HostTools;
use super::checks::host_cargo;
use super::libtest::{Reader, program_of};
use crate::report::{Case, Outcome};

/// Runs all tests; results go to `sink` as they become known.
pub fn run(tools: &HostTools, sink: &mut dyn FnMut(Case)) -> Result<()> {
    let session = tools.session;
    // bindgen runs in the sandbox and reads a file that the test writes to its temporary folder; both see this
    // one under the same name.
    let shared = tempfile::Builder::new()
        .prefix("paravane-")
        .tempdir_in("/tmp")?;
    let bindgen = shared.path().join("bindgen");
    write_bindgen(tools, shared.path(), &bindgen)?;

    let step = session.ui.step("Testing on the host");
    let log = session.log("cargo-test");
    let mut cargo = host_cargo(session.workspace());
    cargo
        .args(["test", "--workspace", "--no-fail-fast"])
        .env("TMPDIR", shared.path())
        .env("PARAVANE_BINDGEN", &bindgen)
        .env("PARAVANE_XEN_HEADERS", "/usr/include")
        .env("PARAVANE_LINUX_HEADERS", "/kernel/src")
        .env("PARAVANE_HEADERS_REQUIRED", "1");
    let mut reader = Reader::default();
    let mut count = 0;
    let ran = process::run_watched(&step, "cargo test", &mut cargo, &log, |line| {
        for case in reader.line(line) {
            count += 1;
            sink(Case {
                log: Some(log.clone()),
                ..case
            });
        }
    });
    for case in reader.end(false) {
        count += 1;
        sink(Case {
            log: Some(log.clone()),
            ..case
        });
    }
    match ran {
        Ok(()) if count > 0 => (),
        Err(_) if reader.failed => (),
        Ok(()) => sink(broken("cargo test ran no test".into(), &log)),
        Err(error) => sink(broken(format!("{error:#}"), &log)),
    }
    step.done(&format!("{count} tests"));
    Ok(())
}

/// The names of all tests; builds them.
pub fn list() -> Result<Vec<String>> {
    let workspace = kbuild::session::find_workspace()?;
    let mut cargo = host_cargo(&workspace);
    let out = cargo
        .args(["test", "--workspace", "--", "--list"])
        .output()
        .context("cannot start cargo")?;
    anyhow::ensure!(
        out.status.success(),
        "the tests do not build:\n{}",
        String::from_utf8_lossy(&out.stderr)
    );
    // Program names are on standard error, test names on standard output, one empty line between programs.
    let stderr = String::from_utf8_lossy(&out.stderr);
    let mut programs = stderr.lines().filter_map(program_of);
    let mut program = programs.next().unwrap_or_default();
    let mut names = Vec::new();
    for line in String::from_utf8_lossy(&out.stdout).lines() {
        if let Some(name) = line.strip_suffix(": test") {
            names.push(format!("{program}::{}", name.trim()));
        } else if line.contains(" tests, ") || line.contains(" test, ") {
            program = programs.next().unwrap_or_default();
        }
    }
    Ok(names)
}

fn broken(why: String, log: &Path) -> Case {
    Case {
        suite: "unit".into(),
        name: "cargo_test_runs".into(),
        outcome: Outcome::Failed(why),
        time: None,
        log: Some(log.to_owned()),
    }
}

/// A script that runs the sandbox's bindgen.
fn write_bindgen(tools: &HostTools, shared: &Path, script: &Path) -> Result<()> {
    let command = tools
        .kernel
        .show_devel(tools.sandbox.command("bindgen").bind(shared, shared))
        .build()?;
    fs::write(
        script,
        format!("#!/bin/sh\nexec {} \"$@\"\n", process::show(&command)),
    )?;
    fs::set_permissions(script, fs::Permissions::from_mode(0o755))?;
    Ok(())
}
