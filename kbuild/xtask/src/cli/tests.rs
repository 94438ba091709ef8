// SPDX-License-Identifier: GPL-2.0

//! What command lines mean: those that users write, and those that they wrote before names changed.

use clap::{CommandFactory, Parser};

use super::*;

fn parse(words: &[&str]) -> Command {
    let words = ["cargo xtask"].iter().chain(words);
    Cli::parse_from(words).command
}

fn is_refused(words: &[&str]) -> bool {
    let words = ["cargo xtask"].iter().chain(words);
    Cli::try_parse_from(words).is_err()
}

/// The whole help of a subcommand.
fn help(of: &[&str]) -> String {
    let mut command = Cli::command();
    command.build();
    let mut command = &mut command;
    for name in of {
        command = command.find_subcommand_mut(name).unwrap();
    }
    command.render_long_help().to_string()
}

#[test]
fn the_options_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn old_names_are_understood_and_not_shown() {
    for option in ["--without-rust", "--c"] {
        match parse(&["kernel", option, "swiotlb", option, "pci"]) {
            Command::Kernel(kernel) => assert_eq!(kernel.without_rust, ["swiotlb", "pci"]),
            _ => panic!("not a kernel"),
        }
    }
    for option in ["--apply", "--lay"] {
        match parse(&["kernel", option, "--source", "."]) {
            Command::Kernel(kernel) => assert!(kernel.apply),
            _ => panic!("not a kernel"),
        }
    }
    let kernel = help(&["kernel"]);
    assert!(kernel.contains("--without-rust") && kernel.contains("--apply"));
    assert!(!kernel.contains("--c ") && !kernel.contains("--lay"));
    for subject in ["devfile", "nodes"] {
        match parse(&["bench", subject]) {
            Command::Bench(bench) => assert!(matches!(bench.subject, Subject::Devfile(_))),
            _ => panic!("not a bench"),
        }
    }
    assert!(!help(&["bench"]).contains("nodes"));
}

#[test]
fn values_can_be_left_out() {
    match parse(&["boot", "--console"]) {
        Command::Boot(boot) => assert!(matches!(boot.console, Some(Console::Dom0))),
        _ => panic!("not a boot"),
    }
    for words in [
        &["build", "--hypervisor"][..],
        &["build", "--hypervisor", "paravane"],
    ] {
        match parse(words) {
            Command::Build(build) => assert!(build.hypervisor.is_some()),
            _ => panic!("not a build"),
        }
    }
    assert!(is_refused(&["build", "--hypervisor", "xen"]));
}

#[test]
fn what_does_not_apply_is_refused() {
    assert!(is_refused(&["build", "--hypervisor", "--clippy"]));
    assert!(is_refused(&["build", "--output", "file"]));
    assert!(is_refused(&["kernel", "--apply"]));
    let apply = ["kernel", "--apply", "--source", "."];
    for more in [
        &["--without-rust", "pci"],
        &["--config", "debian"],
        &["--suite", "sid"],
    ] {
        assert!(is_refused(&[&apply[..], &more[..]].concat()), "{more:?}");
    }
    let guests = |words: &[&str]| match parse(words) {
        Command::Boot(boot) => boot.for_guests(),
        _ => panic!("not a boot"),
    };
    let paravane = ["boot", "--hypervisor", "paravane"];
    assert_eq!(guests(&paravane), None);
    assert_eq!(
        guests(&[&paravane[..], &["--keep"]].concat()),
        Some("--keep")
    );
}

#[test]
fn variables_and_global_options_are_in_the_help() {
    let help = help(&[]);
    for variable in [
        "PARAVANE_CACHE",
        "PARAVANE_MIRROR",
        "PARAVANE_SECURITY_MIRROR",
        "PARAVANE_SLOW",
    ] {
        assert!(help.contains(variable), "{variable}");
    }
    let (_, global) = help.split_once(GLOBAL).unwrap();
    assert!(global.contains("--verbose") && global.contains("--mirror"));
}
