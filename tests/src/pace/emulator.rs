// SPDX-License-Identifier: GPL-2.0

//! What the kernel tells about the emulator's process: `/proc/PID/task/TID/schedstat` (proc(5), and
//! Documentation/scheduler/sched-stats.rst) says how long a thread ran and how long it was ready to run and did not, for
//! whatever reason, a quota among them.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::time::Duration;

use super::meter::{Sample, Thread};

/// A part of the name of QEMU's process; the kernel keeps 15 letters.
const NAME: &str = "qemu-system";

/// A running QEMU.
#[derive(Clone, Copy, Debug)]
pub struct Emulator {
    pid: u32,
}

impl Emulator {
    /// A process that is the emulator.
    pub fn of(pid: u32) -> Self {
        Self { pid }
    }

    /// The emulator among the descendants of a process; there is none until it has been started.
    pub fn below(launcher: u32) -> Option<Self> {
        let processes = processes();
        let descends = |mut pid: u32| {
            while let Some((parent, _)) = processes.get(&pid) {
                if pid == launcher {
                    return true;
                }
                pid = *parent;
            }
            false
        };
        processes
            .iter()
            .find(|(pid, (_, name))| name.starts_with(NAME) && descends(**pid))
            .map(|(pid, _)| Self { pid: *pid })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The numbers of its threads.
    pub fn threads(&self) -> Vec<u32> {
        numbers(&format!("/proc/{}/task", self.pid))
    }

    /// What is seen of it; when and what was stolen is the caller's to say.
    pub fn sample(&self) -> Sample {
        let threads: BTreeMap<_, _> = self
            .threads()
            .into_iter()
            .filter_map(|number| Some((number, self.thread(number)?)))
            .collect();
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        Sample {
            threads,
            stopped: matches!(state(&stat), Some('T' | 't')),
            ..Sample::default()
        }
    }

    fn thread(&self, number: u32) -> Option<Thread> {
        let folder = format!("/proc/{}/task/{number}", self.pid);
        match fs::read_to_string(format!("{folder}/schedstat")) {
            Ok(text) => schedstat(&text),
            // A kernel without CONFIG_SCHED_INFO says how long it ran, at least.
            Err(_) => ticks(&fs::read_to_string(format!("{folder}/stat")).ok()?),
        }
    }
}

/// What was stolen from each of this computer's processors so far, on average (proc_stat(5)).
pub fn stolen() -> Duration {
    stolen_of(&fs::read_to_string("/proc/stat").unwrap_or_default())
}

fn stolen_of(text: &str) -> Duration {
    let mut lines = text.lines().take_while(|line| line.starts_with("cpu"));
    let all = lines.next().unwrap_or_default();
    let stolen = all.split_whitespace().nth(8);
    let stolen: u64 = stolen.and_then(|text| text.parse().ok()).unwrap_or(0);
    tick() * u32::try_from(stolen).unwrap_or(0) / u32::try_from(lines.count()).unwrap_or(1).max(1)
}

fn tick() -> Duration {
    Duration::from_secs(1)
        / u32::try_from(rustix::param::clock_ticks_per_second())
            .unwrap_or(100)
            .max(1)
}

/// All processes: their parents and names.
fn processes() -> HashMap<u32, (u32, String)> {
    let stat = |pid: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (name, rest) = text.split_once('(')?.1.rsplit_once(')')?;
        let parent = rest.split_whitespace().nth(1)?.parse().ok()?;
        Some((pid, (parent, name.to_owned())))
    };
    numbers("/proc").into_iter().filter_map(stat).collect()
}

/// The files of a folder whose names are numbers.
fn numbers(folder: &str) -> Vec<u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

fn schedstat(text: &str) -> Option<Thread> {
    let mut fields = text.split_whitespace().map(str::parse);
    let mut next = || Some(Duration::from_nanos(fields.next()?.ok()?));
    Some(Thread {
        ran: next()?,
        waited: next()?,
    })
}

/// Fields after the name, which may hold anything.
fn after_name(stat: &str) -> Option<impl Iterator<Item = &str>> {
    Some(stat.rsplit_once(')')?.1.split_whitespace())
}

fn state(stat: &str) -> Option<char> {
    after_name(stat)?.next()?.chars().next()
}

/// utime and stime, which are fields 14 and 15; the name is field 2.
fn ticks(stat: &str) -> Option<Thread> {
    let mut fields = after_name(stat)?.skip(11);
    let mut next = || fields.next()?.parse::<u32>().ok();
    Some(Thread {
        ran: tick() * (next()? + next()?),
        waited: Duration::ZERO,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_read() {
        let thread = schedstat("1689959732 3437323171 1099\n").unwrap();
        assert_eq!(thread.ran.as_millis(), 1689);
        assert_eq!(thread.waited.as_millis(), 3437);
        assert!(schedstat("").is_none());
        let stat = "7 (a) T (b) R 1 7 7 0 -1 4194304 1 2 3 4 150 50 0 0 20 0 1 0";
        assert_eq!(state(stat), Some('R'));
        assert_eq!(ticks(stat).unwrap().ran, tick() * 200);
        let stat = "cpu  1 2 3 4 5 6 7 80 0 0\ncpu0 1 2 3 4 5 6 7 40 0 0\ncpu1 0 0 0 0 0 0 0 40 0 0\nintr 7\n";
        assert_eq!(stolen_of(stat), tick() * 40);
        assert_eq!(stolen_of(""), Duration::ZERO);
    }

    #[test]
    fn a_process_is_found_below_its_launcher() {
        let mut child = std::process::Command::new("sh")
            .args([
                "-c",
                "exec 3>&1; printf qemu-system-x86 > /proc/self/comm; echo; read wait",
            ])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
        let found = Emulator::below(std::process::id()).map(|emulator| emulator.pid());
        let elsewhere = Emulator::below(child.id()).map(|emulator| emulator.pid());
        let sample = Emulator::of(child.id()).sample();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found, Some(child.id()));
        assert_eq!(elsewhere, found);
        assert_eq!(sample.threads.len(), 1);
        assert!(!sample.stopped);
    }
}
