// SPDX-License-Identifier: GPL-2.0

//! Running workloads in a guest under either driver: the back end, the exchange of drivers, the load.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use blkload::Cell;

use super::counts::{self, Counts};
use crate::guest::{Disk, Domain, Driver, Guest, Mode};
use crate::host::Host;

/// What the guest calls its disk, and what the xenstore does: major 202, minor 0.
const VDEV: (&str, u32) = ("xvda", 202 << 8);

/// Where the guest's initramfs has the agent, which is also the load generator.
const AGENT: &str = "/bin/agent";

/// How long a workload runs before it is measured: long enough to fill the pools of persistent grants.
const WARM: Duration = Duration::from_millis(60);

/// How many guests may be lost to the emulator before it is an error.
const LOSSES: u32 = 40;

/// A guest with a disk that swallows everything at once, so that the driver is what limits.
pub struct Rig<'h> {
    host: &'h Host,
    mode: Mode,
    queues: u32,
    guest: Domain,
    /// What is loaded now.
    loaded: Option<Setup>,
    /// Guests that QEMU's emulation of SVM killed.
    pub losses: u32,
}

/// A driver at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// 0 for the baseline, 1 for what is compared with it: with the same driver on both sides, each loads it anew.
    pub side: usize,
    /// The driver.
    pub driver: Driver,
    /// How many queues it uses.
    pub queues: u32,
}

/// One workload's result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// The workload.
    pub cell: Cell,
    /// Requests a second.
    pub rate: f64,
    /// All requests, with those that the rate leaves out.
    pub total: u64,
}

impl<'h> Rig<'h> {
    /// Makes the back end and a guest with `queues` virtual processors, to use as many queues.
    pub fn new(host: &'h Host, mode: Mode, queues: u32, persistent: bool) -> Result<Self> {
        // Completion in the submitter's context, no memory behind it: the least a disk can cost. The back end
        // offers a queue for each of dom0's processors unless told otherwise.
        host.dom0()
            .sh(&format!(
                "modprobe null_blk nr_devices=1 queue_mode=2 submit_queues={queues} hw_queue_depth=256 irqmode=0 \
                 completion_nsec=0 memory_backed=0 gb=4 bs=512 && echo none > /sys/block/nullb0/queue/scheduler && \
                 modprobe xen-blkback && cd /sys/module/xen_blkback/parameters && \
                 echo {queues} > max_queues && echo {} > feature_persistent",
                if persistent { "Y" } else { "N" }
            ))
            .context("dom0 cannot make the back end")?;
        let guest = create(host, mode, queues)?;
        Ok(Self {
            host,
            mode,
            queues,
            guest,
            loaded: None,
            losses: 0,
        })
    }

    /// Sees to it that the disk is driven as asked for.
    fn load(&mut self, setup: Setup) -> Result<()> {
        if self.loaded == Some(setup) {
            return Ok(());
        }
        if let Some(Setup { driver: old, .. }) = self.loaded.take() {
            self.unload(old)
                .with_context(|| format!("{} cannot be unloaded", old.module()))?;
        }
        let (vdev, module, queues) = (VDEV.0, setup.driver.module(), setup.queues);
        // A request of the load is to reach the driver as it is: not sorted, not merged.
        self.guest
            .sh(&format!(
                "set -e; modprobe {module} max_queues={queues}; n=0\n\
                 until [ \"$(cat /sys/block/{vdev}/size 2>/dev/null || echo 0)\" -gt 0 ]; do\n\
                 n=$((n+1)); [ $n -lt 100 ] || {{ echo no disk >&2; exit 1; }}; sleep 0.1; done\n\
                 cd /sys/block/{vdev}; echo none > queue/scheduler; echo 2 > queue/nomerges\n\
                 found=\"$(basename $(readlink -f device/driver/module)) $(ls mq | wc -l)\"\n\
                 [ \"$found\" = \"{module} {queues}\" ] || {{ echo \"driver and queues: $found\" >&2; exit 1; }}"
            ))
            .with_context(|| format!("{module} does not drive the disk with {queues} queues"))?;
        if queues == 1 {
            // Neither driver chooses a processor for an only queue, and the kernel's choice changes from one binding
            // to the next. Whether it is the one that the load runs on makes more of a difference than the driver.
            self.guest
                .sh(
                    "for irq in $(sed -n 's/ *\\([0-9]*\\):.* blkif$/\\1/p' /proc/interrupts); do \
                     echo 1 > /proc/irq/$irq/smp_affinity && found=1; done; [ -n \"$found\" ]",
                )
                .context("the disk's interrupt cannot be placed")?;
        }
        self.loaded = Some(setup);
        Ok(())
    }

    /// Takes the driver away from the disk and brings the connection back to its beginning, as the toolstack
    /// would for a new disk: the front end's part of that is normally done by the kernel that boots next.
    fn unload(&self, driver: Driver) -> Result<()> {
        let number = VDEV.1;
        self.guest.sh(&format!(
            "echo vbd-{number} > /sys/bus/xen/drivers/vbd/unbind && rmmod {}",
            driver.module()
        ))?;
        let domid = self.guest.domid();
        let back = format!("/local/domain/0/backend/vbd/{domid}/{number}");
        let front = format!("/local/domain/{domid}/device/vbd/{number}");
        // Closed is 6, Initialising 1, InitWait 2.
        let wait = |state| {
            format!(
                "n=0; until [ $(xenstore-read {back}/state) = {state} ]; do n=$((n+1)); [ $n -lt 200 ] || exit 1; sleep 0.05; done"
            )
        };
        // What the old driver wrote has to go: the next one may use fewer queues and say nothing of it.
        self.host
            .dom0()
            .sh(&format!(
                "{}; for key in $(xenstore-list {front}); do case $key in \
                 backend*|state|virtual-device|device-type) ;; *) xenstore-rm {front}/$key ;; esac; done; \
                 xenstore-write {front}/state 1; {}",
                wait(6),
                wait(2)
            ))
            .context("the back end does not start afresh")
            .map(drop)
    }

    /// After an error: whether the emulator is to blame (see [`crate::console::lost_domain`]), in which case there
    /// is a new guest to go on with.
    pub fn recover(&mut self) -> Result<bool> {
        let lost = self.host.health().take_lost();
        if !lost.contains(&self.guest.domid()) || self.losses == LOSSES {
            return Ok(false);
        }
        // The toolstack is about to remove what is left of the guest; its name must be free.
        self.host
            .dom0()
            .sh(&format!(
                "n=0; while xl domid {0} >/dev/null 2>&1; do n=$((n+1)); [ $n != 20 ] || xl destroy {0}; sleep 0.5; done",
                self.guest.name()
            ))
            .context("what is left of a lost guest cannot be removed")?;
        self.losses += 1;
        self.loaded = None;
        self.guest = create(self.host, self.mode, self.queues)?;
        Ok(true)
    }

    /// Runs workloads one after the other under a driver; each is measured for `time`.
    pub fn measure(&mut self, setup: Setup, cells: &[Cell], time: Duration) -> Result<Vec<Sample>> {
        let started = Instant::now();
        self.load(setup)?;
        let loaded = started.elapsed();
        let samples = self.run(WARM, time, cells)?;
        // Everything measured is kept with the logs, for whoever doubts the summary.
        let mut line = format!(
            "{} side {} {} queues, load {:.1} s, all {:.1} s:",
            self.guest.name(),
            setup.side,
            setup.queues,
            loaded.as_secs_f32(),
            started.elapsed().as_secs_f32()
        );
        for sample in &samples {
            line += &format!(" {}={:.1}", sample.cell, sample.rate);
        }
        let mut log = File::options()
            .create(true)
            .append(true)
            .open(self.host.dir().join("bench.log"))?;
        writeln!(log, "{line}")?;
        Ok(samples)
    }

    /// Runs workloads under a driver with counters instead of a clock.
    pub fn count(
        &mut self,
        setup: Setup,
        cells: &[Cell],
        time: Duration,
    ) -> Result<Vec<(Cell, u64, Counts)>> {
        self.load(setup)?;
        // What happens once, such as the filling of pools, is not what a request costs.
        self.run(Duration::ZERO, time, cells)?;
        counts::install(&self.guest)?;
        let mut all = Vec::new();
        for cell in cells {
            let before = Counts::read(&self.guest)?;
            let sample = self.run(Duration::ZERO, time, &[*cell])?[0];
            all.push((
                *cell,
                sample.total,
                Counts::read(&self.guest)?.since(before),
            ));
        }
        counts::remove(&self.guest)?;
        Ok(all)
    }

    fn run(&self, warm: Duration, time: Duration, cells: &[Cell]) -> Result<Vec<Sample>> {
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
                "exec {AGENT} blkload /dev/{} {warm_ms} {time_ms} {}",
                VDEV.0,
                words.join(" ")
            );
            let limit = Duration::from_secs(20) + (warm + time) * 4 * u32::try_from(cells.len())?;
            let output = self.guest.run_for(limit, &script)?.ok()?;
            let before = samples.len();
            samples.extend(output.stdout.lines().filter_map(Sample::parse));
            if !samples[before..]
                .iter()
                .map(|sample| &sample.cell)
                .eq(cells)
            {
                bail!("the load generator's results make no sense: {output}");
            }
        }
        Ok(samples)
    }

    /// Ends the guest and removes the back end.
    pub fn finish(self) -> Result<()> {
        self.guest.destroy()?;
        self.host.clean()
    }
}

fn create(host: &Host, mode: Mode, queues: u32) -> Result<Domain> {
    // Left to Xen and dom0's kernel, the two ends of the disk, and the back end's interrupt and its thread, sometimes
    // share a processor and sometimes not, which makes a factor of two where one request is in flight.
    host.dom0().sh("xl vcpu-pin Domain-0 all 0")?;
    let disk = Disk::device("/dev/nullb0", VDEV.0);
    let mut guest = Guest::new(&format!("bench-{}", mode.name()), mode);
    if mode == Mode::Pv {
        // A PVH guest is there anyway.
        guest = guest.line(&host.topology().on_last_cpu());
    }
    host.create(guest.vcpus(queues).memory(512).disk(disk))
}

impl Sample {
    /// One line of the load generator: cell, requests, requests a second, requests in all.
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let [cell, _, rate, total] = words[..] else {
            return None;
        };
        Some(Self {
            cell: cell.parse().ok()?,
            rate: rate.parse().ok()?,
            total: total.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_as_printed() {
        let sample = Sample::parse("read:4096:32:1 900 3000.500 1000").unwrap();
        assert_eq!(
            (sample.cell.depth, sample.rate, sample.total),
            (32, 3000.5, 1000)
        );
        assert_eq!(Sample::parse("I/O error"), None);
    }
}
