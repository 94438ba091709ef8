// SPDX-License-Identifier: GPL-2.0

//! Whether clippy finds something, in the host crates and in the kernel modules.

use anyhow::{Result, bail};
use kbuild::modules::BuildOptions;
use kbuild::{Modules, SandboxCommand};

use super::super::tools::HostTools;
use crate::vendor;

/// An error if it finds something in a cargo package.
pub fn host_crates(tools: &HostTools) -> Result<()> {
    let args = ["clippy", "--workspace", "--all-targets"];
    let title = "Checking the host crates with clippy";
    let deny = |command: SandboxCommand| command.args(["--", "-D", "warnings"]);
    vendor::cargo(
        tools.session,
        &tools.sandbox,
        title,
        "clippy-host",
        &args,
        deny,
    )?;
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
