// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask bench`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use kbuild::Session;
use vmtest::bench::blk::{self, Blk};
use vmtest::bench::devfile::{self, Devfile};
use vmtest::bench::dma;
use vmtest::bench::growth;
use vmtest::bench::hypervisors as hv;
use vmtest::bench::instructions;
use vmtest::bench::net::{self, Net};
use vmtest::bench::subject::Subject;
use vmtest::bench::{self, Options};
use vmtest::{Driver, Mode};

use crate::cli;
use crate::prepare::{prepare, prepare_for};

/// Prepares everything, measures, writes the table, and prints the verdict; a failure if ours falls short.
pub fn run(session: &Session, args: &cli::Bench) -> Result<ExitCode> {
    match &args.subject {
        cli::Subject::Blk(args) => {
            let subject = Blk {
                persistent: !args.no_persistent,
            };
            let usual = (blk::ROUNDS, blk::SLICE);
            let mut options = options::<Blk>(session, &args.common, usual);
            if args.no_persistent {
                // Not what the results are about.
                options.output = args.common.cells.output.clone();
            }
            compare(session, &subject, &args.common, &options)
        }
        cli::Subject::Net(common) => {
            let subject = Net::default();
            let options = options::<Net>(session, common, (net::ROUNDS, net::SLICE));
            compare(session, &subject, common, &options)
        }
        cli::Subject::Devfile(common) => {
            let options = options::<Devfile>(session, common, (devfile::ROUNDS, devfile::SLICE));
            compare(session, &Devfile, common, &options)
        }
        cli::Subject::Dma(args) => dma(session, args),
        cli::Subject::Hypervisor(args) => hypervisors(session, args),
        cli::Subject::Growth(args) => grow(session, args),
    }
}

fn grow(session: &Session, args: &cli::BenchGrowth) -> Result<ExitCode> {
    let images = prepare_for(session, &args.versions, true)?.with_paravane(session)?;
    let usual = session.workspace().join("docs/results");
    let output = args.output.clone().unwrap_or(usual);
    print!("{}", growth::run(session, &images, &output)?);
    Ok(ExitCode::SUCCESS)
}

fn hypervisors(session: &Session, args: &cli::BenchHypervisor) -> Result<ExitCode> {
    // The hypervisors are measured on the kernel's own device files.
    let images = prepare_for(session, &args.versions, false)?.with_paravane(session)?;
    let options = hv::Options {
        rounds: args.rounds,
        output: args.output.clone().or_else(|| {
            // Fewer are a try.
            let whole = args.rounds >= hv::ROUNDS;
            whole.then(|| session.workspace().join("docs/results/hypervisor.md"))
        }),
    };
    Ok(told(hv::run(session, &images, &options)?))
}

fn dma(session: &Session, args: &cli::BenchDma) -> Result<ExitCode> {
    let cells = &args.cells;
    let rounds = times(cells, dma::ROUNDS);
    let slice = cells.slice.map_or(dma::SLICE, Duration::from_millis);
    let whole = is_whole(cells) && rounds >= dma::ROUNDS && slice >= dma::SLICE;
    // The kernels have all that is measured; no module of ours is needed.
    let image = |profile| prepare(session, Some(profile), args.xen.as_deref(), false);
    let [c, ours] = dma::SIDES;
    let images = [image(c)?, image(ours)?];
    let options = dma::Options {
        quick: cells.quick,
        only: cells.only.clone(),
        rounds,
        slice,
        output: output(session, cells, whole, "dma"),
    };
    Ok(told(dma::run(session, &images, &options)?))
}

fn compare<S: Subject>(
    session: &Session,
    subject: &S,
    args: &cli::BenchCommon,
    options: &Options,
) -> Result<ExitCode> {
    let ours = args.driver == cli::Driver::Rust;
    let images = prepare_for(session, &args.versions, ours)?;
    if args.count {
        let images = images.with_counter(session)?;
        return Ok(told(instructions::run(session, &images, subject, options)?));
    }
    Ok(told(bench::run(session, &images, subject, options)?))
}

/// Prints how it went; a failure if ours falls short.
fn told((text, good): (String, bool)) -> ExitCode {
    print!("{text}");
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What the arguments mean, given how often and how long a cell runs by default.
fn options<S: Subject>(
    session: &Session,
    args: &cli::BenchCommon,
    (rounds, slice): (u32, Duration),
) -> Options {
    let cells = &args.cells;
    let whole = is_whole(cells) && args.mode.is_none() && args.driver == cli::Driver::Rust;
    let (rounds, name) = match args.count {
        true => (instructions::ROUNDS, format!("{}-instructions", S::COMMAND)),
        false => (times(cells, rounds), S::COMMAND.to_owned()),
    };
    Options {
        modes: match args.mode {
            None => vec![Mode::Pv, Mode::Pvh],
            Some(cli::Mode::Pv) => vec![Mode::Pv],
            Some(cli::Mode::Pvh) => vec![Mode::Pvh],
        },
        quick: cells.quick,
        only: cells.only.clone(),
        rounds: cells.rounds.unwrap_or(rounds),
        slice: cells.slice.map_or(slice, Duration::from_millis),
        subject: match args.driver {
            cli::Driver::Rust => Driver::Rust,
            cli::Driver::C => Driver::C,
        },
        profile: args.profile,
        update: args.update,
        output: output(session, cells, whole, &name),
    }
}

/// Whether no cell is left out.
fn is_whole(args: &cli::BenchCells) -> bool {
    !args.quick && args.only.is_empty()
}

/// How often each side runs, given how often it does by default.
fn times(args: &cli::BenchCells, usual: u32) -> u32 {
    let usual = if args.quick { usual / 2 } else { usual };
    args.rounds.unwrap_or(usual)
}

/// Where the document goes, if not among the logs. Only a whole run is worth keeping among the results.
fn output(session: &Session, args: &cli::BenchCells, whole: bool, name: &str) -> Option<PathBuf> {
    let results = format!("docs/results/{name}.md");
    let usual = whole.then(|| session.workspace().join(results));
    args.output.clone().or(usual)
}
