// SPDX-License-Identifier: GPL-2.0

//! Which scenarios a command line means, on which kernels, and with how much time.

use super::*;
use clap::Parser;

/// What a command line means for machines, with the work tree's own list of kernels.
fn lots_of(words: &[&str]) -> Vec<Lot> {
    let words = ["cargo xtask", "test"].iter().chain(words);
    let cli::Command::Test(args) = cli::Cli::parse_from(words).command else {
        panic!("not a test");
    };
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels.toml");
    let mut lots = lots(&Config::read(&path).unwrap(), &args);
    lots.retain(|lot| !lot.on_host);
    lots
}

fn kernels(lots: &[Lot]) -> Vec<&str> {
    let name = |lot: &Lot| lot.kernel().map_or(0, str::len);
    assert!(lots.iter().skip(1).all(|lot| name(lot) > 0));
    lots.iter().filter_map(Lot::kernel).collect()
}

#[test]
fn the_default_run_has_a_core_and_one_kernel_with_the_overlay() {
    let lots = lots_of(&[]);
    assert_eq!(kernels(&lots), ["overlay"]);
    let core = |lot: &Lot| lot.scenarios().filter(|s| s.core).count();
    assert!(core(&lots[0]) > 5 && core(&lots[1]) == 0);
    assert!(lots[1].scenarios().any(|s| s.name.starts_with("plumbing.")));
    let full = lots.iter().flat_map(Lot::scenarios).any(|s| s.full_only);
    assert!(!full);
}

#[test]
fn those_who_name_a_group_get_all_its_kernels() {
    assert_eq!(kernels(&lots_of(&["swiotlb."])), ["overlay", "overlay-c"]);
    assert_eq!(kernels(&lots_of(&["dom0."])), [""; 0]);
    let one = lots_of(&["--kernel", "overlay", "swiotlb."]);
    assert_eq!((one.len(), one[0].kernel()), (1, Some("overlay")));
    // A kernel that differs from another only in having more C has only what is for it.
    let full = lots_of(&["--full"]);
    assert!(kernels(&full).contains(&"debian-sid"));
    let copy = full.iter().find(|lot| lot.kernel() == Some("overlay-c"));
    assert!(copy.unwrap().scenarios().all(|s| !s.kernels.is_empty()));
}

#[test]
fn a_machines_scenarios_are_one_group() {
    for lot in lots_of(&["--full"]) {
        let names: BTreeSet<_> = lot.groups.iter().map(|group| &group.name).collect();
        assert_eq!(names.len(), lot.groups.len());
    }
}

#[test]
fn the_time_is_only_limited_where_nothing_is_named() {
    let budget = |words: &[&str]| {
        let words = ["cargo xtask", "test"].iter().chain(words);
        match cli::Cli::parse_from(words).command {
            cli::Command::Test(args) => args.time_budget().map(|time| time.as_secs()),
            _ => panic!("not a test"),
        }
    };
    assert_eq!(budget(&[]), Some(3600));
    assert_eq!(budget(&["dom0."]), None);
    assert_eq!(budget(&["--full"]), None);
    assert_eq!(budget(&["dom0.", "--time-budget", "5"]), Some(300));
    let refused = ["cargo xtask", "test", "--full", "--time-budget", "5"];
    assert!(cli::Cli::try_parse_from(refused).is_err());
}
