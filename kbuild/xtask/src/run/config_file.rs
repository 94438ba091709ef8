// SPDX-License-Identifier: GPL-2.0

//! Options of `run` from a TOML file. A key is an option's name, and its value is taken as if it stood on a command line, so
//! what is wrong with it is told in the same words.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Command, FromArgMatches};
use toml::{Table, Value};

use crate::cli::Run;

/// The key of what is behind the dashes on a command line.
const COMMAND: &str = "command";

/// The options with those of the configuration file behind them, if one is named.
///
/// # Errors
///
/// If the file cannot be read or is wrong, or options do not go together.
pub fn complete(args: Run) -> Result<Run> {
    let args = match args.config.clone() {
        Some(file) => with(args, read(&file)?),
        None => args,
    };
    ensure!(
        args.role.is_some(),
        "--as is missing: what is the kernel to run as?"
    );
    ensure!(
        args.modules.is_none() || args.kernel.is_some(),
        "--modules goes with --kernel"
    );
    Ok(args)
}

/// Reads a configuration file.
fn read(file: &Path) -> Result<Run> {
    let shown = file.display();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let table: Table = text
        .parse()
        .with_context(|| format!("{shown} is no TOML"))?;
    let args = parse(&table, file).with_context(|| format!("{shown} is wrong"))?;
    let folder = file.parent().unwrap_or(Path::new(""));
    Ok(below(args, folder))
}

fn parse(table: &Table, file: &Path) -> Result<Run> {
    let mut words = vec![format!("--config={}", file.display())];
    let mut command = Vec::new();
    for (key, value) in table {
        match (key.as_str(), value) {
            ("config", _) => bail!("it cannot name another one"),
            (COMMAND, Value::Array(parts)) => {
                for part in parts {
                    command.push(text(COMMAND, part)?);
                }
            }
            (COMMAND, part) => command.push(text(COMMAND, part)?),
            (_, Value::Boolean(true)) => words.push(format!("--{key}")),
            (_, Value::Boolean(false)) => ensure!(is_flag(key), "{key} is not true or false"),
            (_, Value::Array(values)) => {
                for value in values {
                    words.push(format!("--{key}={}", text(key, value)?));
                }
            }
            (_, value) => words.push(format!("--{key}={}", text(key, value)?)),
        }
    }
    words.push("--".into());
    let matches = options()
        .no_binary_name(true)
        .try_get_matches_from(words.into_iter().chain(command));
    let args = matches.and_then(|matches| Run::from_arg_matches(&matches));
    // Its first line says what is wrong; the others are about command lines.
    args.map_err(|error| {
        let said = error.to_string();
        let line = said.lines().next().unwrap_or_default();
        anyhow::anyhow!("{}", line.trim_start_matches("error: "))
    })
}

/// The options as clap knows them.
fn options() -> Command {
    Run::augment_args(Command::new("run")).disable_help_flag(true)
}

fn is_flag(key: &str) -> bool {
    let options = options();
    let mut options = options.get_arguments();
    options.any(|option| option.get_long() == Some(key) && !option.get_action().takes_values())
}

fn text(key: &str, value: &Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        _ => bail!("{key} is neither a text nor a number"),
    }
}

/// The options of a file in a folder, with paths that begin at that folder.
fn below(args: Run, folder: &Path) -> Run {
    let join = |path: PathBuf| folder.join(path);
    Run {
        kernel: args.kernel.map(join),
        modules: args.modules.map(join),
        root: args.root.map(join),
        disk: args.disk.into_iter().map(join).collect(),
        results: args.results.map(join),
        junit: args.junit.map(join),
        ..args
    }
}

/// Options with those of a file behind them.
fn with(args: Run, file: Run) -> Run {
    // Modules belong to a kernel.
    let modules = match args.kernel {
        Some(_) => args.modules,
        None => args.modules.or(file.modules),
    };
    // Every field is named: one that is forgotten is an error.
    Run {
        config: args.config,
        kernel: args.kernel.or(file.kernel),
        modules,
        role: args.role.or(file.role),
        hypervisor: args.hypervisor.or(file.hypervisor),
        xen: args.xen.or(file.xen),
        drivers: args.drivers.or(file.drivers),
        vcpus: args.vcpus.or(file.vcpus),
        memory: args.memory.or(file.memory),
        root: args.root.or(file.root),
        disk: or(args.disk, file.disk),
        net: args.net || file.net,
        append: args.append.or(file.append),
        timeout: args.timeout.or(file.timeout),
        results: args.results.or(file.results),
        junit: args.junit.or(file.junit),
        lava: args.lava || file.lava,
        bisect: args.bisect || file.bisect,
        no_snapshots: args.no_snapshots || file.no_snapshots,
        command: or(args.command, file.command),
    }
}

fn or<T>(list: Vec<T>, other: Vec<T>) -> Vec<T> {
    match list.is_empty() {
        true => other,
        false => list,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Driver, RunAs};

    /// What a file with this text says.
    fn file(text: &str) -> Result<Run> {
        parse(&text.parse()?, Path::new("run.toml")).map(|args| below(args, Path::new("/tree")))
    }

    fn refusal(text: &str) -> String {
        format!("{:#}", file(text).unwrap_err())
    }

    #[test]
    fn every_option_can_be_in_a_file() {
        let options = options();
        for option in options.get_arguments() {
            let Some(name) = option.get_long().filter(|name| *name != "config") else {
                continue;
            };
            let values = option.get_possible_values();
            let text = match (option.get_action().takes_values(), values.first()) {
                (false, _) => format!("{name} = true"),
                (true, Some(value)) => format!("{name} = \"{}\"", value.get_name()),
                (true, None) => format!("{name} = 256").replace("vcpus = 256", "vcpus = 2"),
            };
            let args = file(&text).unwrap_or_else(|error| panic!("{text}: {error:#}"));
            let empty = Run {
                config: args.config.clone(),
                ..Run::default()
            };
            assert_ne!(args, empty, "{text}");
            // The merge takes it over, and what the command line says counts more.
            assert_eq!(with(empty, file(&text).unwrap()), args, "{text}");
        }
    }

    #[test]
    fn paths_begin_at_the_files_folder_and_the_command_line_counts_more() {
        let text = r#"
            kernel = "arch/x86/boot/bzImage"
            modules = "m.tar.xz"
            as = "pvh"
            drivers = "rust"
            disk = ["a.img", "/b.img"]
            net = true
            timeout = 300
            append = "--debug x"
            command = ["./run_kselftest.sh", "-t", "net"]
        "#;
        let args = file(text).unwrap();
        assert_eq!(
            args.kernel.as_deref(),
            Some(Path::new("/tree/arch/x86/boot/bzImage"))
        );
        assert_eq!(args.disk, [Path::new("/tree/a.img"), Path::new("/b.img")]);
        assert_eq!(args.append.as_deref(), Some("--debug x"));
        let line = Run {
            kernel: Some("/k".into()),
            role: Some(RunAs::Pv),
            command: vec!["true".into()],
            ..Run::default()
        };
        let both = with(line, args);
        assert_eq!(both.kernel.as_deref(), Some(Path::new("/k")));
        assert_eq!(both.modules, None, "another kernel's");
        assert_eq!(
            (both.role, both.drivers),
            (Some(RunAs::Pv), Some(Driver::Rust))
        );
        assert_eq!((both.timeout, both.net), (Some(300), true));
        assert_eq!(both.command, ["true"]);
    }

    #[test]
    fn what_is_wrong_is_told_in_the_words_of_the_command_line() {
        assert!(refusal("a = 1").contains("unexpected argument '--a'"));
        assert!(refusal("as = \"dom1\"").contains("invalid value 'dom1'"));
        assert!(refusal("memory = 1").contains("1 is not in 192..=16384"));
        assert!(refusal("config = \"x\"").contains("another one"));
        assert!(refusal("kernel = false").contains("kernel is not true or false"));
        assert!(refusal("timeout = 1.5").contains("neither a text nor a number"));
        assert!(refusal("help = true").contains("unexpected argument"));
        assert!(file("net = false").is_ok_and(|args| !args.net));
    }

    #[test]
    fn what_is_missing_in_both_is_told() {
        let none = complete(Run::default()).unwrap_err().to_string();
        assert!(none.contains("--as is missing"), "{none}");
        let modules = complete(Run {
            role: Some(RunAs::Pv),
            modules: Some("/m".into()),
            ..Run::default()
        });
        assert!(modules.unwrap_err().to_string().contains("--kernel"));
    }
}
