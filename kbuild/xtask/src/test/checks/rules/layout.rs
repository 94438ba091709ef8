// SPDX-License-Identifier: GPL-2.0

//! Rules for a file's first line, its length and its width.

use super::file::{File, Violation};

/// How many lines a source file may have.
const MAX_LINES: usize = 500;

/// Files that may have more: each is one table that repeats a C header.
const LONG: &str = "protocol/abi/tests/headers/table/";

/// How many columns a line below [`NARROW`] may have: the kernel's own limit for code.
const MAX_COLUMNS: usize = 100;

/// The folder that follows the kernel's style.
const NARROW: &str = "linux-pv/";

/// How many columns a tab reaches at most.
const TAB: usize = 8;

/// Each source file names its licence in its first line, in that after the interpreter's if it has one.
pub fn spdx(file: &File<'_>) -> Vec<Violation> {
    if !file.is_source() {
        return Vec::new();
    }
    let mut lines = file.text.lines().zip(1..);
    let mut first = lines.next().unwrap_or(("", 1));
    if first.0.starts_with("#!") {
        first = lines.next().unwrap_or(("", 2));
    }
    let (line, number) = first;
    if line.contains("SPDX-License-Identifier: GPL-2.0") {
        return Vec::new();
    }
    let what =
        "no licence is named: write a comment with SPDX-License-Identifier: GPL-2.0 in this line";
    vec![file.violation(number, what)]
}

/// A source file has one concept, and so no more than [`MAX_LINES`].
pub fn length(file: &File<'_>) -> Vec<Violation> {
    let lines = file.text.lines().count();
    if !file.is_source() || file.path.starts_with(LONG) || lines <= MAX_LINES {
        return Vec::new();
    }
    let what =
        format!("the file has {lines} lines, at most {MAX_LINES} are allowed: split it by concept");
    vec![file.violation(MAX_LINES + 1, what)]
}

/// Lines of what is compiled into the kernel are as narrow as the kernel's.
pub fn width(file: &File<'_>) -> Vec<Violation> {
    if !file.is_source() || !file.path.starts_with(NARROW) {
        return Vec::new();
    }
    let lines = file.text.lines().zip(1..);
    lines
        .filter_map(|(line, number)| {
            let columns = columns(line);
            let what = format!(
                "the line has {columns} columns, at most {MAX_COLUMNS} are allowed: wrap it"
            );
            (columns > MAX_COLUMNS).then(|| file.violation(number, what))
        })
        .collect()
}

fn columns(line: &str) -> usize {
    line.chars().fold(0, |at, c| match c {
        '\t' => (at / TAB + 1) * TAB,
        _ => at + 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(rule: fn(&File<'_>) -> Vec<Violation>, path: &str, text: &str) -> Vec<usize> {
        let found = rule(&File { path, text });
        found.iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn sources_without_a_licence_are_found() {
        let good = "// SPDX-License-Identifier: GPL-2.0\n";
        assert!(lines(spdx, "a.rs", good).is_empty());
        let script = "#!/bin/sh\n# SPDX-License-Identifier: GPL-2.0\n";
        assert!(lines(spdx, "a.sh", script).is_empty());
        assert!(lines(spdx, "a.md", "text").is_empty());
        for extension in ["rs", "c", "h", "S", "ld", "sh"] {
            let path = format!("a/b.{extension}");
            assert_eq!(lines(spdx, &path, ""), [1], "{path}");
            assert_eq!(lines(spdx, &path, &format!("\n{good}")), [1], "{path}");
        }
        for script in ["a.sh", "a/setup"] {
            assert_eq!(lines(spdx, script, "#!/bin/sh\nset -e\n"), [2]);
        }
    }

    #[test]
    fn long_sources_are_found() {
        let (longest, longer) = ("x\n".repeat(500), "x\n".repeat(501));
        assert!(lines(length, "a.rs", &longest).is_empty());
        assert!(lines(length, "a.md", &longer).is_empty());
        let table = "protocol/abi/tests/headers/table/physdev.rs";
        assert!(lines(length, table, &longer).is_empty());
        assert_eq!(lines(length, "a.rs", &longer), [501]);
        assert_eq!(lines(length, "protocol/abi/src/a.h", &longer), [501]);
    }

    #[test]
    fn wide_lines_of_the_kernels_part_are_found() {
        let fits = "x".repeat(100);
        let text = format!("{fits}\n{fits}x\n\t{}\n\t{}\n", &fits[8..], &fits[7..]);
        assert_eq!(lines(width, "linux-pv/a/b.c", &text), [2, 4]);
        assert!(lines(width, "tests/a.c", &text).is_empty());
        // Characters count, not bytes.
        let umlauts = "ü".repeat(100);
        assert!(lines(width, "linux-pv/a.rs", &umlauts).is_empty());
    }
}
