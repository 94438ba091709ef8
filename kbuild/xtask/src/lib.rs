// SPDX-License-Identifier: GPL-2.0

//! The command line of `cargo xtask`, which runs in a work tree, and of `paravane`, which is installed and carries one. What
//! lives here: options, help texts, exit status. The work itself is in the crates `kbuild` and `vmtest`.

mod bench;
mod boot;
mod build;
mod cargo;
mod clean;
mod cli;
mod doc;
mod doctor;
mod fuzz;
mod generate;
mod kernel;
mod package;
#[cfg(test)]
mod pages;
mod prepare;
mod report;
mod run;
mod shell;
mod test;
mod vendor;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::FromArgMatches;
use console::style;
use kbuild::accel::{AccelChoice, AccelNeed, Acceleration};
use kbuild::session::find_workspace;
use kbuild::{CarriedSources, Session};

use cli::{Cli, Command, Program};

/// The exit status after Ctrl-C, as shells have it: 128 and the signal's number.
const INTERRUPTED: u8 = 130;

/// How long it may take after Ctrl-C to remove what is half made.
const TIDYING: Duration = Duration::from_secs(20);

/// Runs the program; returns its exit status. An installed program brings its work tree along.
pub fn main(carried: Option<&CarriedSources>) -> ExitCode {
    let cli = parse(Program::of(carried));
    let failure = match cli.command {
        Command::Run(_) => ExitCode::from(run::status::CANNOT_TEST),
        _ => ExitCode::FAILURE,
    };
    let handler = ctrlc::set_handler(|| {
        eprintln!("\ninterrupted; what was running is stopped");
        if kbuild::branches::stop_everything() {
            // The threads that waited for the commands remove what these have left, and the program ends by itself.
            std::thread::sleep(TIDYING);
        }
        // Whatever else we started is tied to our life, so ending at once is a clean end.
        std::process::exit(INTERRUPTED.into());
    });
    if let Err(error) = handler {
        eprintln!("note: interrupts are not handled: {error}");
    }
    match execute(cli, carried) {
        Ok(code) => code,
        Err(_) if kbuild::branches::is_everything_stopped() => ExitCode::from(INTERRUPTED),
        Err(error) => {
            eprintln!("{} {error:#}", style("error:").for_stderr().red().bold());
            failure
        }
    }
}

/// Reads the command line. What is wrong with one of `run` must not look like its command's status.
fn parse(program: Program) -> Cli {
    let matches = cli::command(program).try_get_matches();
    let cli = matches.and_then(|matches| Cli::from_arg_matches(&matches));
    cli.unwrap_or_else(|error| {
        if cli::names_run(std::env::args().skip(1)) && error.use_stderr() {
            let _ = error.print();
            std::process::exit(run::status::CANNOT_TEST.into());
        }
        error.exit()
    })
}

fn execute(cli: Cli, carried: Option<&CarriedSources>) -> anyhow::Result<ExitCode> {
    // Needs no work tree.
    if let Command::Generate(args) = &cli.command {
        return generate::run(args, Program::of(carried));
    }
    if let (Some(_), Some(name)) = (carried, cli.command.for_developers()) {
        bail!("{name} is for Paravane's own work tree: call cargo xtask {name} there");
    }
    let unpacked = carried.map(CarriedSources::unpack).transpose()?;
    let workspace = match &unpacked {
        Some(entry) => entry.path().to_owned(),
        None => find_workspace()?,
    };
    let session = Session::new(&workspace, cli.global.options())?;
    if let Some(needs) = cli.command.needs(&session) {
        needs.check(&session.cache)?;
        // Everything below takes it for granted that the machine has the programs it needs.
        kbuild::host::prepare(&session)?;
    }
    if cli.command.starts_machines() && session.options.accel == AccelChoice::Kvm {
        // Before anything is made for a machine that cannot be had.
        Acceleration::new(AccelChoice::Kvm, session.ui.clone()).choose(AccelNeed::Plain)?;
    }
    let whole = cli
        .command
        .whole(&session)
        .map(|title| session.ui.whole(title));
    let code = dispatch(&session, cli.command)?;
    if let (Some(whole), true) = (whole, code == ExitCode::SUCCESS) {
        whole.done();
    }
    Ok(code)
}

fn dispatch(session: &Session, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Bench(args) => bench::run(session, &args),
        Command::Boot(args) => boot::run(session, &args),
        Command::Build(args) => build::run(session, &args),
        Command::Kernel(args) => kernel::run(session, &args),
        Command::Package(args) => package::run(session, &args),
        Command::Run(args) => run::run(session, *args),
        Command::Doc(args) => doc::run(session, &args),
        Command::Test(args) => test::run(session, &args),
        Command::Clean(args) => clean::run(session, &args),
        Command::Fuzz(args) => fuzz::run(session, &args),
        Command::Doctor(args) => doctor::run(session, &args),
        Command::Generate(args) => generate::run(&args, Program::Xtask),
        Command::Shell(args) => shell::run(session, &args),
    }
}
