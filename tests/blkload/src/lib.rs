// SPDX-License-Identifier: GPL-2.0

//! A load generator for block devices: as many requests in flight as asked for, for as long as asked for, and
//! the number that completed.
//!
//! Why not fio: on an emulated processor fio's own work is several times that of the driver under test, and
//! hides what a benchmark is to show. Here a request costs one submission entry, and one system call serves a
//! whole batch, with registered buffers and files.
//!
//! What lives here: the workload ([`Cell`]), the threads, and the clock. [`ring`] is one thread's io_uring, and
//! the only unsafe code. What does not: choosing and judging workloads, which is `vmtest::bench`.

mod cell;
mod ring;

use std::io;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use counter::mark;
use rustix::fs::SeekFrom;
use rustix::thread::{CpuSet, sched_setaffinity};

pub use cell::{Cell, Direction};
use ring::Ring;

/// What a workload did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Throughput {
    /// Requests completed while the clock ran.
    pub requests: u64,
    /// Requests a second, the sum over the threads.
    pub rate: f64,
    /// Requests in all, with those before and after the clock ran.
    pub total: u64,
}

/// Runs a workload on a device for `warm`, which is not counted, and then for `time`. What is executed for all its
/// requests is between two [marks](counter::mark).
pub fn run(device: &Path, cell: &Cell, warm: Duration, time: Duration) -> io::Result<Throughput> {
    let file = rustix::fs::open(
        device,
        ring::flags(cell.direction),
        rustix::fs::Mode::empty(),
    )?;
    let blocks = rustix::fs::seek(&file, SeekFrom::End(0))? / u64::from(cell.block);
    if blocks == 0 {
        return Err(io::Error::other("the device is smaller than one request"));
    }
    let barrier = Barrier::new(cell.jobs as usize);
    let mut outcome = Throughput {
        requests: 0,
        rate: 0.0,
        total: 0,
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..cell.jobs)
            .map(|job| {
                let (file, barrier) = (&file, &barrier);
                scope.spawn(move || {
                    let mut ready = pin(job).and_then(|()| Ring::new(file, cell));
                    // Everybody comes to each barrier, whatever happened, or the others would wait for ever.
                    barrier.wait();
                    if job == 0 {
                        mark::begin();
                    }
                    let measured = match &mut ready {
                        Ok(ring) => measure(ring, Offsets::new(job, blocks), warm, time),
                        Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
                    };
                    barrier.wait();
                    if job == 0 {
                        mark::end();
                    }
                    measured
                })
            })
            .collect();
        for thread in threads {
            let (requests, elapsed, total) = thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))?;
            outcome.requests += requests;
            outcome.total += total;
            outcome.rate += requests as f64 / elapsed.as_secs_f64();
        }
        Ok(outcome)
    })
}

/// Each thread keeps to one CPU, so that it keeps to one of the device's queues.
fn pin(job: u32) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(job as usize);
    Ok(sched_setaffinity(None, &set)?)
}

/// One thread's share: keeps the ring full until the time is over, then lets it run dry.
fn measure(
    ring: &mut Ring,
    mut offsets: Offsets,
    warm: Duration,
    time: Duration,
) -> io::Result<(u64, Duration, u64)> {
    let begin = Instant::now();
    let mut total = 0;
    while begin.elapsed() < warm {
        ring.fill(|| offsets.next())?;
        total += ring.wait()?;
    }
    let begin = Instant::now();
    let mut requests = 0;
    let elapsed = loop {
        ring.fill(|| offsets.next())?;
        requests += ring.wait()?;
        let elapsed = begin.elapsed();
        if elapsed >= time {
            break elapsed;
        }
    };
    total += requests + ring.drain()?;
    Ok((requests, elapsed, total))
}

/// Block numbers that are never neighbours, so that nothing merges two requests into one.
struct Offsets {
    at: u64,
    blocks: u64,
}

impl Offsets {
    /// A prime, so that the steps visit every block of a device whose size is not its multiple.
    const STEP: u64 = 12_347;

    fn new(job: u32, blocks: u64) -> Self {
        Self {
            at: u64::from(job) * 7_919 % blocks,
            blocks,
        }
    }

    fn next(&mut self) -> u64 {
        self.at = (self.at + Self::STEP) % self.blocks;
        self.at
    }
}

/// What the program says when it is called wrongly.
const USAGE: &str =
    "usage: blkload DEVICE WARM_MS TIME_MS CELL...\n  a CELL is read|write:BYTES:DEPTH:JOBS";

/// The program: runs the cells one after the other and prints, for each, a line of the cell and its
/// [`Throughput`]: requests, requests a second, requests in all.
pub fn main(args: &[String]) -> io::Result<()> {
    let usage = || io::Error::new(io::ErrorKind::InvalidInput, USAGE);
    let [device, warm, time, cells @ ..] = args else {
        return Err(usage());
    };
    let millis = |text: &String| text.parse().map(Duration::from_millis).map_err(|_| usage());
    let (warm, time) = (millis(warm)?, millis(time)?);
    let cells: Vec<Cell> = cells
        .iter()
        .map(|cell| cell.parse().map_err(|_| usage()))
        .collect::<Result<_, _>>()?;
    for cell in cells {
        let Throughput {
            requests,
            rate,
            total,
        } = run(Path::new(device), &cell, warm, time)?;
        println!("{cell} {requests} {rate:.3} {total}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_requests_in_a_row_are_neighbours() {
        // The size of the benchmark's device, 4 GiB, in its three block sizes.
        for blocks in [1 << 20, 1 << 16, 1 << 12] {
            let mut offsets = Offsets::new(1, blocks);
            let mut last = offsets.next();
            for _ in 0..100_000 {
                let next = offsets.next();
                assert!(next.abs_diff(last) > 1 && next < blocks);
                last = next;
            }
        }
    }

    #[test]
    fn bad_arguments_are_an_error() {
        let args = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        for text in [
            "",
            "/dev/null",
            "/dev/null 1 x read:512:1:1",
            "/dev/null 1 1 read:512:1",
        ] {
            assert_eq!(
                main(&args(text)).unwrap_err().kind(),
                io::ErrorKind::InvalidInput
            );
        }
    }
}
