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
fn what_runs_in_a_machine_is_taken_as_it_is() {
    match parse(&[
        "run",
        "--as",
        "dom0-pvh",
        "--timeout",
        "9",
        "--",
        "echo",
        "-n",
        "--",
        "a b",
    ]) {
        Command::Run(run) => {
            assert_eq!(run.command, ["echo", "-n", "--", "a b"]);
            assert!(run.role == Some(RunAs::Dom0Pvh) && run.timeout == Some(9) && !run.bisect);
        }
        _ => panic!("not a run"),
    }
    for words in [
        &["run"][..],
        &["run", "--as", "xen"],
        &["run", "--as", "pv", "true"],
    ] {
        assert!(is_refused(words), "{words:?}");
    }
}

#[test]
fn a_wrong_command_line_of_run_is_known_as_one() {
    let names = |text: &str| names_run(text.split(' ').map(str::to_owned));
    assert!(
        names("run --bad")
            && names("-v --mirror http://m run --as what")
            && names("--accel kvm run")
    );
    assert!(!names("test --bad run") && !names("--mirror run test") && !names("--help"));
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
    let needs_pv = |words: &[&str]| match parse(words) {
        Command::Boot(boot) => boot.needs_pv(),
        _ => panic!("not a boot"),
    };
    let paravane = ["boot", "--hypervisor", "paravane"];
    assert_eq!(needs_pv(&paravane), None);
    for (option, kind, expected) in [
        ("--mode", "pvh", None),
        ("--mode", "pv", Some("--mode pv")),
        ("--dom0", "pv", Some("--dom0 pv")),
    ] {
        let words = [&paravane[..], &[option, kind]].concat();
        assert_eq!(needs_pv(&words), expected);
    }
}

#[test]
fn variables_and_global_options_are_in_the_help() {
    let help = help(&[]);
    for variable in [
        "PARAVANE_CACHE",
        "PARAVANE_MIRROR",
        "PARAVANE_SECURITY_MIRROR",
        "PARAVANE_SEEDS",
        "PARAVANE_SLOW",
    ] {
        assert!(help.contains(variable), "{variable}");
    }
    let (_, global) = help.split_once(GLOBAL).unwrap();
    assert!(global.contains("--verbose") && global.contains("--mirror"));
}

#[test]
fn an_installed_program_hides_what_is_for_developers() {
    let command = command(Program::Installed);
    assert_eq!(command.get_name(), "paravane");
    for subcommand in command.get_subcommands() {
        let name = subcommand.get_name();
        let hidden = FOR_DEVELOPERS.contains(&name);
        assert_eq!(subcommand.is_hide_set(), hidden, "{name}");
        let parsed = Cli::try_parse_from(["paravane", name]);
        if let Ok(cli) = parsed {
            assert_eq!(cli.command.for_developers().is_some(), hidden, "{name}");
        }
    }
}
