// SPDX-License-Identifier: GPL-2.0

//! Which loads are compared.

use std::fmt;

use blkload::Direction;

use crate::bench::counts::Counter;
use crate::bench::subject::{Table, Workload};
use crate::devices::{DISKS, SLOW};
use crate::mapping::{CASES, Memory};

/// Requests that fio keeps in flight: latency, and throughput.
const DEPTHS: [u32; 2] = [1, 32];

/// The disk that shows most among those that reach all memory: nothing else stands between it and the DMA layer.
const FAST: &str = "nvme";

/// A load; one cell of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Memory mapped and unmapped for a device that does not exist.
    Map {
        /// What is mapped.
        memory: Memory,
        /// Pages of a mapping.
        pages: u32,
    },
    /// A program that reads or writes a disk with direct I/O.
    Disk {
        /// The module that drives the disk.
        disk: &'static str,
        /// Reads or writes.
        direction: Direction,
        /// The program that makes the requests.
        load: Load,
    },
}

/// What keeps a disk busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// dd, 1 MiB at a time.
    Dd,
    /// fio, 4 KiB at random places.
    Fio {
        /// Requests in flight.
        depth: u32,
    },
}

/// All cells, in the order they are run. The quick ones leave out disks that are like others, and single requests.
pub fn cells(quick: bool) -> Vec<Cell> {
    let maps = CASES.map(|(memory, pages)| Cell::Map { memory, pages });
    let mut cells = maps.to_vec();
    for disk in DISKS.map(|disk| disk.module) {
        if quick && ![FAST, SLOW].contains(&disk) {
            continue;
        }
        let deep = DEPTHS
            .into_iter()
            .filter(|depth| !quick || *depth != DEPTHS[0]);
        let loads: Vec<_> = std::iter::once(Load::Dd)
            .chain(deep.map(|depth| Load::Fio { depth }))
            .collect();
        for load in loads {
            let directions = [Direction::Read, Direction::Write];
            cells.extend(directions.map(|direction| Cell::Disk {
                disk,
                direction,
                load,
            }));
        }
    }
    cells
}

/// Reads or writes, as a word.
fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Read => "read",
        Direction::Write => "write",
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Cell::Map { memory, pages } => write!(f, "map:{memory}:{pages}"),
            Cell::Disk {
                disk,
                direction,
                load,
            } => match (word(direction), load) {
                (word, Load::Dd) => write!(f, "dd-{word}:{disk}"),
                (word, Load::Fio { depth }) => write!(f, "fio-{word}:{disk}:{depth}"),
            },
        }
    }
}

impl Workload for Cell {
    const COLUMNS: &'static [&'static str] = &["disk or memory", "load"];
    const UNIT: &'static str = "mapping or request";
    /// Nothing: what either object asks of the hypervisor is a matter of its start.
    const COUNTERS: &'static [Counter] = &[];

    fn table(&self) -> Table {
        let (heading, rates) = match self {
            Cell::Map { .. } => (
                "mapping and unmapping",
                "Nanoseconds for each page of a mapping that is made and ended; fewer are better, and a ratio above 1 means \
                 that ours takes fewer",
            ),
            Cell::Disk { load: Load::Dd, .. } => ("dd", "Megabytes (10^6 bytes) a second"),
            Cell::Disk { .. } => ("fio", "Requests a second"),
        };
        Table { heading, rates }
    }

    fn columns(&self) -> Vec<String> {
        match *self {
            Cell::Map { memory, pages } => vec![
                match memory {
                    Memory::Direct => "used where it is",
                    Memory::Bounced => "bounced",
                    Memory::List => "a list of pages, used where they are",
                }
                .to_owned(),
                match pages {
                    1 => "1 page".to_owned(),
                    pages => format!("{pages} pages"),
                },
            ],
            Cell::Disk {
                disk,
                direction,
                load,
            } => vec![
                disk.to_owned(),
                match (word(direction), load) {
                    (word, Load::Dd) => format!("1 MiB {word}"),
                    (word, Load::Fio { depth }) => {
                        format!("4 KiB random {word}, {depth} in flight")
                    }
                },
            ],
        }
    }

    fn describe(&self) -> String {
        let what = match self {
            Cell::Map { .. } => "mapped",
            Cell::Disk { load: Load::Dd, .. } => "dd",
            Cell::Disk { .. } => "fio",
        };
        format!("{what}, {}", self.columns().join(", "))
    }

    /// Rates are mappings, bytes and requests a second.
    fn shown(&self, rate: f64) -> f64 {
        match self {
            Cell::Map { pages, .. } => 1e9 / rate / f64::from(*pages),
            Cell::Disk { load: Load::Dd, .. } => rate / 1e6,
            Cell::Disk { .. } => rate,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_disk_has_every_load_once() {
        let all = cells(false);
        let words: BTreeSet<_> = all.iter().map(Cell::to_string).collect();
        assert_eq!((all.len(), words.len()), (7 + 4 * 6, 7 + 4 * 6));
        for word in [
            "map:list:64",
            "dd-read:ahci",
            "dd-write:virtio_blk",
            "fio-read:nvme:1",
            "fio-write:sym53c8xx:32",
        ] {
            assert!(words.contains(word), "{word}");
        }
        let quick = cells(true);
        assert_eq!(quick.len(), 7 + 2 * 4);
        assert!(quick.iter().all(|cell| all.contains(cell)));
    }

    #[test]
    fn a_disks_cells_follow_each_other() {
        let disk = |cell: &Cell| match cell {
            Cell::Map { .. } => None,
            Cell::Disk { disk, .. } => Some(*disk),
        };
        let mut disks: Vec<_> = cells(false).iter().map(disk).collect();
        disks.dedup();
        assert_eq!(disks.len(), 1 + DISKS.len());
    }

    #[test]
    fn mappings_are_shown_by_the_page() {
        let cell = Cell::Map {
            memory: Memory::Direct,
            pages: 16,
        };
        // A mapping of 341 ns.
        assert!((cell.shown(1e9 / 341.0) - 341.0 / 16.0).abs() < 1e-9);
        assert_eq!(cell.describe(), "mapped, used where it is, 16 pages");
    }
}
