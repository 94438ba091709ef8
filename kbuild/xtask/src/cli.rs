// SPDX-License-Identifier: GPL-2.0

//! The options: those of every subcommand, and what several have in common. Long ones have files of their own.

mod bench;
mod boot;
mod build;
mod test;
#[cfg(test)]
mod tests;

use clap::{Args, Parser, Subcommand, ValueEnum};
use kbuild::Session;
use kbuild::host::Needs;
use kbuild::session::Options;

pub use bench::{Bench, BenchCells, BenchCommon, BenchDma, BenchHypervisor, Subject};
pub use boot::{Boot, Console, DeviceFiles, Hypervisor};
pub use build::{Build, Doc, Kernel};
pub use test::Test;

/// The variables that are read.
const ENVIRONMENT: &str = "\
Environment variables:
  PARAVANE_CACHE            The folder of the cache; otherwise $XDG_CACHE_HOME/paravane, or
                            ~/.cache/paravane
  PARAVANE_MIRROR           The Debian mirror, as with --mirror
  PARAVANE_SECURITY_MIRROR  With a mirror named: its archive of Debian's security updates
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
}

impl Global {
    /// The form the crates below want.
    pub fn options(&self) -> Options {
        Options {
            verbose: self.verbose,
            refresh: self.refresh,
            mirror: self.mirror.clone(),
        }
    }
}

#[derive(Subcommand)]
pub enum Command {
    Bench(Bench),
    Boot(Boot),
    Build(Build),
    Kernel(Kernel),
    Doc(Doc),
    Test(Test),
    Clean(Clean),
    Doctor(Doctor),
    Shell(Shell),
}

impl Command {
    /// A name for the whole command, if it is long: the next run shows how long this one took. With an empty cache it is
    /// something else.
    pub fn whole(&self, session: &Session) -> Option<String> {
        let name = match self {
            Self::Boot(_) => "boot",
            Self::Build(_) => "build",
            Self::Kernel(_) => "kernel",
            Self::Test(test) if test.full => "test --full",
            Self::Test(test) if test.filter.is_empty() && !test.list => "test",
            _ => return None,
        };
        let cold = !session.cache.root().join("sandbox").exists();
        let with = if cold { " with an empty cache" } else { "" };
        Some(format!("cargo xtask {name}{with}"))
    }

    /// What the machine has to have for it; nothing for a command that only reads files or tells something.
    pub fn needs(&self, session: &Session) -> Option<Needs> {
        match self {
            Self::Build(_) | Self::Doc(_) | Self::Shell(_) => Some(Needs::BUILD),
            Self::Boot(_) => Some(Needs::BOOT),
            Self::Test(test) if test.list || !crate::test::needs_tools(session, test) => None,
            Self::Bench(_) | Self::Test(_) => Some(Needs::TEST),
            Self::Kernel(kernel) if kernel.apply => None,
            Self::Kernel(_) => Some(Needs::KERNEL),
            Self::Clean(_) | Self::Doctor(_) => None,
        }
    }
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
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Driver {
    /// Ours, such as xen_blkfront_rs
    Rust,
    /// The kernel's own, such as xen_blkfront
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
