// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask build`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use kbuild::modules::BuildOptions;
use kbuild::{Hypervisor, Kernel, Modules, Sandbox, Session, own};

use crate::cli::Build;

/// Builds the modules, or the hypervisor, and prints where they are, one path a line.
pub fn run(session: &Session, args: &Build) -> Result<ExitCode> {
    if args.hypervisor.is_some() {
        let suite = session.config.suite(&session.config.profile(None)?.suite)?;
        let sandbox = Sandbox::open(session, suite)?;
        let mut image = Hypervisor::build(session, &sandbox)?.image();
        if let Some(output) = &args.output {
            fs::copy(&image, output)
                .with_context(|| format!("cannot write {}", output.display()))?;
            image.clone_from(output);
        }
        println!("{}", image.display());
        return Ok(ExitCode::SUCCESS);
    }
    let options = BuildOptions {
        clippy: args.clippy,
    };
    let modules = match args.kernel.as_deref() {
        Some(path) if path.contains('/') => own::build(session, Path::new(path), options)?,
        name => {
            let (kernel, sandbox) = Kernel::open(session, session.config.profile(name)?)?;
            Modules::build(session, &sandbox, &kernel, options)?
        }
    };
    for file in modules.files() {
        println!("{}", file.display());
    }
    Ok(ExitCode::SUCCESS)
}
