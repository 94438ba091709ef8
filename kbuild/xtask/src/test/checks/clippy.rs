// SPDX-License-Identifier: GPL-2.0

//! Whether clippy finds something, in the host crates and in the kernel modules.

use anyhow::{Result, bail};
use kbuild::modules::BuildOptions;
use kbuild::{Modules, process};

use super::super::tools::HostTools;
use super::cargo;
use crate::vendor;

/// An error if it finds something in a cargo package.
pub fn host_crates(tools: &HostTools) -> Result<()> {
    let session = tools.session;
    let vendored = vendor::get(session)?;
    let step = session.ui.step("Checking the host crates with clippy");
    let target = tools.sandbox.work_dir(session, "clippy-host")?;
    let _lock = session.cache.lock("work.clippy-host")?;
    let mut clippy = cargo(tools)
        .args(["clippy", "--workspace", "--all-targets"])
        .args(vendor::ARGUMENTS)
        .args(["--", "-D", "warnings"])
        .ro_bind(vendored.path(), vendor::PLACE)
        .bind(&target, "/target")
        .env("CARGO_TARGET_DIR", "/target")
        .build()?;
    process::run(&step, "cargo clippy", &mut clippy, &session.log("clippy"))?;
    step.done("");
    Ok(())
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
