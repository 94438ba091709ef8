// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask bench`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use kbuild::Session;
use vmtest::bench::blk::{self, Blk};
use vmtest::bench::hypervisors as hv;
use vmtest::bench::net::{self, Net};
use vmtest::bench::nodes::{self, Nodes};
use vmtest::bench::subject::Subject;
use vmtest::bench::{self, Options};
use vmtest::{Driver, Mode};

use crate::cli;
use crate::prepare::prepare_for;

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
                options.output = args.common.output.clone();
            }
            compare(session, &subject, &args.common, &options)
        }
        cli::Subject::Net(common) => {
            let subject = Net::default();
            let options = options::<Net>(session, common, (net::ROUNDS, net::SLICE));
            compare(session, &subject, common, &options)
        }
        cli::Subject::Nodes(common) => {
            let options = options::<Nodes>(session, common, (nodes::ROUNDS, nodes::SLICE));
            compare(session, &Nodes, common, &options)
        }
        cli::Subject::Hypervisor(args) => hypervisors(session, args),
    }
}

fn hypervisors(session: &Session, args: &cli::BenchHypervisor) -> Result<ExitCode> {
    // The hypervisors are measured on the kernel's own nodes.
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

fn compare<S: Subject>(
    session: &Session,
    subject: &S,
    args: &cli::BenchCommon,
    options: &Options,
) -> Result<ExitCode> {
    let ours = args.driver == cli::Driver::Rust;
    let images = prepare_for(session, &args.versions, ours)?;
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
    // Only a whole run is worth keeping among the results.
    let whole = !args.quick
        && args.only.is_empty()
        && args.mode.is_none()
        && args.driver == cli::Driver::Rust;
    let results = format!("docs/results/{}.md", S::COMMAND);
    let rounds = if args.quick { rounds / 2 } else { rounds };
    Options {
        modes: match args.mode {
            None => vec![Mode::Pv, Mode::Pvh],
            Some(cli::Mode::Pv) => vec![Mode::Pv],
            Some(cli::Mode::Pvh) => vec![Mode::Pvh],
        },
        quick: args.quick,
        only: args.only.clone(),
        rounds: args.rounds.unwrap_or(rounds),
        slice: args.slice.map_or(slice, Duration::from_millis),
        subject: match args.driver {
            cli::Driver::Rust => Driver::Rust,
            cli::Driver::C => Driver::C,
        },
        output: args
            .output
            .clone()
            .or(whole.then(|| session.workspace().join(results))),
    }
}
