// SPDX-License-Identifier: GPL-2.0

//! Which scenarios a command line means, on which kernels, and with how much time.

use std::collections::BTreeSet;

use clap::Parser;

use super::*;

/// What a command line means for machines, with the work tree's own list of kernels.
fn batches_of(words: &[&str]) -> Vec<Batch> {
    let words = ["cargo xtask", "test"].iter().chain(words);
    let cli::Command::Test(args) = cli::Cli::parse_from(words).command else {
        panic!("not a test");
    };
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels.toml");
    let mut batches = batches(&Config::read(&path).unwrap(), &args);
    batches.retain(|batch| !batch.on_host);
    batches
}

fn kernels(batches: &[Batch]) -> Vec<&str> {
    let name = |batch: &Batch| batch.kernel().map_or(0, str::len);
    assert!(batches.iter().skip(1).all(|batch| name(batch) > 0));
    batches.iter().filter_map(Batch::kernel).collect()
}

#[test]
fn the_default_run_has_a_core_and_one_kernel_with_the_overlay() {
    let batches = batches_of(&[]);
    assert_eq!(kernels(&batches), ["overlay"]);
    let core = |batch: &Batch| batch.scenarios().filter(|s| s.is_core()).count();
    assert!(core(&batches[0]) > 5 && core(&batches[1]) == 0);
    assert!(
        batches[1]
            .scenarios()
            .any(|s| s.name.starts_with("plumbing."))
    );
    let full = batches
        .iter()
        .flat_map(Batch::scenarios)
        .any(|s| s.is_full_only());
    assert!(!full);
}

#[test]
fn those_who_name_a_group_get_all_its_kernels() {
    assert_eq!(
        kernels(&batches_of(&["swiotlb."])),
        ["overlay", "overlay-c"]
    );
    assert_eq!(kernels(&batches_of(&["dom0."])), [""; 0]);
    let one = batches_of(&["--kernel", "overlay", "swiotlb."]);
    assert_eq!((one.len(), one[0].kernel()), (1, Some("overlay")));
    // A kernel that differs from another only in having more C has only what is for it.
    let full = batches_of(&["--full"]);
    assert!(kernels(&full).contains(&"debian-sid"));
    let copy = full
        .iter()
        .find(|batch| batch.kernel() == Some("overlay-c"));
    assert!(copy.unwrap().scenarios().all(|s| s.kernels != Kernels::Any));
}

#[test]
fn a_machines_scenarios_are_one_group() {
    for batch in batches_of(&["--full"]) {
        let names: BTreeSet<_> = batch.groups.iter().map(|group| &group.name).collect();
        assert_eq!(names.len(), batch.groups.len());
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
