// SPDX-License-Identifier: GPL-2.0

//! Reading what `cargo test` prints: one result a test, with the message of each failure.

use std::collections::BTreeMap;

use crate::report::{Case, Outcome};

/// A test program that has ended, or the documentation's examples of a crate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// The crate or the file in `tests/` that it was built from.
    pub name: String,
    /// Whether it is the documentation's examples.
    pub is_doc: bool,
}

/// Takes lines, gives results. Results of a test program come when its summary does, because the messages of
/// failures stand at the end.
#[derive(Default)]
pub struct Reader {
    program: Program,
    results: Vec<(String, Outcome)>,
    messages: BTreeMap<String, String>,
    block: Option<String>,
    running: bool,
    /// Whether any failure was reported.
    pub failed: bool,
}

impl Reader {
    /// Takes a line; returns the program that has ended with it.
    pub fn line(&mut self, line: &str) -> Option<(Program, Vec<Case>)> {
        if let Some(program) = program_of(line) {
            let unfinished = self.end(false);
            self.program = program;
            return unfinished;
        }
        if line.starts_with("running ") && line.contains(" test") {
            self.running = true;
        } else if line.starts_with("test result:") {
            return self.end(true);
        } else if let Some(name) = line
            .strip_prefix("---- ")
            .and_then(|l| l.strip_suffix(" stdout ----"))
        {
            self.block = Some(name.to_owned());
        } else if line == "failures:" {
            self.block = None;
        } else if let Some(block) = &self.block {
            let message = self.messages.entry(block.clone()).or_default();
            message.push_str(line);
            message.push('\n');
        } else if let Some((name, outcome)) = result_of(line) {
            self.results.push((name, outcome));
        }
        None
    }

    /// Ends a test program, if one runs. One that ended without a summary was killed or aborted: that is a failure.
    pub fn end(&mut self, summary: bool) -> Option<(Program, Vec<Case>)> {
        let mut results = std::mem::take(&mut self.results);
        let mut messages = std::mem::take(&mut self.messages);
        self.block = None;
        if !std::mem::take(&mut self.running) {
            return None;
        }
        if !summary {
            let why = "the test program ended before its summary";
            results.push(("runs_to_its_end".into(), Outcome::Failed(why.into())));
        }
        let mut cases = Vec::new();
        for (name, outcome) in results {
            let outcome = match outcome {
                Outcome::Failed(why) => {
                    self.failed = true;
                    let message = messages.remove(&name).unwrap_or_default();
                    let message = message.trim();
                    Outcome::Failed(if message.is_empty() {
                        why
                    } else {
                        message.to_owned()
                    })
                }
                other => other,
            };
            let name = format!("{}::{name}", self.program.name);
            cases.push(Case::new("unit", name, outcome));
        }
        Some((self.program.clone(), cases))
    }
}

/// The program of a line such as `     Running unittests src/lib.rs (target/debug/deps/kbuild-0123456789abcdef)`.
pub fn program_of(line: &str) -> Option<Program> {
    let line = line.trim_start();
    if let Some(krate) = line.strip_prefix("Doc-tests ") {
        return Some(Program {
            name: format!("{krate}::doc"),
            is_doc: true,
        });
    }
    let name = executable(line.strip_prefix("Running ")?)?;
    Some(Program {
        name,
        is_doc: false,
    })
}

/// Whether a line says that a test program was built: `  Executable unittests src/lib.rs (target/debug/deps/kbuild-0123)`.
pub fn is_built(line: &str) -> bool {
    let line = line.trim_start().strip_prefix("Executable ");
    line.and_then(executable).is_some()
}

/// The name in `unittests src/lib.rs (target/debug/deps/kbuild-0123456789abcdef)`.
fn executable(text: &str) -> Option<String> {
    let path = text.rsplit_once('(')?.1.strip_suffix(')')?;
    let file = path.rsplit('/').next()?;
    Some(file.rsplit_once('-')?.0.to_owned())
}

/// A line such as `test cache::tests::an_entry_is_made_once ... ok`.
fn result_of(line: &str) -> Option<(String, Outcome)> {
    let (name, result) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let name = name
        .split(" - should panic")
        .next()
        .unwrap_or(name)
        .to_owned();
    let outcome = match result.split_once(", ") {
        _ if result == "ok" => Outcome::Passed,
        _ if result.starts_with("FAILED") => Outcome::Failed(result.to_owned()),
        _ if result == "ignored" => Outcome::Skipped("marked as ignored".into()),
        Some(("ignored", why)) => Outcome::Skipped(why.to_owned()),
        _ => return None,
    };
    Some((name, outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, Outcome)> {
        let mut reader = Reader::default();
        let lines = text.lines().filter_map(|line| reader.line(line));
        let mut cases: Vec<_> = lines.flat_map(|(_, cases)| cases).collect();
        cases.extend(reader.end(false).into_iter().flat_map(|(_, cases)| cases));
        cases
            .into_iter()
            .map(|case| (case.name, case.outcome))
            .collect()
    }

    #[test]
    fn results_and_messages_come_together() {
        let text = "     Running unittests src/lib.rs (/t/debug/deps/ring-0123)\n\nrunning 3 tests\n\
            test a ... ok\ntest b ... FAILED\ntest c ... ignored, needs a name\n\nfailures:\n\n\
            ---- b stdout ----\nthread 'b' panicked\nleft: 1\n\nfailures:\n    b\n\n\
            test result: FAILED. 1 passed; 1 failed\n";
        assert_eq!(
            read(text),
            [
                ("ring::a".to_owned(), Outcome::Passed),
                (
                    "ring::b".to_owned(),
                    Outcome::Failed("thread 'b' panicked\nleft: 1".into())
                ),
                (
                    "ring::c".to_owned(),
                    Outcome::Skipped("needs a name".into())
                ),
            ]
        );
    }

    #[test]
    fn a_program_that_aborts_is_a_failure() {
        let text = "     Running unittests src/lib.rs (/t/deps/abi-1)\nrunning 2 tests\ntest a ... ok\n\
            \x20    Running tests/x.rs (/t/deps/x-2)\nrunning 0 tests\ntest result: ok. 0 passed\n";
        let cases = read(text);
        assert_eq!(cases.len(), 2);
        assert_eq!(cases[1].0, "abi::runs_to_its_end");
        assert!(matches!(cases[1].1, Outcome::Failed(_)));
    }
    #[test]
    fn programs_are_counted_when_they_are_built() {
        assert!(is_built(
            "  Executable unittests src/lib.rs (target/debug/deps/ring-0123)"
        ));
        assert!(!is_built("   Compiling ring v0.1.0 (/t/ring)"));
        let doc = program_of("   Doc-tests ring").unwrap();
        assert!(doc.is_doc && doc.name == "ring::doc");
    }
}
