// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask package`.

use std::process::ExitCode;

use anyhow::Result;
use kbuild::Session;
use kbuild::packaging::DebianPackages;

use crate::cli::Package;

/// Makes the packages and prints where they are, one path a line.
pub fn run(session: &Session, args: &Package) -> Result<ExitCode> {
    let profile = session.config.profile(args.kernel.as_deref())?;
    let packages = DebianPackages::make(session, profile)?;
    let files = match &args.out {
        Some(folder) => packages.copy_to(folder)?,
        None => packages.files()?,
    };
    for file in files {
        println!("{}", file.display());
    }
    Ok(ExitCode::SUCCESS)
}
