// SPDX-License-Identifier: GPL-2.0

//! The tables of instructions, and the verdict.

use std::fmt::Write as _;

use super::Cost;
use super::budget::Budget;
use super::owner::{Executed, Owner};
use crate::bench::report::Workload;
use crate::bench::stats::Summary;
use crate::guest::Mode;

/// Up to how much more than the kernel's driver ours may execute, as a share: what a batch holds depends on timing.
const TOLERANCE: f64 = 0.03;

/// What the document says besides the numbers.
pub struct Facts<'f> {
    /// The benchmark's name on the command line.
    pub command: &'static str,
    /// What is compared, as a title.
    pub title: &'static str,
    /// What kind of domain the drivers ran in, as a word.
    pub domain: &'static str,
    /// Names of baseline and driver under test.
    pub drivers: [&'static str; 2],
    /// The kernel.
    pub kernel: &'f str,
    /// Xen.
    pub xen: &'f str,
    /// How often each cell was counted with each driver.
    pub rounds: u32,
}

/// The costs of a cell in each round: the baseline's and ours.
#[derive(Clone, Debug, Default)]
pub struct Sides(pub [Vec<Cost>; 2]);

/// A cell and what it costs.
#[derive(Clone, Debug)]
pub struct Line<C> {
    mode: Mode,
    /// The cell.
    pub cell: C,
    /// What it costs.
    pub sides: Sides,
}

impl<C: Workload> Line<C> {
    /// A cell of which nothing is known.
    pub fn new(mode: Mode, cell: C) -> Self {
        Self {
            mode,
            cell,
            sides: Sides::default(),
        }
    }

    /// What ours costs, as its budget: the mode, the cell's words, the amounts.
    pub fn budget(&self, kernel: &str) -> Option<(Mode, String, Budget)> {
        let counts: Vec<_> = self.sides.0[1]
            .iter()
            .map(|cost| Budget::of(&cost.executed, cost.units, kernel))
            .collect();
        Some((self.mode, self.cell.to_string(), Budget::median(&counts)?))
    }

    /// Whether ours executes more in driver or machine than it may.
    fn costs_more(&self) -> bool {
        let more = |amount: &dyn Fn(&Executed) -> u64| {
            self.sides
                .ratio(amount)
                .is_none_or(|ratio| ratio > 1.0 + TOLERANCE)
        };
        more(&|executed| executed.of(Owner::Driver)) || more(&Executed::all)
    }
}

impl Sides {
    /// An amount for a unit of a side's work: the median of the rounds and half the distance of the quartiles, as a share.
    fn of(&self, side: usize, amount: &dyn Fn(&Executed) -> u64) -> Option<Summary> {
        let rounds: Vec<f64> = self.0[side]
            .iter()
            .map(|cost| amount(&cost.executed) as f64 / cost.units.max(1) as f64)
            .collect();
        Summary::of(&rounds)
    }

    /// How many times the baseline's amount ours is.
    fn ratio(&self, amount: &dyn Fn(&Executed) -> u64) -> Option<f64> {
        let [base, ours] = [0, 1].map(|side| self.of(side, amount));
        let base = base?.median;
        (base != 0.0).then_some(ours?.median / base)
    }
}

/// The document.
pub fn document<C: Workload>(facts: &Facts<'_>, lines: &[Line<C>]) -> String {
    let [base, ours] = facts.drivers;
    let mut text = format!(
        "# {}: instructions of `{ours}` and `{base}`\n\n\
         <!-- Written by `cargo xtask bench {} --count`. Do not edit: run it again. -->\n\n\
         - kernel, in dom0 and in the guests: {}\n\
         - Xen: {}\n\
         - rounds: {}\n\n{}\n",
        facts.title,
        facts.command,
        facts.kernel,
        facts.xen,
        facts.rounds,
        verdict(lines).0
    );
    for mode in [Mode::Pv, Mode::Pvh, Mode::Hvm] {
        let part: Vec<_> = lines.iter().filter(|line| line.mode == mode).collect();
        if part.is_empty() {
            continue;
        }
        let _ = write!(
            text,
            "\n## {} {}\n\n{}",
            mode.name().to_uppercase(),
            facts.domain,
            table(facts, &part)
        );
    }
    let _ = write!(
        text,
        "\n## Method\n\n\
         A plugin of the emulator counts the instructions that all processors execute from the first {unit} of a cell to the \
         last; who executed them follows from their addresses. *Driver* is the module (ours with `xen_rs`, which \
         all of ours share), *kernel* the rest of the {domain}'s kernel, *machine* everything: both kernels, \
         programs, and Xen. Numbers are for one {unit}, C's and ours, medians of the rounds; ± is half the distance between \
         the quartiles, as a share, of the machine's instructions. Hypercalls are the {domain}'s, entries are those of Xen \
         into guests that the processor virtualises.\n\n\
         Blocks of instructions are counted when they begin: one that an exception ends is counted whole. Blocks with a PAUSE \
         are left out: they wait for another processor, whose speed is that of what else this machine does.\n",
        unit = C::UNIT,
        domain = facts.domain,
    );
    text
}

fn table<C: Workload>(facts: &Facts<'_>, lines: &[&Line<C>]) -> String {
    let mut head: Vec<String> = C::COLUMNS
        .iter()
        .map(|column| (*column).to_owned())
        .collect();
    head.extend(
        [
            "driver, C",
            "ours",
            "ratio",
            "kernel, C",
            "ours",
            "Xen, C",
            "ours",
            "machine, C",
            "ours",
            "ratio",
            "±",
            "hypercalls, C",
            "ours",
            "entries, C",
            "ours",
        ]
        .map(str::to_owned),
    );
    if facts.domain == "guest" {
        head.splice(
            C::COLUMNS.len() + 5..C::COLUMNS.len() + 5,
            ["dom0, C", "ours"].map(str::to_owned),
        );
    }
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for line in lines {
        let mut row = line.cell.columns();
        let both = |amount: &dyn Fn(&Executed) -> u64| {
            [0, 1].map(|side| number(line.sides.of(side, amount).map(|found| found.median)))
        };
        let ratio = |amount: &dyn Fn(&Executed) -> u64| number(line.sides.ratio(amount));
        let owned = |owner: Owner| move |executed: &Executed| executed.of(owner);
        row.extend(both(&owned(Owner::Driver)));
        row.push(ratio(&owned(Owner::Driver)));
        row.extend(both(&owned(Owner::Kernel)));
        if facts.domain == "guest" {
            row.extend(both(&owned(Owner::Dom0)));
        }
        row.extend(both(&owned(Owner::Hypervisor)));
        row.extend(both(&Executed::all));
        row.push(ratio(&Executed::all));
        let spreads = [0, 1].map(|side| line.sides.of(side, &Executed::all));
        let spread = spreads
            .into_iter()
            .flatten()
            .map(|found| found.spread())
            .fold(0.0, f64::max);
        row.push(format!("{:.1} %", spread * 100.0));
        row.extend(both(&|executed| executed.hypercalls));
        row.extend(both(&|executed| executed.entries));
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}

/// A number for a unit: whole if it is large.
fn number(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value < 10.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.0}"),
    }
}

/// How it went, and whether ours executes no more anywhere.
pub fn verdict<C: Workload>(lines: &[Line<C>]) -> (String, bool) {
    let more: Vec<_> = lines.iter().filter(|line| line.costs_more()).collect();
    let mut text = format!(
        "In {} of {} cells neither our driver nor the machine with it executes more than {:.0} % more than with the \
         kernel's.\n",
        lines.len() - more.len(),
        lines.len(),
        TOLERANCE * 100.0
    );
    for line in &more {
        let ratio = |amount: &dyn Fn(&Executed) -> u64| number(line.sides.ratio(amount));
        let _ = writeln!(
            text,
            "- {}, {}: driver {}, machine {}",
            line.mode.name().to_uppercase(),
            line.cell.describe(),
            ratio(&|executed| executed.of(Owner::Driver)),
            ratio(&Executed::all)
        );
    }
    let lost = lines
        .iter()
        .flat_map(|line| line.sides.0.iter().flatten())
        .any(|cost| cost.executed.lost != 0);
    if lost {
        text += "- The emulator had more blocks than counters: all counts are too low.\n";
    }
    (text, more.is_empty() && !lost)
}
