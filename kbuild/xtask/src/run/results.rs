// SPDX-License-Identifier: GPL-2.0

//! Results as files: JSON in tuxrun's shape (`{suite: {case: {"result": …}}}`, with the suite `lava` for the boot), and JUnit.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use vmtest::run::{Ending, Exit, RunReport};

use super::ktap::{TestCase, TestResult};
use crate::report::{Case, Outcome, junit};

/// The suite of what is no test of the command's: tuxrun's name for it.
const LAVA: &str = "lava";

/// The suite of the command, and of the results that it prints.
const COMMAND: &str = "command";

/// What is written: the run, and the results in the command's output.
pub struct Results<'r> {
    /// How it went.
    pub report: &'r RunReport,
    /// Results that the command has printed.
    pub cases: &'r [TestCase],
}

impl Results<'_> {
    /// All as tests, in the order in which they were.
    fn tests(&self) -> Vec<Case> {
        let RunReport {
            ending,
            boot,
            command,
            ..
        } = self.report;
        let timed = |suite: &str, name: &str, outcome, time: Option<Duration>| Case {
            time,
            log: Some(self.report.console.clone()),
            ..Case::new(suite, name, outcome)
        };
        let died = match ending {
            Ending::Died(why) => Some(Outcome::Failed(why.clone())),
            Ending::TimedOut => Some(Outcome::TimedOut("the time is over".into())),
            Ending::Ended(_) => None,
        };
        if boot.is_none() {
            let outcome = died.unwrap_or(Outcome::Passed);
            return vec![timed(LAVA, "login-action", outcome, None)];
        }
        let mut tests = vec![timed(LAVA, "login-action", Outcome::Passed, *boot)];
        for case in self.cases {
            let outcome = match case.result {
                TestResult::Pass => Outcome::Passed,
                TestResult::Fail => Outcome::Failed(case.why.clone()),
                TestResult::Skip => Outcome::Skipped(case.why.clone()),
            };
            tests.push(Case::new(COMMAND, case.name.clone(), outcome));
        }
        let outcome = died.unwrap_or_else(|| match ending {
            // The exit status of a skipped test in the kernel's own (tools/testing/selftests/kselftest.h).
            Ending::Ended(Exit::Code(4)) => Outcome::Skipped("the command's status is 4".into()),
            Ending::Ended(Exit::Code(0)) => Outcome::Passed,
            Ending::Ended(exit) => Outcome::Failed(format!("the command {exit}")),
            _ => Outcome::Passed,
        });
        tests.push(timed(COMMAND, COMMAND, outcome, Some(*command)));
        tests
    }

    /// The text for `--lava`: signals that LAVA's dispatcher reads from a console. A name ends there at a space.
    pub fn lava(&self) -> String {
        let line = |test: Case| {
            let name = test
                .name
                .replace(|c: char| c.is_whitespace() || c == '>', "_");
            let result = word(&test.outcome);
            format!("<LAVA_SIGNAL_TESTCASE TEST_CASE_ID={name} RESULT={result}>\n")
        };
        self.tests().into_iter().map(line).collect()
    }

    /// The text for `--results`.
    pub fn json(&self) -> String {
        let mut all = Map::new();
        for test in self.tests() {
            let mut entry = json!({ "result": word(&test.outcome) });
            if let Some(time) = test.time {
                entry["duration"] = format!("{:.2}", time.as_secs_f64()).into();
            }
            if let Outcome::Failed(why) | Outcome::TimedOut(why) | Outcome::Skipped(why) =
                &test.outcome
            {
                if !why.is_empty() {
                    entry["error_msg"] = why.clone().into();
                }
            }
            let suite = all
                .entry(test.suite)
                .or_insert_with(|| Value::Object(Map::new()));
            suite[test.name] = entry;
        }
        format!("{:#}\n", Value::Object(all))
    }

    /// The text for `--junit`.
    pub fn junit(&self) -> String {
        junit::text(&self.tests())
    }
}

/// LAVA's word for how a test ended.
fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "pass",
        Outcome::Failed(_) | Outcome::TimedOut(_) => "fail",
        Outcome::Skipped(_) => "skip",
    }
}

/// Writes a file that was asked for.
pub fn write(file: Option<&Path>, text: impl FnOnce() -> String) -> Result<()> {
    let Some(file) = file else { return Ok(()) };
    std::fs::write(file, text()).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(ending: Ending, boot: Option<u64>) -> RunReport {
        RunReport {
            ending,
            boot: boot.map(Duration::from_secs),
            command: Duration::from_secs(1),
            complaints: vec![],
            console: "/l".into(),
        }
    }

    fn json_of(report: &RunReport, cases: &[TestCase]) -> Value {
        serde_json::from_str(&Results { report, cases }.json()).unwrap()
    }

    #[test]
    fn results_have_tuxruns_shape() {
        let case = |name: &str, result| TestCase {
            name: name.into(),
            result,
            why: String::new(),
        };
        let cases = [
            case("net.a", TestResult::Pass),
            case("net.b", TestResult::Fail),
        ];
        let found = json_of(&report(Ending::Ended(Exit::Code(1)), Some(5)), &cases);
        assert_eq!(
            found["lava"]["login-action"],
            json!({ "result": "pass", "duration": "5.00" })
        );
        assert_eq!(found["command"]["net.a"]["result"], "pass");
        assert_eq!(found["command"]["net.b"]["result"], "fail");
        assert_eq!(
            found["command"]["command"]["error_msg"],
            "the command ended with status 1"
        );
    }

    #[test]
    fn a_kernel_that_died_has_no_command_that_passed() {
        let died = || Ending::Died("Kernel panic".into());
        let in_boot = json_of(&report(died(), None), &[]);
        assert_eq!(in_boot["lava"]["login-action"]["result"], "fail");
        assert!(in_boot.get("command").is_none());
        let later = json_of(&report(died(), Some(5)), &[]);
        assert_eq!(later["command"]["command"]["result"], "fail");
        let late = json_of(&report(Ending::TimedOut, Some(5)), &[]);
        assert_eq!(late["command"]["command"]["result"], "fail");
        let skipped = json_of(&report(Ending::Ended(Exit::Code(4)), Some(5)), &[]);
        assert_eq!(skipped["command"]["command"]["result"], "skip");
    }

    #[test]
    fn lavas_signals_are_one_a_line() {
        let cases = [TestCase {
            name: "net.a b>".into(),
            result: TestResult::Skip,
            why: String::new(),
        }];
        let report = report(Ending::Ended(Exit::Code(0)), Some(5));
        let text = Results {
            report: &report,
            cases: &cases,
        }
        .lava();
        let wanted = [
            ("login-action", "pass"),
            ("net.a_b_", "skip"),
            ("command", "pass"),
        ];
        let wanted = wanted.map(|(name, result)| {
            format!("<LAVA_SIGNAL_TESTCASE TEST_CASE_ID={name} RESULT={result}>")
        });
        assert_eq!(text.lines().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn junit_has_the_same_tests() {
        let report = report(Ending::Died("Kernel panic".into()), Some(5));
        let text = Results {
            report: &report,
            cases: &[],
        }
        .junit();
        assert!(
            text.contains("<testcase classname=\"lava\" name=\"login-action\" time=\"5.000\"/>"),
            "{text}"
        );
        assert!(text.contains("message=\"Kernel panic\""), "{text}");
    }
}
