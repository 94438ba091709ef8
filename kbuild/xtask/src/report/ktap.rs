// SPDX-License-Identifier: GPL-2.0

//! Results as KTAP (the kernel's Documentation/dev-tools/ktap.rst): version and plan of a test with subtests, result lines,
//! and what there is to say as diagnostic lines before them.

use std::fmt::Write as _;

use super::case::{Case, Outcome};

/// What a test with subtests begins with.
pub fn head(planned: usize) -> String {
    format!("KTAP version 1\n1..{planned}\n")
}

/// One result, after the lines that tell of it.
pub fn case(number: usize, case: &Case) -> String {
    let mut text = String::new();
    let (status, directive, why) = match &case.outcome {
        Outcome::Passed => ("ok", String::new(), None),
        Outcome::Skipped(why) => ("ok", format!(" # SKIP {}", one_line(why)), None),
        Outcome::Failed(why) => ("not ok", String::new(), Some(why)),
        Outcome::TimedOut(why) => {
            let first = why.lines().next().unwrap_or_default();
            (
                "not ok",
                format!(" # TIMEOUT {}", one_line(first)),
                Some(why),
            )
        }
    };
    // Why it failed may have told of the repeats already.
    let is_told = |line: &&String| !why.is_some_and(|why| why.contains(line.as_str()));
    let repeats = case.repeats.iter().filter(is_told);
    for line in case
        .notes
        .iter()
        .chain(repeats)
        .chain(why)
        .flat_map(|lines| lines.lines())
    {
        let _ = writeln!(text, "# {line}");
    }
    if let (Some(_), Some(log)) = (why, &case.log) {
        let _ = writeln!(text, "# log: {}", log.display());
    }
    let name = description(&case.full_name());
    text + &format!("{status} {number} {name}{directive}\n")
}

/// The result of a test that had subtests.
pub fn result(number: usize, name: &str, failed: bool, ran: bool) -> String {
    let (status, directive) = match (failed, ran) {
        (true, _) => ("not ok", ""),
        (false, true) => ("ok", ""),
        (false, false) => ("ok", " # SKIP nothing of it was run"),
    };
    format!("{status} {number} {}{directive}\n", description(name))
}

/// The lines as those of a subtest at a depth: two spaces a level.
pub fn indented(text: &str, depth: usize) -> String {
    let space = "  ".repeat(depth);
    text.lines().fold(String::new(), |mut all, line| {
        let _ = writeln!(all, "{space}{line}");
        all
    })
}

/// A name as KTAP allows it: the mark `#` would end it.
fn description(name: &str) -> String {
    one_line(&name.replace('#', "_"))
}

/// A text in one line.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str, outcome: Outcome) -> String {
        let one = Case {
            log: Some("/l".into()),
            ..Case::new("host", name, outcome)
        };
        case(2, &one)
    }

    #[test]
    fn each_outcome_has_its_form() {
        assert_eq!(shown("a", Outcome::Passed), "ok 2 host.a\n");
        assert_eq!(
            shown("b", Outcome::Skipped("no\nKVM".into())),
            "ok 2 host.b # SKIP no KVM\n"
        );
        assert_eq!(
            shown("c", Outcome::Failed("one\ntwo".into())),
            "# one\n# two\n# log: /l\nnot ok 2 host.c\n"
        );
        assert_eq!(
            shown("d", Outcome::TimedOut("9 s\nmore".into())),
            "# 9 s\n# more\n# log: /l\nnot ok 2 host.d # TIMEOUT 9 s\n"
        );
    }

    #[test]
    fn a_test_of_skipped_subtests_is_skipped() {
        assert_eq!(result(1, "x", false, true), "ok 1 x\n");
        assert_eq!(result(1, "x", true, true), "not ok 1 x\n");
        assert!(result(1, "x", false, false).starts_with("ok 1 x # SKIP "));
        assert_eq!(indented("a\nb\n", 2), "    a\n    b\n");
    }
}
