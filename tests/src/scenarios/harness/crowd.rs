// SPDX-License-Identifier: GPL-2.0

//! A slow computer, played: the emulator is confined to one processor, which it shares with jobs that never rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::pace::Pace;

/// The other jobs; dropping it ends them and sets the emulator free.
pub struct Crowd {
    over: Arc<AtomicBool>,
    jobs: Vec<JoinHandle<()>>,
    threads: Vec<Pid>,
    before: CpuSet,
}

impl Crowd {
    /// So many jobs beside the emulator.
    pub fn gathers(pace: &Pace, jobs: usize) -> Result<Self> {
        let emulator = pace.emulator().context("there is no emulator")?;
        let threads = emulator.threads().into_iter();
        let threads = threads.filter_map(|number| Pid::from_raw(i32::try_from(number).ok()?));
        let mut crowd = Self {
            over: Arc::default(),
            jobs: vec![],
            threads: threads.collect(),
            before: sched_getaffinity(None)?,
        };
        let first = (0..CpuSet::MAX_CPU).find(|cpu| crowd.before.is_set(*cpu));
        let mut one = CpuSet::new();
        one.set(first.context("no processor is for us")?);
        for thread in &crowd.threads {
            // Some threads come and go; those of the processors stay.
            let _ = sched_setaffinity(Some(*thread), &one);
        }
        for _ in 0..jobs {
            let over = Arc::clone(&crowd.over);
            crowd.jobs.push(thread::spawn(move || {
                let confined = sched_setaffinity(None, &one);
                while confined.is_ok() && !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            }));
        }
        Ok(crowd)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in &self.threads {
            let _ = sched_setaffinity(Some(*thread), &self.before);
        }
        for job in self.jobs.drain(..) {
            let _ = job.join();
        }
    }
}
