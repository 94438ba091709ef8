// SPDX-License-Identifier: GPL-2.0

//! The benchmark's result: the document in docs/results, and the summary on the terminal.

use std::fmt::Write as _;

use blkload::Cell;

use super::counts::Counts;
use super::matrix::{describe, in_flight, size};
use super::stats::{Comparison, Summary};
use crate::guest::Mode;

/// Everything found out about one cell.
#[derive(Clone, Debug)]
pub struct Row {
    /// How the guest ran.
    pub mode: Mode,
    /// The workload.
    pub cell: Cell,
    /// Requests a second, one number a round: the baseline's.
    pub base: Vec<f64>,
    /// The same for the driver under test.
    pub ours: Vec<f64>,
    /// Requests and what they cost, in passes of their own: the baseline's and ours.
    pub counts: Option<[(u64, Counts); 2]>,
}

impl Row {
    /// How the two compare; `None` only without a round.
    pub fn comparison(&self) -> Option<Comparison> {
        Comparison::paired(&self.ours, &self.base)
    }

    /// Whether the median says that ours is slower, or the counters that it asks more of the hypervisor.
    pub fn falls_short(&self) -> bool {
        self.comparison().is_none_or(|found| found.ratio < 1.0) || !self.worse_counts().is_empty()
    }

    /// The counters in which ours is worse by more than chance: what is in a batch depends on timing.
    fn worse_counts(&self) -> Vec<&'static str> {
        let Some([base, ours]) = self.counts else {
            return vec![];
        };
        let [base, ours] = [base, ours].map(|(requests, counts)| Costs::of(requests, counts));
        let mut worse = Vec::new();
        for (name, base, ours) in [
            ("notifications", base.sent, ours.sent),
            ("interrupts", base.received, ours.received),
            ("grant operations", base.grants, ours.grants),
        ] {
            if ours > base * (1.0 + TOLERANCE) + NEGLIGIBLE {
                worse.push(name);
            }
        }
        worse
    }
}

/// By how much, as a share, a counter may exceed the baseline's.
const TOLERANCE: f64 = 0.05;

/// An amount per request that means nothing: a pool of persistent grants that grew by one.
const NEGLIGIBLE: f64 = 0.02;

/// Costs per request.
struct Costs {
    sent: f64,
    received: f64,
    grants: f64,
}

impl Costs {
    fn of(requests: u64, counts: Counts) -> Self {
        let per = |count: u64| count as f64 / requests.max(1) as f64;
        Self {
            sent: per(counts.sent),
            received: per(counts.received),
            grants: per(counts.grants),
        }
    }
}

/// What the document says besides the numbers.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Names of baseline and driver under test.
    pub drivers: [String; 2],
    /// Pairs of a subject and what is to be known of it.
    pub machine: Vec<(&'static str, String)>,
    /// How it was measured, one paragraph each.
    pub method: Vec<String>,
}

/// The document.
pub fn document(facts: &Facts, rows: &[Row]) -> String {
    let [base, ours] = &facts.drivers;
    let mut text = format!(
        "# Block benchmark: `{ours}` against `{base}`\n\n\
         <!-- Written by `cargo xtask bench blk`. Do not edit: run it again. -->\n\n"
    );
    for (subject, value) in &facts.machine {
        let _ = writeln!(text, "- {subject}: {value}");
    }
    let _ = write!(text, "\n{}\n", verdict(rows));
    for mode in modes(rows) {
        let rows: Vec<_> = rows.iter().filter(|row| row.mode == mode).collect();
        let name = mode.name().to_uppercase();
        let _ = write!(
            text,
            "\n## {name} guest: throughput\n\n{}",
            throughput(facts, &rows)
        );
        if rows.iter().any(|row| row.counts.is_some()) {
            let _ = write!(
                text,
                "\n## {name} guest: what a request costs\n\n{}",
                costs(facts, &rows)
            );
        }
    }
    text += "\n## Method\n";
    for paragraph in &facts.method {
        let _ = write!(text, "\n{paragraph}\n");
    }
    text
}

fn modes(rows: &[Row]) -> Vec<Mode> {
    let mut modes: Vec<Mode> = Vec::new();
    for row in rows {
        if !modes.contains(&row.mode) {
            modes.push(row.mode);
        }
    }
    modes
}

fn throughput(facts: &Facts, rows: &[&Row]) -> String {
    let [base, ours] = &facts.drivers;
    let mut text = format!(
        "Requests a second: median of the rounds ± half the distance of the quartiles. The ratio is the median of \
         the rounds' ratios, with the interval that holds the true median with 95 % probability.\n\n\
         | request | in flight | queues | {base} | {ours} | ratio | 95 % interval |\n|---|--:|--:|--:|--:|--:|:-:|\n"
    );
    for row in rows {
        let cell = &row.cell;
        let (Some(base), Some(ours), Some(found)) = (
            Summary::of(&row.base),
            Summary::of(&row.ours),
            row.comparison(),
        ) else {
            continue;
        };
        let mark = if found.ratio < 1.0 { "**" } else { "" };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {mark}{:.3}{mark} | {:.3} – {:.3} |",
            request(cell),
            in_flight(cell),
            cell.jobs,
            rate(&base),
            rate(&ours),
            found.ratio,
            found.interval.0,
            found.interval.1
        );
    }
    text
}

fn costs(facts: &Facts, rows: &[&Row]) -> String {
    let [base, ours] = &facts.drivers;
    let mut text = format!(
        "Per request of the load: requests for each notification the guest sent, requests for each interrupt it \
         took (more is better), and grants it gave plus grants it took back (fewer is better); each first for \
         `{base}`, then for `{ours}`.\n\n\
         | request | in flight | queues | requests/notification | | requests/interrupt | | grant operations/request | |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|\n"
    );
    for row in rows {
        let Some(pair) = row.counts else { continue };
        let [base, ours] = pair.map(|(requests, counts)| Costs::of(requests, counts));
        let worse = row.worse_counts();
        let show = |text: String, name: &str| {
            if worse.contains(&name) {
                format!("**{text}**")
            } else {
                text
            }
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            request(&row.cell),
            in_flight(&row.cell),
            row.cell.jobs,
            inverse(base.sent),
            show(inverse(ours.sent), "notifications"),
            inverse(base.received),
            show(inverse(ours.received), "interrupts"),
            number(base.grants),
            show(number(ours.grants), "grant operations"),
        );
    }
    text
}

/// A few lines that say how it went; the same text stands in the document and on the terminal.
pub fn verdict(rows: &[Row]) -> String {
    let slower: Vec<_> = rows
        .iter()
        .filter(|row| row.comparison().is_none_or(|found| found.ratio < 1.0))
        .collect();
    let mut text = format!(
        "Ours is at least as fast in {} of {} cells",
        rows.len() - slower.len(),
        rows.len()
    );
    let ratios: Vec<f64> = rows
        .iter()
        .filter_map(Row::comparison)
        .map(|found| found.ratio)
        .collect();
    if let Some(all) = Summary::of(&ratios) {
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let _ = write!(
            text,
            " (ratios: median {:.3}, lowest {least:.3})",
            all.median
        );
    }
    text.push_str(if slower.is_empty() {
        ".\n"
    } else {
        ", and slower in:\n\n"
    });
    for row in &slower {
        let _ = write!(
            text,
            "- {}, {}: ",
            row.mode.name().to_uppercase(),
            describe(&row.cell)
        );
        match row.comparison() {
            None => text += "not measured\n",
            Some(found) => {
                let doubt = if found.undecided() {
                    ", which the noise may explain"
                } else {
                    ""
                };
                let _ = writeln!(
                    text,
                    "{:.3} ({:.3} – {:.3}){doubt}",
                    found.ratio, found.interval.0, found.interval.1
                );
            }
        }
    }
    let costly: Vec<_> = rows
        .iter()
        .map(|row| (row, row.worse_counts()))
        .filter(|(_, worse)| !worse.is_empty())
        .collect();
    if rows.iter().any(|row| row.counts.is_some()) {
        text += if costly.is_empty() {
            "\nIt needs no more notifications, interrupts or grant operations for a request in any cell.\n"
        } else {
            "\nIt needs more for a request in:\n\n"
        };
    }
    for (row, worse) in costly {
        let mode = row.mode.name().to_uppercase();
        let _ = writeln!(
            text,
            "- {mode}, {}: {}",
            describe(&row.cell),
            worse.join(", ")
        );
    }
    text
}

fn request(cell: &Cell) -> String {
    let direction = match cell.direction {
        blkload::Direction::Read => "read",
        blkload::Direction::Write => "write",
    };
    format!("{} {direction}", size(cell.block))
}

fn rate(summary: &Summary) -> String {
    let digits = if summary.median < 100.0 { 1 } else { 0 };
    format!(
        "{:.digits$} ± {:.1} %",
        summary.median,
        summary.spread() * 100.0
    )
}

fn inverse(per_request: f64) -> String {
    if per_request == 0.0 {
        "all".into()
    } else {
        number(1.0 / per_request)
    }
}

fn number(number: f64) -> String {
    match number {
        number if number >= 100.0 => format!("{number:.0}"),
        number if number >= 10.0 => format!("{number:.1}"),
        number => format!("{number:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ratio: f64, notifications: u64) -> Row {
        let counts = |sent| {
            (
                1000,
                Counts {
                    sent,
                    received: 500,
                    grants: 0,
                },
            )
        };
        Row {
            mode: Mode::Pv,
            cell: "write:65536:8:4".parse().unwrap(),
            base: vec![1000.0; 12],
            ours: (0..12)
                .map(|round| 1000.0 * ratio + f64::from(round % 3))
                .collect(),
            counts: Some([counts(100), counts(notifications)]),
        }
    }

    #[test]
    fn a_slower_cell_is_named_and_fails() {
        let rows = [row(1.1, 100), row(0.9, 100)];
        assert!(!rows[0].falls_short() && rows[1].falls_short());
        let text = verdict(&rows);
        assert!(text.contains("1 of 2 cells"), "{text}");
        assert!(
            text.contains("- PV, 64 KiB write, 32 in flight, 4 queues: 0.901"),
            "{text}"
        );
        assert!(!text.contains("noise"), "{text}");
    }

    #[test]
    fn more_notifications_fail_but_not_a_few() {
        assert!(!row(1.1, 104).falls_short());
        assert!(row(1.1, 200).falls_short());
        assert!(verdict(&[row(1.1, 200)]).contains("4 queues: notifications"));
    }

    #[test]
    fn a_cell_without_rounds_falls_short() {
        let mut empty = row(1.0, 100);
        empty.base.clear();
        empty.ours.clear();
        assert!(empty.falls_short());
        assert!(verdict(&[empty]).contains("not measured"));
    }

    #[test]
    fn the_document_has_a_line_for_each_cell() {
        let facts = Facts {
            drivers: ["c".into(), "rs".into()],
            ..Facts::default()
        };
        let text = document(&facts, &[row(1.1, 100)]);
        assert!(
            text.contains("| 64 KiB write | 32 | 4 | 1000 ± 0.0 % | 1101 ± "),
            "{text}"
        );
        assert!(
            text.contains("| 64 KiB write | 32 | 4 | 10.0 | 10.0 | 2.00 | 2.00 | 0.00 | 0.00 |"),
            "{text}"
        );
    }
}
