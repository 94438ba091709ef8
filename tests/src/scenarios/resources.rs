// SPDX-License-Identifier: GPL-2.0

//! What a guest's devices have in use: grants, interrupts, memory, xenstore nodes, the back ends' devices.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use crate::context::Ctx;
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
    /// Memory that the guest's kernel has for itself in KiB, with its caches dropped and shrunk.
    pub kernel_kib: i64,
    /// Where memory is, as `/proc/meminfo` and `/proc/slabinfo` say, in KiB; and how many areas of vmalloc's there are, with
    /// those that were freed and wait until many can be purged at once.
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
             for slab in /sys/kernel/slab/*/shrink; do echo 1 > $slab; done; \
             agent probe kernel-int gnttab_free_count nr_grant_frames && \
             echo interrupts $(grep -cE ' (blkif|vif|eth)' /proc/interrupts) && \
             awk '/^MemTotal/ { n += $2 } /^(MemFree|AnonPages|Cached|Buffers)/ { n -= $2 } / count:/ { n -= 4 * $2 } \
                  /kB/ { print \"used\", $1 $2 } END { print \"kernel\", n }' /proc/meminfo /proc/zoneinfo && \
             awk 'NR > 2 { print \"used slab \" $1 \":\" int($3 * $4 / 1024) }' /proc/slabinfo && \
             awk '/unpurged/ { late++; next } { live++ } \
                  END { print \"used areas of vmalloc:\" live + 0; print \"used areas of vmalloc to be purged:\" late + 0 }' \
               /proc/vmallocinfo && \
             cd /sys/kernel/debug && for f in xen/objects/*; do [ ! -e $f ] || echo own ${f##*/} $(cat $f); done",
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
            // Without pages that were freed and stay with their processor for a while, thousands of them. One program
            // reads both files: the pages of another that ended in between would count twice.
            kernel_kib: number("kernel ")?,
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
            (now.0 == then.0 && by.abs() >= 32).then(|| format!("{} {by:+}", now.0))
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
        let more = self.kernel_kib - earlier.kernel_kib;
        ensure!(
            more <= memory,
            "the guest's kernel uses {more} KiB more, not up to {memory}; changed: {}",
            self.changes(earlier)
        );
        Ok(())
    }
}

/// Rounds of something that has to leave nothing behind, looked at every five of them and after the last. `noise` is what
/// may come and go in the caches of a guest's allocators over a whole run, in KiB.
pub fn leave_nothing(
    ctx: &mut Ctx<'_>,
    guest: &Domain,
    rounds: u32,
    noise: i64,
    round: impl Fn() -> Result<()>,
) -> Result<()> {
    // The first rounds fill caches that stay.
    for _ in 0..2 {
        round()?;
    }
    let before = Resources::of(ctx.host, guest)?;
    let mut after = before.clone();
    let mut used = vec![before.kernel_kib];
    for number in 1..=rounds {
        round()?;
        if number % 5 == 0 || number == rounds {
            after = Resources::of(ctx.host, guest)?;
            used.push(after.kernel_kib);
            // Memory is judged at the end: what one round leaves in a cache is no leak.
            after
                .leaks_nothing_since(&before, i64::MAX)
                .map_err(|leak| leak.context(format!("after {number} rounds")))?;
        }
    }
    // One look alone may be anywhere in the noise.
    after.kernel_kib = median(&used[1..]);
    after.leaks_nothing_since(&before, noise).map_err(|leak| {
        leak.context(format!(
            "the kernel's memory in KiB, every 5 rounds: {used:?}"
        ))
    })?;
    ctx.note(format!(
        "{rounds} rounds: {} grants in use before and {} after; the kernel's memory in KiB, every 5 rounds: {used:?}; \
         changed: {}",
        before.grants,
        after.grants,
        after.changes(&before)
    ));
    Ok(())
}

/// The middle one of the last five looks.
fn median(looks: &[i64]) -> i64 {
    let mut last = looks[looks.len().saturating_sub(5)..].to_vec();
    last.sort_unstable();
    last[last.len() / 2]
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
