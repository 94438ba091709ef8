// SPDX-License-Identifier: GPL-2.0

//! What a driver asks of the hypervisor, counted: notifications, interrupts, grants.
//!
//! Xen counts hypercalls only in builds with performance counters, which Debian's is not, so the guest's kernel
//! counts them at its own doors: a kprobe on each function of the seam that both drivers have to go through. The
//! probes cost time, so no pass that counts is ever timed.

use anyhow::{Context, Result};

use crate::Place;

/// Grants given, and taken back by either of two functions (the one calls neither of the other).
const GRANTS: [&str; 3] = [
    "gnttab_grant_foreign_access_ref",
    "gnttab_end_foreign_access_ref",
    "gnttab_try_end_foreign_access",
];

/// Where every driver's notification passes; xenbus and the console have a way of their own.
const NOTIFY: &str = "notify_remote_via_irq";

/// Numbers that only grow; what a workload did is the difference of two of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Event channel notifications the guest sent.
    pub sent: u64,
    /// Interrupts of the device the guest took.
    pub received: u64,
    /// Grants given and taken back.
    pub grants: u64,
}

impl Counts {
    /// What was added since.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            sent: self.sent - earlier.sent,
            received: self.received - earlier.received,
            grants: self.grants - earlier.grants,
        }
    }

    /// Reads a guest's counters; [`install`] must have run there. The device's interrupts have a name that begins with
    /// `interrupts`, whatever the driver.
    pub fn read(guest: &Place, interrupts: &str) -> Result<Self> {
        let text = guest
            .sh("cat /sys/kernel/tracing/kprobe_profile && echo -- && cat /proc/interrupts")?;
        Self::parse(&text, interrupts)
            .with_context(|| format!("these counters make no sense: {text}"))
    }

    fn parse(text: &str, name: &str) -> Option<Self> {
        let (probes, interrupts) = text.split_once("--\n")?;
        let mut counts = Self::default();
        let mut probed = 0;
        for line in probes.lines() {
            // "  name  hits  misses"; a miss is a hit that came while another probe was being served.
            let mut words = line.split_whitespace();
            let (name, hits, misses) = (words.next()?, words.next()?, words.next()?);
            let total = hits.parse::<u64>().ok()? + misses.parse::<u64>().ok()?;
            match name.strip_prefix("pv_")? {
                NOTIFY => counts.sent += total,
                name if GRANTS.contains(&name) => counts.grants += total,
                _ => continue,
            }
            probed += 1;
        }
        for line in interrupts.lines().filter(|line| is_named(line, name)) {
            // "  24:  12  0  0  9  xen-dyn  -event  blkif": one number for each CPU.
            let numbers = line
                .split_whitespace()
                .skip(1)
                .map_while(|word| word.parse::<u64>().ok());
            counts.received += numbers.sum::<u64>();
        }
        (probed == 1 + GRANTS.len()).then_some(counts)
    }
}

/// All drivers name their interrupts so, with more after it or nothing.
fn is_named(line: &str, name: &str) -> bool {
    line.split_whitespace().any(|word| word.starts_with(name))
}

/// Puts the probes into a guest's kernel.
pub fn install(guest: &Place) -> Result<()> {
    let mut script = String::from(
        "mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing\ncd /sys/kernel/tracing\n",
    );
    for function in GRANTS.iter().chain([&NOTIFY]) {
        script += &format!("echo 'p:pv_{function} {function}' >> kprobe_events || exit 1\n");
    }
    // Without readers the trace buffer would only cost time.
    script += "echo 0 > tracing_on; echo 1 > events/kprobes/enable";
    guest
        .sh(&script)
        .context("the guest's kernel takes no probes")
        .map(drop)
}

/// Takes the probes out again.
pub fn remove(guest: &Place) -> Result<()> {
    guest
        .sh("cd /sys/kernel/tracing && echo 0 > events/kprobes/enable && echo > kprobe_events")
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "  pv_gnttab_grant_foreign_access_ref                 10               0
  pv_gnttab_end_foreign_access_ref                    3               1
  pv_gnttab_try_end_foreign_access                    6               0
  pv_notify_remote_via_irq                            4               0
--
            CPU0       CPU1
  24:        100          7   xen-dyn    -event     blkif
  25:          5          0   xen-dyn    -event     blkif:xvda-q1
  26:         50          0   xen-dyn    -event     xenbus
 NMI:          0          0   Non-maskable interrupts
";

    #[test]
    fn counters_are_read_from_both_tables() {
        assert_eq!(
            Counts::parse(TEXT, "blkif"),
            Some(Counts {
                sent: 4,
                received: 112,
                grants: 20
            })
        );
    }

    #[test]
    fn a_missing_probe_is_no_zero() {
        assert_eq!(
            Counts::parse(
                &TEXT.replace("pv_notify_remote_via_irq", "pv_other"),
                "blkif"
            ),
            None
        );
        assert_eq!(Counts::parse("--\n", "blkif"), None);
    }
}
