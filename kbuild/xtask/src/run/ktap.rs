// SPDX-License-Identifier: GPL-2.0

//! Results in what a command prints, if that is KTAP (the kernel's Documentation/dev-tools/ktap.rst). Other lines may be
//! between; what is not understood counts for nothing.

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestResult {
    /// `ok`.
    Pass,
    /// `not ok`.
    Fail,
    /// `ok … # SKIP`, or an expected failure.
    Skip,
}

/// The result of a test without subtests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestCase {
    /// Its name, with those of the tests that it is a part of in front, by dots.
    pub name: String,
    /// How it ended.
    pub result: TestResult,
    /// What is said about that.
    pub why: String,
}

/// Takes output in pieces and remembers the results in it.
#[derive(Default)]
pub struct Reader {
    partial: Vec<u8>,
    /// Whether the line that begins KTAP was seen.
    has_begun: bool,
    /// Results with the number of spaces before them. Those of subtests come before that of the test they belong to.
    found: Vec<(usize, TestCase)>,
}

/// Longest line that is looked at, in bytes.
const MAX_LINE: usize = 4096;

impl Reader {
    /// Takes the next piece.
    pub fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => {
                    let line = std::mem::take(&mut self.partial);
                    self.line(&String::from_utf8_lossy(&line));
                }
                byte if self.partial.len() < MAX_LINE => self.partial.push(*byte),
                _ => {}
            }
        }
    }

    /// The results, in their order.
    pub fn finish(mut self) -> Vec<TestCase> {
        let line = std::mem::take(&mut self.partial);
        self.line(&String::from_utf8_lossy(&line));
        self.found.into_iter().map(|(_, case)| case).collect()
    }

    fn line(&mut self, line: &str) {
        let line = line.trim_end();
        let text = line.trim_start();
        if text.starts_with("KTAP version") || text.starts_with("TAP version") {
            self.has_begun = true;
            return;
        }
        let Some(mut case) = result(text).filter(|_| self.has_begun) else {
            return;
        };
        let depth = line.len() - text.len();
        let first = self.found.iter().rposition(|(other, _)| *other <= depth);
        let first = first.map_or(0, |last| last + 1);
        if first == self.found.len() {
            if case.name.is_empty() {
                case.name = format!("{}", self.found.len() + 1);
            }
            self.found.push((depth, case));
            return;
        }
        let mut has_failed = false;
        for (at, subtest) in &mut self.found[first..] {
            *at = depth;
            subtest.name = format!("{}.{}", case.name, subtest.name);
            has_failed |= subtest.result == TestResult::Fail;
        }
        // A test that failed although no subtest did is a failure of its own.
        if case.result == TestResult::Fail && !has_failed {
            self.found.push((depth, case));
        }
    }
}

/// Reads `ok 1 name # SKIP why`, `not ok 2 - name`.
fn result(text: &str) -> Option<TestCase> {
    let (is_ok, rest) = match text.strip_prefix("not ok") {
        Some(rest) => (false, rest),
        None => (true, text.strip_prefix("ok")?),
    };
    if !rest.starts_with(' ') && !rest.is_empty() {
        return None;
    }
    let rest = rest
        .trim_start()
        .trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = rest.trim_start();
    let rest = rest.strip_prefix("- ").unwrap_or(rest);
    let (name, directive) = rest.split_once('#').unwrap_or((rest, ""));
    let directive = directive.trim();
    let word = directive.split_whitespace().next().unwrap_or_default();
    let result = match (is_ok, word.to_ascii_uppercase().as_str()) {
        (_, "SKIP" | "TODO" | "XFAIL") => TestResult::Skip,
        (true, _) => TestResult::Pass,
        (false, _) => TestResult::Fail,
    };
    Some(TestCase {
        name: name.trim().to_owned(),
        result,
        why: directive.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, TestResult)> {
        let mut reader = Reader::default();
        // In pieces of a size that no line has.
        for piece in text.as_bytes().chunks(7) {
            reader.push(piece);
        }
        let cases = reader.finish().into_iter();
        cases.map(|case| (case.name, case.result)).collect()
    }

    #[test]
    fn subtests_are_named_after_their_tests() {
        let text = "booting\nKTAP version 1\n1..3\n  KTAP version 1\n  1..2\n    KTAP version 1\n    1..1\n    ok 1 deep\n  \
            ok 1 a\nnoise ok 1\n  not ok 2 b\nnot ok 1 net\nok 2 - alone # SKIP no device\nnot ok 3 last";
        let found = read(text);
        let wanted = [
            ("net.a.deep", TestResult::Pass),
            ("net.b", TestResult::Fail),
            ("alone", TestResult::Skip),
            ("last", TestResult::Fail),
        ];
        assert_eq!(
            found,
            wanted.map(|(name, result)| (name.to_owned(), result))
        );
    }

    #[test]
    fn a_failure_that_no_subtest_explains_is_one_more() {
        let found = read("TAP version 13\n  ok 1 a\nnot ok 1 all # TIMEOUT\n");
        assert_eq!(
            found,
            [
                ("all.a".into(), TestResult::Pass),
                ("all".into(), TestResult::Fail)
            ]
        );
    }

    #[test]
    fn without_its_first_line_nothing_is_ktap() {
        assert_eq!(read("ok 1 a\nnot ok 2 b\nokay\n"), []);
        assert_eq!(
            read("KTAP version 1\nokay\nok\n"),
            [("1".into(), TestResult::Pass)]
        );
    }
}
