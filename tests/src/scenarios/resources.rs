// SPDX-License-Identifier: GPL-2.0

//! What a guest's devices have in use: grants, interrupts, memory, xenstore nodes, the back ends' devices.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use crate::guest::Domain;
use crate::host::Host;

/// Entries of a grant-table page (version 1: 8 bytes each, grant_table.h).
const GRANTS_PER_FRAME: i64 = 512;

/// Resources at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    /// Grant references the guest's kernel has given out.
    pub grants: i64,
    /// Interrupts of front ends in the guest.
    pub interrupts: u32,
    /// Free memory of the guest in KiB, with its caches dropped.
    pub free_kib: i64,
    /// Where the rest is, as `/proc/meminfo` and `/proc/slabinfo` say, in KiB.
    pub used_kib: Vec<(String, i64)>,
    /// Interrupts of back ends in dom0.
    pub backend_interrupts: u32,
    /// Loop devices and back ends' network devices in dom0.
    pub devices: u32,
    /// Grants, pages, event channels and so on that our drivers own, as they say themselves.
    pub owned: Vec<(String, i64)>,
    /// Xenstore nodes about devices, without their values.
    pub nodes: BTreeSet<String>,
}

impl Resources {
    /// Looks at a guest and at dom0.
    pub fn of(host: &Host, guest: &Domain) -> Result<Self> {
        let text = guest.sh("sync; echo 3 > /proc/sys/vm/drop_caches; \
             agent probe kernel-int gnttab_free_count nr_grant_frames && \
             echo interrupts $(grep -cE ' (blkif|vif|eth)' /proc/interrupts) && \
             awk '/MemFree/ { print \"free\", $2 } /kB/ { print \"used\", $1 $2 }' /proc/meminfo && \
             awk '/ count:/ { n += $2 } END { print \"percpu\", 4 * n }' /proc/zoneinfo && \
             awk 'NR > 2 { print \"used slab \" $1 \":\" int($3 * $4 / 1024) }' /proc/slabinfo && \
             cd /sys/kernel/debug && for f in xen_rs/*; do [ ! -e $f ] || echo own ${f#*/} $(cat $f); done",
        )?;
        let number = |name: &str| -> Result<i64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.with_context(|| format!("no {name} in {text}"))?
                .trim()
                .parse()
                .map_err(Into::into)
        };
        let dom0 = host.dom0();
        let domid = guest.domid();
        let nodes = dom0.sh(&format!(
            "for d in /local/domain/{domid}/device /local/domain/0/backend/vbd /local/domain/0/backend/vif \
             /libxl/{domid}/device; do \
             xenstore-ls -f $d 2>/dev/null; done | sed 's/ = .*//'"
        ))?;
        Ok(Self {
            // The table grows by whole pages and never shrinks.
            grants: number("nr_grant_frames ")? * GRANTS_PER_FRAME - number("gnttab_free_count ")?,
            interrupts: u32::try_from(number("interrupts ")?)?,
            // Pages that were freed stay with their processor for a while, thousands of them.
            free_kib: number("free ")? + number("percpu ")?,
            used_kib: text.lines().filter_map(used).collect(),
            owned: text.lines().filter_map(owned).collect(),
            backend_interrupts: dom0
                .sh("grep -cE ' (blkif-backend|vif)' /proc/interrupts || true")?
                .parse()?,
            devices: dom0
                .sh("{ losetup -l -n; ls /sys/class/net | grep ^vif; } | wc -l")?
                .parse()?,
            nodes: nodes.lines().map(str::to_owned).collect(),
        })
    }

    /// What takes more or less memory than before.
    fn changes(&self, earlier: &Self) -> String {
        let changed = |(now, then): (&(String, i64), &(String, i64))| {
            let by = now.1 - then.1;
            (now.0 == then.0 && by.abs() >= 128).then(|| format!("{} {by:+}", now.0))
        };
        let pairs = self.used_kib.iter().zip(&earlier.used_kib);
        pairs.filter_map(changed).collect::<Vec<_>>().join(", ")
    }

    /// Compares with an earlier look; nothing but `memory` KiB may be missing.
    pub fn leaks_nothing_since(&self, earlier: &Self, memory: i64) -> Result<()> {
        let new: Vec<_> = self.nodes.difference(&earlier.nodes).collect();
        ensure!(new.is_empty(), "xenstore nodes are left behind: {new:?}");
        ensure!(
            self.grants <= earlier.grants,
            "{} grants are left behind",
            self.grants - earlier.grants
        );
        ensure!(
            self.owned == earlier.owned,
            "our drivers own {:?} instead of {:?}",
            self.owned,
            earlier.owned
        );
        ensure!(
            self.interrupts <= earlier.interrupts,
            "the guest has {} interrupts of devices instead of {}",
            self.interrupts,
            earlier.interrupts
        );
        ensure!(
            self.backend_interrupts <= earlier.backend_interrupts
                && self.devices <= earlier.devices,
            "dom0 has {} interrupts and {} devices instead of {} and {}",
            self.backend_interrupts,
            self.devices,
            earlier.backend_interrupts,
            earlier.devices
        );
        let missing = earlier.free_kib - self.free_kib;
        ensure!(
            missing <= memory,
            "the guest has {missing} KiB less memory, more than {memory}; changed: {}",
            self.changes(earlier)
        );
        Ok(())
    }
}

/// Reads a line such as `used Slab:1234`.
fn used(line: &str) -> Option<(String, i64)> {
    let (name, kib) = line.strip_prefix("used ")?.rsplit_once(':')?;
    Some((name.to_owned(), kib.parse().ok()?))
}

/// Reads a line such as `own pages 12`. What was deferred is a running total and owned by the kernel.
fn owned(line: &str) -> Option<(String, i64)> {
    let (name, count) = line.strip_prefix("own ")?.split_once(' ')?;
    (name != "deferred").then_some((name.to_owned(), count.parse().ok()?))
}
