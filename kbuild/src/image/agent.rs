// SPDX-License-Identifier: GPL-2.0

//! Building the agent: one static program for every root file system it is put into.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::digest::Digest;
use crate::process;
use crate::session::Session;

/// The host's own target: the guests have the same processor, and nothing else has to be installed.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds the agent with the cargo that runs us; returns the program.
pub fn build(session: &Session) -> Result<PathBuf> {
    let step = session
        .ui
        .step_before("Building the agent", "the machines' disks");
    // Cargo takes work trees in different places for the same one and goes by times of files, so each has a folder.
    let tree = Digest::new("agent", 1)
        .with("tree", session.workspace().as_os_str().as_encoded_bytes())
        .hex();
    let folder = session.cache.state_dir(&format!("work/agent-{tree}"))?;
    let _lock = session.cache.lock("work.agent")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = process::tied(&cargo.to_string_lossy());
    command
        .args([
            "build",
            "--locked",
            "--release",
            "--package",
            "agent",
            "--bin",
            "agent",
        ])
        .args(["--target", TARGET, "--config"])
        .arg(format!(
            "target.{TARGET}.rustflags=[\"-Ctarget-feature=+crt-static\"]"
        ))
        .arg("--target-dir")
        .arg(&folder)
        .current_dir(session.workspace())
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    process::run(&step, "building the agent", &mut command, &session.log("agent"))
        .context("the agent for the virtual machines cannot be built; it needs Rust's standard library for this machine")?;
    let program = folder.join(TARGET).join("release/agent");
    if !program.is_file() {
        bail!("cargo built no {}", program.display());
    }
    step.done("");
    Ok(program)
}
