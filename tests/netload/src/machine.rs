// SPDX-License-Identifier: GPL-2.0

//! What the machine did meanwhile: processor time of all processors, and packets of one device.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};

use crate::report::Line;

/// `/proc/stat` counts in hundredths of a second, on every Linux machine (USER_HZ).
const TICKS: f64 = 100.0;

/// Counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counters {
    busy: u64,
    received: u64,
    sent: u64,
}

impl Counters {
    fn now(device: Option<&str>) -> io::Result<Self> {
        let busy = busy(&fs::read_to_string("/proc/stat")?)
            .ok_or_else(|| io::Error::other("/proc/stat has no line of all processors"))?;
        let packets = |which| -> io::Result<u64> {
            let Some(device) = device else { return Ok(0) };
            let text = fs::read_to_string(format!(
                "/sys/class/net/{device}/statistics/{which}_packets"
            ))?;
            text.trim().parse().map_err(io::Error::other)
        };
        Ok(Self {
            busy,
            received: packets("rx")?,
            sent: packets("tx")?,
        })
    }
}

/// Ticks in which a processor was busy: user, nice, system, interrupts (proc_stat(5)). Time that another machine
/// had the processor is not this one's.
fn busy(stat: &str) -> Option<u64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let numbers: Vec<u64> = line
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    [0, 1, 2, 5, 6]
        .iter()
        .map(|place| numbers.get(*place))
        .sum::<Option<u64>>()
}

/// Waits for `warm`, then counts for `time`.
pub fn watch(device: Option<&str>, warm: Duration, time: Duration) -> io::Result<Line> {
    thread::sleep(warm);
    let (started, before) = (Instant::now(), Counters::now(device)?);
    thread::sleep(time);
    let (took, after) = (started.elapsed().as_secs_f64(), Counters::now(device)?);
    let line = Line::default().with(
        "cpu",
        format!("{:.4}", (after.busy - before.busy) as f64 / TICKS / took),
    );
    Ok(match device {
        None => line,
        Some(_) => line
            .with(
                "packets_received",
                format!("{:.0}", (after.received - before.received) as f64 / took),
            )
            .with(
                "packets_sent",
                format!("{:.0}", (after.sent - before.sent) as f64 / took),
            ),
    })
}

/// Keeps the calling thread on a processor; numbers beyond the last one begin again.
pub fn pin(number: u32) -> io::Result<()> {
    let count = thread::available_parallelism()?.get();
    let mut set = CpuSet::new();
    set.set(number as usize % count);
    Ok(sched_setaffinity(None, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_and_stolen_time_is_not_busy() {
        let stat = "cpu  1 2 4 1000 1000 8 16 1000 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(busy(stat), Some(31));
        assert_eq!(busy("intr 5\n"), None);
    }
}
