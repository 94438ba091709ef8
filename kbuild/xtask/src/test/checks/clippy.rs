// SPDX-License-Identifier: GPL-2.0

//! Whether clippy finds something, in the host crates and in the kernel modules.

use anyhow::{Context, Result, bail};
use kbuild::modules::BuildOptions;
use kbuild::{Digest, Entry, Modules, process};

use super::super::{HostTools, cargo as host_cargo};
use super::cargo;

/// An error if it finds something in a cargo package.
pub fn host_crates(tools: &HostTools) -> Result<()> {
    let session = tools.session;
    let vendored = vendor(tools)?;
    let step = session.ui.step("Checking the host crates with clippy");
    let target = session
        .cache
        .state_dir("work")?
        .join(format!("clippy-host-{}", tools.sandbox.key()));
    std::fs::create_dir_all(&target)?;
    let _lock = session.cache.lock("work.clippy-host")?;
    let mut clippy = cargo(tools)
        .args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--offline",
            "--locked",
        ])
        .args(["--config", "source.crates-io.replace-with=\"vendored\""])
        .args(["--config", "source.vendored.directory=\"/vendor\""])
        .args(["--", "-D", "warnings"])
        .ro_bind(vendored.path(), "/vendor")
        .bind(&target, "/target")
        .env("CARGO_TARGET_DIR", "/target")
        .build()?;
    process::run(&step, "cargo clippy", &mut clippy, &session.log("clippy"))?;
    step.done("");
    Ok(())
}

/// The sources of the crates we depend on, for a sandbox that has no network.
fn vendor(tools: &HostTools) -> Result<Entry> {
    let session = tools.session;
    let lock_file =
        std::fs::read(session.workspace().join("Cargo.lock")).context("no Cargo.lock")?;
    let key = Digest::new("vendor", 1).with("lock", lock_file).hex();
    session
        .cache
        .get_or_make("vendor", &key, 1_000_000_000, |dir| {
            let step = session.ui.step("Fetching the crates we depend on");
            let mut command = process::tied(&host_cargo::program());
            command.current_dir(session.workspace());
            command
                .args(["vendor", "--locked", "--versioned-dirs", "--quiet"])
                .arg(dir);
            process::run(&step, "cargo vendor", &mut command, &session.log("vendor"))?;
            step.done("");
            Ok(())
        })
}

/// An error if it finds something in a kernel module.
pub fn modules(tools: &HostTools) -> Result<()> {
    let options = BuildOptions { clippy: true };
    let modules = Modules::build(tools.session, &tools.sandbox, &tools.kernel, options)?;
    if modules.files().is_empty() {
        bail!("no module was checked");
    }
    Ok(())
}
