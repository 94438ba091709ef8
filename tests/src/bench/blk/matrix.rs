// SPDX-License-Identifier: GPL-2.0

//! Which workloads are compared.

use blkload::{Cell, Direction};

use crate::bench::counts::Counter;
use crate::bench::device;
use crate::bench::subject::{Table, Workload};

/// What the names of the device's interrupts begin with.
pub const INTERRUPTS: &str = "blkif";

/// Sizes of a request in bytes: a page, what most file systems read ahead, and more than a plain request holds.
const BLOCKS: [u32; 3] = [4 << 10, 64 << 10, 1 << 20];

/// Requests in flight: latency, and throughput. The queues share them, but each has at least one.
const DEPTHS: [u32; 2] = [1, 32];

/// All cells of a number of queues, in the order they are run.
pub fn cells(queues: u32) -> Vec<Cell> {
    let mut cells = Vec::new();
    for direction in [Direction::Read, Direction::Write] {
        for block in BLOCKS {
            for depth in DEPTHS {
                cells.push(Cell {
                    direction,
                    block,
                    depth: (depth / queues).max(1),
                    jobs: queues,
                });
            }
        }
    }
    cells
}

/// The ones to look at while a driver is being worked on: the smallest requests show what one costs, the largest
/// what a byte costs.
pub fn quick(queues: u32) -> Vec<Cell> {
    let mut cells = cells(queues);
    cells.retain(|cell| match cell.depth {
        1 => cell.block == BLOCKS[0],
        _ => cell.block != BLOCKS[1],
    });
    cells
}

/// Requests in flight on all queues together.
fn in_flight(cell: &Cell) -> u32 {
    cell.depth * cell.jobs
}

/// A size as people write it.
fn size(bytes: u32) -> String {
    match bytes {
        bytes if bytes % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
        bytes => format!("{} KiB", bytes >> 10),
    }
}

impl Workload for Cell {
    const COLUMNS: &'static [&'static str] = &["request", "in flight", "queues"];
    const UNIT: &'static str = "request";
    const COUNTERS: &'static [Counter] = &device::counters(INTERRUPTS);

    fn table(&self) -> Table {
        Table::throughput("Requests a second")
    }

    fn columns(&self) -> Vec<String> {
        vec![
            format!("{} {}", size(self.block), direction(self)),
            in_flight(self).to_string(),
            self.jobs.to_string(),
        ]
    }

    fn describe(&self) -> String {
        format!(
            "{} {}, {} in flight, {} queues",
            size(self.block),
            direction(self),
            in_flight(self),
            self.jobs
        )
    }
}

fn direction(cell: &Cell) -> &'static str {
    match cell.direction {
        Direction::Read => "read",
        Direction::Write => "write",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_matrix_has_every_combination_once() {
        let all: BTreeSet<Cell> = [1, 4].iter().flat_map(|queues| cells(*queues)).collect();
        assert_eq!(all.len(), 3 * 2 * 2 * 2);
        assert!(quick(4).iter().all(|cell| all.contains(cell)));
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!(BLOCKS.map(size), ["4 KiB", "64 KiB", "1 MiB"]);
    }
}
