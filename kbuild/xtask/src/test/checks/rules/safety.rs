// SPDX-License-Identifier: GPL-2.0

//! Rules for unsafe code: where it may be, and that its comments name what they rest on.

use super::file::{File, Violation};
use super::lexer::{Comment, lex};

/// Folders that may have unsafe code.
const FOLDERS: [&str; 9] = [
    "linux-pv/kernel/",
    "linux-pv/xen/",
    "linux-pv/core/",
    "hypervisor/machine/src/arch/",
    "hypervisor/machine/src/boot/",
    "hypervisor/guest/src/arch/",
    "tests/blkload/",
    "tests/counter/",
    "tests/hostile/src/device/",
];

/// What a comment begins with that says why unsafe code is sound.
const MARK: &str = "SAFETY:";

/// Each SAFETY comment names an invariant.
pub fn comments(file: &File<'_>) -> Vec<Violation> {
    if file.extension() != "rs" {
        return Vec::new();
    }
    let comments = lex(file.text).comments;
    let violations = comments.iter().flat_map(|comment| {
        let claims = claims(comment);
        claims.filter_map(|(line, text)| Some(file.violation(line, fault(&text)?)))
    });
    violations.collect()
}

/// What a comment says after each mark, with the mark's line.
fn claims(comment: &Comment) -> impl Iterator<Item = (usize, String)> {
    let parts: Vec<&str> = comment.text.split(MARK).collect();
    let mut line = comment.line;
    let mut claims = Vec::new();
    for pair in parts.windows(2) {
        line += pair[0].matches('\n').count();
        let words: Vec<_> = pair[1].split_whitespace().collect();
        claims.push((line, words.join(" ")));
    }
    claims.into_iter()
}

/// What is wrong with a claim.
fn fault(claim: &str) -> Option<&'static str> {
    let text = claim.to_lowercase();
    let text = text.trim_end_matches('.').trim();
    if !text.contains(char::is_alphabetic) {
        return Some("the SAFETY comment has no words: name the invariant that makes this sound");
    }
    let refers = text.contains("as above")
        || text.contains("see above")
        || text == "above"
        || text.starts_with("as in ");
    if refers {
        return Some(
            "the SAFETY comment refers to another one: name the invariant here, for code is moved",
        );
    }
    is_bare(text).then_some(
        "the SAFETY comment does not say which invariant of the type it is: write what is true because of it",
    )
}

/// Whether a claim only says that there is an invariant of the type, named or not.
fn is_bare(text: &str) -> bool {
    let starts = ["by the type invariant", "by the type's invariant"];
    let Some(rest) = starts.iter().find_map(|start| text.strip_prefix(start)) else {
        return false;
    };
    let rest = rest.trim_start_matches('s').trim();
    let is_name = |name: &str| !name.contains(' ');
    rest.is_empty() || rest.strip_prefix("of ").is_some_and(is_name)
}

/// Unsafe code is only where it can be reviewed as a whole.
pub fn folders(file: &File<'_>) -> Vec<Violation> {
    if file.extension() != "rs" || FOLDERS.iter().any(|folder| file.path.starts_with(folder)) {
        return Vec::new();
    }
    let code = lex(file.text).code;
    let lines = code.lines().zip(1..).filter(|(line, _)| is_unsafe(line));
    let what = format!(
        "unsafe code belongs into {}: use a safe function of one of those, or add one there",
        FOLDERS.join(", ")
    );
    lines
        .map(|(_, number)| file.violation(number, what.as_str()))
        .collect()
}

/// Whether a line of code has the keyword.
fn is_unsafe(line: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|word| word == "unsafe")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rule: fn(&File<'_>) -> Vec<Violation>, path: &str, text: &str) -> Vec<usize> {
        let found = rule(&File { path, text });
        found.iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn comments_that_name_no_invariant_are_found() {
        let lines = |text: &str| of(comments, "a.rs", text);
        for claim in [
            "As above.",
            "as above",
            "See above.",
            "As in `map`.",
            "The page is ours, as above.",
            "By the type invariant.",
            "By the type invariants.",
            "By the type invariants of `Page`.",
            "",
            "...",
        ] {
            let text = format!("fn f() {{\n    // SAFETY: {claim}\n    unsafe {{ g() }}\n}}\n");
            assert_eq!(lines(&text), [2], "{claim:?}");
        }
        for claim in [
            "The page stays mapped as long as `self`.",
            "By the type invariant `page` is mapped.",
            "By the type invariants of `Page` it is mapped.",
            "As long as the guard lives, interrupts are off.",
        ] {
            let text = format!("// SAFETY: {claim}\nunsafe {{ g() }}\n");
            assert!(lines(&text).is_empty(), "{claim:?}");
        }
    }

    #[test]
    fn claims_end_with_their_comment_and_their_lines_are_counted() {
        let text = "// Why.\n// SAFETY: By the type\n// invariant.\nf();\n// g is called.\n\
                    // SAFETY:\n// - It is mapped.\n";
        assert_eq!(of(comments, "a.rs", text), [2]);
        let string = "let text = \"// SAFETY: As above.\";\n";
        assert!(of(comments, "a.rs", string).is_empty());
        assert!(of(comments, "a.md", "// SAFETY: As above.\n").is_empty());
    }

    #[test]
    fn unsafe_code_is_found_outside_its_folders() {
        let text = "#![forbid(unsafe_code)]\n// unsafe\nlet a = \"unsafe\";\nunsafe { f() }\nunsafe impl Send for A {}\n";
        assert_eq!(of(folders, "kbuild/src/a.rs", text), [4, 5]);
        assert_eq!(of(folders, "hypervisor/machine/src/a.rs", text), [4, 5]);
        assert!(of(folders, "hypervisor/machine/src/arch/a.rs", text).is_empty());
        assert!(of(folders, "tests/blkload/src/a.rs", text).is_empty());
        assert!(of(folders, "docs/a.md", text).is_empty());
    }
}
