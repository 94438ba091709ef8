// SPDX-License-Identifier: GPL-2.0

//! Which operations are compared.

use std::fmt;

use crate::bench::counts::{Counter, Ratio, Source};
use crate::bench::subject::{Table, Workload};

/// What a process asks a device file for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `xen_version`, which does nothing but answer.
    Hypercall,
    /// Frames of a guest, mapped and unmapped.
    Foreign,
    /// A frame of a guest's grant table, mapped and unmapped.
    Resource,
    /// Grants of a guest, mapped and unmapped.
    Grants,
    /// Grants of a guest, a page each, copied to memory.
    Copy,
    /// Pages granted to a guest, mapped, unmapped and taken back.
    Share,
    /// An event and one back.
    Events,
}

impl Operation {
    const ALL: [Self; 7] = [
        Self::Hypercall,
        Self::Foreign,
        Self::Resource,
        Self::Grants,
        Self::Copy,
        Self::Share,
        Self::Events,
    ];

    /// Pages in an operation; 1 also for what has none.
    fn batches(self) -> &'static [u32] {
        match self {
            Self::Foreign => &[1, 64, 4096],
            Self::Grants => &[1, 16, 128],
            Self::Copy | Self::Share => &[1, 16],
            Self::Hypercall | Self::Resource | Self::Events => &[1],
        }
    }

    /// Whether it is also run by two threads: in the others these would mostly wait for each other's address space.
    fn is_for_two(self) -> bool {
        matches!(self, Self::Hypercall | Self::Events)
    }
}

/// A workload, written as `devfile-load` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What is asked for.
    pub kind: Operation,
    /// Pages in an operation.
    pub batch: u32,
    /// Threads, with a file each.
    pub threads: u32,
}

/// All cells of a number of threads, in the order they are run. The quick ones leave out what lies between the smallest
/// batch, which shows what an operation costs, and the largest, which shows what a page does.
pub fn cells(threads: u32, quick: bool) -> Vec<Cell> {
    let mut cells = Vec::new();
    for kind in Operation::ALL {
        if threads > 1 && !kind.is_for_two() || quick && kind == Operation::Resource {
            continue;
        }
        let batches = kind.batches();
        let ends = [batches.first(), batches.last()];
        for batch in batches {
            if quick && !ends.contains(&Some(batch)) {
                continue;
            }
            let batch = *batch;
            cells.push(Cell {
                kind,
                batch,
                threads,
            });
        }
    }
    cells
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Operation::Hypercall => "hypercall",
            Operation::Foreign => "foreign",
            Operation::Resource => "resource",
            Operation::Grants => "grants",
            Operation::Copy => "copy",
            Operation::Share => "share",
            Operation::Events => "events",
        };
        write!(f, "{kind}:{}:{}", self.batch, self.threads)
    }
}

impl Workload for Cell {
    const COLUMNS: &'static [&'static str] = &["operation", "batch", "threads"];
    const UNIT: &'static str = "operation";
    const COUNTERS: &'static [Counter] = &[
        Counter {
            name: "mapping calls",
            // What both drivers map and copy by. How many hypercalls it takes in there is the kernel's affair.
            source: Source::Calls(&[
                "xen_remap_pfn",
                "xen_xlate_remap_gfn_array",
                "xen_xlate_unmap_gfn_range",
                "gnttab_map_refs",
                "gnttab_unmap_refs_async",
                "gnttab_batch_copy",
            ]),
            shown: Ratio::ForUnit,
            meaning: "calls of the kernel's functions that make hypercalls to map, unmap or copy",
        },
        Counter {
            name: "answers to events",
            source: Source::Calls(&["xen_irq_lateeoi"]),
            shown: Ratio::ForUnit,
            meaning: "events that were answered",
        },
    ];

    fn table(&self) -> Table {
        Table::throughput("Pages a second, hypercalls a second, or events there and back a second")
    }

    fn columns(&self) -> Vec<String> {
        let kind = match self.kind {
            Operation::Hypercall => "hypercall",
            Operation::Foreign => "foreign frames mapped and unmapped",
            Operation::Resource => "grant table mapped and unmapped",
            Operation::Grants => "grants mapped and unmapped",
            Operation::Copy => "grants copied",
            Operation::Share => "pages granted and taken back",
            Operation::Events => "event there and back",
        };
        vec![
            kind.to_owned(),
            self.batch.to_string(),
            self.threads.to_string(),
        ]
    }

    fn describe(&self) -> String {
        let [kind, batch, threads] = &self.columns()[..] else {
            return self.to_string();
        };
        format!("{kind}, {batch} at a time, {threads} threads")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_operation_is_there_once_and_some_for_two() {
        let all = [cells(1, false), cells(2, false)].concat();
        let words: BTreeSet<_> = all.iter().map(Cell::to_string).collect();
        assert_eq!((all.len(), words.len()), (13 + 2, 13 + 2));
        for word in ["foreign:4096:1", "grants:16:1", "copy:16:1", "events:1:2"] {
            assert!(words.contains(word), "{word}");
        }
        let quick = [cells(1, true), cells(2, true)].concat();
        assert_eq!(quick.len(), all.len() - 3);
        assert!(quick.iter().all(|cell| all.contains(cell)));
    }
}
