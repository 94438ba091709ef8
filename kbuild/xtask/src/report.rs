// SPDX-License-Identifier: GPL-2.0

//! Results of tests: KTAP on the terminal while they come in, JUnit in a file at the end, a summary, and the last line
//! that continuous integration reads.
//!
//! Tests are nested: scenarios in the machine they share, host tests in their program. What is counted are the innermost.

mod case;
pub mod junit;
mod ktap;
#[cfg(test)]
pub(crate) mod reader;
pub mod summary;

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use kbuild::Ui;

pub use case::{Case, Outcome};
pub use summary::RunFacts;

/// A test whose subtests are coming in.
struct Level {
    name: String,
    planned: usize,
    done: usize,
    failed: bool,
    ran: bool,
}

/// Collects results and prints each as it arrives.
pub struct Report<'o> {
    ui: Ui,
    out: Box<dyn Write + Send + 'o>,
    cases: Vec<Case>,
    levels: Vec<Level>,
}

impl<'o> Report<'o> {
    /// Starts the report of so many tests, each of which may have subtests, on the standard output.
    pub fn new(ui: &Ui, planned: usize) -> Self {
        Self::to(ui, Box::new(std::io::stdout()), planned)
    }

    /// The same, printed elsewhere.
    pub(crate) fn to(ui: &Ui, out: Box<dyn Write + Send + 'o>, planned: usize) -> Self {
        let mut report = Self {
            ui: ui.clone(),
            out,
            cases: vec![],
            levels: vec![],
        };
        report.open(String::new(), planned);
        report
    }

    /// Begins a test with so many subtests. One that has none is reported as skipped.
    pub fn begin(&mut self, name: &str, planned: usize) {
        self.open(name.to_owned(), planned);
    }

    fn open(&mut self, name: String, planned: usize) {
        self.levels.push(Level {
            name,
            planned,
            done: 0,
            failed: false,
            ran: false,
        });
        if planned > 0 || self.levels.len() == 1 {
            self.print_inside(&ktap::head(planned));
        }
    }

    /// Adds a result to the test that was begun last.
    pub fn add(&mut self, case: Case) {
        let level = self.level();
        level.done += 1;
        level.failed |= case.has_failed();
        level.ran |= !matches!(case.outcome, Outcome::Skipped(_));
        let text = ktap::case(level.done, &case);
        self.print_inside(&text);
        self.cases.push(case);
    }

    /// Ends the test that was begun last. Results that did not come are failures.
    pub fn end(&mut self) {
        while self.level().done < self.level().planned {
            let (name, number) = (self.level().name.clone(), self.level().done + 1);
            let why = "it was planned, but nothing ran it".to_owned();
            let name = format!("{name}.{number}");
            self.add(Case::new("missing", name, Outcome::Failed(why)));
        }
        let Some(level) = self.levels.pop() else {
            return;
        };
        let (failed, ran) = (level.failed, level.ran);
        let parent = self.level();
        parent.done += 1;
        parent.failed |= failed;
        parent.ran |= ran;
        let text = ktap::result(parent.done, &level.name, failed, ran);
        self.print_inside(&text);
    }

    /// How many passed, failed, were skipped.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |wanted: fn(&Case) -> bool| self.cases.iter().filter(|c| wanted(c)).count();
        (
            count(|case| case.outcome == Outcome::Passed),
            count(Case::has_failed),
            count(|case| matches!(case.outcome, Outcome::Skipped(_))),
        )
    }

    /// Writes the file and prints the end. Returns whether nothing failed and something passed.
    pub fn finish(mut self, junit: &Path, facts: &RunFacts) -> Result<bool> {
        while self.levels.len() > 1 {
            self.end();
        }
        while self.level().done < self.level().planned {
            self.begin("a planned group", 1);
            self.end();
        }
        std::fs::write(junit, junit::text(&self.cases))
            .with_context(|| format!("cannot write {}", junit.display()))?;
        let mut text = format!("# JUnit: {}\n", junit.display());
        text += &summary::text(&self.cases, facts);
        let (passed, failed, skipped) = self.counts();
        text += &format!("{passed} passed, {failed} failed");
        if skipped > 0 {
            text += &format!(", {skipped} skipped");
        }
        self.print(&(text + "\n"));
        Ok(failed == 0 && passed > 0)
    }

    /// The test that was begun last. The outermost is never ended.
    fn level(&mut self) -> &mut Level {
        match self.levels.last_mut() {
            Some(level) => level,
            None => unreachable!("the outermost level is kept"),
        }
    }

    fn print_inside(&mut self, text: &str) {
        let text = ktap::indented(text, self.levels.len() - 1);
        self.print(&text);
    }

    fn print(&mut self, text: &str) {
        let out = &mut self.out;
        self.ui.suspend(|| {
            // A reader that went away must not stop the tests, whose result is in the file too.
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        });
    }
}

#[cfg(test)]
mod tests {
    use super::case::logged as case;
    use super::reader::{self, Node};
    use super::*;

    /// Runs `fill` on a report of so many tests; returns whether it is good and what it has printed.
    fn printed(planned: usize, fill: impl FnOnce(&mut Report<'_>)) -> (bool, String) {
        let dir = tempfile::tempdir().unwrap();
        let mut out = Vec::new();
        let mut report = Report::to(&Ui::new(false), Box::new(&mut out), planned);
        fill(&mut report);
        let good = report
            .finish(&dir.path().join("junit.xml"), &RunFacts::default())
            .unwrap();
        (good, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_strict_reader_finds_what_was_reported() {
        let (good, text) = printed(3, |report| {
            report.add(case("alone", Outcome::Passed));
            report.begin("unit", 2);
            report.begin("a program", 2);
            report.add(case("a", Outcome::Passed));
            report.add(Case {
                runs: 2,
                repeats: vec!["run 1: lost\nKTAP version 1".into()],
                ..case(
                    "b # with a mark",
                    Outcome::Failed("one\nnot ok 1 two".into()),
                )
            });
            report.end();
            report.begin("a program without tests", 0);
            report.end();
            report.end();
            report.begin("Xen, PV dom0", 2);
            report.add(case(
                "c",
                Outcome::TimedOut("dom0 did not answer for 9 s\nmore".into()),
            ));
            report.add(case("d", Outcome::Skipped("no\n# KVM".into())));
            report.end();
        });
        assert!(!good);
        let leaf = |good, name: &str, directive: &str| Node {
            good,
            name: name.into(),
            directive: directive.into(),
            subtests: vec![],
        };
        let node = |name: &str, subtests| Node {
            subtests,
            ..leaf(false, name, "")
        };
        let program = vec![
            leaf(true, "host.a", ""),
            leaf(false, "host.b _ with a mark", ""),
        ];
        let unit = vec![
            node("a program", program),
            leaf(true, "a program without tests", "SKIP"),
        ];
        let machine = vec![
            leaf(false, "host.c", "TIMEOUT"),
            leaf(true, "host.d", "SKIP"),
        ];
        assert_eq!(
            reader::read(&text).unwrap(),
            [
                leaf(true, "host.alone", ""),
                node("unit", unit),
                node("Xen, PV dom0", machine),
            ]
        );
        assert!(text.contains("not ok 1 host.c # TIMEOUT dom0 did not answer for 9 s\n"));
        assert!(
            text.ends_with("\n2 passed, 2 failed, 1 skipped\n"),
            "{text}"
        );
    }

    #[test]
    fn what_was_planned_and_did_not_come_has_failed() {
        let (good, text) = printed(2, |report| {
            report.begin("a", 2);
            report.add(case("a", Outcome::Passed));
        });
        assert!(!good);
        let nodes = reader::read(&text).unwrap();
        assert_eq!((nodes.len(), nodes[0].subtests.len()), (2, 2));
        assert!(text.ends_with("\n1 passed, 2 failed\n"), "{text}");
    }

    #[test]
    fn nothing_run_is_not_success() {
        let (good, text) = printed(0, |_| ());
        assert!(!good && text.ends_with("\n0 passed, 0 failed\n"), "{text}");
        let skipped =
            |report: &mut Report<'_>| report.add(case("a", Outcome::Skipped("why".into())));
        assert!(!printed(1, skipped).0);
    }
}
