// SPDX-License-Identifier: GPL-2.0

//! Guests that are created and destroyed again and again leave nothing behind in the hypervisor.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::context::Machines;
use crate::disk::Disk;
use crate::guest::{Driver, Guest};
use crate::host::{Host, Start};
use crate::hypervisor_memory::HypervisorMemory;
use crate::scenario::Scenario;
use crate::small_guest;
use crate::topology::Topology;

/// The small kernel does nothing right.
const MACHINE: Topology = Topology {
    xen_args: "guest_loglvl=none",
    ..Topology::PARAVANE
};

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[Scenario::alone(
    "hypervisor.guests_come_and_go_and_leave_nothing",
    MACHINE,
    come_and_go,
)
.full()];

/// One round of so many has the stock kernel, whose frontend connects to the disk.
const STOCK_EVERY: u32 = 10;

/// Every guest has a disk, and is destroyed while it works: the small kernel makes hypercalls at random, the stock one reads
/// its disk.
fn come_and_go(machines: &mut Machines<'_>) -> Result<()> {
    let rounds = machines.rounds(10, 1000);
    let topology = machines.topology;
    let host = machines.start(&topology, Start::Boot)?;
    small_guest::prepare(
        &host,
        machines.images(),
        "disk = ['format=raw,vdev=xvda,access=rw,target=/disks/small.img']\n\
         on_crash = 'destroy'\non_reboot = 'destroy'\non_poweroff = 'destroy'",
    )?;
    // What is allocated once is allocated now, such as the counts of all hypercalls that the small kernel makes up.
    stock(&host)?;
    small(&host, 2, 0, 4)?;
    let before = HypervisorMemory::ask(&host)?;
    let (mut done, mut small_ones, mut took) = (0, 0, Duration::ZERO);
    let mut after = before;
    while done < rounds {
        stock(&host).with_context(|| format!("after {done} rounds"))?;
        let count = (STOCK_EVERY - 1).min(rounds - done - 1);
        let started = Instant::now();
        small(&host, count, done, 0).with_context(|| format!("after {} rounds", done + 1))?;
        took += started.elapsed();
        (done, small_ones) = (done + count + 1, small_ones + count);
        // xenstored, xenconsoled and blkback unmap a guest's pages when they are told that it is gone.
        after = host
            .pace()
            .wait("the guests' memory", Duration::from_secs(20), || {
                let now = HypervisorMemory::ask(&host)?;
                Ok((now.free == before.free).then_some(now))
            })
            .with_context(|| format!("after {done} guests; before them there was {before:?}"))?;
    }
    let heaps = before.heap.zip(after.heap);
    let (heap_before, heap_after) = heaps.context("the debug key tells of no heap")?;
    let grown = heap_after.saturating_sub(heap_before);
    machines.note(format!(
        "{done} guests: {} KiB free before and after, {heap_before} and {heap_after} bytes of the heap; a small one \
         takes {:.1} s",
        before.free,
        took.as_secs_f32() / small_ones.max(1) as f32
    ));
    // The least that a guest could leave behind is an allocation of its own, of 16 bytes.
    ensure!(
        grown < 16 * u64::from(done).min(100),
        "of {done} guests {grown} bytes of the heap are left"
    );
    host.power_off()
}

/// The stock kernel connects to its disk, reads it, and is destroyed while it does.
fn stock(host: &Host) -> Result<()> {
    let disk = Disk::file("stock.img", "xvda").mib(16);
    let guest = host.create(Guest::pvh("stock").memory(256).disk(disk))?;
    guest.load_blkfront(Driver::default(), "")?;
    let _reader = guest
        .spawn("while :; do dd if=/dev/xvda of=/dev/null bs=64k iflag=direct 2>/dev/null; done")?;
    guest.sh("dd if=/dev/zero of=/dev/xvda bs=64k count=16 oflag=direct status=none")?;
    guest.destroy()
}

/// So many guests with the small kernel, one after the other, by one shell. Each gets a random seed of its own, and runs for so
/// many seconds and a bit.
fn small(host: &Host, count: u32, first_seed: u32, seconds: u32) -> Result<()> {
    const CONFIG: &str = small_guest::CONFIG;
    let script = format!(
        "set -e; mkdir -p /disks; [ -e /disks/small.img ] || truncate -s 16M /disks/small.img
         i=0; while [ $i -lt {count} ]; do
         xl create -q -e {CONFIG} \"cmdline='memory=1024 devices=0 image=0 calls=1000000000 seed=$((i + {first_seed}))'\"
         sleep {seconds}.2; xl destroy small; i=$((i+1)); done"
    );
    let limit = Duration::from_secs(60 + 20 * u64::from(count));
    host.dom0().run_for(limit, &script)?.ok().map(drop)
}
