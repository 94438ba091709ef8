// SPDX-License-Identifier: GPL-2.0

//! Checks of the source, made with the sandbox's tools: the verdict is the same on every machine, and it is the
//! oldest compiler's that we promise to support.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use kbuild::modules::BuildOptions;
use kbuild::{Digest, Modules, SandboxCommand, process};

use super::HostTools;

/// A check.
pub type Check = fn(&HostTools) -> Result<()>;

/// All checks with their names.
pub const ALL: [(&str, Check); 3] = [
    ("the_source_is_formatted", formatted),
    ("clippy_finds_nothing_in_the_host_crates", host_clippy),
    ("clippy_finds_nothing_in_the_kernel_modules", module_clippy),
];

fn formatted(tools: &HostTools) -> Result<()> {
    let step = tools.session.ui.step("Checking the format");
    let mut fmt = cargo(tools).args(["fmt", "--all", "--check"]).build()?;
    process::run(
        &step,
        "cargo fmt --check",
        &mut fmt,
        &tools.session.log("fmt"),
    )?;
    let files: Vec<PathBuf> = walk_rust(tools)?;
    let mut rustfmt = tools
        .sandbox
        .command("rustfmt")
        .args(["--check", "--edition", "2021"])
        .args(files)
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

/// The Rust files below `linux-pv` that no cargo package holds, as the sandbox sees them.
fn walk_rust(tools: &HostTools) -> Result<Vec<PathBuf>> {
    let root = tools.session.workspace().join("linux-pv");
    let mut files = Vec::new();
    for folder in std::fs::read_dir(&root).with_context(|| root.display().to_string())? {
        let folder = folder?;
        // `abi` and `ring` are links to crates that cargo fmt has seen.
        if folder.file_type()?.is_dir() {
            collect_rust(&folder.path(), &mut files)?;
        }
    }
    files.sort();
    let below = |file: &PathBuf| {
        file.strip_prefix(tools.session.workspace())
            .map(PathBuf::from)
    };
    files.iter().map(|file| Ok(below(file)?)).collect()
}

fn collect_rust(dir: &std::path::Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            collect_rust(&path, files)?;
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn host_clippy(tools: &HostTools) -> Result<()> {
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
fn vendor(tools: &HostTools) -> Result<kbuild::Entry> {
    let session = tools.session;
    let lock_file =
        std::fs::read(session.workspace().join("Cargo.lock")).context("no Cargo.lock")?;
    let key = Digest::new("vendor", 1).with("lock", lock_file).hex();
    session
        .cache
        .get_or_make("vendor", &key, 1_000_000_000, |dir| {
            let step = session.ui.step("Fetching the crates we depend on");
            let mut command = process::tied(&cargo_program());
            command.current_dir(session.workspace());
            command
                .args(["vendor", "--locked", "--versioned-dirs", "--quiet"])
                .arg(dir);
            process::run(&step, "cargo vendor", &mut command, &session.log("vendor"))?;
            step.done("");
            Ok(())
        })
}

fn module_clippy(tools: &HostTools) -> Result<()> {
    let options = BuildOptions { clippy: true };
    let modules = Modules::build(tools.session, &tools.sandbox, &tools.kernel, options)?;
    if modules.files().is_empty() {
        bail!("no module was checked");
    }
    Ok(())
}

/// The sandbox's cargo with the work tree in front of it, which it may not change.
fn cargo(tools: &HostTools) -> SandboxCommand {
    tools
        .sandbox
        .command("cargo")
        .ro_bind(tools.session.workspace(), "/paravane")
        .current_dir("/paravane")
        .env("CARGO_TERM_COLOR", "never")
}

/// The machine's cargo: the one that runs us.
pub fn cargo_program() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

/// A command of the machine's cargo in the work tree.
pub fn host_cargo(workspace: &std::path::Path) -> Command {
    let mut command = process::tied(&cargo_program());
    command
        .current_dir(workspace)
        .env("CARGO_TERM_COLOR", "never");
    command
}
