// SPDX-License-Identifier: GPL-2.0

//! The functions in which instructions were executed, as folded stacks: a line `owner;function count` for each, which
//! tools for flame graphs read; and the driver's blocks of instructions.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use anyhow::{Context, Result};
use counter::record::Interval;
use counter::table::Event;

use super::owner::{Layout, Owner, owners};
use crate::Place;

/// A kernel's functions by their addresses.
#[derive(Clone, Debug, Default)]
pub struct Symbols(Vec<(u64, String)>);

impl Symbols {
    /// Asks a domain for the functions of modules, and dom0, which has the same kernel and a faster line, for the kernel's.
    ///
    /// # Errors
    ///
    /// If they do not say.
    pub fn read(dom0: &Place, place: &Place) -> Result<Self> {
        let show = "echo 0 > /proc/sys/kernel/kptr_restrict";
        let kernel = dom0.sh(&format!("{show}; grep -v '\\[' /proc/kallsyms"))?;
        let modules = place.sh(&format!("{show}; grep '\\[xen' /proc/kallsyms"))?;
        Self::parse(&format!("{kernel}\n{modules}"))
            .with_context(|| format!("{}: /proc/kallsyms", place.name()))
    }

    /// Reads a text as of `/proc/kallsyms`: address, kind, name, and a module's name in brackets.
    fn parse(text: &str) -> Result<Self> {
        let mut symbols = Vec::new();
        for line in text.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let [address, kind, name, ..] = words[..] else {
                anyhow::bail!("no symbol: {line}");
            };
            // Text, weak or not.
            if !matches!(kind, "t" | "T" | "w" | "W") {
                continue;
            }
            let address = u64::from_str_radix(address, 16).with_context(|| line.to_owned())?;
            symbols.push((address, name.to_owned()));
        }
        symbols.sort();
        Ok(Self(symbols))
    }

    /// The function that an address belongs to.
    fn at(&self, address: u64) -> Option<&str> {
        Some(self.place(address)?.0)
    }

    /// The function that an address belongs to, and how far behind its beginning the address is.
    fn place(&self, address: u64) -> Option<(&str, u64)> {
        let after = self.0.partition_point(|(start, _)| *start <= address);
        let (start, name) = self.0.get(after.checked_sub(1)?)?;
        Some((name, address - start))
    }
}

/// The folded stacks of an interval, for a unit of its `units`; the largest come first. Dom0's functions and Xen's have
/// no names.
pub fn folded(interval: &Interval, layout: &Layout, symbols: &Symbols, units: u64) -> String {
    let mut functions: HashMap<(&str, String), u64> = HashMap::new();
    for (counted, owner) in owners(interval, layout) {
        let block = counted.seen.block;
        if block.event != Event::Instruction {
            continue;
        }
        let name = match owner.is_named() {
            true => symbols.at(block.address).unwrap_or("unknown").to_owned(),
            // A function or two.
            false => format!("{:x}", block.address & !0xff),
        };
        *functions.entry((owner.name(), name)).or_default() += counted.count;
    }
    let mut functions: Vec<_> = functions.into_iter().collect();
    functions.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), name.clone()));
    let mut text = String::new();
    for ((owner, name), count) in functions {
        let each = count as f64 / units.max(1) as f64;
        // Writing to a string does not fail.
        let _ = writeln!(text, "{owner};{name} {each:.2}");
    }
    text
}

/// What was executed in each block of the driver, for a unit of the interval's `units`: a line `function+0xoffset count`,
/// in the order of addresses, to be held against a listing of the module (`objdump -d`).
pub fn blocks(interval: &Interval, layout: &Layout, symbols: &Symbols, units: u64) -> String {
    let mut blocks: BTreeMap<u64, u64> = BTreeMap::new();
    for (counted, owner) in owners(interval, layout) {
        let block = counted.seen.block;
        if block.event == Event::Instruction && owner == Owner::Driver {
            *blocks.entry(block.address).or_default() += counted.count;
        }
    }
    let mut text = String::new();
    for (address, count) in blocks {
        let (name, offset) = symbols.place(address).unwrap_or(("unknown", address));
        let each = count as f64 / units.max(1) as f64;
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name}+{offset:#x} {each:.2}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "ffffffff81000000 T first\n\
                        ffffffff81000040 t second\n\
                        ffffffff81000050 d datum\n\
                        ffffffffc0001000 t third\t[module]\n";

    #[test]
    fn addresses_belong_to_the_function_that_begins_before_them() {
        let symbols = Symbols::parse(TEXT).unwrap();
        assert_eq!(symbols.at(0xffff_ffff_8100_003f), Some("first"));
        assert_eq!(symbols.at(0xffff_ffff_8100_0060), Some("second"));
        assert_eq!(symbols.place(0xffff_ffff_8100_0060), Some(("second", 0x20)));
        assert_eq!(symbols.at(0xffff_ffff_c000_1000), Some("third"));
        assert_eq!(symbols.at(0xffff_ffff_8000_0000), None);
        assert!(Symbols::parse("nothing\n").is_err());
    }
}
