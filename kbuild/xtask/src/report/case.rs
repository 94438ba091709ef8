// SPDX-License-Identifier: GPL-2.0

//! One test and how it ended.

use std::path::PathBuf;
use std::time::Duration;

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did what its name says.
    Passed,
    /// It did not, and how.
    Failed(String),
    /// It did not within its time, and what was waited for.
    TimedOut(String),
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
    /// What it has to say besides.
    pub notes: Vec<String>,
    /// How often it ran.
    pub runs: usize,
    /// Why it ran more than once: a line for each run that was ended by something else than the test.
    pub repeats: Vec<String>,
}

impl Case {
    /// A test that took no time worth telling and has no log.
    pub fn new(suite: impl Into<String>, name: impl Into<String>, outcome: Outcome) -> Self {
        Self {
            suite: suite.into(),
            name: name.into(),
            outcome,
            time: None,
            log: None,
            notes: vec![],
            runs: 1,
            repeats: vec![],
        }
    }

    /// The whole name, as filters and `--list` have it.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.suite, self.name)
    }

    /// Whether it did not do what its name says.
    pub fn has_failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_) | Outcome::TimedOut(_))
    }
}

/// A test with a log, for tests of reports.
#[cfg(test)]
pub fn logged(name: &str, outcome: Outcome) -> Case {
    Case {
        log: Some("/l".into()),
        ..Case::new("host", name, outcome)
    }
}
