// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask doc`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use kbuild::{Kernel, Sandbox, Session, docs};

use crate::cli::Doc;
use crate::vendor;

/// Documents the crates of the modules for a kernel, and those that cargo builds. Prints where each can be read.
pub fn run(session: &Session, args: &Doc) -> Result<ExitCode> {
    let profile = session.config.profile(args.kernel.as_deref())?;
    let (kernel, sandbox) = Kernel::open(session, profile)?;
    let folder = session.cache.state_dir("doc")?;
    let modules = folder.join(format!("modules-{}", kernel.release));
    let names = docs::kernel_crates(session, &sandbox, &kernel, &modules, args.private);
    let host = host_crates(session, &sandbox);
    let (names, host) = match (names, host) {
        (Ok(names), Ok(host)) => (names, host),
        // Both are said, so that all mistakes can be mended before the next run.
        (Err(modules), Err(host)) => bail!("{modules:#}\n\n{host:#}"),
        (Err(error), _) | (_, Err(error)) => return Err(error),
    };
    for name in names {
        println!("{}", modules.join(name).join("index.html").display());
    }
    println!("{}", host.display());
    Ok(ExitCode::SUCCESS)
}

/// Documents the cargo packages with their private items, for most are programs; returns the folder. A warning is an error.
fn host_crates(session: &Session, sandbox: &Sandbox) -> Result<PathBuf> {
    let args = [
        "doc",
        "--workspace",
        "--no-deps",
        "--keep-going",
        "--document-private-items",
    ];
    let title = "Documenting the cargo packages";
    let target = vendor::cargo(session, sandbox, title, "doc-host", &args, |command| {
        // Links of public items to private ones lead somewhere then.
        command.env(
            "RUSTDOCFLAGS",
            "-Dwarnings -Arustdoc::private_intra_doc_links",
        )
    })?;
    Ok(target.join("doc"))
}
