// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask kernel`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use kbuild::config::Profile;
use kbuild::overlay::build::{self, Request};
use kbuild::overlay::config::Base;
use kbuild::overlay::tree::{self, Source};
use kbuild::overlay::{self, lines};
use kbuild::{Sandbox, Session, resolve};

use crate::cli::Kernel;

/// The profile of kernels.toml that says what an overlay kernel is.
const PROFILE: &str = "overlay";

/// Builds an overlay kernel and prints what it holds and where it is; or only adds our code to a source.
pub fn run(session: &Session, args: &Kernel) -> Result<ExitCode> {
    let mut profile = session.config.profile(Some(PROFILE))?.clone();
    if args.apply {
        let folder = args
            .source
            .as_deref()
            .context("--apply needs --source DIR: the folder to which our code is added")?;
        return apply(session, &profile, folder);
    }
    if let Some(suite) = &args.suite {
        profile.suite.clone_from(&session.config.suite(suite)?.name);
    }
    // A wrong name is an error before an hour of work, not after.
    overlay::switched_on(&args.without_rust)?;
    let sandbox = Sandbox::open(session, session.config.suite(&profile.suite)?)?;
    let source = match &args.source {
        Some(folder) => Source::folder(folder)?,
        None => Source::Package(resolve::kernel(session, &profile)?.source),
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
        without_rust: args.without_rust.clone(),
    };
    let built = build::build(session, &sandbox, &profile, &request)?;
    let modules = built.files.join("usr/lib/modules").join(&built.release);
    print!("{}", built.objects()?);
    println!("release: {}", built.release);
    println!("image:   {}", modules.join("vmlinuz").display());
    println!("modules: {}", modules.display());
    println!("package: {}", built.package()?.display());
    Ok(ExitCode::SUCCESS)
}

fn apply(session: &Session, profile: &Profile, folder: &Path) -> Result<ExitCode> {
    tree::apply(session, profile, folder)?;
    println!(
        "added to {}: {} lines in {}, and the folder {}",
        folder.display(),
        lines::count(),
        lines::files().join(", "),
        overlay::PLACE
    );
    println!("The options are in menuconfig under Device Drivers, Xen driver support.");
    Ok(ExitCode::SUCCESS)
}
