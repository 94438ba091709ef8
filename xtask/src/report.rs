// SPDX-License-Identifier: GPL-2.0

//! Results of tests: KTAP on the terminal while they come in, JUnit in a file at the end, and the last line
//! that continuous integration reads.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use kbuild::Ui;

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did what its name says.
    Passed,
    /// It did not, and how.
    Failed(String),
    /// It was not run, and why.
    Skipped(String),
}

/// One test.
#[derive(Clone, Debug)]
pub struct Case {
    /// The group it belongs to, such as `host`.
    pub suite: String,
    /// Its name, after the behaviour it pins.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took, if that is known.
    pub time: Option<Duration>,
    /// Where to read more.
    pub log: Option<PathBuf>,
}

/// Collects results and prints each as it arrives.
pub struct Report {
    ui: Ui,
    cases: Vec<Case>,
}

impl Report {
    /// Starts the report with KTAP's first line.
    pub fn new(ui: &Ui) -> Self {
        let report = Self {
            ui: ui.clone(),
            cases: vec![],
        };
        report.print("KTAP version 1\n");
        report
    }

    /// Adds a result.
    pub fn add(&mut self, case: Case) {
        self.cases.push(case);
        if let Some(case) = self.cases.last() {
            self.print(&ktap(self.cases.len(), case));
        }
    }

    /// Prints what a test has to say besides its result, before that.
    pub fn notes(&self, lines: &[String]) {
        for line in lines.iter().flat_map(|note| note.lines()) {
            self.print(&format!("# {line}\n"));
        }
    }

    /// How many passed, failed, were skipped.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count =
            |wanted: fn(&Outcome) -> bool| self.cases.iter().filter(|c| wanted(&c.outcome)).count();
        (
            count(|o| *o == Outcome::Passed),
            count(|o| matches!(o, Outcome::Failed(_))),
            count(|o| matches!(o, Outcome::Skipped(_))),
        )
    }

    /// Writes the file and prints the end. Returns whether nothing failed and something passed.
    pub fn finish(self, junit: &Path) -> Result<bool> {
        std::fs::write(junit, junit_text(&self.cases))
            .with_context(|| format!("cannot write {}", junit.display()))?;
        let (passed, failed, skipped) = self.counts();
        let mut text = format!("1..{}\n# JUnit: {}\n", self.cases.len(), junit.display());
        for case in &self.cases {
            if let Outcome::Failed(_) = case.outcome {
                let log = case
                    .log
                    .as_ref()
                    .map_or(String::new(), |log| format!(" ({})", log.display()));
                let _ = writeln!(text, "# failed: {}.{}{log}", case.suite, case.name);
            }
        }
        let _ = write!(text, "{passed} passed, {failed} failed");
        if skipped > 0 {
            let _ = write!(text, ", {skipped} skipped");
        }
        text.push('\n');
        self.print(&text);
        Ok(failed == 0 && passed > 0)
    }

    fn print(&self, text: &str) {
        self.ui.suspend(|| {
            let mut out = std::io::stdout().lock();
            // A reader that went away must not stop the tests, whose result is in the file too.
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        });
    }
}

/// One result as KTAP: the line, and why it is not `ok` as diagnostic lines after it.
fn ktap(number: usize, case: &Case) -> String {
    let (status, directive, why) = match &case.outcome {
        Outcome::Passed => ("ok", String::new(), None),
        Outcome::Skipped(why) => ("ok", format!(" # SKIP {}", one_line(why)), None),
        Outcome::Failed(why) => ("not ok", String::new(), Some(why)),
    };
    let mut text = format!(
        "{status} {number} {}.{}{directive}\n",
        case.suite, case.name
    );
    if let Some(why) = why {
        for line in why.lines() {
            let _ = writeln!(text, "# {line}");
        }
        if let Some(log) = &case.log {
            let _ = writeln!(text, "# log: {}", log.display());
        }
    }
    text
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The results as JUnit's XML, one `testsuite` a group.
fn junit_text(cases: &[Case]) -> String {
    let mut suites: Vec<&str> = Vec::new();
    for case in cases {
        if !suites.contains(&case.suite.as_str()) {
            suites.push(&case.suite);
        }
    }
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"paravane\">\n",
    );
    for suite in suites {
        let of_suite: Vec<_> = cases.iter().filter(|case| case.suite == suite).collect();
        let count = |wanted: fn(&Outcome) -> bool| {
            of_suite.iter().filter(|case| wanted(&case.outcome)).count()
        };
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" errors=\"0\">",
            escape(suite),
            of_suite.len(),
            count(|o| matches!(o, Outcome::Failed(_))),
            count(|o| matches!(o, Outcome::Skipped(_))),
        );
        for case in of_suite {
            let time = case.time.unwrap_or_default().as_secs_f64();
            let _ = write!(
                xml,
                "    <testcase classname=\"{}\" name=\"{}\" time=\"{time:.3}\"",
                escape(suite),
                escape(&case.name)
            );
            let _ = match &case.outcome {
                Outcome::Passed => writeln!(xml, "/>"),
                Outcome::Skipped(why) => {
                    writeln!(
                        xml,
                        "><skipped message=\"{}\"/></testcase>",
                        escape(&one_line(why))
                    )
                }
                Outcome::Failed(why) => {
                    let first = why.lines().next().unwrap_or_default();
                    let log = case
                        .log
                        .as_ref()
                        .map_or(String::new(), |log| format!("\nlog: {}", log.display()));
                    writeln!(
                        xml,
                        "><failure message=\"{}\">{}</failure></testcase>",
                        escape(first),
                        escape(&format!("{why}{log}"))
                    )
                }
            };
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// Text for XML: markup escaped, control characters that XML cannot hold left out.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => (),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(name: &str, outcome: Outcome) -> Case {
        Case {
            suite: "host".into(),
            name: name.into(),
            outcome,
            time: None,
            log: Some("/l".into()),
        }
    }

    #[test]
    fn each_outcome_has_its_ktap_form() {
        assert_eq!(ktap(1, &case("a", Outcome::Passed)), "ok 1 host.a\n");
        assert_eq!(
            ktap(2, &case("b", Outcome::Skipped("no\nKVM".into()))),
            "ok 2 host.b # SKIP no KVM\n"
        );
        assert_eq!(
            ktap(3, &case("c", Outcome::Failed("one\ntwo".into()))),
            "not ok 3 host.c\n# one\n# two\n# log: /l\n"
        );
    }

    #[test]
    fn junit_counts_and_escapes() {
        let xml = junit_text(&[
            case("a<b>", Outcome::Passed),
            case("c", Outcome::Failed("x & \u{1b}[1my".into())),
            case("d", Outcome::Skipped("why".into())),
        ]);
        assert!(xml.contains("tests=\"3\" failures=\"1\" skipped=\"1\""));
        assert!(xml.contains("name=\"a&lt;b&gt;\"") && xml.contains("x &amp; [1my\nlog: /l"));
    }

    #[test]
    fn nothing_run_is_not_success() {
        let dir = tempfile::tempdir().unwrap();
        let report = Report::new(&Ui::new(false));
        assert!(!report.finish(&dir.path().join("junit.xml")).unwrap());
    }
}
