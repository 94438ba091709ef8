// SPDX-License-Identifier: GPL-2.0

//! The sandbox's own cargo on the work tree's crates, for programs that no program of this machine's toolchain may be.
//!
//! Crates from the registry are fetched on first use, and kept for all that is built so.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::sandbox::{Sandbox, SandboxCommand};
use crate::session::Session;

/// Where the sandbox sees the work tree.
const WORK_TREE: &str = "/paravane";

/// A call of cargo with the words `args`, which builds into the folder `target`.
pub fn command<T: AsRef<OsStr>>(
    session: &Session,
    sandbox: &Sandbox,
    target: &Path,
    args: impl IntoIterator<Item = T>,
) -> Result<SandboxCommand> {
    let home = session
        .cache
        .state_dir("work")?
        .join(format!("cargo-{}", sandbox.key()));
    for dir in [target, &home] {
        fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    }
    Ok(sandbox
        .command("cargo")
        .args(args)
        // All work trees have the same place in the sandbox and share what is built: times tell nothing of sources.
        .arg("-Zchecksum-freshness")
        .network()
        .ro_bind(session.workspace(), WORK_TREE)
        .ro_bind(&certificates()?, "/certificates")
        .bind(target, "/target")
        .bind(&home, "/cargo")
        .current_dir(WORK_TREE)
        .env("CARGO_HOME", "/cargo")
        .env("CARGO_TARGET_DIR", "/target")
        .env("CARGO_TERM_COLOR", "never")
        .env("CARGO_HTTP_CAINFO", "/certificates")
        // Unstable options: the sandbox's compiler is always the same one.
        .env("RUSTC_BOOTSTRAP", "1"))
}

/// The machine's certificates, for a sandbox that has none.
fn certificates() -> Result<PathBuf> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let usual = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
    ]
    .map(PathBuf::from);
    let found = named.into_iter().chain(usual).find(|file| file.is_file());
    found.context("this machine has no certificates to fetch crates with: install the package ca-certificates")
}
