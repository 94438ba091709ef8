// SPDX-License-Identifier: GPL-2.0

//! Tests of the documentation: links and paths lead somewhere, and pages that list what the code has list all of it and
//! nothing else.
//!
//! What lives here: reading pages and sources. The comparisons are in the modules below. They read sources as text, so that
//! they also see what cargo does not compile.

mod commands;
mod examples;
mod links;
mod messages;
mod paths;
mod reference;

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the work tree.
struct Page {
    /// Its path below the work tree, with slashes.
    name: String,
    text: String,
}

/// The work tree.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The content of a file of the work tree.
fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// All files below a folder whose names end in one of `extensions`, in the order of their names. Links are not followed, and
/// hidden folders and what cargo builds are left out.
fn files(folder: &str, extensions: &[&str]) -> Vec<Page> {
    let mut pages = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(root().join(&folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
        for entry in entries {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = match folder.is_empty() {
                true => name.clone(),
                false => format!("{folder}/{name}"),
            };
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && !name.starts_with('.') && name != "target" {
                folders.push(path);
            } else if kind.is_file() && extensions.iter().any(|end| name.ends_with(end)) {
                let text = read(&path);
                pages.push(Page { name: path, text });
            }
        }
    }
    pages.sort_by(|a, b| a.name.cmp(&b.name));
    pages
}

/// All Markdown pages of the work tree.
fn pages() -> Vec<Page> {
    files("", &[".md"])
}

/// The lines of a page that are no code block, with their numbers from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.starts_with("    "))
        .map(|(index, line)| (index + 1, line))
}

/// The part of a page under a heading, up to the next one of the same or a higher level.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let level = heading.split(' ').next().unwrap_or_default().len();
    let start = text
        .find(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("no heading {heading:?}"));
    let rest = &text[start + heading.len() + 2..];
    let ends = |line: &str| {
        let marks = line.bytes().take_while(|byte| *byte == b'#').count();
        marks > 0 && marks <= level && line[marks..].starts_with(' ')
    };
    let end = rest
        .split_inclusive('\n')
        .scan(0, |at, line| {
            let start = *at;
            *at += line.len();
            Some((start, line))
        })
        .find(|(_, line)| ends(line));
    end.map_or(rest, |(end, _)| &rest[..end])
}

/// The rows of all tables in a text, without heads and rules, each as its cells.
fn rows(text: &str) -> Vec<Vec<String>> {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let is_rule = |line: &&str| line.starts_with("|-");
    let mut rows = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let is_head = lines.get(index + 1).is_some_and(is_rule);
        if !line.starts_with('|') || is_rule(line) || is_head {
            continue;
        }
        let inner = line.trim_matches('|').replace("\\|", "\0");
        let cells = inner.split('|').map(|cell| cell.trim().replace('\0', "|"));
        rows.push(cells.collect());
    }
    rows
}

/// The code spans of a text.
fn spans(text: &str) -> Vec<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The string literals of Rust or C source, as they are when they are compiled: escapes and continued lines are resolved. Comments
/// are left out. Character literals of a quote are not expected.
fn literals(source: &str) -> Vec<String> {
    let mut all = Vec::new();
    let code = without_comments(source);
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\'' && chars.peek() == Some(&'"') {
            chars.next();
            continue;
        }
        if c != '"' {
            continue;
        }
        let mut text = String::new();
        while let Some(c) = chars.next() {
            match c {
                '"' => break,
                '\\' => match chars.next() {
                    Some('n') => text.push('\n'),
                    Some('\n') => while chars.next_if(|c| c.is_whitespace()).is_some() {},
                    Some(c) => text.push(c),
                    None => break,
                },
                c => text.push(c),
            }
        }
        all.push(text);
    }
    all
}

/// Source without its line comments.
fn without_comments(source: &str) -> String {
    let lines = source
        .lines()
        .map(|line| match line.trim_start().starts_with("//") {
            true => "",
            false => line,
        });
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// The fixed parts of a format string.
fn fixed_parts(literal: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for c in literal.trim().chars() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                parts.push(String::new());
            }
            c if depth == 0 => parts.last_mut().unwrap().push(c),
            _ => (),
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// Whether a text is what a format string makes of some values.
fn is_made_by(text: &str, literal: &str) -> bool {
    let mut rest = text;
    fixed_parts(literal)
        .iter()
        .all(|part| match rest.split_once(part.as_str()) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
}

#[test]
fn pages_and_sources_are_read_as_expected() {
    let page = "# A\n\n## b\n\n| x | y |\n|---|---|\n| `p \\| q` | 2 |\n\n### c\n\ntext\n\n## d\n";
    assert_eq!(
        section(page, "## b"),
        "\n| x | y |\n|---|---|\n| `p \\| q` | 2 |\n\n### c\n\ntext\n\n"
    );
    assert_eq!(rows(page), [["`p | q`", "2"]]);
    assert_eq!(spans("a `b` c `d`"), ["b", "d"]);
    let source = "// \"no\"\nf(\"a \\\n      b\\n\", '\"', \"{c} d\");";
    assert_eq!(literals(source), ["a b\n", "{c} d"]);
    assert_eq!(fixed_parts("gsi {gsi} was {}\n"), ["gsi ", " was "]);
    assert!(is_made_by("gsi N was X", "gsi {gsi} was {was}\n"));
    assert!(!is_made_by("gsi N is X", "gsi {gsi} was {was}\n"));
}
