// SPDX-License-Identifier: GPL-2.0

//! The lists of modules that modprobe reads.

use std::path::Path;

use anyhow::{Context, Result};

use crate::process;
use crate::sandbox::Sandbox;
use crate::session::Session;
use crate::ui::Step;

/// Makes `modules.dep` and its companions for a tree below `dir/usr/lib/modules`.
pub fn depmod(
    session: &Session,
    step: &Step,
    sandbox: &Sandbox,
    dir: &Path,
    release: &str,
) -> Result<()> {
    // Where depmod looks (/lib/modules or /usr/lib/modules) depends on how it was built; a link serves both.
    let link = dir.join("lib");
    if !link.exists() {
        std::os::unix::fs::symlink("usr/lib", &link).context("cannot make a link")?;
    }
    let mut depmod = sandbox
        .command("depmod")
        .args(["-b", "/image", release])
        .bind(dir, "/image")
        .build()?;
    process::run(
        step,
        "listing the kernel's modules",
        &mut depmod,
        &session.log("depmod"),
    )
}
