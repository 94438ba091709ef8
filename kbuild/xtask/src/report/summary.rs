// SPDX-License-Identifier: GPL-2.0

//! The end of a report: what failed, ran again, was left out, and took longest.

use std::fmt::Write as _;
use std::time::Duration;

use super::case::Case;

/// How many of the slowest tests are named.
const SLOWEST: usize = 10;

/// What is to be said of a run as a whole.
#[derive(Clone, Debug, Default)]
pub struct RunFacts {
    /// Scenarios that were not run because the time was used.
    pub left_out: Vec<String>,
    /// How many scenarios only `--full` runs.
    pub for_full: usize,
    /// How long the command took.
    pub took: Duration,
    /// How long it was to take.
    pub budget: Option<Duration>,
}

/// The summary, as diagnostic lines.
pub fn text(cases: &[Case], facts: &RunFacts) -> String {
    let mut text = String::new();
    for case in cases.iter().filter(|case| case.has_failed()) {
        let log = case
            .log
            .as_ref()
            .map_or(String::new(), |log| format!(" ({})", log.display()));
        let _ = writeln!(text, "# failed: {}{log}", case.full_name());
    }
    let repeated: Vec<_> = cases
        .iter()
        .filter(|case| case.runs > 1)
        .map(|case| format!("{} ({} runs)", case.full_name(), case.runs))
        .collect();
    if !repeated.is_empty() {
        let _ = writeln!(
            text,
            "# {} ran more than once, because a domain ended by a triple fault, which can be the emulator's: {}",
            count(repeated.len(), "scenario"),
            repeated.join(", ")
        );
    }
    if !facts.left_out.is_empty() {
        let _ = writeln!(
            text,
            "# {} left out, because the time was used (another commit leaves out others): {}",
            count(facts.left_out.len(), "scenario"),
            facts.left_out.join(", ")
        );
    }
    if facts.for_full > 0 {
        let _ = writeln!(
            text,
            "# {} only run with --full or when named; --full --list names them",
            count(facts.for_full, "scenario")
        );
    }
    text += &slowest(cases);
    let _ = write!(text, "# took {}", span(facts.took));
    if let Some(budget) = facts.budget {
        let _ = write!(text, " of {}", span(budget));
    }
    text.push('\n');
    text
}

fn slowest(cases: &[Case]) -> String {
    let timed = cases.iter().filter_map(|case| Some((case.time?, case)));
    let mut timed: Vec<_> = timed.filter(|(time, _)| !time.is_zero()).collect();
    if timed.is_empty() {
        return String::new();
    }
    timed.sort_by_key(|(time, _)| std::cmp::Reverse(*time));
    let mut text = "# slowest, without the boots of machines that are shared:\n".to_owned();
    for (time, case) in timed.iter().take(SLOWEST) {
        let _ = writeln!(text, "# {:7.1} s {}", time.as_secs_f32(), case.full_name());
    }
    text
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// A duration as people say it.
pub fn span(time: Duration) -> String {
    match time.as_secs() {
        secs if secs < 60 => format!("{secs} s"),
        secs if secs % 60 == 0 => format!("{} min", secs / 60),
        secs => format!("{} min {} s", secs / 60, secs % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::super::case::Outcome;
    use super::*;

    fn case(name: &str, secs: u64) -> Case {
        Case {
            time: Some(Duration::from_secs(secs)),
            ..Case::new("s", name, Outcome::Passed)
        }
    }

    #[test]
    fn repeats_are_counted_and_shown() {
        let lost = Case {
            runs: 3,
            outcome: Outcome::Failed("lost".into()),
            ..case("lost", 9)
        };
        let again = Case {
            runs: 2,
            ..case("again", 9)
        };
        let text = text(&[case("once", 1), again, lost], &RunFacts::default());
        assert!(text.contains("# failed: s.lost\n"), "{text}");
        assert!(
            text.contains(
                "# 2 scenarios ran more than once, because a domain ended by a triple fault"
            ),
            "{text}"
        );
        assert!(
            text.contains("s.again (2 runs), s.lost (3 runs)\n"),
            "{text}"
        );
    }

    #[test]
    fn the_slowest_ten_are_named_longest_first() {
        let cases: Vec<_> = (1..=12).map(|n| case(&format!("t{n:02}"), n)).collect();
        let text = text(&cases, &RunFacts::default());
        let named: Vec<_> = text
            .lines()
            .filter(|line| line.contains(" s s.t"))
            .collect();
        assert_eq!(named.len(), SLOWEST);
        assert_eq!(named[0], "#    12.0 s s.t12");
        assert!(!text.contains("t02"));
    }

    #[test]
    fn what_was_left_out_is_named() {
        let facts = RunFacts {
            left_out: vec!["a.b".into()],
            for_full: 2,
            took: Duration::from_secs(61),
            budget: Some(Duration::from_secs(3600)),
        };
        let text = text(&[], &facts);
        assert!(
            text.contains("# 1 scenario left out, because the time was used"),
            "{text}"
        );
        assert!(
            text.contains(": a.b\n# 2 scenarios only run with --full"),
            "{text}"
        );
        assert!(text.ends_with("# took 1 min 1 s of 60 min\n"), "{text}");
    }
}
