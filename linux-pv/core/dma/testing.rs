// SPDX-License-Identifier: GPL-2.0

//! Races of two threads, for tests.

use core::{
    hint::spin_loop,
    sync::atomic::{
        AtomicUsize,
        Ordering::Relaxed, //
    },
};

use std::thread;

/// The number of rounds of a race.
pub(crate) const ROUNDS: usize = 5_000;

/// Calls `step` in each round from two threads, 0 and 1, at the same time.
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
