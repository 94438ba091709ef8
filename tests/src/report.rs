// SPDX-License-Identifier: GPL-2.0

//! The results of a run: KTAP lines on the terminal as tests end, and JUnit in a file at the end, because
//! kernel CI systems read those.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As expected.
    Passed,
    /// It could not be run here.
    Skipped(String),
    /// Not as expected.
    Failed(String),
}

/// One test's result.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The group, such as `vm` or `host`.
    pub suite: String,
    /// The test's name.
    pub name: String,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
    /// Lines for the reader.
    pub notes: Vec<String>,
    /// Where its logs are.
    pub logs: Option<PathBuf>,
}

/// The results so far. Prints each as it arrives, in the kernel's TAP dialect (Documentation/dev-tools/ktap.rst).
#[derive(Default)]
pub struct Report {
    outcomes: Vec<Outcome>,
}

impl Report {
    /// Prints the head: how many tests there will be.
    pub fn start(planned: usize) -> Self {
        println!("KTAP version 1\n1..{planned}");
        Self::default()
    }

    /// Adds and prints a result.
    pub fn add(&mut self, outcome: Outcome) {
        self.outcomes.push(outcome);
        if let Some(outcome) = self.outcomes.last() {
            print!("{}", ktap(self.outcomes.len(), outcome));
        }
    }

    /// All results.
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// How many passed, failed, were skipped.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |wanted: fn(&Verdict) -> bool| {
            self.outcomes
                .iter()
                .filter(|outcome| wanted(&outcome.verdict))
                .count()
        };
        (
            count(|v| *v == Verdict::Passed),
            count(|v| matches!(v, Verdict::Failed(_))),
            count(|v| matches!(v, Verdict::Skipped(_))),
        )
    }

    /// Writes the JUnit file.
    pub fn write_junit(&self, path: &Path) -> Result<()> {
        let mut report = quick_junit::Report::new("paravane");
        let mut suites: Vec<&str> = self.outcomes.iter().map(|o| o.suite.as_str()).collect();
        suites.dedup();
        for name in suites {
            let mut suite = TestSuite::new(name);
            for outcome in self.outcomes.iter().filter(|outcome| outcome.suite == name) {
                suite.add_test_case(junit_case(outcome));
            }
            report.add_test_suite(suite);
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, report.to_string()?)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

fn junit_case(outcome: &Outcome) -> TestCase {
    let status = match &outcome.verdict {
        Verdict::Passed => TestCaseStatus::success(),
        Verdict::Skipped(why) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(why.as_str());
            status
        }
        Verdict::Failed(why) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status
                .set_message(why.lines().next().unwrap_or_default())
                .set_description(why.as_str());
            status
        }
    };
    let mut case = TestCase::new(outcome.name.as_str(), status);
    case.set_time(outcome.took);
    let mut lines = outcome.notes.clone();
    lines.extend(
        outcome
            .logs
            .iter()
            .map(|dir| format!("logs: {}", dir.display())),
    );
    if !lines.is_empty() {
        case.set_system_out(lines.join("\n"));
    }
    case
}

fn ktap(number: usize, outcome: &Outcome) -> String {
    let (word, end) = match &outcome.verdict {
        Verdict::Passed => ("ok", String::new()),
        Verdict::Skipped(why) => ("ok", format!(" # SKIP {why}")),
        Verdict::Failed(_) => ("not ok", String::new()),
    };
    let seconds = outcome.took.as_secs_f32();
    let mut text = String::new();
    for note in &outcome.notes {
        text += &format!("# {note}\n");
    }
    if let Verdict::Failed(why) = &outcome.verdict {
        for line in why.lines() {
            text += &format!("# {line}\n");
        }
        if let Some(logs) = &outcome.logs {
            text += &format!("# logs: {}\n", logs.display());
        }
    }
    // A `#` in a name would begin a directive.
    let name = format!("{}::{}", outcome.suite, outcome.name).replace('#', "_");
    text + &format!("{word} {number} {name} ({seconds:.1} s){end}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(verdict: Verdict) -> Outcome {
        Outcome {
            suite: "vm".into(),
            name: "disk::mkfs".into(),
            verdict,
            took: Duration::from_millis(1234),
            notes: vec![],
            logs: None,
        }
    }

    #[test]
    fn lines_follow_ktap() {
        assert_eq!(
            ktap(1, &outcome(Verdict::Passed)),
            "ok 1 vm::disk::mkfs (1.2 s)\n"
        );
        let skipped = ktap(2, &outcome(Verdict::Skipped("no IOMMU".into())));
        assert_eq!(skipped, "ok 2 vm::disk::mkfs (1.2 s) # SKIP no IOMMU\n");
        let failed = ktap(3, &outcome(Verdict::Failed("one\ntwo".into())));
        assert_eq!(failed, "# one\n# two\nnot ok 3 vm::disk::mkfs (1.2 s)\n");
    }

    #[test]
    fn junit_has_every_outcome() {
        let mut report = Report::default();
        report.add(outcome(Verdict::Passed));
        report.add(outcome(Verdict::Failed("broken <here>".into())));
        report.add(outcome(Verdict::Skipped("why not".into())));
        assert_eq!(report.counts(), (1, 1, 1));
        let dir = std::env::temp_dir().join(format!("report-{}", std::process::id()));
        let path = dir.join("junit.xml");
        report.write_junit(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::remove_dir_all(dir).unwrap();
        assert!(text.contains("tests=\"3\"") && text.contains("failures=\"1\""));
        assert!(text.contains("broken &lt;here&gt;") && text.contains("why not"));
    }
}
