// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask bench`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use kbuild::modules::BuildOptions;
use kbuild::{Images, Kernel, Modules, Session};
use vmtest::bench::Options;
use vmtest::{Driver, Mode};

use crate::cli;

/// Prepares everything, measures, writes the table, and prints the verdict; a failure if ours falls short.
pub fn run(session: &Session, args: &cli::Bench) -> Result<ExitCode> {
    let cli::Subject::Blk(args) = &args.subject;
    let target = session.config.target(args.kernel.as_deref())?;
    let (kernel, sandbox) = Kernel::open(session, target)?;
    let modules = match args.driver {
        cli::Driver::C => None,
        cli::Driver::Rust => Some(Modules::build(
            session,
            &sandbox,
            &kernel,
            BuildOptions::default(),
        )?),
    };
    let images = Images::make(
        session,
        &sandbox,
        &kernel,
        modules.as_ref(),
        args.xen.as_deref(),
    )?;
    let (text, good) = vmtest::bench::blk(session, &images, &options(session, args))?;
    print!("{text}");
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn options(session: &Session, args: &cli::BenchBlk) -> Options {
    let default = Options::default();
    // Only a whole run is worth keeping among the results.
    let whole = !args.quick
        && args.mode.is_none()
        && !args.no_persistent
        && args.driver == cli::Driver::Rust;
    let results = session.workspace().join("docs/results/blk.md");
    Options {
        modes: match args.mode {
            None => default.modes,
            Some(cli::Mode::Pv) => vec![Mode::Pv],
            Some(cli::Mode::Pvh) => vec![Mode::Pvh],
        },
        quick: args.quick,
        rounds: args.rounds.unwrap_or(if args.quick {
            default.rounds / 2
        } else {
            default.rounds
        }),
        slice: args.slice.map_or(default.slice, Duration::from_millis),
        persistent: !args.no_persistent,
        subject: match args.driver {
            cli::Driver::Rust => Driver::Rust,
            cli::Driver::C => Driver::C,
        },
        output: args.output.clone().or(whole.then_some(results)),
    }
}
