// SPDX-License-Identifier: GPL-2.0

//! Budgets: what our drivers executed for a request or packet when they were last counted, in a file of the tree. A change that
//! makes a driver dearer fails a test, or shows in the file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::owner::{Executed, Owner};
use crate::guest::Mode;

/// Where the budgets are, from the root of the tree.
pub const FILE: &str = "tests/budgets.toml";

/// The budgets as this program was built with them.
const BUDGETS: &str = include_str!("../../../budgets.toml");

/// What the file begins with.
const HEAD: &str = "\
# SPDX-License-Identifier: GPL-2.0
#
# What our drivers cost for one request or packet, by benchmark, kind of guest and cell: instructions of the driver and of the
# crate xen, hypercalls of the guest, and entries into guests. Do not edit: `cargo xtask bench blk --count --update` writes it.
# The scenarios count.* compare with it.
";

/// Up to how much more may be executed than when the budget was made, as a share. What a batch holds depends on timing, and
/// so does what is done once for a batch.
const TOLERANCE: f64 = 0.10;

/// The same for another kernel than the budget's: it may have been built by another compiler.
const TOLERANCE_ELSEWHERE: f64 = 0.20;

/// How many times the budget's hypercalls and entries into guests there may be more: both depend on what the other processors
/// do meanwhile. With one for each request there are more.
const TOLERANCE_OF_EXITS: f64 = 2.0;

/// What one unit may cost.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Budget {
    /// The release of the kernel that it was counted with.
    kernel: String,
    /// Instructions of driver and abstractions.
    driver: f64,
    /// Hypercalls of the guest.
    hypercalls: f64,
    /// Entries into guests.
    entries: f64,
}

impl Budget {
    /// What `executed` for so many units is for one.
    pub fn of(executed: &Executed, units: u64, kernel: &str) -> Self {
        let each = |amount: u64| {
            let each = amount as f64 / units.max(1) as f64;
            // What is beyond depends on chance, and would only make differences in the file.
            (each * 100.0).round() / 100.0
        };
        Self {
            kernel: kernel.to_owned(),
            driver: each(executed.of(Owner::Driver)),
            hypercalls: each(executed.hypercalls),
            entries: each(executed.entries),
        }
    }

    /// The least of several counts, each amount for itself.
    pub fn least(self, other: Self) -> Self {
        Self {
            kernel: self.kernel,
            driver: self.driver.min(other.driver),
            hypercalls: self.hypercalls.min(other.hypercalls),
            entries: self.entries.min(other.entries),
        }
    }

    /// The middle of several counts, each amount for itself.
    pub fn median(counts: &[Self]) -> Option<Self> {
        let middle = |amount: fn(&Self) -> f64| {
            let mut amounts: Vec<_> = counts.iter().map(amount).collect();
            amounts.sort_by(f64::total_cmp);
            amounts.get(amounts.len() / 2).copied()
        };
        Some(Self {
            kernel: counts.first()?.kernel.clone(),
            driver: middle(|count| count.driver)?,
            hypercalls: middle(|count| count.hypercalls)?,
            entries: middle(|count| count.entries)?,
        })
    }

    /// Whether `found` keeps this budget; how it went in a few words.
    ///
    /// # Errors
    ///
    /// If it costs more, or nothing was counted.
    pub fn is_kept_by(&self, found: &Self) -> Result<String> {
        let same = self.kernel == found.kernel;
        let tolerance = if same { TOLERANCE } else { TOLERANCE_ELSEWHERE };
        if found.driver == 0.0 {
            bail!("no instruction of the driver was counted");
        }
        // A hundredth is as exact as the file.
        let over =
            |found: f64, budget: f64, tolerance: f64| found > budget * (1.0 + tolerance) + 0.01;
        let words = format!(
            "{:.0} instructions of the driver, {:.2} hypercalls, {:.2} entries into guests (budget {:.0}, {:.2}, {:.2}{})",
            found.driver,
            found.hypercalls,
            found.entries,
            self.driver,
            self.hypercalls,
            self.entries,
            match same {
                true => String::new(),
                false => format!(" of {}", self.kernel),
            }
        );
        if over(found.driver, self.driver, tolerance)
            || over(found.hypercalls, self.hypercalls, TOLERANCE_OF_EXITS)
            || over(found.entries, self.entries, TOLERANCE_OF_EXITS)
        {
            bail!(
                "over budget: {words}. If it has to be so, cargo xtask bench makes a new one with --count --update; say why in \
                 the commit"
            );
        }
        Ok(words)
    }
}

/// The name of a cell's budget.
fn key(command: &str, mode: Mode, cell: &str) -> String {
    format!("{command} {} {cell}", mode.name())
}

/// The budget of a cell.
///
/// # Errors
///
/// If there is none.
pub fn find(command: &str, mode: Mode, cell: &str) -> Result<Budget> {
    let budgets = parse(BUDGETS)?;
    let key = key(command, mode, cell);
    let found = budgets.get(&key).cloned();
    found.with_context(|| {
        format!("{FILE} has no budget \"{key}\": cargo xtask bench {command} --count --update")
    })
}

/// Puts budgets of cells, by their words, into the file of a tree, in the place of those that it had.
///
/// # Errors
///
/// If it cannot be read or written.
pub fn update(workspace: &Path, command: &str, new: &[(Mode, String, Budget)]) -> Result<()> {
    let path = workspace.join(FILE);
    let shown = || path.display().to_string();
    let text = std::fs::read_to_string(&path).with_context(shown)?;
    let mut budgets = parse(&text).with_context(shown)?;
    for (mode, cell, budget) in new {
        budgets.insert(key(command, *mode, cell), budget.clone());
    }
    let text = format!("{HEAD}\n{}", toml::to_string(&budgets)?);
    std::fs::write(&path, text).with_context(shown)
}

fn parse(text: &str) -> Result<BTreeMap<String, Budget>> {
    toml::from_str(text).context("budgets cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(driver: f64, entries: f64) -> Budget {
        Budget {
            kernel: "7.3.4".to_owned(),
            driver,
            hypercalls: 0.25,
            entries,
        }
    }

    #[test]
    fn more_than_the_tolerance_is_over_budget() {
        let made = budget(1000.0, 2.0);
        assert!(made.is_kept_by(&budget(1099.0, 5.9)).is_ok());
        assert!(made.is_kept_by(&budget(500.0, 0.0)).is_ok());
        let error = made.is_kept_by(&budget(1101.0, 2.0)).unwrap_err();
        assert!(error.to_string().contains("--update"), "{error}");
        assert!(made.is_kept_by(&budget(1000.0, 6.1)).is_err());
        assert!(made.is_kept_by(&budget(0.0, 2.0)).is_err());
    }

    #[test]
    fn another_kernel_may_have_another_compiler() {
        let made = budget(1000.0, 2.0);
        let newer = |driver| Budget {
            kernel: "7.4.1".to_owned(),
            ..budget(driver, 2.0)
        };
        assert!(made.is_kept_by(&newer(1190.0)).unwrap().contains("7.3.4"));
        assert!(made.is_kept_by(&newer(1210.0)).is_err());
    }

    #[test]
    fn the_middle_of_several_counts_is_a_budget() {
        let counts = [budget(3.0, 1.0), budget(1.0, 9.0), budget(2.0, 5.0)];
        assert_eq!(Budget::median(&counts), Some(budget(2.0, 5.0)));
        assert_eq!(Budget::median(&[]), None);
    }

    #[test]
    fn an_update_replaces_what_was_counted_and_keeps_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("tests")).unwrap();
        let path = dir.path().join(FILE);
        std::fs::write(&path, HEAD).unwrap();
        let put = |cell: &str, driver| {
            let new = [(Mode::Pvh, cell.to_owned(), budget(driver, 1.0))];
            update(dir.path(), "blk", &new).unwrap();
        };
        put("read:4096:32:1", 1.0);
        put("write:4096:32:1", 2.0);
        put("read:4096:32:1", 3.0);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(HEAD));
        let found = parse(&text).unwrap();
        assert_eq!(found["blk pvh read:4096:32:1"].driver, 3.0);
        assert_eq!(found["blk pvh write:4096:32:1"].driver, 2.0);
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn the_trees_budgets_can_be_read() {
        assert!(!parse(BUDGETS).unwrap().is_empty());
        assert!(find("blk", Mode::Pv, "no such cell").is_err());
    }
}
