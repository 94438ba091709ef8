// SPDX-License-Identifier: GPL-2.0

//! What mapping memory for a device takes, as the module `xen_dma_test` measures it for a device that does not exist
//! (`linux-pv/dmatest`).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::remote::Place;

/// What is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// A buffer that the device reaches where it is.
    Direct,
    /// A buffer beyond the device's reach.
    Bounced,
    /// A list of pages, used where they are.
    List,
}

/// What a mapping and its end take, the best of some rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// What is mapped.
    pub memory: Memory,
    /// Pages of a mapping.
    pub pages: u32,
    /// Nanoseconds.
    pub ns: u64,
}

/// What the module measures: memory, and pages of a mapping.
pub const CASES: [(Memory, u32); 7] = [
    (Memory::Direct, 1),
    (Memory::Direct, 16),
    (Memory::Direct, 32),
    (Memory::Bounced, 1),
    (Memory::Bounced, 16),
    (Memory::Bounced, 32),
    (Memory::List, 64),
];

/// What the module's lines begin with in the kernel's log.
const MARK: &str = "xen_dma_test: bench ";

/// Has the module measure in a PV domain. Once in a boot: the kernel's log would have it all twice.
pub fn costs(dom0: &Place) -> Result<Vec<Cost>> {
    let script =
        format!("modprobe xen_dma_test bench=1 && dmesg | grep -o '{MARK}.*'; rmmod xen_dma_test");
    let output = dom0.run_for(Duration::from_secs(120), &script)?.ok()?;
    read(&output.stdout)
}

/// Reads the kernel's log. Each case has to be there, once.
fn read(log: &str) -> Result<Vec<Cost>> {
    let costs: Vec<Cost> = log
        .lines()
        .filter_map(|line| line.split_once(MARK))
        .map(|(_, cost)| cost.parse())
        .collect::<Result<_>>()?;
    for (memory, pages) in CASES {
        let this = |cost: &&Cost| (cost.memory, cost.pages) == (memory, pages);
        ensure!(
            costs.iter().filter(this).count() == 1,
            "mappings of {memory} memory, {pages} pages, were not measured, or twice:\n{log}"
        );
    }
    ensure!(
        costs.iter().all(|cost| cost.ns > 0),
        "mappings failed:\n{log}"
    );
    Ok(costs)
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Memory::Direct => "direct",
            Memory::Bounced => "bounced",
            Memory::List => "list",
        })
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, pages, ns } = self;
        write!(f, "{memory} pages {pages} ns {ns}")
    }
}

impl FromStr for Cost {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let words: Vec<_> = text.split_whitespace().collect();
        let memory = |word| {
            [Memory::Direct, Memory::Bounced, Memory::List]
                .into_iter()
                .find(|memory| memory.to_string() == word)
        };
        let cost = match words[..] {
            [word, "pages", pages, "ns", ns] => memory(word)
                .zip(pages.parse().ok())
                .zip(ns.parse().ok())
                .map(|((memory, pages), ns)| Self { memory, pages, ns }),
            _ => None,
        };
        cost.with_context(|| format!("{text:?} is no result of xen_dma_test"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel's log has of a run.
    fn log() -> Vec<String> {
        let lines = CASES.iter().zip(1..).map(|((memory, pages), ns)| {
            format!("[   12.5] xen_dma_test: bench {memory} pages {pages} ns {ns}00")
        });
        lines.collect()
    }

    #[test]
    fn results_are_read_as_the_module_prints_them() {
        let cost: Cost = "bounced pages 16 ns 206093".parse().unwrap();
        let expected = Cost {
            memory: Memory::Bounced,
            pages: 16,
            ns: 206_093,
        };
        assert_eq!(cost, expected);
        assert_eq!(cost.to_string(), "bounced pages 16 ns 206093");
        for wrong in [
            "bounced pages 16",
            "lost pages 1 ns 2",
            "list pages -1 ns 2",
        ] {
            assert!(wrong.parse::<Cost>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_case_has_to_be_there_once() {
        let all = log();
        let costs = read(&format!("\n{}\n", all.join("\n"))).unwrap();
        assert_eq!((costs.len(), costs[6].ns), (7, 700));
        assert!(read(&all[1..].join("\n")).is_err());
        assert!(read(&[&all[..], &all[..1]].concat().join("\n")).is_err());
    }

    #[test]
    fn a_mapping_that_failed_is_an_error() {
        let failed = log().join("\n").replace("ns 300", "ns 0");
        assert!(read(&failed).is_err());
    }
}
