// SPDX-License-Identifier: GPL-2.0

//! Results as JUnit's XML.

use std::fmt::Write as _;

use super::case::{Case, Outcome};
use super::ktap::one_line;

/// The results, one `testsuite` a group.
pub fn text(cases: &[Case]) -> String {
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
        let count = |wanted: fn(&Case) -> bool| of_suite.iter().filter(|case| wanted(case)).count();
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" errors=\"0\">",
            escape(suite),
            of_suite.len(),
            count(Case::has_failed),
            count(|case| matches!(case.outcome, Outcome::Skipped(_))),
        );
        for case in of_suite {
            xml += &testcase(case);
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn testcase(case: &Case) -> String {
    let time = case.time.unwrap_or_default().as_secs_f64();
    let mut xml = format!(
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{time:.3}\"",
        escape(&case.suite),
        escape(&case.name)
    );
    let inside = inside(case);
    match inside.is_empty() {
        true => xml += "/>\n",
        false => xml += &format!(">{inside}</testcase>\n"),
    }
    xml
}

/// What a test has besides its name and time: why it ran more than once, how it ended, what it said.
fn inside(case: &Case) -> String {
    let mut xml = String::new();
    if case.runs > 1 {
        let property = |name, value: &str| {
            format!(
                "<property name=\"{name}\" value=\"{}\"/>",
                escape(&one_line(value))
            )
        };
        let runs = property("runs", &case.runs.to_string());
        let why = case.repeats.iter().map(|line| property("repeated", line));
        let all: String = std::iter::once(runs).chain(why).collect();
        xml += &format!("<properties>{all}</properties>");
    }
    let log = case
        .log
        .as_ref()
        .map_or(String::new(), |log| format!("\nlog: {}", log.display()));
    let failure = |kind, why: &String| {
        format!(
            "<failure type=\"{kind}\" message=\"{}\">{}</failure>",
            escape(why.lines().next().unwrap_or_default()),
            escape(&format!("{why}{log}"))
        )
    };
    xml += &match &case.outcome {
        Outcome::Passed => String::new(),
        Outcome::Skipped(why) => format!("<skipped message=\"{}\"/>", escape(&one_line(why))),
        Outcome::Failed(why) => failure("failure", why),
        Outcome::TimedOut(why) => failure("timeout", why),
    };
    if !case.notes.is_empty() {
        let said = case.notes.join("\n");
        xml += &format!("<system-out>{}</system-out>", escape(&said));
    }
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
    use super::super::case::logged as case;
    use super::*;

    #[test]
    fn it_counts_and_escapes() {
        let xml = text(&[
            case("a<b>", Outcome::Passed),
            case("c", Outcome::Failed("x & \u{1b}[1my".into())),
            case("d", Outcome::Skipped("why".into())),
            case("e", Outcome::TimedOut("9 s".into())),
        ]);
        assert!(xml.contains("tests=\"4\" failures=\"2\" skipped=\"1\""));
        assert!(xml.contains("name=\"a&lt;b&gt;\"") && xml.contains("x &amp; [1my\nlog: /l"));
        assert!(xml.contains("<failure type=\"timeout\" message=\"9 s\">"));
    }

    #[test]
    fn a_repeated_test_has_properties_before_anything_else() {
        let repeated = Case {
            runs: 2,
            repeats: vec!["run 1: \"lost\"".into()],
            notes: vec!["dom0 was up".into()],
            ..case("a", Outcome::Passed)
        };
        let xml = text(&[repeated]);
        assert!(xml.contains(
            "><properties><property name=\"runs\" value=\"2\"/>\
             <property name=\"repeated\" value=\"run 1: &quot;lost&quot;\"/></properties>\
             <system-out>dom0 was up</system-out></testcase>"
        ));
    }
}
