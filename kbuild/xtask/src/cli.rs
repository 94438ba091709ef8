// SPDX-License-Identifier: GPL-2.0

//! The options: those of every subcommand, and what several have in common. Long ones have files of their own.

mod bench;
mod boot;
mod build;
mod fuzz;
mod run;
mod test;
#[cfg(test)]
mod tests;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use kbuild::accel::AccelChoice;
use kbuild::host::Needs;
use kbuild::session::Options;
use kbuild::{CarriedSources, Session};

pub use bench::{Bench, BenchCells, BenchCommon, BenchDma, BenchGrowth, BenchHypervisor, Subject};
pub use boot::{Boot, Console, DeviceFiles, Hypervisor, SoloGuest};
pub use build::{Build, Doc, Kernel, Package};
pub use fuzz::Fuzz;
pub use run::{Run, RunAs, RunHypervisor};
pub use test::Test;

/// The variables that are read.
const ENVIRONMENT: &str = "\
Environment variables:
  PARAVANE_CACHE            The folder of the cache; otherwise $XDG_CACHE_HOME/paravane, or
                            ~/.cache/paravane
  PARAVANE_MIRROR           The Debian mirror, as with --mirror
  PARAVANE_SECURITY_MIRROR  With a mirror named: its archive of Debian's security updates
  PARAVANE_SEEDS            Seeds for the scenarios hostile.*, as in 17..18 or 1000..100000;
                            otherwise a few that are always the same, new ones with --full
  PARAVANE_SLOW             A number from 1 on, by which all time limits in virtual machines
                            are multiplied. They follow the processors' speed by themselves;
                            this is for what they cannot see, such as a slow disk";

/// Where global options stand in help texts.
const GLOBAL: &str = "Global options";

/// Build Paravane's modules, boot them under Xen, test them.
///
/// Everything needed is fetched and built on first use and kept in a cache outside the work tree.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    max_term_width = 100,
    after_help = ENVIRONMENT
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Which program this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `cargo xtask` in a work tree.
    Xtask,
    /// `paravane`, which is installed.
    Installed,
}

/// What [`Command::for_developers`] names.
const FOR_DEVELOPERS: [&str; 4] = ["bench", "doc", "fuzz", "test"];

impl Program {
    /// The one that brings sources along is installed.
    pub fn of(carried: Option<&CarriedSources>) -> Self {
        match carried {
            Some(_) => Self::Installed,
            None => Self::Xtask,
        }
    }

    /// How it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xtask => "cargo xtask",
            Self::Installed => "paravane",
        }
    }
}

/// The command line of a program.
pub fn command(program: Program) -> clap::Command {
    let command = Cli::command();
    match program {
        Program::Xtask => command,
        Program::Installed => FOR_DEVELOPERS.iter().fold(
            command.name(program.name()).bin_name(program.name()),
            |command, name| command.mut_subcommand(name, |hidden| hidden.hide(true)),
        ),
    }
}

#[derive(Args)]
pub struct Global {
    /// Print every line of every command that runs
    #[arg(long, short, global = true, help_heading = GLOBAL)]
    verbose: bool,
    /// Ask the archive for newer versions, even if the last answer is less than a day old
    #[arg(long, global = true, help_heading = GLOBAL)]
    refresh: bool,
    /// The Debian mirror to use instead of the one this machine's apt is configured with [env: PARAVANE_MIRROR]
    #[arg(long, global = true, value_name = "URI", help_heading = GLOBAL)]
    mirror: Option<String>,
    /// What executes the instructions of virtual machines
    #[arg(long, global = true, value_enum, default_value = "tcg", help_heading = GLOBAL)]
    accel: Accel,
}

/// What executes a machine's instructions.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Accel {
    /// KVM if it can run the machine, else TCG; says why not
    Auto,
    /// The processor, by Linux's KVM. Hypervisors need nested virtualization
    Kvm,
    /// QEMU's translation, which runs everywhere
    Tcg,
}

impl Global {
    /// The form the crates below want.
    pub fn options(&self) -> Options {
        Options {
            verbose: self.verbose,
            refresh: self.refresh,
            mirror: self.mirror.clone(),
            accel: match self.accel {
                Accel::Auto => AccelChoice::Auto,
                Accel::Kvm => AccelChoice::Kvm,
                Accel::Tcg => AccelChoice::Tcg,
            },
        }
    }
}

#[derive(Subcommand)]
pub enum Command {
    Bench(Bench),
    Boot(Boot),
    Build(Build),
    Kernel(Kernel),
    Package(Package),
    Run(Box<Run>),
    Doc(Doc),
    Test(Test),
    Fuzz(Fuzz),
    Clean(Clean),
    Doctor(Doctor),
    Shell(Shell),
    Generate(Generate),
}

impl Command {
    /// A name for the whole command, if it is long: the next run shows how long this one took. With an empty cache it is
    /// something else.
    pub fn whole(&self, session: &Session) -> Option<String> {
        let name = match self {
            Self::Boot(_) => "boot",
            Self::Build(_) => "build",
            Self::Kernel(_) => "kernel",
            Self::Package(_) => "package",
            Self::Test(test) if test.full => "test --full",
            Self::Test(test) if test.filter.is_empty() && !test.list => "test",
            _ => return None,
        };
        let cold = !session.cache.root().join("sandbox").exists();
        let with = if cold { " with an empty cache" } else { "" };
        Some(format!("cargo xtask {name}{with}"))
    }

    /// Its name, if only the work tree that one develops in has a use for it.
    pub fn for_developers(&self) -> Option<&'static str> {
        match self {
            Self::Bench(_) => Some("bench"),
            Self::Doc(_) => Some("doc"),
            Self::Fuzz(_) => Some("fuzz"),
            Self::Test(_) => Some("test"),
            _ => None,
        }
    }

    /// Whether it starts virtual machines.
    pub fn starts_machines(&self) -> bool {
        match self {
            Self::Bench(_) | Self::Boot(_) | Self::Run(_) => true,
            Self::Test(test) => !test.list,
            _ => false,
        }
    }

    /// What the machine has to have for it; nothing for a command that only reads files or tells something.
    pub fn needs(&self, session: &Session) -> Option<Needs> {
        match self {
            Self::Fuzz(fuzz) if fuzz.list => None,
            Self::Build(_) | Self::Doc(_) | Self::Fuzz(_) | Self::Package(_) | Self::Shell(_) => {
                Some(Needs::BUILD)
            }
            Self::Boot(_) | Self::Run(_) => Some(Needs::BOOT),
            Self::Test(test) if test.list || !crate::test::needs_tools(session, test) => None,
            Self::Bench(_) | Self::Test(_) => Some(Needs::TEST),
            Self::Kernel(kernel) if kernel.apply => None,
            Self::Kernel(_) => Some(Needs::KERNEL),
            Self::Clean(_) | Self::Doctor(_) | Self::Generate(_) => None,
        }
    }
}

/// Whether a command line, which may be wrong, is one of `run`.
pub fn names_run(words: impl IntoIterator<Item = String>) -> bool {
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            // The global options with a value.
            "--mirror" | "--accel" => drop(words.next()),
            option if option.starts_with('-') => {}
            command => return command == "run",
        }
    }
    false
}

/// Open a shell in the build sandbox, or run one command there
///
/// The work tree is visible read-only under /paravane, the cache under /cache.
#[derive(Args)]
pub struct Shell {
    /// The Debian suite of the sandbox
    #[arg(long, default_value = "trixie")]
    pub suite: String,
    /// Give the sandbox the machine's network
    #[arg(long)]
    pub network: bool,
    /// What to run instead of a shell
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

// What machines boot. A comment for the documentation would be the help of the commands.
#[derive(Args)]
pub struct Versions {
    /// A kernel profile of kernels.toml. Kernels that are built elsewhere cannot be booted
    #[arg(long, value_name = "PROFILE")]
    pub kernel: Option<String>,
    /// A series of Xen, such as 4.20, or a package's name (default: the newest in the archive)
    #[arg(long, value_name = "SERIES")]
    pub xen: Option<String>,
}

/// How a domain runs.
#[derive(Clone, Copy, ValueEnum)]
pub enum Mode {
    /// Paravirtualised
    Pv,
    /// Hardware-assisted, without a device model
    Pvh,
}

/// Whose drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Driver {
    /// The Rust modules, such as xen_blkfront_rs
    Rust,
    /// The kernel's own modules, such as xen_blkfront
    C,
}

/// Show what the cache holds, or remove what no run has used for a week
///
/// Without options nothing is removed. What another run is using is never removed.
#[derive(Args)]
pub struct Clean {
    /// Remove what no run has used for a week
    #[arg(long)]
    pub unused: bool,
    /// Remove everything
    #[arg(long, conflicts_with = "unused")]
    pub all: bool,
}

/// Say what this machine has and lacks, without changing anything
#[derive(Args)]
pub struct Doctor {}

/// Write completions for a shell, or a manual page, to standard output
#[derive(Args, Clone, Copy)]
pub struct Generate {
    /// What to write
    #[arg(value_enum)]
    pub what: Generated,
}

/// What can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Generated {
    /// Completions for bash
    Bash,
    /// Completions for fish
    Fish,
    /// Completions for zsh
    Zsh,
    /// A manual page, in roff
    Man,
}
