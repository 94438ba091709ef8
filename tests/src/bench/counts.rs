// SPDX-License-Identifier: GPL-2.0

//! What a driver asks of the hypervisor, counted: notifications, interrupts, grants, or whatever else it passes.
//!
//! Xen counts hypercalls only in builds with performance counters, which Debian's is not, so the kernel that the driver
//! runs in counts them where it makes them: a kprobe on each function that both drivers have to call.
//! The probes cost time, so no pass that counts is ever timed.

use anyhow::{Context, Result};

use crate::Place;

/// Something that is counted.
#[derive(Debug)]
pub struct Counter {
    /// Its name, in the plural.
    pub name: &'static str,
    /// Where the numbers come from.
    pub source: Source,
    /// How they are shown.
    pub shown: Ratio,
    /// What exactly is counted: what follows "for each" or stands alone, depending on how it is shown.
    pub meaning: &'static str,
}

/// Where numbers come from.
#[derive(Debug)]
pub enum Source {
    /// Calls of any of these functions of the kernel.
    Calls(&'static [&'static str]),
    /// Interrupts whose names begin so, whatever the driver.
    Interrupts(&'static str),
}

/// How a counter is shown.
#[derive(Debug)]
pub enum Ratio {
    /// As units of the load for each of what is counted, whose name in the singular this is: more is better.
    UnitsFor(&'static str),
    /// As what is counted for each unit of the load: fewer is better.
    ForUnit,
}

/// Numbers that only grow, one for each counter; what a workload did is the difference of two of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts(pub Vec<u64>);

impl Counts {
    /// What was added since.
    pub fn since(&self, earlier: &Self) -> Self {
        let added = self.0.iter().zip(&earlier.0);
        Self(added.map(|(now, then)| now - then).collect())
    }

    /// Reads a kernel's counters; [`install`] must have run there.
    pub fn read(place: &Place, counters: &[Counter]) -> Result<Self> {
        let text = place
            .sh("cat /sys/kernel/tracing/kprobe_profile && echo -- && cat /proc/interrupts")?;
        Self::parse(&text, counters)
            .with_context(|| format!("these counters make no sense: {text}"))
    }

    fn parse(text: &str, counters: &[Counter]) -> Option<Self> {
        let (probes, interrupts) = text.split_once("--\n")?;
        let probes = probes
            .lines()
            .map(|line| {
                // "  name  hits  misses"; a miss is a hit that came while another probe was being served.
                let mut words = line.split_whitespace();
                let (name, hits, misses) = (words.next()?, words.next()?, words.next()?);
                let total = hits.parse::<u64>().ok()? + misses.parse::<u64>().ok()?;
                Some((name.strip_prefix(PREFIX)?, total))
            })
            .collect::<Option<Vec<_>>>()?;
        let probe = |function: &str| {
            let found = probes.iter().find(|(name, _)| *name == function);
            found.map(|(_, total)| *total)
        };
        let count = |counter: &Counter| match counter.source {
            Source::Calls(functions) => functions.iter().map(|function| probe(function)).sum(),
            Source::Interrupts(name) => Some(interrupts_of(interrupts, name)),
        };
        counters.iter().map(count).collect::<Option<_>>().map(Self)
    }
}

/// What our probes' names begin with.
const PREFIX: &str = "pv_";

/// All interrupts whose names begin so; there may be more after it.
fn interrupts_of(table: &str, name: &str) -> u64 {
    let is_named = |line: &&str| line.split_whitespace().any(|word| word.starts_with(name));
    let count = |line: &str| -> u64 {
        // "  24:  12  0  0  9  xen-dyn  -event  blkif": one number for each CPU.
        let words = line.split_whitespace().skip(1);
        words.map_while(|word| word.parse::<u64>().ok()).sum()
    };
    table.lines().filter(is_named).map(count).sum()
}

/// Puts the probes into a place's kernel.
pub fn install(place: &Place, counters: &[Counter]) -> Result<()> {
    let mut script = String::from(
        "mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing\ncd /sys/kernel/tracing\n",
    );
    for counter in counters {
        let Source::Calls(functions) = counter.source else {
            continue;
        };
        for function in functions {
            script +=
                &format!("echo 'p:{PREFIX}{function} {function}' >> kprobe_events || exit 1\n");
        }
    }
    // Without readers the trace buffer would only cost time.
    script += "echo 0 > tracing_on; echo 1 > events/kprobes/enable";
    place
        .sh(&script)
        .context("the kernel takes no probes")
        .map(drop)
}

/// Takes the probes out again.
pub fn remove(place: &Place) -> Result<()> {
    place
        .sh("cd /sys/kernel/tracing && echo 0 > events/kprobes/enable && echo > kprobe_events")
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTERS: [Counter; 3] = [
        Counter {
            name: "notifications",
            source: Source::Calls(&["notify"]),
            shown: Ratio::UnitsFor("notification"),
            meaning: "notification",
        },
        Counter {
            name: "interrupts",
            source: Source::Interrupts("blkif"),
            shown: Ratio::UnitsFor("interrupt"),
            meaning: "interrupt",
        },
        Counter {
            name: "grants",
            source: Source::Calls(&["grant", "end", "try_end"]),
            shown: Ratio::ForUnit,
            meaning: "grants",
        },
    ];

    const TEXT: &str = "  pv_grant                 10               0
  pv_end                    3               1
  pv_try_end                    6               0
  pv_notify                            4               0
--
            CPU0       CPU1
  24:        100          7   xen-dyn    -event     blkif
  25:          5          0   xen-dyn    -event     blkif:xvda-q1
  26:         50          0   xen-dyn    -event     xenbus
 NMI:          0          0   Non-maskable interrupts
";

    #[test]
    fn counters_are_read_from_both_tables() {
        let counts = Counts::parse(TEXT, &COUNTERS).unwrap();
        assert_eq!(counts, Counts(vec![4, 112, 20]));
        assert_eq!(
            counts.since(&Counts(vec![1, 2, 3])),
            Counts(vec![3, 110, 17])
        );
    }

    #[test]
    fn a_missing_probe_is_no_zero() {
        let parse = |text: &str| Counts::parse(text, &COUNTERS);
        assert_eq!(parse(&TEXT.replace("pv_notify", "pv_other")), None);
        assert_eq!(parse(&TEXT.replace("pv_try_end", "pv_other")), None);
        assert_eq!(parse("--\n"), None);
    }
}
