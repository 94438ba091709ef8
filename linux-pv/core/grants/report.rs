// SPDX-License-Identifier: GPL-2.0

//! Mistakes of drivers, and messages that must not flood the log.

use core::sync::atomic::{
    AtomicU32,
    AtomicU64,
    Ordering::Relaxed, //
};

use kernel::{
    bindings as k,
    prelude::*, //
};

use xen_grant::references::BadReference;

/// Mistakes that are reported with the stack of who made them.
const MAX_REPORTS: u32 = 10;

static MISTAKES: AtomicU32 = AtomicU32::new(0);

/// Seconds since boot, in the kernel's ticks' time. Any context.
pub(crate) fn now() -> u64 {
    // SAFETY: Reads a word that an interrupt writes.
    unsafe { (&raw const k::jiffies).read_volatile() as u64 / u64::from(k::HZ) }
}

/// A message that is written at most every five seconds.
pub(crate) struct Seldom(AtomicU64);

impl Seldom {
    /// Not written yet.
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Whether it is written now.
    pub(crate) fn is_due(&self) -> bool {
        let (now, due) = (now(), self.0.load(Relaxed));
        let is_due = due == 0 || now >= due;
        if is_due {
            self.0.store(now.wrapping_add(5), Relaxed);
        }
        is_due
    }
}

/// Reports that a driver has done something with a reference that is not its own (any more). That
/// was not done. In C the free list has a loop from then on, and two drivers grant by one
/// reference. No lock is held.
#[cold]
#[inline(never)]
pub(crate) fn mistake(what: &str, bad: BadReference) {
    let before = MISTAKES.fetch_add(1, Relaxed);
    if before < MAX_REPORTS {
        pr_err!(
            "{}, and cannot be {what}: a mistake of its driver\n",
            format_args!("{bad}")
        );
        // SAFETY: Prints who has called this.
        unsafe { k::dump_stack() };
    }
}

/// How many mistakes there were.
pub(crate) fn mistakes() -> u32 {
    MISTAKES.load(Relaxed)
}
