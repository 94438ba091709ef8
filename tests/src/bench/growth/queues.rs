// SPDX-License-Identifier: GPL-2.0

//! What a device's queues take of a guest's memory, with our frontends and with C's.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Growth;
use crate::disk::Disk;
use crate::guest::{Domain, Driver, Guest};
use crate::host::Host;
use crate::nic::Nic;

/// The guest's vCPUs, and so the most queues.
pub const VCPUS: u32 = 8;
/// How many queues a device has.
const QUEUES: [u32; 4] = [1, 2, 4, 8];
/// Milliseconds of reading.
const LOAD: u32 = 1000;
/// The agent in guests.
const AGENT: &str = "/bin/agent";

/// KiB of a guest's memory that a driver takes with some queues.
#[derive(Clone, Copy, Default)]
struct Taken {
    /// By a network interface.
    nic: f64,
    /// By a disk that was not used yet.
    disk: f64,
    /// By a disk after reads of 1 MiB.
    used_disk: f64,
}

/// Measures in one guest. `note` is told how far it is.
pub fn measure(host: &Host, note: &dyn Fn(&str)) -> Result<Vec<Growth>> {
    host.dom0().sh(&format!(
        "modprobe null_blk nr_devices=1 queue_mode=2 submit_queues={VCPUS} hw_queue_depth=256 irqmode=0 \
         completion_nsec=0 memory_backed=0 gb=4 bs=512 && echo none > /sys/block/nullb0/queue/scheduler && \
         modprobe xen-blkback && echo {VCPUS} > /sys/module/xen_blkback/parameters/max_queues"
    ))?;
    let guest = Guest::pvh("queues")
        .vcpus(VCPUS)
        .memory(512)
        .disk(Disk::device("/dev/nullb0", "xvda"))
        .nic(Nic::new().queues(VCPUS));
    let guest = host.create(guest)?;
    let mut points = vec![];
    for queues in QUEUES {
        let mut sides = [Taken::default(); 2];
        for (driver, side) in [Driver::C, Driver::Rust].into_iter().zip(&mut sides) {
            note(&format!("{queues} queues, {}", driver.block_module()));
            // The first time something is allocated that stays, such as a slab's pages.
            load(&guest, driver, queues)?;
            *side = load(&guest, driver, queues)?;
        }
        points.push((queues, sides));
    }
    guest.destroy()?;
    let growth =
        |name, title, modules: fn(Driver) -> &'static str, what: fn(&Taken) -> f64| Growth {
            name,
            title,
            of: "queues",
            sides: [Driver::C, Driver::Rust].map(modules),
            points: points
                .iter()
                .map(|(queues, sides)| (*queues, [what(&sides[0]), what(&sides[1])]))
                .collect(),
        };
    Ok(vec![
        growth(
            "disk",
            "Memory of a guest for a disk, KiB",
            Driver::block_module,
            |taken| taken.disk,
        ),
        growth(
            "used-disk",
            "Memory of a guest for a disk after reads of 1 MiB, KiB",
            Driver::block_module,
            |taken| taken.used_disk,
        ),
        growth(
            "interface",
            "Memory of a guest for a network interface that is up, KiB",
            Driver::net_module,
            |taken| taken.nic,
        ),
    ])
}

/// Loads and unloads both frontends of a side.
fn load(guest: &Domain, driver: Driver, queues: u32) -> Result<Taken> {
    let parameter = format!("max_queues={queues}");
    let before = free(guest)?;
    guest.load_blkfront(driver, &parameter)?;
    has(guest, "/sys/block/xvda/mq", "", queues)?;
    let connected = free(guest)?;
    let words = format!("read:1048576:32:{queues}");
    let script = format!("exec {AGENT} blkload /dev/xvda 100 {LOAD} {words}");
    guest.run_for(Duration::from_secs(60), &script)?.ok()?;
    let used = free(guest)?;
    guest.sh(&format!(
        "echo vbd-51712 > /sys/bus/xen/drivers/vbd/unbind; rmmod {}",
        driver.block_module()
    ))?;
    let unloaded = free(guest)?;
    guest.load_netfront(driver, &parameter)?;
    guest.sh("ip link set eth0 up")?;
    guest.await_carrier("eth0")?;
    has(guest, "/sys/class/net/eth0/queues", "rx-", queues)?;
    let up = free(guest)?;
    guest.unload_netfront(driver)?;
    Ok(Taken {
        disk: before - connected,
        used_disk: before - used,
        nic: unloaded - up,
    })
}

/// Fails unless a folder has so many entries that begin so.
fn has(guest: &Domain, folder: &str, begin: &str, wanted: u32) -> Result<()> {
    let found = guest.sh(&format!("ls {folder} | grep -c '^{begin}'"))?;
    ensure!(
        found == wanted.to_string(),
        "{folder} has {found} entries, {wanted} queues were asked for"
    );
    Ok(())
}

/// KiB of free memory, once nothing is cached; what each processor keeps for its next allocation is free, too.
fn free(guest: &Domain) -> Result<f64> {
    let text = guest.sh(
        "sync; echo 3 > /proc/sys/vm/drop_caches; sleep 0.5; \
         awk '$1 == \"pages\" && $2 == \"free\" { n += $3 } $1 == \"count:\" { n += $2 } END { print n * 4 }' /proc/zoneinfo",
    )?;
    text.parse()
        .with_context(|| format!("{text:?} is no memory"))
}
