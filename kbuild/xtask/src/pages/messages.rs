// SPDX-License-Identifier: GPL-2.0

//! docs/reference/messages.md against the messages in the code.

use super::{
    Page, files, fixed_parts, is_made_by, literals, read, rows, section, spans, without_comments,
};

/// Macros that print what somebody may have to do something about.
const MACROS: [&str; 9] = [
    "pr_warn!(",
    "pr_warn_once!(",
    "pr_err!(",
    "pr_err_once!(",
    "pr_crit!(",
    "dev_warn!(",
    "dev_err!(",
    "log::warn!(",
    "log::error!(",
];

/// How the hypervisor says why it does not boot.
const REFUSALS: [&str; 2] = ["Err(", "ok_or("];

/// Files of the hypervisor whose refusals are no messages of their own: the page of options has those of the command
/// line, and a kernel's compression is named in a message of `dom0`.
const NO_REFUSALS: [&str; 2] = [
    "hypervisor/logic/src/bzimage.rs",
    "hypervisor/logic/src/options.rs",
];

/// The first string literal after each macro of `MACROS` in a source, and after each of `refusals` which it follows at once.
fn said(page: &Page, refusals: &[&str]) -> Vec<String> {
    // Messages of tests are nobody's business. Tests in a file of their own are named near the top.
    let code = page.text.split("#[cfg(test)]\nmod tests {").next();
    let code = code.unwrap_or_default();
    let code = without_comments(code);
    let mut all = Vec::new();
    for start in MACROS.iter().chain(refusals) {
        for (at, _) in code.match_indices(start) {
            let rest = &code[at + start.len()..];
            if MACROS.contains(start) || rest.trim_start().starts_with('"') {
                all.extend(literals(rest).into_iter().next());
            }
        }
    }
    all
}

/// A message of several lines has its first line in the page; registers have none.
fn is_worth_a_row(literal: &str) -> bool {
    let letters: usize = fixed_parts(literal)
        .iter()
        .map(|part| part.chars().filter(|c| c.is_alphabetic()).count())
        .sum();
    !literal.starts_with("  ") && letters > 3
}

/// What the page lists, a message each.
fn listed() -> Vec<String> {
    let page = read("docs/reference/messages.md");
    let first = rows(&page)
        .into_iter()
        .filter_map(|row| row.into_iter().next());
    first.flat_map(|cell| spans(&cell)).collect()
}

#[test]
fn every_warning_is_listed() {
    let listed = listed();
    let mut missing = Vec::new();
    for page in files("linux-pv", &[".rs"])
        .iter()
        .chain(&files("hypervisor/machine", &[".rs"]))
        .chain(&files("hypervisor/logic/src", &[".rs"]))
    {
        let refuses =
            page.name.starts_with("hypervisor/") && !NO_REFUSALS.contains(&page.name.as_str());
        let refusals = match refuses {
            true => &REFUSALS[..],
            false => &[],
        };
        let said = said(page, refusals);
        for literal in said.into_iter().filter(|literal| is_worth_a_row(literal)) {
            if !listed.iter().any(|row| is_made_by(row, &literal)) {
                missing.push(format!("{}: {literal:?}", page.name));
            }
        }
    }
    missing.dedup();
    assert!(
        missing.is_empty(),
        "docs/reference/messages.md lacks:\n{}",
        missing.join("\n")
    );
}

#[test]
fn every_row_is_a_message() {
    let mut said: Vec<String> = Vec::new();
    for folder in ["linux-pv", "hypervisor/machine", "hypervisor/logic/src"] {
        for page in files(folder, &[".rs"]) {
            said.extend(literals(&page.text));
        }
    }
    said.retain(|literal| is_worth_a_row(literal));
    let unknown: Vec<_> = listed()
        .into_iter()
        .filter(|row| !said.iter().any(|literal| is_made_by(row, literal)))
        .collect();
    assert!(unknown.is_empty(), "no code says:\n{}", unknown.join("\n"));
}

#[test]
fn every_reason_of_the_interrupt_table_is_listed() {
    let page = read("docs/reference/messages.md");
    let part = section(&page, "## Reasons in the interrupt table");
    let listed: Vec<_> = rows(part)
        .iter()
        .filter_map(|row| {
            spans(&row[0])
                .first()?
                .strip_prefix("! ")
                .map(str::to_owned)
        })
        .collect();
    let source = read("linux-pv/core/irq/table.rs");
    let (_, display) = source
        .split_once("impl fmt::Display for Mismatch")
        .expect("the reasons are printed by Mismatch");
    let reasons = literals(display.split("\n}").next().unwrap_or_default());
    assert_eq!(
        reasons.len(),
        listed.len(),
        "{reasons:?} in the code, {listed:?} in the page"
    );
    for reason in &reasons {
        assert!(
            listed.iter().any(|row| is_made_by(row, reason)),
            "the page lacks {reason:?}"
        );
        let shown = part
            .lines()
            .filter(|line| line.starts_with("    "))
            .any(|line| {
                line.split_once(" ! ")
                    .is_some_and(|(_, text)| is_made_by(text, reason))
            });
        assert!(shown, "no example shows {reason:?}");
    }
}
