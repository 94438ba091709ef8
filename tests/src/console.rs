// SPDX-License-Identifier: GPL-2.0

//! Judging console output: which lines mean that a machine or a guest is dead, and which mean that a kernel
//! found something wrong.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::fault::Fault;
use crate::health::Health;

/// After these nothing works any more.
const FATAL: [&str; 8] = [
    "Kernel panic - not syncing",
    "Panic on CPU",
    "FATAL TRAP",
    "Xen BUG at",
    "Hardware Dom0 crashed",
    "Hardware Dom0 halted",
    "end Kernel panic",
    "*** Paravane stops",
];

/// What ends the line of a kernel's warning (`__warn()`) before the name of the task, in series 7.2 and later. Texts that drivers
/// begin with "WARNING: " have no such end.
const WARNING: [&str; 2] = ["WARNING: ", ", CPU#"];

/// A kernel's other complaints. A driver that causes one has failed, even if the data is right.
const COMPLAINTS: [&str; 15] = [
    "WARNING: CPU",
    "WARNING: at ",
    "WARNING: possible",
    "WARNING: suspicious",
    "BUG: ",
    "kernel BUG at",
    "Oops: ",
    "general protection fault",
    "UBSAN: ",
    "KASAN: ",
    "kmemleak: ",
    "refcount_t: ",
    "blocked for more than",
    "rcu: INFO: ",
    ": nobody cared",
];

/// What a line means for the machine or guest that printed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing of interest.
    Fine,
    /// Something is wrong.
    Complaint,
    /// It is dead.
    Fatal,
}

/// Judges one line.
pub fn judge(line: &str) -> Severity {
    let has = |marks: &[&str]| marks.iter().any(|mark| line.contains(mark));
    if has(&FATAL) {
        Severity::Fatal
    } else if has(&COMPLAINTS) || WARNING.iter().all(|mark| line.contains(mark)) {
        Severity::Complaint
    } else {
        Severity::Fine
    }
}

/// How many of Xen's lines after the one that reports a triple fault may have registers.
const FAULT_LINES: u32 = 30;

/// Cuts console output into lines and reports what they mean.
pub struct Judge {
    who: String,
    health: Health,
    partial: Vec<u8>,
    /// How many lines may still tell of the last triple fault.
    fault_lines: u32,
}

impl Judge {
    /// `who` is named in the reports.
    pub fn new(who: impl Into<String>, health: Health) -> Self {
        Self {
            who: who.into(),
            health,
            partial: Vec::new(),
            fault_lines: 0,
        }
    }

    /// Takes output in pieces of any size.
    pub fn push(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            self.line(String::from_utf8_lossy(&line).trim());
        }
    }

    fn line(&mut self, line: &str) {
        if let Some(fault) = Fault::of_line(line) {
            self.health.lost(fault);
            self.fault_lines = FAULT_LINES;
        } else if self.fault_lines > 0 && line.contains("(XEN)") {
            self.fault_lines -= 1;
            self.health.read_of_fault(line);
        }
        match judge(line) {
            Severity::Fine => {}
            Severity::Complaint => self.health.complain(format!("{}: {line}", self.who)),
            Severity::Fatal => self.health.died(format!("{} died: {line}", self.who)),
        }
    }
}

/// Reads a growing log file in a thread; dropping it ends that, after what has been written by then.
pub struct Watcher {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Starts watching; the file may appear later. `take` gets what is new, in pieces of any size, `every` so often.
    pub fn start(
        log: PathBuf,
        every: Duration,
        mut take: impl FnMut(&[u8]) + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut file = None;
            let mut buffer = vec![0u8; 64 << 10];
            loop {
                let last = stopped.load(Ordering::Relaxed);
                file = file.or_else(|| File::open(&log).ok());
                while let Some(count) = file.as_mut().and_then(|f| f.read(&mut buffer).ok()) {
                    if count == 0 {
                        break;
                    }
                    take(&buffer[..count]);
                }
                if last {
                    return;
                }
                thread::sleep(every);
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_judged() {
        let fatal = "[   12.3] Kernel panic - not syncing: Attempted to kill init!";
        assert_eq!(judge(fatal), Severity::Fatal);
        assert_eq!(judge("(XEN) Panic on CPU 0:"), Severity::Fatal);
        assert_eq!(
            judge("[ 1.0] WARNING: CPU: 1 PID: 9 at block/blk-mq.c:1"),
            Severity::Complaint
        );
        assert_eq!(
            judge("[ 1.0] WARNING: block/blk-mq.c:1 at blk_mq_free_rqs+0x1/0x2, CPU#1: dd/9"),
            Severity::Complaint
        );
        assert_eq!(
            judge("[ 1.0] xen:grant_table: WARNING: leaking g.e. and page still in use!"),
            Severity::Fine
        );
        assert_eq!(judge("[ 1.0] DMI: not present or invalid."), Severity::Fine);
        assert_eq!(
            judge("[ 1.0] printk: debug: ignoring loglevel setting."),
            Severity::Fine
        );
    }

    #[test]
    fn a_triple_fault_is_taken_with_its_registers() {
        let health = Health::default();
        let mut judge = Judge::new("Xen or dom0", health.clone());
        judge.push(b"(XEN) d3v0 Triple fault - invoking HVM shutdown action 1\n");
        judge.push(b"[ 9.1] a line of dom0's\n(XEN) RIP:    0010:[<ffff82d040201234>]\n");
        let lost = health.take_lost();
        assert_eq!((lost.len(), lost[0].domid), (1, 3));
        assert_eq!(lost[0].culprit(), crate::fault::Culprit::Emulator);
    }

    #[test]
    fn lines_arrive_in_pieces() {
        let health = Health::default();
        let mut judge = Judge::new("guest g1", health.clone());
        judge.push(b"[1] Kernel pa");
        assert!(health.check().is_ok());
        judge.push(b"nic - not syncing: x\nmore");
        assert!(
            health
                .death()
                .unwrap()
                .starts_with("guest g1 died: [1] Kernel panic")
        );
    }
}
