// SPDX-License-Identifier: GPL-2.0

//! Work whose speed depends on the hypervisor: switches between processors, and page faults.

use std::hint::black_box;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};

/// Bytes of a page.
const PAGE: usize = 4096;
/// Pages that are touched before the memory is given back: more than the library keeps for the next allocation.
const PAGES: usize = 2048;
/// Rounds between two looks at the clock.
const BURST: u32 = 16;

/// Round trips a second of a byte between two threads, each on a processor of its own that halts while it waits.
///
/// # Errors
///
/// If there are no such processors.
pub fn switches(processors: [usize; 2], time: Duration) -> io::Result<f64> {
    let (mut near, mut far) = UnixStream::pair()?;
    let echo = thread::spawn(move || -> io::Result<()> {
        stay_on(processors[1])?;
        let mut byte = [0];
        // The other end goes at last.
        while far.read(&mut byte)? > 0 {
            far.write_all(&byte)?;
        }
        Ok(())
    });
    let rate = stay_on(processors[0]).and_then(|()| {
        rate(time, || {
            let mut byte = [1];
            near.write_all(&byte)?;
            near.read_exact(&mut byte)
        })
    });
    drop(near);
    let echoed = echo.join();
    echoed.map_err(|_| io::Error::other("the other thread panicked"))??;
    rate
}

/// Page faults a second: pages of new memory are touched, each once.
pub fn faults(time: Duration) -> io::Result<f64> {
    let rounds = rate(time, || {
        // The kernel gives a page when it is touched.
        let mut memory = vec![0u8; PAGES * PAGE];
        for page in memory.chunks_exact_mut(PAGE) {
            page[0] = 1;
        }
        black_box(&memory);
        Ok(())
    })?;
    Ok(rounds * PAGES as f64)
}

/// How often a second something can be done, once it has been done for a tenth of the time.
fn rate(time: Duration, mut once: impl FnMut() -> io::Result<()>) -> io::Result<f64> {
    let mut burst = |until: Duration| -> io::Result<f64> {
        let (start, mut count) = (Instant::now(), 0u32);
        loop {
            for _ in 0..BURST {
                once()?;
            }
            count += BURST;
            let spent = start.elapsed();
            if spent >= until {
                return Ok(f64::from(count) / spent.as_secs_f64());
            }
        }
    };
    burst(time / 10)?;
    burst(time)
}

/// Keeps the calling thread to a processor.
fn stay_on(processor: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    if processor >= CpuSet::MAX_CPU {
        return Err(io::Error::other("there is no such processor"));
    }
    set.set(processor);
    Ok(sched_setaffinity(None, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(5);

    #[test]
    fn work_is_done() {
        let first = (0..CpuSet::MAX_CPU).find(|cpu| switches([*cpu, *cpu], SHORT).is_ok());
        assert!(first.is_some());
        assert!(faults(SHORT).unwrap() > 0.0);
    }

    #[test]
    fn a_processor_that_is_not_there_is_an_error() {
        assert!(switches([0, CpuSet::MAX_CPU], SHORT).is_err());
        assert!(switches([CpuSet::MAX_CPU, 0], SHORT).is_err());
    }
}
