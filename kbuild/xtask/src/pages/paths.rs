// SPDX-License-Identifier: GPL-2.0

//! Files, functions and scenarios that pages name.

use std::collections::BTreeSet;

use super::{pages, read, root, rows, spans};

/// The top folders, by which a path of the tree is told from others.
const FOLDERS: [&str; 7] = [
    ".ci/",
    "docs/",
    "hypervisor/",
    "kbuild/",
    "linux-pv/",
    "protocol/",
    "tests/",
];

/// Pages that name paths of another time, and say so.
const OF_THE_PAST: [&str; 1] = ["docs/results/mutants.md"];

/// `a/{b,c}` as `a/b` and `a/c`.
fn expanded(path: &str) -> Vec<String> {
    match path.split_once('{').and_then(|(before, rest)| {
        let (inner, after) = rest.split_once('}')?;
        Some((before, inner, after))
    }) {
        Some((before, inner, after)) => inner
            .split(',')
            .flat_map(|part| expanded(&format!("{before}{part}{after}")))
            .collect(),
        None => vec![path.to_owned()],
    }
}

/// The paths of the tree among a text's words in code.
fn named(text: &str) -> Vec<String> {
    let block = text.lines().filter(|line| line.starts_with("    "));
    let code = spans(text).into_iter().chain(block.map(str::to_owned));
    let words: Vec<String> = code
        .flat_map(|code| {
            code.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    words
        .iter()
        .filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder)))
        // Placeholders.
        .filter(|word| !word.contains(['*', '…', '$', '<', ':']))
        .flat_map(|word| expanded(word.trim_end_matches(['.', ',', ';'])))
        .collect()
}

#[test]
fn named_files_exist() {
    let mut missing = Vec::new();
    for page in pages() {
        let is_table = page.text.contains("<!-- Written by `cargo xtask bench");
        if OF_THE_PAST.contains(&page.name.as_str()) || is_table {
            continue;
        }
        for path in named(&page.text) {
            if !root().join(&path).exists() {
                missing.push(format!("{}: {path}", page.name));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "these files do not exist:\n{}",
        missing.join("\n")
    );
}

/// The walks of docs/first-change.md: rows of a file and of functions or types that are in it.
#[test]
fn the_walks_name_what_is_there() {
    let page = read("docs/first-change.md");
    let mut steps = 0;
    let mut missing = Vec::new();
    for row in rows(&page) {
        let [file, names, ..] = &row[..] else {
            continue;
        };
        let Some(file) = spans(file)
            .into_iter()
            .find(|span| span.contains('/') && span.contains('.'))
        else {
            continue;
        };
        let source = std::fs::read_to_string(root().join(&file)).unwrap_or_default();
        steps += 1;
        for name in spans(names) {
            // `Type::function` is looked for by its last part.
            let last = name
                .rsplit("::")
                .next()
                .unwrap_or(&name)
                .trim_end_matches("()");
            let is_word = |(at, _): (usize, &str)| {
                let outside = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
                outside(source[..at].chars().next_back())
                    && outside(source[at + last.len()..].chars().next())
            };
            if !source.match_indices(last).any(is_word) {
                missing.push(format!("{file}: {name}"));
            }
        }
    }
    assert!(steps > 15, "the page has {steps} steps only");
    assert!(
        missing.is_empty(),
        "docs/first-change.md names what is not there:\n{}",
        missing.join("\n")
    );
}

/// A scenario's name, or the beginning of one that ends in a dot, an underscore or a star. Results name those of their time.
#[test]
fn named_scenarios_exist() {
    let all = vmtest::scenarios::all();
    let subjects: BTreeSet<_> = all
        .iter()
        .filter_map(|variant| variant.name.split('.').next())
        .collect();
    let mut missing = Vec::new();
    for page in pages() {
        if page.name.starts_with("docs/results/") {
            continue;
        }
        for word in spans(&page.text)
            .iter()
            .flat_map(|span| span.split_whitespace())
        {
            let Some((subject, rest)) = word.split_once('.') else {
                continue;
            };
            let is_name =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_*…".contains(c);
            if !subjects.contains(subject) || !rest.chars().all(is_name) {
                continue;
            }
            let fixed = word.trim_end_matches(['*', '…']);
            let is_whole = fixed == word && !fixed.ends_with(['.', '_']);
            let exists = all.iter().any(|variant| match is_whole {
                true => variant.name == fixed,
                false => variant.name.starts_with(fixed),
            });
            // An example may define one.
            let is_example = page.text.contains(&format!("\"{word}\""));
            if !exists && !is_example {
                missing.push(format!("{}: {word}", page.name));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "there are no such scenarios:\n{}",
        missing.join("\n")
    );
}

#[test]
fn paths_are_found_in_code() {
    assert_eq!(expanded("a/{b,c}/d"), ["a/b/d", "a/c/d"]);
    let text = "`tests/src/{a,b}.rs`, `tests/NAME…`, tests/no and\n\n    cat docs/x.md\n";
    assert_eq!(
        named(text),
        ["tests/src/a.rs", "tests/src/b.rs", "docs/x.md"]
    );
}
