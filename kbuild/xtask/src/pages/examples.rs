// SPDX-License-Identifier: GPL-2.0

//! Examples for users of `run`: the files are what they claim to be, and the commands in them and in the guides are ones that the
//! option parser takes. What needs a network or a service is not tried.

use std::process::Command;

use clap::Parser;
use regex_lite::Regex;
use yaml_rust2::{Yaml, YamlLoader};

use super::{files, read, root};
use crate::cli::{self, Cli};
use crate::run::config_file;

/// What stands in front of the options of `run`.
const STARTS: [&str; 3] = ["cargo xtask run ", "paravane run ", "-p xtask -- run "];

/// The words of a shell's command line; variables and other expressions stay as they are.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote) = (None::<String>, None::<char>);
    for character in line.chars() {
        match (quote, character) {
            (Some(end), _) if character == end => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            // A redirection, or another command.
            (None, '<' | '>' | ';' | '|' | '&') => break,
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

/// The commands of `run` in a script, each as its words behind the name of the program.
fn runs(script: &str) -> Vec<Vec<String>> {
    let mut runs = Vec::new();
    let expression = Regex::new(r"\$\{\{[^}]*\}\}").unwrap();
    let script = expression.replace_all(script, "$$value");
    let joined: String = script.split("\\\n").map(str::trim_start).collect();
    for line in joined.lines() {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        for start in STARTS {
            if let Some((_, options)) = line.split_once(start) {
                runs.push(words(&format!("run {options}")));
            }
        }
    }
    runs
}

/// Commands that the option parser refuses.
fn refused(commands: &[Vec<String>]) -> Vec<String> {
    let mut refused = Vec::new();
    for words in commands {
        // A matrix or a variable stands for one of the values.
        let words = words.iter().map(|word| match word.starts_with('$') {
            true => "pvh",
            false => word.as_str(),
        });
        let words: Vec<_> = ["xtask"].into_iter().chain(words).collect();
        if let Err(error) = Cli::try_parse_from(&words) {
            refused.push(format!("{}: {error}", words.join(" ")));
        }
    }
    refused
}

/// All texts in a YAML document.
fn texts(yaml: &Yaml) -> Vec<&str> {
    match yaml {
        Yaml::String(text) => vec![text],
        Yaml::Array(all) => all.iter().flat_map(texts).collect(),
        Yaml::Hash(all) => all.values().flat_map(texts).collect(),
        _ => vec![],
    }
}

#[test]
fn words_are_split_as_a_shell_does() {
    assert_eq!(
        words("run --as pvh -- 'cat x; y' \"a  b\" c <file"),
        ["run", "--as", "pvh", "--", "cat x; y", "a  b", "c"]
    );
    assert_eq!(
        runs("x\n  cargo xtask run --as \\\n    pv -- true\n"),
        [["run", "--as", "pv", "--", "true"]]
    );
    assert_eq!(refused(&[vec!["run".into(), "--bad".into()]]).len(), 1);
}

#[test]
fn commands_in_yaml_files_are_taken() {
    let yaml = files("docs/examples", &[".yml", ".yaml"]);
    assert!(yaml.len() >= 3, "there are few of them");
    for page in yaml {
        let documents = YamlLoader::load_from_str(&page.text);
        let documents = documents.unwrap_or_else(|error| panic!("{}: {error}", page.name));
        let scripts = documents.iter().flat_map(texts);
        let commands: Vec<_> = scripts.flat_map(runs).collect();
        assert!(!commands.is_empty(), "{} runs nothing", page.name);
        assert_eq!(refused(&commands), [""; 0], "{}", page.name);
    }
}

#[test]
fn commands_of_run_in_the_guides_are_taken() {
    for name in ["docs/guides/run.md", "docs/guides/kernel-ci.md"] {
        let text = read(name);
        let code: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("    "))
            .collect();
        let commands = runs(&code.join("\n"));
        assert!(!commands.is_empty(), "{name} has none");
        assert_eq!(refused(&commands), [""; 0], "{name}");
    }
}

#[test]
fn the_configuration_file_is_one() {
    let args = cli::Run {
        config: Some(root().join("docs/examples/run.toml")),
        ..cli::Run::default()
    };
    let args = config_file::complete(args).unwrap();
    assert!(args.kernel.is_some() && args.timeout.is_some() && !args.command.is_empty());
}

/// The script prints the command by which it would run a job.
#[test]
fn a_job_of_kernelci_becomes_a_command_that_is_taken() {
    let folder = root().join("docs/examples");
    let output = Command::new("python3")
        .arg(folder.join("kernelci-pull-lab.py"))
        .arg("--job")
        .arg(folder.join("kernelci-job.json"))
        .arg("--dry-run")
        .output();
    let Ok(output) = output else {
        eprintln!("not tried: this machine has no python3");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    let commands = runs(&said);
    assert_eq!(commands.len(), 1, "{said}");
    assert_eq!(refused(&commands), [""; 0]);
    assert!(commands[0].windows(2).any(|pair| pair == ["--as", "pvh"]));
}
