// SPDX-License-Identifier: GPL-2.0

//! The options of `test`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Driver, Versions};

/// Run the tests: of the source, on the host, and in virtual machines
///
/// Without a filter that is every check and host test, and those scenarios in virtual machines that are for every day; the
/// long ones are left to --full. A core of them (marked in --list) is run however long it takes, of the others as many as
/// there is time for. The rest counts as skipped, and the commit decides which that is, so that another leaves out others.
/// How long a scenario takes is known from earlier runs on this machine.
///
/// A scenario in which a domain ends by a triple fault, which can be the emulator's fault, is run again, at most three times
/// in all, and the report says so; if each run ends so, it has failed.
///
/// Prints KTAP: scenarios are subtests of the machine they share, host tests of their program. Writes JUnit to a file, ends
/// with a line "N passed, N failed" or "N passed, N failed, N skipped", and exits with a status that is not zero unless all
/// is well.
///
/// Time limits follow the machine's speed by themselves; PARAVANE_SLOW (see `cargo xtask --help`) multiplies them besides.
#[derive(Args)]
pub struct Test {
    /// Only tests whose names contain one of these texts (`check`, `unit` and the scenarios' groups are parts of
    /// the names); a scenario's whole name means that one alone
    pub filter: Vec<String>,
    /// Print the tests' names and run none; (core) is what is run in any case, (kernel NAME) what is run on another kernel
    #[arg(long)]
    pub list: bool,
    /// All scenarios with all rounds of the long ones, and all kernels, however long that takes
    #[arg(long)]
    pub full: bool,
    /// How long the whole command may take, compiling and preparing included, before scenarios are left out (default: 60
    /// without a filter, no limit with one)
    #[arg(long, value_name = "MINUTES", conflicts_with_all = ["full", "list"], value_parser = clap::value_parser!(u64).range(1..=10_080))]
    pub time_budget: Option<u64>,
    /// How many machines run at the same time (default: one for every two processors, if the free memory has room)
    #[arg(long, short, value_name = "N", conflicts_with = "list", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=256))]
    pub jobs: Option<usize>,
    /// Boot every machine, instead of starting those that are as in an earlier run from where they had booted to
    #[arg(long)]
    pub no_snapshots: bool,
    /// Where to write the results as JUnit (default: the run's log folder)
    #[arg(long, value_name = "FILE", conflicts_with = "list")]
    pub junit: Option<PathBuf>,
    #[command(flatten)]
    pub versions: Versions,
    /// The frontends under test: the Rust modules, or the kernel's own, to test the tests
    #[arg(long, value_enum, default_value = "rust")]
    pub driver: Driver,
}

/// How long the default run of the tests may take, in minutes.
const TIME_BUDGET: u64 = 60;

impl Test {
    /// Whether it is the run that README names, without a word on what to run.
    pub fn is_default(&self) -> bool {
        self.filter.is_empty() && !self.full
    }

    /// How long it may take, if that matters.
    pub fn time_budget(&self) -> Option<Duration> {
        let default = self.is_default().then_some(TIME_BUDGET);
        let minutes = self.time_budget.or(default);
        minutes.map(|minutes| Duration::from_secs(minutes * 60))
    }
}
