// SPDX-License-Identifier: GPL-2.0

//! Words that docs/glossary.md forbids: one concept has one name.

use anyhow::{Context, Result, ensure};
use regex_lite::Regex;

use super::file::{File, Violation};

/// The glossary, which has to name what it forbids.
pub const GLOSSARY: &str = "docs/glossary.md";

/// Tables of past measurements, which are not rewritten.
const RESULTS: &str = "docs/results/";

/// White space in a phrase, with the mark of a comment if the next line goes on with it.
const SPACE: &str = r"\s+(?:(?://[/!]?|#|\*|>|-)\s+)?";

/// The forbidden words.
pub struct Glossary(Vec<Word>);

struct Word {
    /// As the glossary has it.
    pattern: String,
    /// What it begins with, to look for first: most files have none of them.
    start: String,
    regex: Regex,
    /// The name of the concept that it is used for.
    instead: String,
}

impl Glossary {
    /// Reads the tables: the words in backticks of the third column are forbidden.
    pub fn parse(text: &str) -> Result<Self> {
        let mut words = Vec::new();
        for line in text.lines().filter(|line| line.starts_with('|')) {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [name, _, not] = cells[..] else {
                continue;
            };
            for pattern in not.split('`').skip(1).step_by(2) {
                words
                    .push(Word::new(pattern, name).with_context(|| format!("{GLOSSARY}: {line}"))?);
            }
        }
        ensure!(!words.is_empty(), "{GLOSSARY} forbids no word");
        Ok(Self(words))
    }

    /// Each place where a file has a forbidden word.
    pub fn check(&self, file: &File<'_>) -> Vec<Violation> {
        if file.path == GLOSSARY || file.path.starts_with(RESULTS) {
            return Vec::new();
        }
        let mut found = Vec::new();
        for word in &self.0 {
            if !file.text.contains(&word.start) {
                continue;
            }
            for place in word.regex.find_iter(file.text) {
                let is_whole = !ends_in_word(&file.text[..place.start()])
                    && !starts_with_word(&file.text[place.end()..]);
                if is_whole {
                    let line = 1 + file.text[..place.start()].matches('\n').count();
                    let what = format!(
                        "\"{}\" is not the field's word: write what {GLOSSARY} has for \"{}\"",
                        word.pattern, word.instead
                    );
                    found.push(file.violation(line, what));
                }
            }
        }
        found
    }
}

impl Word {
    fn new(pattern: &str, instead: &str) -> Result<Self> {
        let plain = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        let mut end = pattern.find(|c| !plain(c)).unwrap_or(pattern.len());
        if pattern[end..].starts_with(['?', '*', '{']) {
            // The last letter may be missing.
            end = pattern[..end]
                .char_indices()
                .next_back()
                .map_or(0, |(at, _)| at);
        }
        let start = &pattern[..end];
        ensure!(!start.is_empty(), "{pattern} begins with no letter");
        Ok(Self {
            pattern: pattern.to_owned(),
            start: start.to_owned(),
            regex: Regex::new(&pattern.replace(' ', SPACE))?,
            instead: instead.to_owned(),
        })
    }
}

/// Words end at everything but letters and digits: an underscore joins the words of a name.
fn ends_in_word(text: &str) -> bool {
    text.chars().next_back().is_some_and(char::is_alphanumeric)
}

fn starts_with_word(text: &str) -> bool {
    text.chars().next().is_some_and(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "| name | what it is | not |\n|---|---|---|\n\
        | widget | a thing with `code` | `gizmo`, `odd gadget` |\n\
        | limit | a number | `UTMOST_[A-Z]+`, `colou?rs` |\n| other | a thing | |\n";

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let glossary = Glossary::parse(TABLE).unwrap();
        let found = glossary.check(&File { path, text });
        found.iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn forbidden_words_are_found_in_code_and_documents() {
        let text = "a gizmo\nlet by_gizmo_b = Gizmo::new();\nconst UTMOST_SIZE: u8 = 1;\n";
        assert_eq!(lines("a.rs", text), [1, 2, 3]);
        assert_eq!(lines("docs/a.md", "| gizmo |"), [1]);
        assert_eq!(lines("docs/a.md", "colors\ncolours"), [1, 2]);
        assert!(lines("a.rs", "gizmos, agizmo, UTMOST, widget, code").is_empty());
    }

    #[test]
    fn phrases_are_found_across_lines() {
        let text =
            "//! An odd\n//! gadget.\n\n# an odd\n#   gadget\nodd  gadgets\nthe odd\ngadget\n";
        assert_eq!(lines("a.rs", text), [1, 4, 7]);
    }

    #[test]
    fn the_glossary_and_past_results_may_have_them() {
        assert!(lines(GLOSSARY, "gizmo").is_empty());
        assert!(lines("docs/results/net.md", "gizmo").is_empty());
    }

    #[test]
    fn what_to_write_instead_is_said() {
        let glossary = Glossary::parse(TABLE).unwrap();
        let found = glossary.check(&File {
            path: "a.rs",
            text: "gizmo",
        });
        assert!(found[0].what.contains("\"widget\""), "{}", found[0]);
    }

    #[test]
    fn a_glossary_without_forbidden_words_is_refused() {
        assert!(Glossary::parse("| a | b | |\n").is_err());
        assert!(Glossary::parse("| a | b | `(` |\n").is_err());
    }
}
