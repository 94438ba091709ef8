// SPDX-License-Identifier: GPL-2.0

//! The benchmark's result: the document in docs/results, and the summary on the terminal.

mod tables;

use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::counts::{Counter, Counts};
use super::stats::{Comparison, Summary};
use crate::guest::Mode;

/// A cell of a benchmark's matrix, and how it is written.
pub trait Workload: Clone + PartialEq + fmt::Display {
    /// Headers of the columns that say which cell it is.
    const COLUMNS: &'static [&'static str];
    /// What the hypervisor's costs are counted for.
    const UNIT: &'static str;
    /// What is counted.
    const COUNTERS: &'static [Counter];

    /// The table of rates that it stands in.
    fn table(&self) -> Table;

    /// The contents of the columns.
    fn columns(&self) -> Vec<String>;

    /// All of it in a sentence.
    fn describe(&self) -> String;

    /// A rate in the unit that is shown.
    fn shown(&self, rate: f64) -> f64 {
        rate
    }
}

/// A table of rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// What the heading says is measured.
    pub heading: &'static str,
    /// What the numbers are.
    pub rates: &'static str,
}

impl Table {
    /// The table of a benchmark that has only one.
    pub const fn throughput(rates: &'static str) -> Self {
        Self {
            heading: "throughput",
            rates,
        }
    }
}

/// What one driver did in one cell, one number a round.
#[derive(Clone, Debug, Default)]
pub struct Rounds {
    /// Units a second.
    pub rates: Vec<f64>,
    /// Seconds of processor time of the domain for a unit; empty if that was not measured.
    pub processor: Vec<f64>,
}

/// Everything found out about one cell.
#[derive(Clone, Debug)]
pub struct Row<C> {
    /// How the domain ran.
    pub mode: Mode,
    /// What was measured.
    pub cell: C,
    /// Operations a second in each round of the baseline.
    pub base: Rounds,
    /// The rounds of the driver under test.
    pub ours: Rounds,
    /// Units and what they cost, in passes of their own: the baseline's and ours.
    pub counts: Option<[(u64, Counts); 2]>,
}

impl<C: Workload> Row<C> {
    /// How the two compare; `None` only without a round.
    pub fn comparison(&self) -> Option<Comparison> {
        Comparison::paired(&self.ours.rates, &self.base.rates)
    }

    /// How many times as much processor time the baseline takes for a unit; `None` if that was not measured.
    pub fn thrift(&self) -> Option<Comparison> {
        Comparison::paired(&self.base.processor, &self.ours.processor)
    }

    /// Whether the median says that ours is slower or takes more processor time, or the counters that it asks more of
    /// the hypervisor.
    pub fn falls_short(&self) -> bool {
        self.comparison().is_none_or(|found| found.ratio < 1.0)
            || self.thrift().is_some_and(|found| found.ratio < 1.0)
            || !self.worse_counts().is_empty()
    }

    /// The counters in which ours is worse by more than chance: what is in a batch depends on timing.
    fn worse_counts(&self) -> Vec<&'static str> {
        let Some([base, ours]) = &self.counts else {
            return vec![];
        };
        let pairs = costs(base).into_iter().zip(costs(ours));
        C::COUNTERS
            .iter()
            .zip(pairs)
            .filter(|(_, (base, ours))| *ours > base * (1.0 + TOLERANCE) + NEGLIGIBLE)
            .map(|(counter, _)| counter.name)
            .collect()
    }
}

/// By how much, as a share, a counter may exceed the baseline's.
const TOLERANCE: f64 = 0.05;

/// An amount per unit that means nothing: a pool of persistent grants that grew by one.
const NEGLIGIBLE: f64 = 0.02;

/// What a unit costs, one number for each counter.
fn costs((units, counts): &(u64, Counts)) -> Vec<f64> {
    let per = |count: &u64| *count as f64 / (*units).max(1) as f64;
    counts.0.iter().map(per).collect()
}

/// What the document says besides the numbers.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The benchmark's name on the command line.
    pub command: &'static str,
    /// What is compared, as a title.
    pub title: &'static str,
    /// What kind of domain the drivers ran in, as a word.
    pub domain: &'static str,
    /// Names of baseline and driver under test.
    pub drivers: [String; 2],
    /// Pairs of a subject and what the reader has to know of it.
    pub machine: Vec<(&'static str, String)>,
    /// How it was measured, one paragraph each.
    pub method: Vec<String>,
}

/// The document with all tables, in Markdown.
pub fn document<C: Workload>(facts: &Facts, rows: &[Row<C>]) -> String {
    let [base, ours] = &facts.drivers;
    let mut text = format!(
        "# {}: `{ours}` against `{base}`\n\n\
         <!-- Written by `cargo xtask bench {}`. Do not edit: run it again. -->\n\n",
        facts.title, facts.command
    );
    for (subject, value) in &facts.machine {
        let _ = writeln!(text, "- {subject}: {value}");
    }
    let _ = write!(text, "\n{}\n", verdict(rows));
    for mode in distinct(rows.iter().map(|row| row.mode)) {
        let rows: Vec<_> = rows.iter().filter(|row| row.mode == mode).collect();
        let name = format!("{} {}", mode.name().to_uppercase(), facts.domain);
        for table in distinct(rows.iter().map(|row| row.cell.table())) {
            let mut part = rows.clone();
            part.retain(|row| row.cell.table() == table);
            let _ = write!(
                text,
                "\n## {name}: {}\n\n{}",
                table.heading,
                tables::rates(facts, table.rates, &part)
            );
        }
        if rows.iter().any(|row| row.thrift().is_some()) {
            let _ = write!(
                text,
                "\n## {name}: processor time\n\n{}",
                tables::processor(facts, &rows)
            );
        }
        if rows.iter().any(|row| row.counts.is_some()) {
            let _ = write!(
                text,
                "\n## {name}: what each {} costs\n\n{}",
                C::UNIT,
                tables::asked(facts, &rows)
            );
        }
    }
    text += "\n## Method\n";
    for paragraph in &facts.method {
        let _ = write!(text, "\n{paragraph}\n");
    }
    text
}

/// Writes the document: to `output` if all was measured, else, and without an output, among the logs in `dir`, where it is called
/// after the command. Half a table is worth keeping, but not in the place of a whole one; the error is returned then. Returns where
/// it is.
pub fn keep(
    document: &str,
    command: &str,
    dir: &Path,
    output: Option<&Path>,
    measured: Result<()>,
) -> Result<PathBuf> {
    let path = match (&measured, output) {
        (Ok(()), Some(path)) => path.to_owned(),
        _ => dir.join(format!("{command}.md")),
    };
    write(document, &path)?;
    measured.with_context(|| {
        let dir = dir.display();
        format!("not all was measured; what was, and the logs, are in {dir}")
    })?;
    Ok(path)
}

/// Writes the document, or what else a benchmark leaves, and the folders that lead there.
pub fn write(document: &str, path: &Path) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(path, document).with_context(|| format!("cannot write {}", path.display()))
}

/// Each once, in the order of their first places.
fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut once = Vec::new();
    for one in all {
        if !once.contains(&one) {
            once.push(one);
        }
    }
    once
}

/// A few lines that say how it went; the same text stands in the document and on the terminal.
pub fn verdict<C: Workload>(rows: &[Row<C>]) -> String {
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
            row.cell.describe()
        );
        match row.comparison() {
            None => text += "not measured\n",
            Some(found) => {
                let doubt = doubt(&found);
                let _ = writeln!(
                    text,
                    "{:.3} ({:.3} – {:.3}){doubt}",
                    found.ratio, found.interval.0, found.interval.1
                );
            }
        }
    }
    let greedy: Vec<_> = rows
        .iter()
        .filter_map(|row| Some((row, row.thrift().filter(|found| found.ratio < 1.0)?)))
        .collect();
    if rows.iter().any(|row| row.thrift().is_some()) {
        text += if greedy.is_empty() {
            "\nIt takes no more processor time in any cell.\n"
        } else {
            "\nIt takes more processor time in:\n\n"
        };
    }
    for (row, found) in greedy {
        let _ = writeln!(
            text,
            "- {}, {}: {:.3} ({:.3} – {:.3}){}",
            row.mode.name().to_uppercase(),
            row.cell.describe(),
            found.ratio,
            found.interval.0,
            found.interval.1,
            doubt(&found)
        );
    }
    let costly: Vec<_> = rows
        .iter()
        .map(|row| (row, row.worse_counts()))
        .filter(|(_, worse)| !worse.is_empty())
        .collect();
    if rows.iter().any(|row| row.counts.is_some()) {
        text += if costly.is_empty() {
            let names: Vec<_> = C::COUNTERS.iter().map(|counter| counter.name).collect();
            format!(
                "\nIt needs no more {} for each {} in any cell.\n",
                either(&names),
                C::UNIT
            )
        } else {
            format!("\nIt needs more for each {} in:\n\n", C::UNIT)
        }
        .as_str();
    }
    for (row, worse) in costly {
        let mode = row.mode.name().to_uppercase();
        let _ = writeln!(
            text,
            "- {mode}, {}: {}",
            row.cell.describe(),
            worse.join(", ")
        );
    }
    text
}

/// "a, b or c".
fn either(names: &[&str]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        names => names.concat(),
    }
}

fn doubt(found: &Comparison) -> &'static str {
    if found.undecided() {
        ", which the noise may explain"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ratio: f64, notifications: u64) -> Row<blkload::Cell> {
        let counts = |sent| (1000, Counts(vec![sent, 500, 0]));
        Row {
            mode: Mode::Pv,
            cell: "write:65536:8:4".parse().unwrap(),
            base: Rounds {
                rates: vec![1000.0; 12],
                processor: vec![],
            },
            ours: Rounds {
                rates: (0..12)
                    .map(|round| 1000.0 * ratio + f64::from(round % 3))
                    .collect(),
                processor: vec![],
            },
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
        let text = verdict(&[row(1.1, 104)]);
        assert!(
            text.contains("no more notifications, interrupts or grant operations for each request"),
            "{text}"
        );
        assert!(row(1.1, 200).falls_short());
        assert!(verdict(&[row(1.1, 200)]).contains("4 queues: notifications"));
    }

    #[test]
    fn more_processor_time_fails() {
        let mut row = row(1.1, 100);
        row.base.processor = vec![1e-3; 12];
        row.ours.processor = vec![0.9e-3; 12];
        assert!(!row.falls_short());
        row.ours.processor = vec![1.2e-3; 12];
        assert!(row.falls_short());
        let text = verdict(&[row]);
        assert!(text.contains("4 queues: 0.833 (0.833"), "{text}");
    }

    #[test]
    fn a_cell_without_rounds_falls_short() {
        let mut empty = row(1.0, 100);
        empty.base.rates.clear();
        empty.ours.rates.clear();
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
