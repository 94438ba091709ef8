// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask kernel`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use kbuild::config::Target;
use kbuild::overlay::build::{self, Request};
use kbuild::overlay::config::Base;
use kbuild::overlay::tree::{self, Source};
use kbuild::overlay::{self, lines};
use kbuild::{Sandbox, Session, resolve};

use crate::cli::Kernel;

/// The target of kernels.toml that says what an overlay kernel is.
const TARGET: &str = "overlay";

/// Builds an overlay kernel and prints what it holds and where it is; or lays the overlay into a source, and no more.
pub fn run(session: &Session, args: &Kernel) -> Result<ExitCode> {
    let mut target = session.config.target(Some(TARGET))?.clone();
    if args.lay {
        let folder = args
            .source
            .as_deref()
            .context("--lay needs --source DIR: the folder that the overlay is laid into")?;
        return lay(session, &target, folder);
    }
    if let Some(suite) = &args.suite {
        target.suite.clone_from(&session.config.suite(suite)?.name);
    }
    // A mistake in the names is said before an hour of work, not after.
    overlay::switched_on(&args.c)?;
    kbuild::host::prepare(session)?;
    let sandbox = Sandbox::open(session, session.config.suite(&target.suite)?)?;
    let source = match &args.source {
        Some(folder) => Source::folder(folder)?,
        None => Source::Package(resolve::kernel(session, &target)?.source),
    };
    let base = Base::parse(&args.config);
    if let Base::File(file) = &base {
        if !file.is_file() {
            bail!(
                "there is no configuration {}; `small` and `debian` are known by name",
                file.display()
            );
        }
    }
    let request = Request {
        source,
        base,
        left_to_c: args.c.clone(),
    };
    let built = build::build(session, &sandbox, &target, &request)?;
    let modules = built.files.join("usr/lib/modules").join(&built.release);
    print!("{}", built.objects()?);
    println!("release: {}", built.release);
    println!("image:   {}", modules.join("vmlinuz").display());
    println!("modules: {}", modules.display());
    println!("package: {}", built.package()?.display());
    Ok(ExitCode::SUCCESS)
}

fn lay(session: &Session, target: &Target, folder: &Path) -> Result<ExitCode> {
    tree::lay(session, target, folder)?;
    println!(
        "laid into {}: {} lines in {}, and the folder {}",
        folder.display(),
        lines::count(),
        lines::files().join(", "),
        overlay::PLACE
    );
    println!("The options are in menuconfig under Device Drivers, Xen driver support.");
    Ok(ExitCode::SUCCESS)
}
