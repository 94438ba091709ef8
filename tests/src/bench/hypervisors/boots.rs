// SPDX-License-Identifier: GPL-2.0

//! A boot, and what is measured in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kbuild::Images;

use super::facts::Facts;
use super::guests;
use crate::bench::{priority, turns};
use crate::console::Watcher;
use crate::host::Host;
use crate::remote::Place;
use crate::topology::{Hypervisor, Topology};
use crate::traffic::Line;

/// The numbers of a boot, all of which are better if they are smaller.
pub struct Boot {
    /// One for each of [`MEASURES`].
    pub numbers: Vec<f64>,
    /// What dom0 sees of the hypervisor.
    pub facts: Facts,
    /// Dom0's kernel.
    pub kernel: String,
    /// Whether this process could be made more urgent.
    pub priority: &'static str,
}

impl Boot {
    /// Seconds from the hypervisor's first message to the toolstack's answer.
    pub fn up(&self) -> f64 {
        self.numbers.iter().take(2).sum::<f64>() / 1000.0
    }
}

/// What is measured, and the unit.
pub const MEASURES: [(&str, &str); 11] = [
    ("hypervisor's first message to dom0's start", "ms"),
    ("dom0's start to the toolstack's first answer", "ms"),
    (
        "hypercall, there and back (`xen_version` through privcmd)",
        "µs",
    ),
    (
        "event channel, there and back (two ports of one program)",
        "µs",
    ),
    ("fork, exec and exit of a small program", "ms"),
    guests::MEASURES[0],
    guests::MEASURES[1],
    guests::MEASURES[2],
    guests::MEASURES[3],
    guests::MEASURES[4],
    guests::MEASURES[5],
];

/// Processes that are started for the last one.
const PROCESSES: u32 = 300;

/// Milliseconds that a workload runs before it is measured, and then.
const WARM: u32 = 100;
const SLICE: u32 = 500;

/// Boots and measures. The boot's logs go to `dir`.
pub fn measure(images: &Images, topology: &Topology, dir: &Path) -> Result<Boot> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let marks = Marks::watch(
        dir.join("xen-and-dom0.log"),
        last_words(topology.hypervisor),
    );
    turns::in_machine(images, topology, dir, |host| look(host, marks, images))
}

fn look(host: &Host, marks: Marks, images: &Images) -> Result<Boot> {
    let up = Instant::now();
    let (first, dom0) = marks.seen()?;
    let priority = priority::raise();
    let place = host.dom0();
    let mut numbers = vec![
        (dom0 - first).as_secs_f64() * 1e3,
        (up - dom0).as_secs_f64() * 1e3,
    ];
    let facts = Facts::read(place)?;
    for cell in ["hypercall:1:1", "events:1:1"] {
        numbers.push(1e6 / rate(place, cell)?);
    }
    numbers.push(processes(place)? * 1e3);
    numbers.extend(guests::measure(host, images)?);
    Ok(Boot {
        numbers,
        facts,
        kernel: host.kernel.clone(),
        priority,
    })
}

/// What a hypervisor prints last before dom0's first instruction.
fn last_words(hypervisor: Hypervisor) -> &'static [u8] {
    match hypervisor {
        Hypervisor::Xen => b"init memory",
        Hypervisor::Paravane => b"dom0 starts",
    }
}

/// Operations a second of a workload of `tests/devfile/load.c`. No other domain is needed for it.
fn rate(place: &Place, cell: &str) -> Result<f64> {
    let text = place.sh(&format!(
        "/payload/bin/devfile-load 0 {WARM} {SLICE} {cell}"
    ))?;
    let line: Line = text.trim().parse()?;
    let rate = line.get("rate")?;
    ensure!(rate > 0.0, "nothing was done: {text}");
    Ok(rate)
}

/// Seconds that a process takes, by dom0's clock.
fn processes(place: &Place) -> Result<f64> {
    let text = place.sh(&format!(
        "before=$(date +%s%N); i=0; while [ $i -lt {PROCESSES} ]; do /bin/true; i=$((i+1)); done; \
         echo $(($(date +%s%N) - before))"
    ))?;
    let taken: f64 = text.parse().with_context(|| format!("{text} is no time"))?;
    ensure!(taken > 0.0, "dom0's clock stands still");
    Ok(taken / 1e9 / f64::from(PROCESSES))
}

/// Watches a console's log for its first byte and for some words, more often than those that judge it.
struct Marks {
    watcher: Watcher,
    seen: Arc<Mutex<MarkTimes>>,
}

#[derive(Default)]
struct MarkTimes {
    text: Vec<u8>,
    first: Option<Instant>,
    words: Option<Instant>,
}

impl Marks {
    fn watch(log: PathBuf, words: &'static [u8]) -> Self {
        let seen = Arc::new(Mutex::new(MarkTimes::default()));
        let shared = Arc::clone(&seen);
        let watcher = Watcher::start(log, Duration::from_millis(1), move |new| {
            let now = Instant::now();
            let mut seen = shared.lock().unwrap_or_else(PoisonError::into_inner);
            seen.first.get_or_insert(now);
            if seen.words.is_none() {
                seen.text.extend_from_slice(new);
                let found = seen.text.windows(words.len()).any(|window| window == words);
                seen.words = found.then_some(now);
            }
        });
        Self { watcher, seen }
    }

    /// When both were seen.
    fn seen(self) -> Result<(Instant, Instant)> {
        drop(self.watcher);
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let both = seen.first.zip(seen.words);
        both.context("the hypervisor did not say that it starts dom0")
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_log_is_watched_for_its_first_byte_and_for_words() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let marks = Marks::watch(log.clone(), b"dom0 starts");
        thread::sleep(Duration::from_millis(20));
        fs::write(&log, "Paravane\n").unwrap();
        thread::sleep(Duration::from_millis(60));
        fs::write(&log, "Paravane\n(PVN) dom0 starts\n").unwrap();
        thread::sleep(Duration::from_millis(60));
        let (first, words) = marks.seen().unwrap();
        assert!(words - first >= Duration::from_millis(20));
        let marks = Marks::watch(log, b"never said");
        thread::sleep(Duration::from_millis(10));
        assert!(marks.seen().is_err());
    }
}
