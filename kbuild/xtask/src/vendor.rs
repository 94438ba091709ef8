// SPDX-License-Identifier: GPL-2.0

//! The sandbox's cargo without network, and the sources of the crates we depend on, which it is given.

use std::path::PathBuf;

use anyhow::{Context, Result};
use kbuild::{CacheEntry, Digest, Sandbox, SandboxCommand, Session, process};

use crate::cargo;

/// Where the sandbox has to see them.
const PLACE: &str = "/vendor";

/// Arguments with which cargo takes them from there.
const ARGUMENTS: [&str; 6] = [
    "--offline",
    "--locked",
    "--config",
    "source.crates-io.replace-with=\"vendored\"",
    "--config",
    "source.vendored.directory=\"/vendor\"",
];

/// Room for them, in bytes.
const ROOM: u64 = 1_000_000_000;

/// Finds them in the cache or fetches them.
pub fn get(session: &Session) -> Result<CacheEntry> {
    let lock_file =
        std::fs::read(session.workspace().join("Cargo.lock")).context("no Cargo.lock")?;
    let key = Digest::new("vendor", 1).with("lock", lock_file).hex();
    session.cache.get_or_make("vendor", &key, ROOM, |dir| {
        let step = session.ui.step("Fetching the crates we depend on");
        let mut command = cargo::command(session.workspace());
        command
            .args(["vendor", "--locked", "--versioned-dirs", "--quiet"])
            .arg(dir);
        process::run(&step, "cargo vendor", &mut command, &session.log("vendor"))?;
        step.done("");
        Ok(())
    })
}

/// Runs cargo with the words `args` on the work tree, as the step `title`. What it builds stays in this tree's folder `what`,
/// which is returned; `adjust` changes the command.
///
/// # Errors
///
/// If cargo fails: its output is in the log `what`.
pub fn cargo(
    session: &Session,
    sandbox: &Sandbox,
    title: &str,
    what: &str,
    args: &[&str],
    adjust: impl FnOnce(SandboxCommand) -> SandboxCommand,
) -> Result<PathBuf> {
    let vendored = get(session)?;
    let step = session.ui.step(title);
    let target = sandbox.work_dir(session, what)?;
    let _lock = session.cache.lock(&format!("work.{what}"))?;
    let command = sandbox
        .command("cargo")
        .args(args)
        .args(ARGUMENTS)
        .ro_bind(session.workspace(), "/paravane")
        .ro_bind(vendored.path(), PLACE)
        .bind(&target, "/target")
        .env("CARGO_TARGET_DIR", "/target")
        .env("CARGO_TERM_COLOR", "never")
        .current_dir("/paravane");
    let mut command = adjust(command).build()?;
    process::run(&step, title, &mut command, &session.log(what))?;
    step.done("");
    Ok(target)
}
