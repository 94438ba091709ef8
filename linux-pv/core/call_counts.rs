// SPDX-License-Identifier: GPL-2.0

//! How often each hypercall was made by built-in objects of ours, while somebody wants to know.
//! Switched off, a call costs a comparison more.

use core::sync::atomic::{
    AtomicU32,
    AtomicU64,
    Ordering::Relaxed, //
};

use crate::{
    define_per_cpu,
    per_cpu::PossibleCpu, //
};

/// Numbers that are counted; Xen's table is as long.
pub const NUMBERS: usize = 64;

/// How a call was made.
#[derive(Clone, Copy)]
pub enum How {
    /// By itself.
    Direct,
    /// As one of several of a batch.
    Batched,
}

/// A CPU's counts. (Atomics of the kernel's are functions in C.)
struct Counts {
    direct: [AtomicU64; NUMBERS],
    batched: [AtomicU64; NUMBERS],
}

impl Counts {
    fn of(&self, how: How) -> &[AtomicU64; NUMBERS] {
        match how {
            How::Direct => &self.direct,
            How::Batched => &self.batched,
        }
    }
}

define_per_cpu! {
    static COUNTS: Counts = Counts {
        direct: [const { AtomicU64::new(0) }; NUMBERS],
        batched: [const { AtomicU64::new(0) }; NUMBERS],
    };
}

#[link_section = ".data..read_mostly"]
static IS_COUNTING: AtomicU32 = AtomicU32::new(0);

/// Whether calls are counted.
#[inline(always)]
pub fn is_counting() -> bool {
    IS_COUNTING.load(Relaxed) != 0
}

/// Switches counting on or off. The counts stay.
pub fn set_counting(on: bool) {
    IS_COUNTING.store(on.into(), Relaxed);
}

/// Counts a call. Any context.
#[cold]
#[inline(never)]
pub fn add(number: u64, how: How) {
    let counts = COUNTS.of_this_cpu().of(how);
    if let Some(count) = counts.get(number as usize) {
        count.fetch_add(1, Relaxed);
    }
}

/// How often a call was made on all CPUs.
pub fn total(number: usize, how: How) -> u64 {
    let counts = PossibleCpu::all().filter_map(|cpu| COUNTS.of(cpu).of(how).get(number));
    counts.fold(0, |sum, count| sum.wrapping_add(count.load(Relaxed)))
}
