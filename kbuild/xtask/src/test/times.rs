// SPDX-License-Identifier: GPL-2.0

//! How long things take on this machine: what earlier runs have measured, else a figure from the machine that the figures in
//! docs/results come from, both corrected by how fast this run is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kbuild::Session;
use rustix::time::{ClockId, clock_gettime};
use vmtest::Topology;

/// Seconds that Xen and a PV dom0 take to come up where the built-in figures come from.
const BOOT: f64 = 15.0;

/// So many seconds as expected are taken for granted before this run's pace counts.
const PRIOR: f64 = 30.0;

/// The file in the cache: a line each, seconds and what took them.
const FILE: &str = "scenarios";

/// The lock of that file.
const LOCK: &str = "times";

/// What is known of times.
#[derive(Debug, Default)]
pub struct Times {
    known: BTreeMap<String, f64>,
    new: BTreeMap<String, f64>,
    /// Seconds that were expected and seconds that passed in this run.
    expected: f64,
    passed: f64,
}

impl Times {
    /// Reads what earlier runs have measured. A file that cannot be read is as good as none.
    pub fn read(session: &Session) -> Self {
        let text = path(session).and_then(|path| Ok(fs::read_to_string(path)?));
        Self::of(&text.unwrap_or_default())
    }

    fn of(text: &str) -> Self {
        Self {
            known: parse(text),
            ..Self::default()
        }
    }

    /// How many seconds something will take, which is expected to take `built_in` where the built-in figures come from.
    pub fn expect(&self, what: &str, built_in: f64) -> f64 {
        self.before_pace(what, built_in) * self.pace()
    }

    /// Records how long something took.
    pub fn took(&mut self, what: &str, built_in: f64, time: Duration) {
        self.expected += self.before_pace(what, built_in);
        self.passed += time.as_secs_f64();
        self.new.insert(what.to_owned(), time.as_secs_f64());
    }

    fn before_pace(&self, what: &str, built_in: f64) -> f64 {
        match self.known.get(what) {
            Some(seconds) => *seconds,
            None => built_in * self.slowness(),
        }
    }

    /// How much slower this machine is than the one that the built-in figures come from, as dom0's last boots tell.
    fn slowness(&self) -> f64 {
        let boot = self.known.get(&boot(&Topology::PV));
        boot.map_or(1.0, |seconds| seconds / BOOT)
    }

    /// How much slower this run is than expected.
    fn pace(&self) -> f64 {
        (self.passed + PRIOR) / (self.expected + PRIOR)
    }

    /// Keeps what was measured for later runs: half of what was known before counts on, so that one slow day does not last.
    pub fn save(&self, session: &Session) -> Result<()> {
        let _lock = session.cache.lock(LOCK)?;
        let path = path(session)?;
        // Another run may have written meanwhile.
        let known = parse(&fs::read_to_string(&path).unwrap_or_default());
        let part = path.with_extension("part");
        fs::write(&part, self.text(known))?;
        fs::rename(&part, &path).with_context(|| format!("cannot write {}", path.display()))
    }

    fn text(&self, mut known: BTreeMap<String, f64>) -> String {
        for (what, seconds) in &self.new {
            let mean = known
                .get(what)
                .map_or(*seconds, |old| (old + seconds) / 2.0);
            known.insert(what.clone(), mean);
        }
        known
            .iter()
            .fold(String::new(), |mut text, (what, seconds)| {
                let _ = writeln!(text, "{seconds:.1} {what}");
                text
            })
    }
}

/// The name of a machine's boot.
pub fn boot(topology: &Topology) -> String {
    format!("boot: {topology}")
}

fn path(session: &Session) -> Result<PathBuf> {
    Ok(session.cache.state_dir("times")?.join(FILE))
}

fn parse(text: &str) -> BTreeMap<String, f64> {
    let line = |line: &str| {
        let (seconds, what) = line.split_once(' ')?;
        let seconds = seconds
            .parse()
            .ok()
            .filter(|s: &f64| s.is_finite() && *s >= 0.0)?;
        Some((what.to_owned(), seconds))
    };
    text.lines().filter_map(line).collect()
}

/// The time that the command may take.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    /// What had passed before.
    before: Duration,
    /// What it may take; nothing if that does not matter.
    pub budget: Option<Duration>,
}

impl Clock {
    /// Counts from the start of this process. Cargo becomes the program that it has compiled, so that compiling counts too.
    pub fn new(budget: Option<Duration>) -> Self {
        Self {
            started: Instant::now(),
            before: age_of_process().unwrap_or_default(),
            budget,
        }
    }

    /// What has passed.
    pub fn passed(&self) -> Duration {
        self.before + self.started.elapsed()
    }

    /// Seconds that are left, fewer than none if more has passed; endless if it does not matter.
    pub fn left(&self) -> f64 {
        let budget = self.budget.map_or(f64::INFINITY, |b| b.as_secs_f64());
        budget - self.passed().as_secs_f64()
    }
}

/// How long this process has existed.
fn age_of_process() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let now = clock_gettime(ClockId::Boottime);
    let now = now.tv_sec as f64 + now.tv_nsec as f64 / 1e9;
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    // A machine whose clocks do not agree tells nothing.
    Duration::try_from_secs_f64(now - started_at(&stat)? / ticks).ok()
}

/// The 22nd field of proc_pid_stat(5): the start in clock ticks since the machine's boot. The second may hold spaces.
fn started_at(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

/// What decides which scenarios come first: the commit; where there is none, the day.
pub fn turn(workspace: &Path) -> String {
    let mut git = kbuild::process::tied("git");
    git.arg("-C").arg(workspace).args(["rev-parse", "HEAD"]);
    match git.output() {
        Ok(out) if out.status.success() => String::from_utf8_lossy(&out.stdout).trim().to_owned(),
        _ => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            (now.unwrap_or_default().as_secs() / 86_400).to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_goes_before_what_is_built_in() {
        let mut times = Times::of("30.0 dom0.a\nnonsense\nNaN dom0.c\n");
        assert_eq!(times.expect("dom0.a", 10.0), 30.0);
        assert_eq!(times.expect("dom0.c", 10.0), 10.0);
        // Twice as slow as expected for as long as is taken for granted.
        times.took("dom0.a", 10.0, Duration::from_secs(60));
        assert_eq!(times.expect("dom0.c", 10.0), 15.0);
    }

    #[test]
    fn built_in_figures_follow_the_machines_boots() {
        let text = format!("45.0 {}\n", boot(&Topology::PV));
        assert_eq!(Times::of(&text).expect("dom0.a", 10.0), 30.0);
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let mut times = Times::of("");
        times.took("a b", 1.0, Duration::from_secs(20));
        times.took("c", 1.0, Duration::from_secs(5));
        let text = times.text(parse("10.0 a b\n7.5 d\n"));
        assert_eq!(text, "15.0 a b\n5.0 c\n7.5 d\n");
        assert_eq!(Times::of(&text).expect("a b", 1.0), 15.0);
    }

    #[test]
    fn time_that_passed_before_counts() {
        let stat = "12 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(started_at(stat), Some(4711.0));
        let age = age_of_process().unwrap();
        assert!(age < Duration::from_secs(86_400), "{age:?}");
        let clock = Clock {
            started: Instant::now(),
            before: Duration::from_secs(100),
            budget: Some(Duration::from_secs(90)),
        };
        assert!(clock.left() < -9.0 && clock.passed() >= Duration::from_secs(100));
        assert_eq!(Clock::new(None).left(), f64::INFINITY);
    }
}
