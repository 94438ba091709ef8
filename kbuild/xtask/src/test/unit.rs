// SPDX-License-Identifier: GPL-2.0

//! `cargo test` of every crate, and of the ABI against the C headers in the sandbox.

use std::path::Path;

use anyhow::{Context, Result};
use kbuild::{fsutil, process};

use super::Filter;
use super::libtest::{Program, Reader, is_built, program_of};
use super::tools::HostTools;
use crate::cargo;
use crate::report::{Case, Outcome, Report};

/// The name of the test that is cargo itself: it builds the tests and runs them to their end.
pub const CARGO: &str = "cargo_test_runs";

/// Runs all tests and reports those that are wanted, each in its program.
pub fn run(tools: &HostTools, filter: &Filter, report: &mut Report<'_>) -> Result<()> {
    let session = tools.session;
    // bindgen runs in the sandbox and reads a file that the test writes to its temporary folder; both see this
    // one under the same name.
    let shared = tempfile::Builder::new()
        .prefix("paravane-")
        .tempdir_in("/tmp")?;
    let bindgen = shared.path().join("bindgen");
    write_bindgen(tools, shared.path(), &bindgen)?;
    let log = session.log("cargo-test");
    let cargo = |argument| {
        let mut cargo = cargo::command(session.workspace());
        cargo
            .args(["test", "--workspace", argument])
            .env("TMPDIR", shared.path())
            .env("PARAVANE_BINDGEN", &bindgen)
            .env("PARAVANE_XEN_HEADERS", "/usr/include")
            .env("PARAVANE_LINUX_HEADERS", "/kernel/src")
            .env("PARAVANE_HEADERS_REQUIRED", "1");
        cargo
    };

    let step = session.ui.step("Building the host tests");
    let mut programs = 0;
    let built = process::run_watched(&step, "cargo test", &mut cargo("--no-run"), &log, |line| {
        programs += usize::from(is_built(line));
    });
    if let Err(error) = built {
        report.begin("unit", 1);
        report.add(whole(Outcome::Failed(format!("{error:#}")), &log));
        report.end();
        return Ok(());
    }
    step.done(&format!("{programs} programs"));

    // The examples of the documentation are built as they run, so that only then it is known which there are; and whether
    // cargo itself is content.
    report.begin("unit", programs + 2);
    let step = session.ui.step("Testing on the host");
    let (mut reader, mut count, mut examples) = (Reader::default(), 0, Vec::new());
    let mut take = |(program, cases): (Program, Vec<Case>)| {
        count += cases.len();
        let wanted = cases
            .into_iter()
            .filter(|case| filter.wants(&case.full_name()))
            .map(|case| Case {
                log: Some(log.clone()),
                ..case
            });
        match program.is_doc {
            true => examples.extend(wanted),
            false => add_all(report, &program.name, wanted.collect()),
        }
    };
    let mut cargo = cargo("--no-fail-fast");
    let ran = process::run_watched(&step, "cargo test", &mut cargo, &log, |line| {
        if let Some(ended) = reader.line(line) {
            take(ended);
        }
    });
    if let Some(ended) = reader.end(false) {
        take(ended);
    }
    add_all(report, "examples of the documentation", examples);
    let outcome = match ran {
        Ok(()) if count == 0 => Outcome::Failed("cargo test ran no test".into()),
        // Which those are has been said.
        Err(_) if reader.failed => Outcome::Passed,
        Err(error) => Outcome::Failed(format!("{error:#}")),
        Ok(()) => Outcome::Passed,
    };
    report.add(whole(outcome, &log));
    report.end();
    step.done(&format!("{count} tests"));
    Ok(())
}

fn add_all(report: &mut Report<'_>, program: &str, cases: Vec<Case>) {
    report.begin(program, cases.len());
    for case in cases {
        report.add(case);
    }
    report.end();
}

/// The result of cargo itself.
fn whole(outcome: Outcome, log: &Path) -> Case {
    Case {
        log: Some(log.to_owned()),
        ..Case::new("unit", CARGO, outcome)
    }
}

/// The names of all tests; builds them.
pub fn list() -> Result<Vec<String>> {
    let workspace = kbuild::session::find_workspace()?;
    let mut cargo = cargo::command(&workspace);
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
    let programs = stderr.lines().filter_map(program_of);
    let mut programs = programs.map(|program| program.name);
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

/// A script that runs the sandbox's bindgen.
fn write_bindgen(tools: &HostTools, shared: &Path, script: &Path) -> Result<()> {
    let command = tools
        .kernel
        .show_devel(tools.sandbox.command("bindgen").bind(shared, shared))
        .build()?;
    let text = format!("#!/bin/sh\nexec {} \"$@\"\n", process::show(&command));
    fsutil::write_script(script, &text)
}
