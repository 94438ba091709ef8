// SPDX-License-Identifier: GPL-2.0

//! Links between pages, and the width of their lines.

use super::{pages, prose, root};

/// The most characters of a line of prose. Tables and code blocks have no limit.
const MAX_WIDTH: usize = 120;

/// A heading's anchor, as GitHub makes it: lower case, words joined by `-`, no punctuation.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c => c
            .is_alphanumeric()
            .then(|| c.to_lowercase().next().unwrap_or(c)),
    });
    kept.collect()
}

/// The anchors of a page.
fn anchors(text: &str) -> Vec<String> {
    prose(text)
        .filter_map(|(_, line)| line.strip_prefix('#'))
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect()
}

/// The targets of a line's links. Code spans hold none.
fn targets(line: &str) -> Vec<String> {
    let outside: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
    let parts = outside.split("](").skip(1);
    parts
        .filter_map(|part| Some(part.split_once(')')?.0.to_owned()))
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let pages = pages();
    assert!(pages.len() > 20, "only {} pages were found", pages.len());
    let mut dead = Vec::new();
    for page in &pages {
        let folder = page.name.rsplit_once('/').map_or("", |(folder, _)| folder);
        // A link's text and target may stand on two lines.
        let text = prose(&page.text)
            .map(|(_, line)| line)
            .collect::<Vec<_>>()
            .join(" ");
        for target in targets(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, fragment) = target.split_once('#').unwrap_or((&target, ""));
            let path = match file {
                "" => root().join(&page.name),
                file => root().join(folder).join(file),
            };
            let fine = match (path.exists(), fragment) {
                (exists, "") => exists,
                (true, fragment) => {
                    let text = std::fs::read_to_string(&path).unwrap_or_default();
                    anchors(&text).iter().any(|anchor| anchor == fragment)
                }
                (false, _) => false,
            };
            if !fine {
                dead.push(format!("{}: {target}", page.name));
            }
        }
    }
    assert!(
        dead.is_empty(),
        "these links lead nowhere:\n{}",
        dead.join("\n")
    );
}

#[test]
fn lines_of_prose_have_one_width() {
    let mut wide = Vec::new();
    for page in pages() {
        // Tables' texts are written by the benchmarks.
        if page.text.contains("<!-- Written by `cargo xtask bench") {
            continue;
        }
        for (number, line) in prose(&page.text) {
            let is_table = line.trim_start().starts_with('|');
            if !is_table && line.chars().count() > MAX_WIDTH && line.trim().contains(' ') {
                wide.push(format!("{}:{number}", page.name));
            }
        }
    }
    assert!(
        wide.is_empty(),
        "these lines have more than {MAX_WIDTH} characters:\n{}",
        wide.join("\n")
    );
}

#[test]
fn anchors_are_githubs() {
    assert_eq!(anchor(" xen/blkfront/DISK/queueN"), "xenblkfrontdiskqueuen");
    assert_eq!(
        anchor("Read the interrupt table"),
        "read-the-interrupt-table"
    );
    assert_eq!(anchor("`cargo xtask bench blk`"), "cargo-xtask-bench-blk");
    assert_eq!(anchor("What you need, and why"), "what-you-need-and-why");
    assert_eq!(targets("[a](b.md#c) `[x](y)` [d](e)"), ["b.md#c", "e"]);
}
