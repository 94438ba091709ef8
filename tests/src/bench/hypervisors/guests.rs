// SPDX-License-Identifier: GPL-2.0

//! What is measured with guests of a booted machine.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kbuild::Images;

use crate::disk::Disk;
use crate::guest::{Domain, Driver, Guest, Mode};
use crate::host::Host;
use crate::hypervisor_memory::HypervisorMemory;
use crate::remote::Place;
use crate::small_guest::{self, CONFIG, MEMORY as SMALL};

/// What is measured, and the unit. All are better if they are smaller.
pub const MEASURES: [(&str, &str); 6] = [
    ("`xl create` to the guest's first line", "ms"),
    (
        "event channel from a guest to dom0 and back (4 KiB read of null_blk)",
        "µs",
    ),
    (
        "switch to another vCPU on the same processor and back (a byte between two threads of a guest)",
        "µs",
    ),
    ("page fault in a guest (new memory)", "µs"),
    (
        "create and destroy a guest that does not run (64 MiB, small kernel)",
        "ms",
    ),
    (
        "memory that the hypervisor keeps for that guest besides its own",
        "KiB",
    ),
];

/// Milliseconds that a workload runs.
const SLICE: u32 = 2000;
/// Guests that are created and destroyed, one after the other.
const LIVES: u32 = 5;
/// The agent in guests.
const AGENT: &str = "/bin/agent";

/// Measures.
pub fn measure(host: &Host, images: &Images) -> Result<Vec<f64>> {
    let dom0 = host.dom0();
    small_guest::prepare(host, images, "")?;
    // The first time something is done once and for all.
    lives(dom0, 1)?;
    let life = lives(dom0, LIVES)?;
    let kept = memory_kept(host)?;

    dom0.sh("modprobe null_blk nr_devices=1 queue_mode=0 && modprobe xen-blkback")?;
    let first_line = first_line(host)?;
    let guest = host.create(guest())?;
    guest.load_blkfront(Driver::C, "max_queues=1")?;
    let cell = "read:4096:1:1";
    let said = run(&guest, &format!("blkload /dev/xvda 200 {SLICE} {cell}"))?;
    // Cell, requests, requests a second, requests in all.
    let requests = said.split(' ').nth(2).and_then(|rate| rate.parse().ok());
    let requests: f64 = requests.with_context(|| format!("blkload says {said:?}"))?;
    let switches = rate(&guest, &format!("probe switches 0 1 {SLICE}"))?;
    let faults = rate(&guest, &format!("probe faults {SLICE}"))?;
    guest.destroy()?;
    ensure!(requests > 0.0, "the guest made no requests: {said}");
    Ok(vec![
        first_line,
        1e6 / requests,
        1e6 / switches,
        1e6 / faults,
        life,
        kept,
    ])
}

/// The guest with two vCPUs in which the others are measured. Its disk costs as little as one can.
fn guest() -> Guest {
    let disk = Disk::device("/dev/nullb0", "xvda");
    Guest::pvh("bench").vcpus(2).memory(256).disk(disk)
}

/// Milliseconds from the start of `xl create` until the guest's console has something, by dom0's clock.
fn first_line(host: &Host) -> Result<f64> {
    let dom0 = host.dom0();
    let config = guest().config(&host.topology().placement(Mode::Pvh));
    dom0.put("/run/bench.cfg", 0o644, config.as_bytes())?;
    let text = dom0.sh(
        "set -e; log=/var/log/xen/guest-bench.log; rm -f $log; before=$(date +%s%N); \
         xl create -q -e /run/bench.cfg; n=0; \
         until [ -s $log ]; do n=$((n+1)); [ $n -lt $((2000 * PACE)) ]; sleep 0.01; done; \
         echo $(($(date +%s%N) - before)); xl destroy bench",
    )?;
    let taken: f64 = text.parse().with_context(|| format!("{text} is no time"))?;
    Ok(taken / 1e6)
}

/// Milliseconds for creating a guest and destroying it.
fn lives(dom0: &Place, count: u32) -> Result<f64> {
    let script = format!(
        "set -e; before=$(date +%s%N); i=0; while [ $i -lt {count} ]; do \
         xl create -q -e -p {CONFIG}; xl destroy small; i=$((i+1)); done; echo $(($(date +%s%N) - before))"
    );
    let limit = Duration::from_secs(30 + 20 * u64::from(count));
    let text = dom0.run_for(limit, &script)?.ok()?.stdout;
    let taken: f64 = text
        .trim()
        .parse()
        .with_context(|| format!("{text} is no time"))?;
    Ok(taken / 1e6 / f64::from(count))
}

/// KiB by which less memory is free with a small guest than without, besides the guest's own.
fn memory_kept(host: &Host) -> Result<f64> {
    let dom0 = host.dom0();
    let before = HypervisorMemory::settled(host)?.free as f64;
    dom0.run_xl(&format!("xl create -q -e -p {CONFIG}"))?.ok()?;
    let with = HypervisorMemory::settled(host);
    dom0.sh("xl destroy small")?;
    let taken = before - with?.free as f64;
    let kept = taken - f64::from(SMALL) * 1024.0;
    ensure!(kept > 0.0, "a guest of {SMALL} MiB takes {taken} KiB");
    Ok(kept)
}

fn rate(guest: &Domain, program: &str) -> Result<f64> {
    let said = run(guest, program)?;
    let rate = said
        .strip_prefix("rate=")
        .and_then(|rate| rate.parse().ok());
    let rate: f64 = rate.with_context(|| format!("{program} says {said:?}"))?;
    ensure!(rate > 0.0, "{program} did nothing");
    Ok(rate)
}

fn run(guest: &Domain, program: &str) -> Result<String> {
    let limit = Duration::from_secs(60) + Duration::from_millis(SLICE.into());
    let output = guest.run_for(limit, &format!("exec {AGENT} {program}"))?;
    Ok(output.ok()?.stdout.trim().to_owned())
}
