// SPDX-License-Identifier: GPL-2.0

//! Where instructions were executed: folded stacks (a line `owner;module;function count` for each function, the module
//! only if it is in one), a flame graph of them, and the driver's blocks of instructions.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use anyhow::{Context, Result};
use counter::record::Interval;
use counter::table::Event;
use inferno::flamegraph;

use super::owner::{Layout, Owner, owners};
use super::symbols::Names;

/// Instructions for a unit have this many parts in a flame graph, whose counts are whole numbers.
const PARTS: f64 = 100.0;

/// What each function executed for a unit; the largest come first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile(Vec<(String, f64)>);

impl Profile {
    /// Of an interval of `units` units.
    pub fn new(interval: &Interval, layout: &Layout, names: &Names<'_>, units: u64) -> Self {
        let mut functions: HashMap<String, u64> = HashMap::new();
        for (counted, owner) in owners(interval, layout) {
            let block = counted.seen.block;
            if block.event == Event::Instruction {
                let stack = format!("{};{}", owner.name(), names.frames(owner, block.address));
                *functions.entry(stack).or_default() += counted.count;
            }
        }
        let mut functions: Vec<_> = functions.into_iter().collect();
        functions.sort_by_key(|(stack, count)| (std::cmp::Reverse(*count), stack.clone()));
        let each = |(stack, count)| (stack, count as f64 / units.max(1) as f64);
        Self(functions.into_iter().map(each).collect())
    }

    /// As folded stacks.
    pub fn folded(&self) -> String {
        let mut text = String::new();
        for (stack, count) in &self.0 {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{stack} {count:.2}");
        }
        text
    }

    /// As a flame graph: an SVG in which a browser can look closer at a part.
    ///
    /// # Errors
    ///
    /// If nothing was executed.
    pub fn graph(&self, title: &str, unit: &str) -> Result<String> {
        let mut options = flamegraph::Options::default();
        options.title = title.to_owned();
        options.subtitle = Some(format!("instructions for a {unit}"));
        options.count_name = "instructions".to_owned();
        options.name_type = String::new();
        options.factor = 1.0 / PARTS;
        // The same picture of the same profile.
        options.deterministic = true;
        let lines: Vec<_> = self
            .0
            .iter()
            .map(|(stack, count)| format!("{stack} {:.0}", count * PARTS))
            .collect();
        let mut image = Vec::new();
        let lines = lines.iter().map(String::as_str);
        flamegraph::from_lines(&mut options, lines, &mut image).context("no flame graph")?;
        String::from_utf8(image).context("a flame graph that is no text")
    }
}

/// What was executed in each block of the driver, for a unit of the interval's `units`: a line `function+0xoffset count`,
/// in the order of addresses, to be held against a listing of the module (`objdump -d`).
pub fn blocks(interval: &Interval, layout: &Layout, names: &Names<'_>, units: u64) -> String {
    let mut blocks: BTreeMap<u64, u64> = BTreeMap::new();
    for (counted, owner) in owners(interval, layout) {
        let block = counted.seen.block;
        if block.event == Event::Instruction && owner == Owner::Driver {
            *blocks.entry(block.address).or_default() += counted.count;
        }
    }
    let mut text = String::new();
    for (address, count) in blocks {
        let (name, offset) = names.domain().at(address).unwrap_or(("unknown", address));
        let each = count as f64 / units.max(1) as f64;
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name}+{offset:#x} {each:.2}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flame_graph_has_each_function_and_what_it_executed() {
        let profile = Profile(vec![
            ("kernel;schedule".to_owned(), 1500.25),
            ("driver;xen_rs;complete".to_owned(), 499.75),
        ]);
        assert_eq!(
            profile.folded(),
            "kernel;schedule 1500.25\ndriver;xen_rs;complete 499.75\n"
        );
        let image = profile.graph("a cell", "request").unwrap();
        assert!(image.starts_with("<?xml"), "{image}");
        assert!(image.contains("instructions for a request"), "{image}");
        assert!(
            image.contains("complete (500 instructions, 25.00%)"),
            "{image}"
        );
        assert!(image.contains("all (2,000 instructions, 100%)"), "{image}");
    }

    #[test]
    fn nothing_executed_is_no_flame_graph() {
        assert!(Profile::default().graph("a cell", "request").is_err());
    }
}
