// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask build`.

use std::process::ExitCode;

use anyhow::Result;
use kbuild::modules::BuildOptions;
use kbuild::{Kernel, Modules, Session};

use crate::cli::Build;

/// Builds the modules and prints where they are, one path a line.
pub fn run(session: &Session, args: &Build) -> Result<ExitCode> {
    let target = session.config.target(args.kernel.as_deref())?;
    let (kernel, sandbox) = Kernel::open(session, target)?;
    let modules = Modules::build(
        session,
        &sandbox,
        &kernel,
        BuildOptions {
            clippy: args.clippy,
        },
    )?;
    for file in modules.files() {
        println!("{}", file.display());
    }
    Ok(ExitCode::SUCCESS)
}
