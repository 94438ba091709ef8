// SPDX-License-Identifier: GPL-2.0

//! Whether rustfmt would change anything, in the cargo packages and in the kernel modules.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use kbuild::process;

use super::super::tools::HostTools;
use super::cargo;

/// An error if rustfmt would change a file.
pub fn check(tools: &HostTools) -> Result<()> {
    let step = tools.session.ui.step("Checking the format");
    let mut fmt = cargo(tools).args(["fmt", "--all", "--check"]).build()?;
    process::run(
        &step,
        "cargo fmt --check",
        &mut fmt,
        &tools.session.log("fmt"),
    )?;
    let mut rustfmt = tools
        .sandbox
        .command("rustfmt")
        .args(["--check", "--edition", "2021"])
        .args(modules_files(tools)?)
        .ro_bind(tools.session.workspace(), "/paravane")
        .current_dir("/paravane")
        .build()?;
    process::run(
        &step,
        "rustfmt --check on the kernel modules",
        &mut rustfmt,
        &tools.session.log("fmt"),
    )?;
    step.done("");
    Ok(())
}

/// The Rust files below `linux-pv`, as paths from the top of the work tree.
fn modules_files(tools: &HostTools) -> Result<Vec<PathBuf>> {
    let workspace = tools.session.workspace();
    let root = workspace.join("linux-pv");
    let mut files = Vec::new();
    for folder in std::fs::read_dir(&root).with_context(|| root.display().to_string())? {
        let folder = folder?;
        // `abi` and `ring` are links to crates that cargo fmt has checked.
        if folder.file_type()?.is_dir() {
            collect(&folder.path(), &mut files)?;
        }
    }
    files.sort();
    let below = |file: &PathBuf| file.strip_prefix(workspace).map(PathBuf::from);
    files.iter().map(|file| Ok(below(file)?)).collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
