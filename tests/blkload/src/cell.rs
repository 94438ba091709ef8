// SPDX-License-Identifier: GPL-2.0

//! A workload and its short written form, `read:4096:32:1`.

use std::fmt;
use std::str::FromStr;

/// Which way the data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// From the device.
    Read,
    /// To the device.
    Write,
}

/// A workload; one cell of a benchmark's matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// Reads or writes.
    pub direction: Direction,
    /// Bytes of a request, a multiple of 512.
    pub block: u32,
    /// Requests that each thread keeps in flight.
    pub depth: u32,
    /// Threads; thread number n runs on CPU n.
    pub jobs: u32,
}

/// A text that is no [`Cell`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoCell;

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            Direction::Read => "read",
            Direction::Write => "write",
        };
        write!(f, "{direction}:{}:{}:{}", self.block, self.depth, self.jobs)
    }
}

impl FromStr for Cell {
    type Err = NoCell;

    fn from_str(text: &str) -> Result<Self, NoCell> {
        let fields: Vec<&str> = text.split(':').collect();
        let [direction, block, depth, jobs] = fields[..] else {
            return Err(NoCell);
        };
        let direction = match direction {
            "read" => Direction::Read,
            "write" => Direction::Write,
            _ => return Err(NoCell),
        };
        // The limits are those of one io_uring with registered buffers, and of a request io_uring can describe.
        let number = |text: &str, max: u32| match text.parse() {
            Ok(number) if (1..=max).contains(&number) => Ok(number),
            _ => Err(NoCell),
        };
        let block = number(block, 1 << 30)?;
        if block % 512 != 0 {
            return Err(NoCell);
        }
        Ok(Self {
            direction,
            block,
            depth: number(depth, 1 << 12)?,
            jobs: number(jobs, 1 << 10)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_reads_back_as_written() {
        for text in ["read:4096:32:1", "write:1048576:1:4"] {
            assert_eq!(text.parse::<Cell>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_cannot_run_is_refused() {
        for text in [
            "",
            "read",
            "trim:512:1:1",
            "read:513:1:1",
            "read:0:1:1",
            "read:512:0:1",
            "read:512:1:1:1",
        ] {
            assert_eq!(text.parse::<Cell>(), Err(NoCell), "{text}");
        }
    }
}
