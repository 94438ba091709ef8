// SPDX-License-Identifier: GPL-2.0

//! The options of `fuzz`.

use std::time::Duration;

use clap::{Args, value_parser};

/// Fuzz what reads bytes of a hostile peer
///
/// Runs the targets of tests/fuzz under libFuzzer, which is guided by what an input covers, and checks overflows and
/// assertions. Inputs that cover more are kept in the cache, and the next run begins with them. An input that breaks a
/// promise is made as small as it goes and put into tests/fuzz/regressions, which `cargo xtask test` runs from then on;
/// the command goes on with the other targets, and its status is not zero.
#[derive(Args)]
pub struct Fuzz {
    /// What to fuzz (default: every target)
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// How long in all, such as 30s, 10m or 8h; the targets share it
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    pub time: Duration,
    /// How many targets run at a time (default: one for each processor)
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// List the targets, with the inputs that each has run in all runs, and run none
    #[arg(long)]
    pub list: bool,
}
