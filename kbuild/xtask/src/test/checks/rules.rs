// SPDX-License-Identifier: GPL-2.0

//! The rules of CONTRIBUTING.md and docs/glossary.md that can be read from the files: no tool, no sandbox.
//!
//! What lives here: which files are read, and the report. Each rule is a function from a file to what is wrong in it.

mod file;
mod layout;
mod lexer;
mod safety;
mod words;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use kbuild::Session;

use file::{File, Violation};
use words::Glossary;

/// The only hidden folder with something to read.
const CI: &str = ".ci";

/// Names of folders that hold nothing to read: what cargo and the fuzzer make. Hidden ones are left out too.
const LEFT_OUT: [&str; 3] = ["target", "corpus", "artifacts"];

/// A rule that is the same for every work tree.
type Rule = fn(&File<'_>) -> Vec<Violation>;

/// All of those, with the names under which violations are counted.
const RULES: [(&str, Rule); 5] = [
    ("SPDX lines", layout::spdx),
    ("lengths of files", layout::length),
    ("widths of lines", layout::width),
    ("SAFETY comments", safety::comments),
    ("unsafe code", safety::folders),
];

/// The name of the rule that depends on the glossary.
const WORDS: &str = "words";

/// Reads the work tree. An error names all violations.
pub fn check(session: &Session) -> Result<()> {
    let root = session.workspace();
    let glossary = fs::read_to_string(root.join(words::GLOSSARY))
        .with_context(|| format!("cannot read {}", words::GLOSSARY))?;
    let glossary = Glossary::parse(&glossary)?;
    let mut violations = Vec::new();
    let mut count = 0;
    walk(root, "", &mut |path, text| {
        let file = File { path, text };
        count += 1;
        for (name, rule) in RULES {
            violations.extend(rule(&file).into_iter().map(|found| (name, found)));
        }
        let words = glossary.check(&file).into_iter();
        violations.extend(words.map(|found| (WORDS, found)));
    })?;
    if count == 0 {
        bail!("no file was read");
    }
    if violations.is_empty() {
        return Ok(());
    }
    violations.sort_by(|(_, a), (_, b)| (&a.path, a.line).cmp(&(&b.path, b.line)));
    bail!("{}", list(&violations));
}

/// All violations, a line each, and how many they are.
fn list(violations: &[(&str, Violation)]) -> String {
    let mut text = String::new();
    for (_, violation) in violations {
        text += &format!("{violation}\n");
    }
    text + &counts(violations).join("\n")
}

/// A line for each rule that is broken: how often.
fn counts(violations: &[(&str, Violation)]) -> Vec<String> {
    let names = RULES.iter().map(|(name, _)| *name).chain([WORDS]);
    names
        .filter_map(|name| {
            let count = violations.iter().filter(|(of, _)| *of == name).count();
            (count > 0).then(|| format!("{count} violations: {name}"))
        })
        .collect()
}

/// Gives each text file below `dir` to `take`, with its path, which begins with `path`. Links lead to what is read anyway.
fn walk(dir: &Path, path: &str, take: &mut dyn FnMut(&str, &str)) -> Result<()> {
    let mut entries: Vec<_> = fs::read_dir(dir)
        .with_context(|| format!("cannot read {}", dir.display()))?
        .collect::<std::io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let kind = entry.file_type()?;
        let path = format!("{path}{name}");
        let is_read = !name.starts_with('.') && !LEFT_OUT.contains(&name.as_str()) || name == CI;
        if kind.is_dir() && is_read {
            walk(&entry.path(), &format!("{path}/"), take)?;
        } else if kind.is_file() {
            let bytes = fs::read(entry.path()).with_context(|| format!("cannot read {path}"))?;
            // What is not text is no source.
            if let Ok(text) = std::str::from_utf8(&bytes) {
                take(&path, text);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_work_tree_are_read_but_what_is_made_there_is_not() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["a/target/debug", "a/b", ".ci", ".git", "tests/fuzz/corpus"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for file in [
            ".ci/run",
            "z.rs",
            "a/b/c.md",
            "a/target/debug/d.rs",
            ".git/e.rs",
            "tests/fuzz/corpus/f.sh",
        ] {
            fs::write(dir.path().join(file), file).unwrap();
        }
        fs::write(dir.path().join("a/image"), [0xff, 0xfe]).unwrap();
        std::os::unix::fs::symlink("../z.rs", dir.path().join("a/link.rs")).unwrap();
        let mut found = Vec::new();
        walk(dir.path(), "", &mut |path, text| {
            assert_eq!(path, text);
            found.push(path.to_owned());
        })
        .unwrap();
        assert_eq!(found, [".ci/run", "a/b/c.md", "z.rs"]);
    }

    #[test]
    fn all_violations_are_listed_with_their_lines_and_counted() {
        let file = File {
            path: "a/b.rs",
            text: "",
        };
        let violations = [
            ("SPDX lines", file.violation(1, "no licence")),
            (WORDS, file.violation(7, "a word")),
            (WORDS, file.violation(9, "a word")),
        ];
        assert_eq!(
            list(&violations),
            "a/b.rs:1: no licence\na/b.rs:7: a word\na/b.rs:9: a word\n\
             1 violations: SPDX lines\n2 violations: words"
        );
    }
}
