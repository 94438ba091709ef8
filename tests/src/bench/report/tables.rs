// SPDX-License-Identifier: GPL-2.0

//! The tables of the document: a line for each cell.

use super::{Facts, Row, Workload, costs};
use crate::bench::counts::{Counter, Ratio};
use crate::bench::stats::{Comparison, Summary};

/// A table's head: the columns of a cell, then others.
fn head<C: Workload>(others: &[&str]) -> String {
    let names: Vec<_> = C::COLUMNS.iter().chain(others).copied().collect();
    let rule: String = (1..names.len()).map(|_| "--:|").collect();
    format!("| {} |\n|---|{rule}\n", names.join(" | "))
}

/// A table's line.
fn line<C: Workload>(cell: &C, others: &[String]) -> String {
    format!(
        "| {} |\n",
        [&cell.columns()[..], others].concat().join(" | ")
    )
}

/// The columns of a comparison.
fn compared(
    found: Comparison,
    [base, ours]: [&[f64]; 2],
    shown: impl Fn(f64) -> f64,
) -> Option<Vec<String>> {
    let mark = if found.ratio < 1.0 { "**" } else { "" };
    let rate = |numbers: &[f64]| -> Option<String> {
        let numbers: Vec<_> = numbers.iter().map(|number| shown(*number)).collect();
        Some(rate(&Summary::of(&numbers)?))
    };
    Some(vec![
        rate(base)?,
        rate(ours)?,
        format!("{mark}{:.3}{mark}", found.ratio),
        format!("{:.3} – {:.3}", found.interval.0, found.interval.1),
    ])
}

/// How fast the cells were, in units of what `rates` says.
pub fn rates<C: Workload>(facts: &Facts, rates: &str, rows: &[&Row<C>]) -> String {
    let [base, ours] = &facts.drivers;
    let mut text = format!(
        "{rates}: median of the rounds ± half the distance of the quartiles. The ratio is the median of the rounds' ratios, \
         with the interval that holds the true median with 95 % probability.\n\n{}",
        head::<C>(&[base, ours, "ratio", "95 % interval"])
    );
    for row in rows {
        let numbers = [&row.base.rates[..], &row.ours.rates];
        let shown = |rate| row.cell.shown(rate);
        if let Some(columns) = row.comparison().and_then(|c| compared(c, numbers, shown)) {
            text += &line(&row.cell, &columns);
        }
    }
    text
}

/// What processor time they took.
pub fn processor<C: Workload>(facts: &Facts, rows: &[&Row<C>]) -> String {
    let [base, ours] = &facts.drivers;
    let mut text = format!(
        "Seconds that the {}'s processors were busy for as much as is counted above, times 1000. A ratio above 1 \
         means that ours takes less.\n\n{}",
        facts.domain,
        head::<C>(&[base, ours, "ratio", "95 % interval"])
    );
    for row in rows {
        let numbers = [&row.base.processor[..], &row.ours.processor];
        let shown = |seconds: f64| 1000.0 * seconds / row.cell.shown(1.0);
        if let Some(columns) = row.thrift().and_then(|c| compared(c, numbers, shown)) {
            text += &line(&row.cell, &columns);
        }
    }
    text
}

/// What they asked of the hypervisor.
pub fn asked<C: Workload>(facts: &Facts, rows: &[&Row<C>]) -> String {
    let [base, ours] = &facts.drivers;
    let unit = C::UNIT;
    let meanings: Vec<_> = C::COUNTERS
        .iter()
        .map(|counter| match counter.shown {
            Ratio::UnitsFor(_) => format!("{unit}s for each {} (more is better)", counter.meaning),
            Ratio::ForUnit => format!("{} (fewer is better)", counter.meaning),
        })
        .collect();
    let heads: Vec<_> = C::COUNTERS
        .iter()
        .flat_map(|counter| match counter.shown {
            Ratio::UnitsFor(one) => [format!("{unit}s/{one}"), String::new()],
            Ratio::ForUnit => [format!("{}/{unit}", counter.name), String::new()],
        })
        .collect();
    let heads: Vec<_> = heads.iter().map(String::as_str).collect();
    let mut text = format!(
        "Per {unit} of the load: {}; each first for `{base}`, then for `{ours}`.\n\n{}",
        meanings.join(", "),
        head::<C>(&heads)
    );
    for row in rows {
        let Some([base, ours]) = &row.counts else {
            continue;
        };
        let worse = row.worse_counts();
        let columns: Vec<_> = C::COUNTERS
            .iter()
            .zip(costs(base).into_iter().zip(costs(ours)))
            .flat_map(|(counter, (base, ours))| {
                let bold = worse.contains(&counter.name);
                let mark = if bold { "**" } else { "" };
                let ours = cost(counter, ours);
                [cost(counter, base), format!("{mark}{ours}{mark}")]
            })
            .collect();
        text += &line(&row.cell, &columns);
    }
    text
}

fn cost(counter: &Counter, per_unit: f64) -> String {
    match counter.shown {
        Ratio::UnitsFor(_) => inverse(per_unit),
        Ratio::ForUnit => number(per_unit),
    }
}

fn rate(summary: &Summary) -> String {
    let digits = if summary.median < 100.0 { 1 } else { 0 };
    format!(
        "{:.digits$} ± {:.1} %",
        summary.median,
        summary.spread() * 100.0
    )
}

fn inverse(per_unit: f64) -> String {
    if per_unit == 0.0 {
        "all".into()
    } else {
        number(1.0 / per_unit)
    }
}

fn number(number: f64) -> String {
    match number {
        number if number >= 100.0 => format!("{number:.0}"),
        number if number >= 10.0 => format!("{number:.1}"),
        number => format!("{number:.2}"),
    }
}
