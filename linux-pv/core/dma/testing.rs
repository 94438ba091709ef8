// SPDX-License-Identifier: GPL-2.0

//! Two threads that get in each other's way.

use core::hint::spin_loop;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

/// How often they try.
pub(crate) const ROUNDS: usize = 5_000;

/// Has two threads, 0 and 1, do something at the same moment in each round.
pub(crate) fn race(step: impl Fn(usize, usize) + Sync) {
    let arrived = AtomicUsize::new(0);
    thread::scope(|scope| {
        for who in 0..2 {
            let (arrived, step) = (&arrived, &step);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    arrived.fetch_add(1, Relaxed);
                    let mut tries = 0u32;
                    while arrived.load(Relaxed) < 2 * (round + 1) {
                        tries += 1;
                        match tries % 1024 {
                            0 => thread::yield_now(),
                            _ => spin_loop(),
                        }
                    }
                    step(round, who);
                }
            });
        }
    });
}
