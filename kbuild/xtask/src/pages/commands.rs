// SPDX-License-Identifier: GPL-2.0

//! docs/reference/commands.md, which is made from the command line's definition.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory};

use super::{read, root};
use crate::cli::Cli;

const PAGE: &str = "docs/reference/commands.md";

/// Set to write the page instead of comparing it.
const WRITE: &str = "PARAVANE_WRITE_DOCS";

const HEAD: &str = "# Commands

<!-- Written by `PARAVANE_WRITE_DOCS=1 cargo test -p xtask pages::`. Do not edit: change kbuild/xtask/src/cli. -->

`cargo xtask COMMAND --help` prints the same. [kernel-ci.md](../guides/kernel-ci.md) has environment variables and exit
statuses.
";

/// A paragraph in lines of at most 120 characters.
fn wrapped(paragraph: &str) -> String {
    let mut text = String::new();
    let mut width = 0;
    for word in paragraph.split_whitespace() {
        let len = word.chars().count();
        if width > 0 && width + 1 + len > 120 {
            text.push('\n');
            width = 0;
        } else if width > 0 {
            text.push(' ');
            width += 1;
        }
        text.push_str(word);
        width += len;
    }
    text
}

/// How an argument is written.
fn usage(arg: &Arg) -> String {
    let value = arg
        .get_value_names()
        .filter(|_| arg.get_action().takes_values())
        .map(|names| names.join(" "));
    let name = match arg.get_long() {
        Some(long) => format!("--{long}"),
        None => {
            return format!(
                "`[{}]`",
                value.unwrap_or_else(|| arg.get_id().to_string().to_uppercase())
            );
        }
    };
    let short = arg
        .get_short()
        .map_or(String::new(), |short| format!(", -{short}"));
    let optional = arg
        .get_num_args()
        .is_some_and(|range| range.min_values() == 0);
    match value {
        Some(value) if optional => format!("`{name} [{value}]`"),
        Some(value) => format!("`{name} {value}`"),
        None => format!("`{name}{short}`"),
    }
}

/// What an argument means, in one line.
fn meaning(arg: &Arg) -> String {
    let help = arg.get_long_help().or(arg.get_help());
    let mut text = help.map_or(String::new(), ToString::to_string);
    let shown = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let values: Vec<_> = arg
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set() && arg.get_action().takes_values())
        .map(|value| {
            let help = value
                .get_help()
                .map_or(String::new(), |help| format!(" ({help})"));
            format!("`{}`{help}", value.get_name())
        })
        .collect();
    if !values.is_empty() {
        let _ = write!(text, ". Values: {}", values.join(", "));
    }
    let defaults = arg
        .get_default_values()
        .iter()
        .filter_map(|value| value.to_str());
    let defaults: Vec<_> = defaults.map(|value| format!("`{value}`")).collect();
    if !defaults.is_empty() && arg.get_action().takes_values() {
        let _ = write!(text, ". Default: {}", defaults.join(", "));
    }
    shown(&text).replace('|', "\\|").replace('<', "&lt;")
}

fn table(text: &mut String, args: &[&Arg]) {
    if args.is_empty() {
        return;
    }
    *text += "\n| option | meaning |\n|---|---|\n";
    for arg in args {
        let _ = writeln!(
            text,
            "| {} | {} |",
            usage(arg).replace('|', "\\|"),
            meaning(arg)
        );
    }
}

fn describe(text: &mut String, command: &Command, name: &str, depth: usize) {
    let _ = writeln!(text, "\n{} `{name}`", "#".repeat(depth));
    let about = command.get_long_about().or(command.get_about());
    for paragraph in about
        .map_or(String::new(), ToString::to_string)
        .split("\n\n")
    {
        // A help text's first line is a title without a full stop.
        let stop = if paragraph.trim_end().ends_with(['.', ':']) {
            ""
        } else {
            "."
        };
        let _ = writeln!(
            text,
            "\n{}",
            wrapped(&format!("{}{stop}", paragraph.trim_end()))
        );
    }
    let args: Vec<_> = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && !arg.is_global_set() && arg.get_id() != "help")
        .collect();
    table(text, &args);
    for sub in command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
    {
        describe(text, sub, &format!("{name} {}", sub.get_name()), depth + 1);
    }
}

fn page() -> String {
    let command = Cli::command();
    let mut text = HEAD.to_owned();
    text += "\n## Options of every command\n";
    let global: Vec<_> = command
        .get_arguments()
        .filter(|arg| arg.is_global_set())
        .collect();
    table(&mut text, &global);
    for sub in command.get_subcommands() {
        describe(
            &mut text,
            sub,
            &format!("cargo xtask {}", sub.get_name()),
            2,
        );
    }
    text
}

#[test]
fn the_page_is_the_command_lines_help() {
    let page = page();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(root().join(PAGE), page).unwrap();
        return;
    }
    let written = read(PAGE);
    let differ = page
        .lines()
        .zip(written.lines())
        .find(|(new, old)| new != old);
    assert!(
        page == written,
        "{PAGE} is out of date (first difference: {differ:?}). Write it again: {WRITE}=1 cargo test -p xtask pages::"
    );
}
