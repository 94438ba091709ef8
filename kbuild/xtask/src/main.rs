// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask`: the command line. What lives here: options, help texts, exit status. The work itself is in
//! the crates `kbuild` and `vmtest`.

mod bench;
mod boot;
mod build;
mod cargo;
mod clean;
mod cli;
mod doc;
mod doctor;
mod kernel;
#[cfg(test)]
mod pages;
mod prepare;
mod report;
mod shell;
mod test;
mod vendor;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use console::style;
use kbuild::Session;
use kbuild::session::find_workspace;

use cli::{Cli, Command};

/// The exit status after Ctrl-C, as shells have it: 128 and the signal's number.
const INTERRUPTED: u8 = 130;

/// How long it may take after Ctrl-C to remove what is half made.
const TIDYING: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let cli = Cli::parse();
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
    match run(cli) {
        Ok(code) => code,
        Err(_) if kbuild::branches::is_everything_stopped() => ExitCode::from(INTERRUPTED),
        Err(error) => {
            eprintln!("{} {error:#}", style("error:").for_stderr().red().bold());
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let session = Session::new(&find_workspace()?, cli.global.options())?;
    if let Some(needs) = cli.command.needs(&session) {
        needs.check(&session.cache)?;
        // Everything below takes it for granted that the machine has the programs it needs.
        kbuild::host::prepare(&session)?;
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
        Command::Doc(args) => doc::run(session, &args),
        Command::Test(args) => test::run(session, &args),
        Command::Clean(args) => clean::run(session, &args),
        Command::Doctor(args) => doctor::run(session, &args),
        Command::Shell(args) => shell::run(session, &args),
    }
}
