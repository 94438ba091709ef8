// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask shell`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use kbuild::{Sandbox, Session};

use crate::cli::Shell;

/// Runs a shell or a command in the sandbox with the terminal attached.
pub fn run(session: &Session, args: &Shell) -> Result<ExitCode> {
    let sandbox = Sandbox::open(session, session.config.suite(&args.suite)?)?;
    let (program, rest) = match args.command.split_first() {
        Some((program, rest)) => (program.as_str(), rest),
        None => ("bash", &[][..]),
    };
    let mut command = sandbox
        .command(program)
        .args(rest)
        .ro_bind(session.workspace(), "/paravane")
        .bind(session.cache.root(), "/cache")
        .env(
            "TERM",
            std::env::var_os("TERM").unwrap_or_else(|| "dumb".into()),
        )
        .current_dir("/paravane");
    if args.network {
        command = command.network();
    }
    let status = command
        .build()?
        .status()
        .context("cannot start bubblewrap: `cargo xtask doctor` says what this machine lacks")?;
    Ok(ExitCode::from(
        u8::try_from(status.code().unwrap_or(1)).unwrap_or(1),
    ))
}
