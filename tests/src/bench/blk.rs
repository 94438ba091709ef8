// SPDX-License-Identifier: GPL-2.0

//! The block frontends, on a disk that swallows everything at once, so that the driver is what limits.

mod matrix;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use blkload::Cell;

use super::device::{self, Device};
use super::subject::{Sample, Setup};
use crate::disk::Disk;
use crate::guest::{Domain, Driver, Mode};
use crate::host::Host;

/// What the guest calls its disk.
const VDEV: &str = "xvda";

/// Where the guest's initramfs has the agent, which is also the load generator.
const AGENT: &str = "/bin/agent";

/// How often each driver runs each cell unless told otherwise.
pub const ROUNDS: u32 = 10;

/// How long a cell runs each time unless told otherwise.
pub const SLICE: Duration = Duration::from_millis(300);

/// The comparison of block frontends.
#[derive(Clone, Debug)]
pub struct Blk {
    /// Whether the back end offers persistent grants, as it does by default.
    pub persistent: bool,
}

impl Device for Blk {
    type Cell = Cell;
    const COMMAND: &'static str = "blk";
    const TITLE: &'static str = "Block benchmark";
    const BUS: &'static str = "vbd";
    /// What the xenstore calls the disk: major 202, minor 0.
    const NUMBER: u32 = 202 << 8;
    const INTERRUPTS: &'static str = matrix::INTERRUPTS;
    /// Long enough to fill the pools of persistent grants.
    const WARM: Duration = Duration::from_millis(60);
    const METHOD: &'static [&'static str] = &[
        "The load is our own generator on io_uring: registered buffers and files, direct I/O, one thread with a \
         processor and a queue of its own for each queue of the device, with its share of the \
         requests in flight. Offsets are spread so that nothing can be merged; the I/O scheduler is `none`.",
        "A request larger than the driver's limit is several requests on the ring and counts as one here.",
    ];

    fn module(driver: Driver) -> &'static str {
        driver.block_module()
    }

    fn cells(queues: u32, quick: bool) -> Vec<Cell> {
        if quick {
            matrix::quick(queues)
        } else {
            matrix::cells(queues)
        }
    }

    fn back_end(&self) -> String {
        format!(
            "xen-blkback on null_blk (no memory, completion in the submitter's context), persistent grants {}",
            if self.persistent {
                "offered"
            } else {
                "not offered"
            }
        )
    }

    fn create(&self, host: &Host, mode: Mode, queues: u32) -> Result<Domain> {
        // Completion in the submitter's context, no memory behind it: the least a disk can cost. The back end
        // offers a queue for each of dom0's processors unless told otherwise.
        host.dom0()
            .sh(&format!(
                "[ -b /dev/nullb0 ] || modprobe null_blk nr_devices=1 queue_mode=2 submit_queues={queues} hw_queue_depth=256 \
                 irqmode=0 completion_nsec=0 memory_backed=0 gb=4 bs=512 && \
                 echo none > /sys/block/nullb0/queue/scheduler && \
                 modprobe xen-blkback && cd /sys/module/xen_blkback/parameters && \
                 echo {queues} > max_queues && echo {} > feature_persistent",
                if self.persistent { "Y" } else { "N" }
            ))
            .context("dom0 cannot make the back end")?;
        let guest = device::guest(host, mode, queues)?.disk(Disk::device("/dev/nullb0", VDEV));
        host.create(guest)
    }

    fn load(&self, guest: &Domain, setup: Setup) -> Result<()> {
        let (module, queues) = (setup.driver.block_module(), setup.lanes);
        // A request of the load is to reach the driver as it is: not sorted, not merged.
        guest
            .sh(&format!(
                "set -e; modprobe {module} max_queues={queues}; n=0\n\
                 until [ \"$(cat /sys/block/{VDEV}/size 2>/dev/null || echo 0)\" -gt 0 ]; do\n\
                 n=$((n+1)); [ $n -lt $((100 * PACE)) ] || {{ echo no disk >&2; exit 1; }}; sleep 0.1; done\n\
                 cd /sys/block/{VDEV}; echo none > queue/scheduler; echo 2 > queue/nomerges\n\
                 found=\"$(basename $(readlink -f device/driver/module)) $(ls mq | wc -l)\"\n\
                 [ \"$found\" = \"{module} {queues}\" ] || {{ echo \"driver and queues: $found\" >&2; exit 1; }}"
            ))
            .map(drop)
    }

    fn run(
        &self,
        guest: &Domain,
        warm: Duration,
        time: Duration,
        cells: &[Cell],
    ) -> Result<Vec<Sample<Cell>>> {
        let mut samples = Vec::new();
        // The largest requests are so few that they need more time for the same exactness.
        for (large, time) in [(false, time), (true, time * 2)] {
            let cells: Vec<_> = cells
                .iter()
                .filter(|cell| (cell.block >= 1 << 20) == large)
                .collect();
            let words: Vec<_> = cells.iter().map(|cell| cell.to_string()).collect();
            if words.is_empty() {
                continue;
            }
            let (warm_ms, time_ms) = (warm.as_millis(), time.as_millis());
            let script = format!(
                "exec {AGENT} blkload /dev/{VDEV} {warm_ms} {time_ms} {}",
                words.join(" ")
            );
            let limit = Duration::from_secs(20) + (warm + time) * 4 * u32::try_from(cells.len())?;
            let output = guest.run_for(limit, &script)?.ok()?;
            let before = samples.len();
            samples.extend(output.stdout.lines().filter_map(parse));
            if !samples[before..]
                .iter()
                .map(|sample: &Sample<Cell>| &sample.cell)
                .eq(cells)
            {
                bail!("the load generator's results make no sense: {output}");
            }
        }
        Ok(samples)
    }
}

/// One line of the load generator: cell, requests, requests a second, requests in all.
fn parse(line: &str) -> Option<Sample<Cell>> {
    let words: Vec<&str> = line.split(' ').collect();
    let [cell, _, rate, total] = words[..] else {
        return None;
    };
    Some(Sample {
        cell: cell.parse().ok()?,
        rate: rate.parse().ok()?,
        processor: None,
        total: total.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_as_printed() {
        let sample = parse("read:4096:32:1 900 3000.500 1000").unwrap();
        assert_eq!(
            (sample.cell.depth, sample.rate, sample.total),
            (32, 3000.5, 1000)
        );
        assert_eq!(parse("I/O error"), None);
    }
}
